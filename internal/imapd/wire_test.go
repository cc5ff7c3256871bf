package imapd

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sijill"
)

func TestAppend(t *testing.T) {
	h := serve(t)
	c := h.selected(t, officePassword, "INBOX")
	for i, raw := range []string{
		"Subject: bare\n\nlf\nonly\n", "Subject: cr\r\rtext\r", "no header at all", "\r\n", "Subject: 8\xff\xfe\r\n\r\n\x80\x01.\r\n.\r\n",
		"x", strings.Repeat("long ", 100_000),
	} {
		c.append("INBOX", "", raw)
		got := c.ok(fmt.Sprintf("UID FETCH %d BODY.PEEK[]", i+1))[0]
		if _, body, _ := strings.Cut(got, "}\r\n"); body != raw+")" {
			t.Errorf("%.40q came out as %.60q", raw, body)
		}
	}
	c.start(`APPEND "Sent" (\Seen Kept) "02-Jan-2020 03:04:05 +0300" {10}`)
	if l := c.line(); !strings.HasPrefix(l, "+ ") {
		t.Fatalf("got %q", l)
	}
	c.send("S: hello\r\n\r\n")
	if _, tagged := c.finish(); !strings.HasPrefix(tagged, "OK [APPENDUID 1000002 1]") {
		t.Fatal(tagged)
	}
	c.ok("SELECT Sent")
	c.wants("FETCH 1 (FLAGS INTERNALDATE)", `* 1 FETCH (FLAGS (\Seen Kept) INTERNALDATE " 2-Jan-2020 03:04:05 +0300")`)
	c.start("APPEND Sent {4+}\r\na\x00b")
	c.send("c\r\n")
	if _, tagged := c.finish(); !strings.HasPrefix(tagged, "NO ") || !strings.Contains(tagged, "NUL") {
		t.Errorf("NUL: %s", tagged)
	}
	c.refused("APPEND Sent {0+}\r\n", "NO")
	c.refused("APPEND nowhere {5+}\r\nhello", "NO [TRYCREATE]")
	c.refused("APPEND Sent {99999999}", "NO [TOOBIG]")
	c.refused("APPEND Sent nonsense {5+}\r\na LOG", "BAD")
	c.refused(`APPEND Sent "no date" {20+}`+"\r\n"+"12345\r\nb LOGOUT\r\nxxx", "BAD")
	c.start("APPEND {4+}\r\nSent (\\Seen) ~{3+}\r\nxyz")
	if _, tagged := c.finish(); !strings.HasPrefix(tagged, "OK [APPENDUID 1000002 2]") {
		t.Error(tagged)
	}
	c.start("APPEND Sent {3+}\r\nxyz {3+}\r\nabc")
	if l := c.line(); !strings.HasPrefix(l, "* BYE") {
		t.Errorf("two messages: %q", l)
	}
	d := h.selected(t, officePassword, "Sent")
	d.wants("UID SEARCH ALL", "* SEARCH 1 2")
}

func TestAppendTooBigForOptions(t *testing.T) {
	h := serve(t, func(o *Options) { o.MaxSize = 1000 })
	c := h.sign(t, officePassword)
	big := strings.Repeat("b LOGOUT\r\n", 500)
	c.refused(fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(big), big), "NO [TOOBIG]")
	c.ok("NOOP")
}

func TestStartTLS(t *testing.T) {
	h := serve(t)
	raw, err := net.Dial("tcp", h.plain)
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, raw)
	if caps := c.ok("CAPABILITY")[0]; !strings.Contains(caps, "STARTTLS") || !strings.Contains(caps, "LOGINDISABLED") || strings.Contains(caps, "AUTH=") {
		t.Errorf("%s", caps)
	}
	c.refused("LOGIN layla "+officePassword, "NO [PRIVACYREQUIRED]")
	c.refused("AUTHENTICATE PLAIN AGEAYg==", "NO [PRIVACYREQUIRED]")
	c.ok("STARTTLS")
	s := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	c.Conn, c.in = s, bufio.NewReader(s)
	c.ok("LOGIN layla " + officePassword)
	c.refused("STARTTLS", "NO")
	c.ok("SELECT INBOX")
	if h.Stats().TLS != 1 {
		t.Errorf("%+v", h.Stats())
	}

	raw, err = net.Dial("tcp", h.plain)
	if err != nil {
		t.Fatal(err)
	}
	c = newClient(t, raw)
	c.send("a STARTTLS\r\nb NOOP\r\n")
	if l := c.line(); !strings.HasPrefix(l, "* BYE") {
		t.Errorf("a command after STARTTLS: %q", l)
	}
}

func TestAuthenticatePlain(t *testing.T) {
	h := serve(t)
	c := h.dial(t)
	c.refused("AUTHENTICATE PLAIN not*base64", "BAD")
	c.refused("AUTHENTICATE CRAM-MD5", "NO")
	c.start("AUTHENTICATE PLAIN")
	if l := c.line(); l != "+ " {
		t.Fatalf("%q", l)
	}
	c.send("*\r\n")
	if _, tagged := c.finish(); !strings.HasPrefix(tagged, "BAD") {
		t.Errorf("%s", tagged)
	}
	c.start("AUTHENTICATE PLAIN")
	c.line()
	c.send("AGxheWxhAG9mZmljZS0wMTIzNDU2Nzg5\r\n")
	if _, tagged := c.finish(); !strings.HasPrefix(tagged, "OK [CAPABILITY ID ") {
		t.Errorf("%s", tagged)
	}
	c.ok("SELECT INBOX")
}

