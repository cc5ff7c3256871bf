package smtpd

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
)

const letterText = "From: Sender <sender@abroad.example>\r\nTo: Hind <hind@diwan.example>\r\nSubject: salaam\r\n\r\nMarhaba.\r\n"

func TestMessageIsSealedAsItCame(t *testing.T) {
	s := start(t, false, nil)
	p := s.greeted(t)
	p.begin("hind@diwan.example", "SALES@diwan.example", "salim@diwan.example")
	p.ask("DATA", "354 ")
	p.say(letterText + "..\r\n...two\r\n.one is lost by rule\r\n.\r\n")
	if got, want := p.reply(), "250 2.0.0 sealed as entry 0"; got != want {
		t.Fatalf("reply %q, want %q", got, want)
	}
	p.ask("QUIT", "221 ")
	p.closed()

	mail := s.sealed()
	if len(mail) != 1 {
		t.Fatalf("%d entries, want 1", len(mail))
	}
	m := mail[0]
	if want := letterText + ".\r\n..two\r\none is lost by rule\r\n"; string(m.Message) != want {
		t.Errorf("message %q, want %q", m.Message, want)
	}
	if want := []int64{1, 2}; !slices.Equal(m.Accounts, want) {
		t.Errorf("accounts %v, want %v", m.Accounts, want)
	}
	e := m.Envelope
	if e.Door != "smtp" || e.From != "sender@abroad.example" || len(e.To) != 3 || e.To[1] != "SALES@diwan.example" ||
		e.Client != "127.0.0.1" || e.Hello != "client.example" || e.TLS != "" || e.Time.IsZero() {
		t.Errorf("envelope %+v", e)
	}
	if st := s.Stats(); st.Accepted != 1 || st.Bytes != int64(len(m.Message)) || st.Sessions != 1 || st.Permanent != 0 {
		t.Errorf("stats %+v", st)
	}
}

func TestExtensionsOffered(t *testing.T) {
	s := start(t, false, func(o *Options) { o.MaxSize = 12345 })
	p := s.dial(t)
	p.want("220 ")
	got := strings.Split(p.hello(), "\n")
	for _, want := range []string{"PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "CHUNKING", "SMTPUTF8", "SIZE 12345", "LIMITS RCPTMAX=1000"} {
		if !slices.ContainsFunc(got, func(l string) bool { return l[4:] == want }) {
			t.Errorf("%q is not offered in %q", want, got)
		}
	}
	for _, l := range got {
		if l[4:] == "STARTTLS" || strings.HasPrefix(l[4:], "AUTH") || l[4:] == "BINARYMIME" || l[4:] == "DSN" {
			t.Errorf("%q is offered", l)
		}
	}
}

