package smtpd

import (
	"bufio"
	"crypto/tls"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// secured is p after the handshake.
func (p *client) secured() *client {
	p.t.Helper()
	p.ask("STARTTLS", "220 2.0.0 ")
	c := tls.Client(p.Conn, &tls.Config{InsecureSkipVerify: true})
	if err := c.Handshake(); err != nil {
		p.t.Fatal(err)
	}
	return &client{p.t, c, bufio.NewReader(c)}
}

func TestSTARTTLS(t *testing.T) {
	config := certificate(t)
	s := start(t, false, func(o *Options) { o.TLS = config })
	p := s.dial(t)
	p.want("220 ")
	p.ask("STARTTLS", "503 ")
	if !strings.Contains(p.hello(), "STARTTLS") {
		t.Fatal("STARTTLS is not offered")
	}
	p.ask("STARTTLS now", "501 ")
	p.ask("STARTTLSx", "501 ")
	p.begin("hind@diwan.example")
	p = p.secured()

	p.ask("RCPT TO:<hind@diwan.example>", "502 ") // MAIL is forgotten
	p.ask("MAIL FROM:<a@b.example>", "502 ")      // and so is EHLO
	if strings.Contains(p.hello(), "STARTTLS") {
		t.Error("STARTTLS is offered within TLS")
	}
	p.ask("STARTTLS", "502 ")
	p.begin("hind@diwan.example")
	p.data(letterText+".\r\n", "250 2.0.0 sealed as entry 0")
	p.begin("hind@diwan.example")
	p.say("BDAT 3 LAST\r\nxyz")
	p.want("250 2.0.0 sealed as entry 1")
	p.ask("QUIT", "221 ")
	p.closed()

	e := s.sealed()[0].Envelope
	if !regexp.MustCompile(`^TLS1\.3 TLS_[A-Z0-9_]+$`).MatchString(e.TLS) {
		t.Errorf("TLS %q", e.TLS)
	}
	if !strings.Contains(e.Trace, " with ESMTPS id ") || !strings.Contains(e.Trace, "\ttls TLS_") {
		t.Errorf("trace %q", e.Trace)
	}
	if st := s.Stats(); st.TLS != 1 || st.Sessions != 1 {
		t.Errorf("stats %+v", st)
	}
}

// What is sent in the clear behind STARTTLS neither runs nor is answered later.
func TestSTARTTLSInjection(t *testing.T) {
	config := certificate(t)
	s := start(t, false, func(o *Options) { o.TLS = config })
	p := s.greeted(t)
	p.say("STARTTLS\r\nMAIL FROM:<forged@b.example>\r\n")
	p.want("501 5.5.1 ")
	p.closed()

	p = s.greeted(t)
	p.ask("STARTTLS", "220 ")
	p.say("MAIL FROM:<forged@b.example>\r\n") // not a handshake
	p.SetDeadline(time.Now().Add(30 * time.Second))
	if rest, _ := p.r.ReadString('\n'); strings.HasPrefix(rest, "250") {
		t.Errorf("command was run: %q", rest)
	}
}

func TestErrorsEndTLSConnection(t *testing.T) {
	config := certificate(t)
	s := start(t, false, func(o *Options) { o.TLS = config; o.Limits.Errors = 2 })
	p := s.greeted(t).secured()
	p.hello()
	for range 3 {
		p.ask("MAIL FROM:<سالم@b.example>", "553 ")
	}
	p.want("421 4.7.0 ")
	p.closed()
}

// A TLS client that is not Go's.
func TestOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	config := certificate(t)
	s := start(t, false, func(o *Options) { o.TLS = config })
	cmd := exec.Command(openssl, "s_client", "-quiet", "-starttls", "smtp", "-connect", s.addr)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out safeBuffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	io.WriteString(in, "EHLO client.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<hind@diwan.example>\r\nDATA\r\nx\r\n.\r\nNOOP\r\n")
	waitFor(t, func() bool { return strings.Contains(out.String(), "250 2.0.0 sealed as entry 0\r\n250 ") })
	in.Close()
	cmd.Process.Kill()
	cmd.Wait()
	if m := s.sealed(); len(m) != 1 || string(m[0].Message) != "x\r\n" || m[0].Envelope.TLS == "" {
		t.Errorf("sealed %+v", m)
	}
}
