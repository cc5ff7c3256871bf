package smtpd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// script is a connection whose peer has said all it will say.
type script struct {
	in   *strings.Reader
	step int // octets at a time
	out  bytes.Buffer
	done chan struct{}
}

func (s *script) Read(p []byte) (int, error) {
	return s.in.Read(p[:min(len(p), s.step)])
}
func (s *script) Write(p []byte) (int, error)      { return s.out.Write(p) }
func (s *script) Close() error                     { close(s.done); return nil }
func (s *script) LocalAddr() net.Addr              { return &net.UnixAddr{} }
func (s *script) RemoteAddr() net.Addr             { return &net.UnixAddr{} }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

// listed is a listener with connections made before.
type listed chan net.Conn

func (l listed) Accept() (net.Conn, error) {
	c, ok := <-l
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (l listed) Close() error   { return nil }
func (l listed) Addr() net.Addr { return &net.UnixAddr{} }

// FuzzSession says anything at all to a server, and checks that each message
// sealed was acknowledged once and is one that could have been sent, that the
// session ends, and that memory is given back.
func FuzzSession(f *testing.F) {
	begin := "EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<hind@diwan.example>\r\n"
	f.Add([]byte(begin+"DATA\r\n"+letterText+".\r\nQUIT\r\n"), uint8(255))
	f.Add([]byte(begin+"BDAT 3\r\nabcBDAT 5 LAST\r\nde\r\n\nNOOP\r\n"), uint8(7))
	f.Add([]byte(begin+"BDAT 26 FIRST\r\nMAIL FROM:<a@b.example>\r\n"), uint8(1))
	f.Add([]byte(begin+"BDAT 3000 LAST\r\nRSET\r\n"), uint8(1))
	f.Add([]byte(begin+begin+"BDAT 3\r\nabcRSET\r\nDATA\r\nx\r\n.\r\nBDAT 1 LAST\r\nx"), uint8(3))
	for _, e := range endings {
		f.Add([]byte(begin+"DATA\r\nx"+e+begin+"DATA\r\n.\r\nNOOP\r\n"), uint8(5))
	}
	f.Fuzz(func(t *testing.T, in []byte, step uint8) {
		out, mail := run(t, string(in), step)
		for _, m := range mail {
			if len(m.Message) > 1000 || inspect(m.Message) != nil || len(m.Accounts) == 0 {
				t.Errorf("sealed %q for %v", m.Message, m.Accounts)
			}
		}
		if got := strings.Count(out, "250 2.0.0 sealed as entry "); got != len(mail) {
			t.Errorf("%d acknowledged, %d sealed:\n%s", got, len(mail), out)
		}
	})
}

// FuzzPayload sends any octets as a message, by BDAT in two chunks and by DATA,
// and checks that the replies are those of one message and nothing else, and
// that it was sealed as it was or refused for what is in it.
func FuzzPayload(f *testing.F) {
	f.Add("BDAT 26 FIRST\r\nNOOP\r\n", uint8(3), uint8(1))
	f.Add("\r\n.\r\nRSET\r\n..\r\n", uint8(4), uint8(255))
	for _, e := range endings {
		f.Add("x"+e+"MAIL FROM:<a@b.example>\r\n", uint8(2), uint8(9))
	}
	f.Fuzz(func(t *testing.T, payload string, cut, step uint8) {
		if len(payload) > 2000 {
			return
		}
		begin := "EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<hind@diwan.example>\r\n"
		at := min(int(cut), len(payload))
		out, mail := run(t, fmt.Sprintf("%sBDAT %d\r\n%sBDAT %d LAST\r\n%sQUIT\r\n", begin, at, payload[:at], len(payload)-at, payload[at:]), step)
		checkOne(t, payload, "220 250 250 250 250 ", out, mail)

		lines := strings.SplitAfter(payload, "\r\n")
		for i, l := range lines {
			if strings.HasPrefix(l, ".") {
				lines[i] = "." + l
			}
		}
		if last := lines[len(lines)-1]; last != "" {
			payload += "\r\n"
			lines = append(lines, "\r\n")
		}
		out, mail = run(t, begin+"DATA\r\n"+strings.Join(lines, "")+".\r\nQUIT\r\n", step)
		checkOne(t, payload, "220 250 250 250 354 ", out, mail)
	})
}

// checkOne checks the replies to a session of one message and what was sealed.
func checkOne(t *testing.T, payload, before, out string, mail []*Mail) {
	var codes strings.Builder
	for line := range strings.Lines(out) {
		if line[3] == ' ' {
			codes.WriteString(line[:4])
		}
	}
	bare := strings.ContainsAny(strings.ReplaceAll(payload, "\r\n", ""), "\r\n\x00")
	want := "250 "
	switch {
	case len(payload) > 1000:
		want = "552 "
	case bare:
		want = "550 "
	case len(mail) != 1 || string(mail[0].Message) != payload:
		t.Errorf("payload %q was not sealed as it was", payload)
	}
	if want != "250 " && len(mail) != 0 {
		t.Errorf("payload %q was sealed", payload)
	}
	if got := codes.String(); got != before+want+"221 " {
		t.Errorf("payload %q: replies %s, want %s%s221", payload, got, before, want)
	}
}

// run serves one script to its end and returns what was said and sealed.
func run(t *testing.T, in string, step uint8) (string, []*Mail) {
	r := &register{}
	s, err := New(Options{
		Hostname: "mx.diwan.example", Directory: office, Appender: r, MaxSize: 1000,
		Journal: []string{"journal@diwan.example"}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	c := &script{in: strings.NewReader(in), step: int(step) + 1, done: make(chan struct{})}
	conns := make(listed, 1)
	conns <- c
	close(conns)
	go s.Serve(conns)
	defer s.Shutdown(context.Background())
	select {
	case <-c.done:
	case <-time.After(20 * time.Second):
		t.Fatal("the session hangs")
	}
	if !s.memory.TryAcquire(s.opt.Memory + smallest) {
		t.Error("memory was not given back")
	}
	return c.out.String(), r.sealed()
}

// Debian's swaks sends a message, in the clear and over TLS.
func TestSwaks(t *testing.T) {
	swaks, err := exec.LookPath("swaks")
	if err != nil {
		t.Skip("swaks is not installed")
	}
	config := certificate(t)
	s := start(t, false, func(o *Options) { o.TLS = config })
	host, port, _ := net.SplitHostPort(s.addr)
	for _, extra := range [][]string{nil, {"--tls"}, {"--pipeline"}} {
		args := append([]string{"--server", host, "--port", port, "--from", "a@b.example",
			"--to", "hind@diwan.example,salim@diwan.example", "--h-Subject", "swaks", "--body", ".begins with a dot"}, extra...)
		cmd := exec.Command(swaks, args...)
		cmd.Env = append(os.Environ(), "LC_ALL=C")
		out, err := cmd.CombinedOutput()
		if bytes.Contains(out, []byte("not available")) {
			t.Logf("swaks %v lacks what it needs; not tried", extra)
			continue
		}
		if err != nil || !bytes.Contains(out, []byte("250 2.0.0 sealed as entry ")) {
			t.Errorf("swaks %v: %v\n%s", extra, err, out)
		}
	}
	for _, m := range s.sealed() {
		if !bytes.Contains(m.Message, []byte("\r\n\r\n.begins with a dot\r\n")) {
			t.Errorf("message %q", m.Message)
		}
	}
	if len(s.sealed()) == 0 {
		t.Error("nothing was sealed")
	}
}

// The client of go-smtp, which pipelines nothing, over LMTP.
func TestLibraryClient(t *testing.T) {
	s := start(t, true, nil)
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	c := smtp.NewClientLMTP(conn)
	defer c.Close()
	if err := c.Mail("a@b.example", nil); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"hind@diwan.example", "salim@diwan.example"} {
		if err := c.Rcpt(to, nil); err != nil {
			t.Fatal(err)
		}
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, letterText); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Quit(); err != nil {
		t.Error(err)
	}
	if m := s.sealed(); len(m) != 1 || string(m[0].Message) != letterText {
		t.Errorf("sealed %v", m)
	}
}