// The commands and their replies, in one session each.
func TestReplies(t *testing.T) {
	cases := map[string][]string{
		"unknown mailbox": {"MAIL FROM:<a@b.example>", "250 ", "RCPT TO:<nobody@diwan.example>", "550 5.1.1 "},
		"foreign domain":  {"MAIL FROM:<a@b.example>", "250 ", "RCPT TO:<a@b.example>", "550 5.7.1 relaying denied"},
		"lookup fails":    {"MAIL FROM:<a@b.example>", "250 ", "RCPT TO:<broken@diwan.example>", "451 4.3.0 cannot check"},
		"null sender":     {"MAIL FROM:<>", "250 ", "RCPT TO:<hind@diwan.example>", "250 ", "DATA", "354 ", "x\r\n.", "250 2.0.0 sealed as entry 0"},
		"mail twice":      {"MAIL FROM:<a@b.example>", "250 ", "MAIL FROM:<c@d.example>", "503 5.5.1 ", "RSET", "250 ", "MAIL FROM:<c@d.example>", "250 "},
		"no mail":         {"RCPT TO:<hind@diwan.example>", "502 ", "DATA", "502 "},
		"no rcpt":         {"MAIL FROM:<a@b.example>", "250 ", "DATA", "502 "},
		"refused rcpt":    {"MAIL FROM:<a@b.example>", "250 ", "RCPT TO:<a@b.example>", "550 ", "DATA", "502 ", "BDAT 6\r\nNOOP", "503 "},
		"size declared":   {"MAIL FROM:<a@b.example> SIZE=5001", "552 5.3.4 ", "MAIL FROM:<a@b.example> SIZE=5000", "250 "},
		"size of any length": {"MAIL FROM:<a@b.example> SIZE=99999999999", "552 5.3.4 ", "MAIL FROM:<a@b.example> BODY=8BITMIME size=99999999999999999999 SMTPUTF8", "552 5.3.4 ",
			"MAIL FROM:<a@b.example> SIZE=999999999999999999999", "501 5.5.4 ", "MAIL FROM:<a@b.example> SIZE=0000000005000", "250 ", "RSET", "250 ",
			`MAIL FROM:<"a> SIZE=99999999999 "@b.example> SIZE=5000`, "250 "},
		"utf8 sender":    {"MAIL FROM:<سالم@b.example>", "553 5.6.7 ", "MAIL FROM:<سالم@b.example> SMTPUTF8", "250 "},
		"utf8 recipient": {"MAIL FROM:<a@b.example>", "250 ", "RCPT TO:<سالم@diwan.example>", "553 5.6.7 "},
		"utf8 both":      {"MAIL FROM:<a@b.example> SMTPUTF8", "250 ", "RCPT TO:<سالم@diwan.example>", "250 "},
		"8bitmime":       {"MAIL FROM:<a@b.example> BODY=8BITMIME", "250 ", "RCPT TO:<hind@diwan.example>", "250 "},
		"binarymime":     {"MAIL FROM:<a@b.example> BODY=BINARYMIME", "504 "},
		"postmaster":     {"MAIL FROM:<a@b.example>", "250 ", "RCPT TO:<Postmaster>", "250 "},
		"postmaster of the server": {"MAIL FROM:<>", "250 ", "RCPT TO:<Postmaster@MX.diwan.example>", "250 ", "RCPT TO:<abuse@mx.diwan.example.>", "250 ",
			"RCPT TO:<MAILER-DAEMON@mx.diwan.example>", "250 ", "RCPT TO:<postmaster@[127.0.0.1]>", "250 ", "RCPT TO:<postmaster@[IPv6:::1]>", "250 ",
			"RCPT TO:<hind@mx.diwan.example>", "550 5.7.1 ", "RCPT TO:<hind@[127.0.0.1]>", "550 5.7.1 ", "RCPT TO:<postmaster@[mx]>", "550 5.7.1 ",
			"RCPT TO:<postmaster@mx.b.example>", "550 5.7.1 ", "RCPT TO:<mailer-daemon@diwan.example>", "550 5.1.1 "},
		"quoted": {"MAIL FROM:<a@b.example>", "250 ", `RCPT TO:<"a b"@diwan.example>`, "250 "},
		"bad domains": {"MAIL FROM:<a@b;c>", "501 5.1.7 ", "MAIL FROM:<a@[1.2.3.4]>", "250 ", "RCPT TO:<hind@diwan.example<x>", "553 5.1.3 ",
			"RCPT TO:<hind@diwan..example>", "553 5.1.3 ", "RCPT TO:<hind@.diwan.example>", "553 5.1.3 ", "RCPT TO:<hind@.>", "553 5.1.3 ", "RCPT TO:<hind@diwan.example..>", "553 5.1.3 ",
			"RCPT TO:<a@b.example.>", "550 5.7.1 "},
		"bare LF":        {"NOOP\nMAIL FROM:<a@b.example>", "500 5.5.2 ", "250 "},
		"bare CR":        {"NOOP\rQUIT", "500 5.5.2 "},
		"NUL":            {"NOOP\x00", "500 5.5.2 "},
		"not UTF-8":      {"NOOP \xff", "500 5.5.2 "},
		"long name":      {"EHLO " + strings.Repeat("a", 300), "501 5.5.4 "},
		"no tls":         {"STARTTLS", "502 5.5.1 "},
		"no auth":        {"AUTH PLAIN AGEAYg==", "504 "},
		"vrfy":           {"VRFY hind", "252 "},
		"help":           {"HELP", "502 "},
		"greeting again": {"MAIL FROM:<a@b.example>", "250 ", "EHLO x.example", "250-", "MAIL FROM:<a@b.example>", "250 "},
	}
	for name, steps := range cases {
		t.Run(name, func(t *testing.T) {
			s := start(t, false, func(o *Options) { o.MaxSize = 5000 })
			p := s.greeted(t)
			for i := 0; i < len(steps); {
				p.say(steps[i] + "\r\n")
				for i++; i < len(steps) && strings.ContainsAny(steps[i][:1], "2345"); i++ {
					p.want(steps[i])
				}
			}
			p.ask("NOOP", "250 ")
		})
	}
}

