package smtpd

import (
	"net/mail"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestTrace(t *testing.T) {
	const date = `\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000\r\n`
	for _, c := range []struct {
		name     string
		commands []string
		want     string
	}{
		{"one recipient",
			[]string{"EHLO client.example", "MAIL FROM:<a@b.example>", "RCPT TO:<hind@diwan.example>"},
			`^Return-Path: <a@b\.example>\r\nReceived: from client\.example \(\[127\.0\.0\.1\]\)\r\n` +
				`\tby mx\.diwan\.example with ESMTP id [A-Z2-7]+\r\n\tfor <hind@diwan\.example>;\r\n\t` + date + `$`},
		{"two recipients, null sender",
			[]string{"EHLO [192.0.2.1]", "MAIL FROM:<>", "RCPT TO:<hind@diwan.example>", "RCPT TO:<salim@diwan.example>"},
			`^Return-Path: <>\r\nReceived: from \[192\.0\.2\.1\] \(\[127\.0\.0\.1\]\)\r\n` +
				`\tby mx\.diwan\.example with ESMTP id [A-Z2-7]+;\r\n\t` + date + `$`},
		{"HELO with a strange name",
			[]string{"HELO (a)b;c", "MAIL FROM:<a@b.example>", "RCPT TO:<hind@diwan.example>"},
			`Received: from unknown \(\[127\.0\.0\.1\]\)\r\n\tby mx\.diwan\.example with SMTP id `},
		{"UTF-8",
			[]string{"EHLO client.example", "MAIL FROM:<سالم@b.example> SMTPUTF8", "RCPT TO:<سالم@diwan.example>"},
			`^Return-Path: <سالم@b\.example>\r\n[^;]* with UTF8SMTP id [A-Z2-7]+\r\n\tfor <سالم@diwan\.example>;`},
		{"quoted local part",
			[]string{"EHLO client.example", `MAIL FROM:<"x> \"y"@b.example>`, "RCPT TO:<hind@diwan.example>"},
			`^Return-Path: <"x> \\"y"@b\.example>\r\nReceived: `},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, false, nil)
			p := s.dial(t)
			p.want("220 ")
			for _, command := range c.commands {
				p.ask(command, "250")
			}
			p.data("Subject: x\r\n\r\nx\r\n.\r\n", "250 ")
			m := s.sealed()[0]
			if !regexp.MustCompile(c.want).MatchString(m.Envelope.Trace) {
				t.Errorf("trace %q does not match %q", m.Envelope.Trace, c.want)
			}
			read, err := mail.ReadMessage(strings.NewReader(string(m.Envelope.Present(m.Message))))
			if err != nil || len(read.Header) != 3 {
				t.Fatalf("presented message has header %v, %v", read, err)
			}
			_, at, _ := strings.Cut(read.Header.Get("Received"), "; ")
			if d, err := time.Parse(time.RFC1123Z, at); err != nil || time.Since(d) > time.Minute {
				t.Errorf("date %q, %v", at, err)
			}
		})
	}
}