func TestIdle(t *testing.T) {
	h := serve(t)
	h.fill(2)
	c := h.selected(t, officePassword, "INBOX")
	c.start("IDLE")
	if l := c.line(); !strings.HasPrefix(l, "+ ") {
		t.Fatalf("%q", l)
	}
	h.office.put(sijill.Office, "Inbox", letter(3), 0) // Told sooner than lookAgain, or the line isn't read in time.
	if l := c.line(); l != "* 3 EXISTS" {
		t.Errorf("%q", l)
	}
	other := h.selected(t, officePassword, "INBOX")
	other.ok(`STORE 1 +FLAGS.SILENT (\Deleted)`)
	if l := c.line(); l != `* 1 FETCH (UID 1 FLAGS (\Deleted))` {
		t.Errorf("%q", l)
	}
	other.ok("EXPUNGE")
	if l := c.line(); l != "* 1 EXPUNGE" {
		t.Errorf("%q", l)
	}
	c.send("done\r\n")
	if u, tagged := c.finish(); len(u) != 0 || !strings.HasPrefix(tagged, "OK") {
		t.Errorf("%q %s", u, tagged)
	}
	h.office.put(sijill.Office, "Inbox", letter(4), 0)
	began := time.Now()
	c.start("IDLE")
	c.line()
	if l := c.line(); l != "* 3 EXISTS" {
		t.Errorf("%q", l)
	}
	if d := time.Since(began); d < pause {
		t.Errorf("what came before was told %v after IDLE", d)
	}
	c.Close()
}

func TestShutdownSaysBye(t *testing.T) {
	h := serve(t)
	idle, quiet := h.selected(t, officePassword, "INBOX"), h.dial(t)
	idle.start("IDLE")
	idle.line()
	busy := h.sign(t, officePassword)
	h.office.gate = make(chan chan struct{})
	busy.start("APPEND INBOX {5+}\r\nhello")
	sealing := <-h.office.gate
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- h.Shutdown(ctx) }()
	for _, c := range []*client{idle, quiet} {
		if l := c.line(); !strings.HasPrefix(l, "* BYE") {
			t.Errorf("%q", l)
		}
	}
	close(sealing)
	if _, tagged := busy.finish(); !strings.HasPrefix(tagged, "OK [APPENDUID") {
		t.Errorf("%s", tagged)
	}
	if l := busy.line(); !strings.HasPrefix(l, "* BYE") {
		t.Errorf("%q", l)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := h.Stats().Open; n != 0 {
		t.Errorf("%d connections are open", n)
	}
}

func TestIdleTimeouts(t *testing.T) {
	const login, idle = 200 * time.Millisecond, 400 * time.Millisecond
	strangers := serve(t, func(o *Options) { o.Limits.Login = login })
	friends := serve(t, func(o *Options) { o.Limits.Idle = idle })
	for _, c := range []struct {
		wait time.Duration
		come func() *client
	}{
		{login, func() *client { return strangers.dial(t) }}, {idle, func() *client { return friends.sign(t, officePassword) }},
	} {
		began := time.Now()
		if l := c.come().line(); !strings.HasPrefix(l, "* BYE") {
			t.Errorf("%q", l)
		}
		if d := time.Since(began); d < c.wait {
			t.Errorf("after %v, not %v", d, c.wait)
		}
	}
}

func TestLimitsPerPeer(t *testing.T) {
	h := serve(t, func(o *Options) { o.Limits.PerAddress, o.Limits.Exempt = 2, []netip.Prefix{} })
	a, b := h.dial(t), h.dial(t)
	if c, err := tls.Dial("tcp", h.secured, &tls.Config{InsecureSkipVerify: true}); err == nil {
		c.Close()
		t.Error("a third connection was let in")
	}
	a.ok("NOOP")
	b.ok("LOGOUT")
	b.Close()
	deadline := time.Now().Add(30 * time.Second)
	for h.Stats().Open > 1 && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	h.dial(t).ok("NOOP")
	if h.Stats().TurnedAway != 1 {
		t.Errorf("%+v", h.Stats())
	}
}

func TestNonsense(t *testing.T) {
	h := serve(t)
	c := h.sign(t, officePassword)
	for _, cmd := range []string{"", "UID", "UID ", "UID BOGUS", "FOO", `SELECT "open`, "NOOP x\x00y", "LIST", "ID", "FETCH 1 FLAGS", "SELECT \"a\rb\""} {
		c.refused(cmd, "BAD")
	}
	c.refused("SELECT {99999999999999999999}", "NO [TOOBIG]")
	c.send("\r\n")
	if l := c.line(); !strings.HasPrefix(l, "* BAD") {
		t.Errorf("%q", l)
	}
	c.send("+ NOOP\r\n")
	if l := c.line(); !strings.HasPrefix(l, "* BAD") {
		t.Errorf("%q", l)
	}
	c.ok("NOOP")
	for range 50 {
		c.send("x%%\r\n")
	}
	for {
		if l := c.line(); strings.HasPrefix(l, "* BYE") {
			break
		}
	}
}

func TestPipelining(t *testing.T) {
	h := serve(t)
	h.fill(3)
	c := h.sign(t, officePassword)
	c.send("a SELECT INBOX\r\nb FETCH 1:* FLAGS\r\nc STORE 1 +FLAGS (\\Seen)\r\nd APPEND INBOX {5+}\r\nhello\r\ne NOOP\r\nf LOGOUT\r\n")
	var tags []string
	for len(tags) < 6 {
		if tag, rest, _ := strings.Cut(c.line(), " "); tag != "*" {
			if !strings.HasPrefix(rest, "OK") {
				t.Errorf("%s %s", tag, rest)
			}
			tags = append(tags, tag)
		}
	}
	if strings.Join(tags, "") != "abcdef" {
		t.Errorf("%q", tags)
	}
}