// What the Appender's error says is for the log, and the session goes on.
func TestFailingAppender(t *testing.T) {
	s := start(t, false, nil)
	p := s.greeted(t)
	for _, c := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("sync segment 7: %w", syscall.ENOSPC), "452 4.3.1 insufficient system storage, try again later"},
		{fmt.Errorf("write row: %w", syscall.EIO), "451 4.3.0 cannot seal the message now, try again later"},
	} {
		s.failWith(c.err)
		p.begin("hind@diwan.example")
		p.ask("DATA", "354 ")
		p.say(letterText + ".\r\n")
		if got := p.reply(); got != c.want {
			t.Errorf("reply %q, want %q", got, c.want)
		}
		if !strings.Contains(s.log.String(), c.err.Error()) {
			t.Errorf("log does not tell of %v", c.err)
		}
	}
	s.failWith(nil) // space is back
	p.begin("hind@diwan.example")
	p.data(letterText+".\r\n", "250 2.0.0 sealed as entry 0")
}

// An Appender that panics costs its own connection only.
func TestPanickingAppender(t *testing.T) {
	s := start(t, false, func(o *Options) { o.Appender = panicking{} })
	p := s.greeted(t)
	p.begin("hind@diwan.example")
	p.data(letterText+".\r\n", "421 4.0.0 ")
	p.closed()
	s.greeted(t).ask("NOOP", "250 ")
}

func TestPipelining(t *testing.T) {
	s := start(t, false, nil)
	p := s.greeted(t)
	one := "MAIL FROM:<a@b.example>\r\nRCPT TO:<hind@diwan.example>\r\nRCPT TO:<nobody@diwan.example>\r\nDATA\r\n" + letterText + ".\r\n"
	p.say(strings.Repeat(one, 3) + "QUIT\r\n")
	for i := range 3 {
		p.want("250 ", "250 ", "550 ", "354 ", fmt.Sprintf("250 2.0.0 sealed as entry %d", i))
	}
	p.want("221 ")
	p.closed()
	for _, m := range s.sealed() {
		if string(m.Message) != letterText {
			t.Errorf("message %q", m.Message)
		}
	}
}

func TestOversize(t *testing.T) {
	s := start(t, false, func(o *Options) { o.MaxSize = 100_000 })
	p := s.greeted(t)
	line := strings.Repeat("x", 98) + "\r\n"
	for _, c := range []struct {
		lines int
		want  string
	}{{1000, "250 2.0.0 sealed as entry 0"}, {1001, "552 5.3.4 "}, {5000, "552 5.3.4 "}, {1, "250 2.0.0 sealed as entry 1"}} {
		p.begin("hind@diwan.example")
		p.data(strings.Repeat(line, c.lines)+".\r\n", c.want)
	}
}

func TestLongLines(t *testing.T) {
	s := start(t, false, nil)
	p := s.greeted(t)
	for _, c := range []struct {
		octets int
		want   string
	}{{5000, "250 "}, {maxLine - 2, "250 "}, {maxLine - 1, "550 5.6.0 "}, {1 << 20, "550 5.6.0 "}} {
		p.begin("hind@diwan.example")
		p.data("Subject: x\r\n\r\n"+strings.Repeat("x", c.octets)+"\r\nend\r\n.\r\n", c.want)
	}
}

func TestLMTP(t *testing.T) {
	s := start(t, true, nil)
	p := s.dial(t)
	p.want("220 mx.diwan.example LMTP")
	p.ask("EHLO client.example", "500 ")
	p.hello()
	p.begin("hind@diwan.example", "salim@diwan.example")
	p.ask("RCPT TO:<nobody@diwan.example>", "550 ")
	p.ask("RCPT TO:<hind@diwan.example>", "250 ")
	p.ask("DATA", "354 ")
	p.say(letterText + ".\r\n")
	for range 3 {
		if got, want := p.reply(), "250 2.0.0 sealed as entry 0"; got != want {
			t.Fatalf("reply %q, want %q", got, want)
		}
	}
	p.begin("hind@diwan.example", "salim@diwan.example")
	p.data("bare\nLF\r\n.\r\n", "550 5.6.0 ", "550 5.6.0 ")
	p.begin("hind@diwan.example", "salim@diwan.example")
	p.ask("BDAT 3\r\na", "250 ")
	p.ask("BDAT 3 LAST\r\nb", "250 2.0.0 sealed as entry 1", "250 2.0.0 sealed as entry 1")
	p.ask("QUIT", "221 ")
	mail := s.sealed()
	if len(mail) != 2 || mail[0].Envelope.Door != "lmtp" || !slices.Equal(mail[0].Accounts, []int64{1, 2}) ||
		string(mail[1].Message) != "a\r\nb\r\n" {
		t.Errorf("sealed %+v", mail)
	}
	if !strings.Contains(mail[0].Envelope.Trace, " with LMTP id ") {
		t.Errorf("trace %q", mail[0].Envelope.Trace)
	}
}
