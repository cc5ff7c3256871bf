package imapd

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"sijill"
)

// FuzzCommands sends whatever to somebody's open folder. The server must stay
// in step: after all of it, and whatever it was, either the connection is over
// or a command of ours is answered as ours.
func FuzzCommands(f *testing.F) {
	for _, s := range []string{
		"a NOOP\r\n", "a FETCH 1:* (FLAGS BODY[])\r\n", "a SEARCH OR SMALLER 5 (NOT SUBJECT {3+}\r\nabc)\r\n",
		"a APPEND INBOX (\\Seen) {5+}\r\nhello\r\n", "a APPEND INBOX {5+}\r\nhello{3+}\r\nabc\r\n", "a SELECT \"INBOX\r\n",
		"a IDLE\r\nDONE\r\n", "a AUTHENTICATE PLAIN\r\nAGEAYg==\r\n", "a UID STORE 1 FLAGS (\\Seen x)\r\n", "a LIST (SUBSCRIBED) \"\" (\"*\" %) RETURN (STATUS (SIZE))\r\n",
		"a FETCH 1 BODY[1.2.HEADER.FIELDS (\"A\" {1+}\r\nb)]<1.2>\r\n", "a UID MOVE 1:* Trash\r\n", "a ID (\"a\" {1+}\r\nb)\r\n", "{5+}\r\n", "a FETCH 1 BINARY[1]\r\n",
		"a ENABLE UTF8=ACCEPT\r\nb CREATE {3+}\r\na&b\r\nc APPEND \"a&b\" (&) {1+}\r\n&\r\nd LIST \"\" *&*\r\n", "a FETCH 1 (BODY BODYSTRUCTURE ENVELOPE)\r\n",
	} {
		f.Add([]byte(s))
	}
	h := serve(f, func(o *Options) {
		o.InsecureAuth = true
		o.Limits.Login, o.Limits.Idle, o.Limits.Command = time.Second, time.Second, time.Second
	})
	h.office.put(sijill.Office, "Inbox", nested, 0)
	f.Fuzz(func(t *testing.T, in []byte) {
		if bytes.Contains(in, []byte("zzend")) {
			return
		}
		c, err := net.Dial("tcp", h.plain)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		go func() {
			io.WriteString(c, "x LOGIN layla "+officePassword+"\r\ny SELECT INBOX\r\n")
			c.Write(in)
			io.WriteString(c, "\r\nzzend1 NOOP\r\n")
			c.(*net.TCPConn).CloseWrite()
		}()
		out, err := io.ReadAll(c)
		if err != nil {
			t.Fatalf("%v after %q", err, out)
		}
		if bytes.Contains(out, []byte("panic")) || bytes.Contains([]byte(h.log.String()), []byte("panic")) {
			t.Fatalf("a panic: %s", h.log.String())
		}
	})
}

// FuzzLine holds that what the guard makes of SEARCH keys stays one line and
// keeps its quotes.
func FuzzLine(f *testing.F) {
	f.Add([]byte(`SMALLER 5 SUBJECT "SMALLER 5"`))
	f.Add([]byte(`OR SMALLER 1 (SMALLER "x") HEADER SMALLER SMALLER`))
	f.Fuzz(func(t *testing.T, in []byte) {
		if flaw(in) != "" || bytes.IndexByte(in, '\n') >= 0 {
			return
		}
		out := withoutSmaller(in)
		if flaw(out) != "" || bytes.IndexByte(out, '\n') >= 0 {
			t.Fatalf("%q became %q", in, out)
		}
		if bytes.Count(in, []byte(`"`)) != bytes.Count(out, []byte(`"`)) {
			t.Fatalf("%q became %q", in, out)
		}
	})
}
