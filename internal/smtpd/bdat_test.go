package smtpd

import (
	"fmt"
	"strings"
	"testing"
)

func TestChunks(t *testing.T) {
	s := start(t, false, nil)
	p := s.greeted(t)
	p.begin("hind@diwan.example")
	p.say("BDAT 12\r\n.\r\nNOOP\r\n.\r\n")
	p.want("250 2.0.0 ")
	p.ask("NOOP", "250 ")
	for _, c := range []string{"MAIL FROM:<a@b.example>", "RCPT TO:<hind@diwan.example>", "DATA"} {
		p.ask(c, "503 5.5.1 ")
	}
	p.say("BDAT 0\r\nbdat 2\r\n..BDAT 8 last\r\nno end\r\n")
	p.want("250 ", "250 ", "250 2.0.0 sealed as entry 0")
	p.begin("hind@diwan.example")
	p.say("BDAT 3\r\nabcBDAT 0 LAST\r\n")
	p.want("250 ", "250 2.0.0 sealed as entry 1")

	if got, want := string(s.sealed()[0].Message), ".\r\nNOOP\r\n.\r\n..no end\r\n"; got != want {
		t.Errorf("message %q, want %q", got, want)
	}
	if got := string(s.sealed()[1].Message); got != "abc" {
		t.Errorf("message %q", got)
	}
}

// After a malformed BDAT the connection ends, and nothing that follows it runs.
func TestMalformedChunks(t *testing.T) {
	for _, command := range []string{
		"BDAT 26 FIRST", "BDAT", "BDAT ", "BDAT LAST", "BDAT -1", "BDAT +26 LAST", "BDAT 26 LAST x", "BDAT 26  LAST",
		"BDAT  26", "BDAT 2 6", "BDAT 0x1a", "BDAT 26LAST", "BDATA 26", "bdat 26.", "BDAT\t26", " BDAT 26 FIRST",
		"BDAT 99999999999999999999", "BDAT 9223372036854775807", "BDAT 4294967322 LAST",
	} {
		for _, recipients := range []int{0, 1} {
			t.Run(fmt.Sprintf("%q,%d", command, recipients), func(t *testing.T) {
				s := start(t, false, nil)
				p := s.greeted(t)
				if recipients > 0 {
					p.begin("hind@diwan.example")
				}
				p.say(command + "\r\nRSET\r\nMAIL FROM:<forged@b.example>\r\nRCPT TO:<hind@diwan.example>\r\nBDAT 3 LAST\r\nxxxNOOP\r\n")
				if r := p.reply(); !strings.HasPrefix(r, "501 5.5.4 ") && !strings.HasPrefix(r, "552 5.3.4 ") {
					t.Errorf("reply %q", r)
				}
				p.closed()
				if len(s.sealed()) != 0 {
					t.Error("a message was sealed")
				}
			})
		}
	}
}

// A refused chunk is read all the same: its octets are not commands.
func TestRefusedChunksStayInStep(t *testing.T) {
	s := start(t, false, func(o *Options) { o.MaxSize = 1000 })
	p := s.greeted(t)
	chunk := "RSET\r\nQUIT\r\n"
	p.say(fmt.Sprintf("BDAT %d\r\n%s", len(chunk), chunk))
	p.want("503 5.5.1 ")

	p.begin("hind@diwan.example")
	p.say("BDAT 1100\r\n" + strings.Repeat("QUIT\r\n", 1100/6) + "QU" + fmt.Sprintf("BDAT %d LAST\r\n%s", len(chunk), chunk))
	p.want("552 5.3.4 ", "503 5.5.1 ")

	p.begin("hind@diwan.example")
	p.say("BDAT 600\r\n" + strings.Repeat("x", 600) + "BDAT 600 LAST\r\n" + strings.Repeat("x", 600))
	p.want("250 ", "552 5.3.4 ")
	p.ask("DATA", "502 ")

	p.begin("hind@diwan.example")
	p.say("BDAT 3\r\nxxx")
	p.want("250 ")
	p.ask("RSET", "250 ")
	p.ask("BDAT 3 LAST\r\ny", "503 ") // y CR LF are the three

	p.begin("hind@diwan.example")
	p.say("BDAT 4 LAST\r\na\nb\r")
	p.want("550 5.6.0 ")
	p.ask("NOOP", "250 ")
	if len(s.sealed()) != 0 {
		t.Error("a message was sealed")
	}
}
