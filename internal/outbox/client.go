package outbox

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// conn is a connection to another server, past EHLO. One goroutine uses it at a
// time.
type conn struct {
	net    net.Conn
	r      *bufio.Reader
	w      *bufio.Writer
	limits *Limits
	stop   func() bool // Ends the watch over the context.

	key  string // What it may be used for again; see pool.
	host string // As the destination names it.
	addr netip.AddrPort
	name string // As the server names itself.
	ext  map[string]string
	tls  *TLS // nil in plain text.
	sec  security
	used int  // Transactions begun.
	bad  bool // Fit for nothing any more.
	idle time.Time
}

// TLS is what is known about the protection of a connection.
type TLS struct {
	Version string `json:"version"`
	Cipher  string `json:"cipher"`
	// Policy is what asked for it: "opportunistic", "dane", "dane-unusable"
	// (TLSA records of which none can be used: TLS without proof, RFC 7672
	// section 2.2), "mta-sts", "mta-sts-testing", "requiretls" or "smarthost".
	Policy string `json:"policy"`
	// Verified says that the certificate was proven by the policy, or else that
	// an authority vouches for the host's name.
	Verified bool `json:"verified"`
}

// errTLS says that there is no TLS as it has to be.
type errTLS struct{ err error }

func (e errTLS) Error() string { return "securing the connection: " + e.err.Error() }
func (e errTLS) Unwrap() error { return e.err }

// refused is an answer that ends a conversation.
type refused struct{ reply }

func (e refused) Error() string { return fmt.Sprintf("the server answered %d", e.code) }

func newConn(ctx context.Context, c net.Conn, l *Limits) *conn {
	n := &conn{limits: l}
	n.attach(c)
	// A context that ends cuts off whatever waits.
	n.stop = context.AfterFunc(ctx, func() { c.Close() })
	return n
}

func (c *conn) attach(n net.Conn) {
	c.net, c.r, c.w = n, bufio.NewReaderSize(n, maxReplyLine), bufio.NewWriterSize(n, 16<<10)
}

func (c *conn) close() {
	c.stop()
	c.net.Close()
}

// quit takes leave, without waiting long.
func (c *conn) quit() {
	if !c.bad {
		c.net.SetDeadline(time.Now().Add(2 * time.Second))
		if _, err := c.w.WriteString("QUIT\r\n"); err == nil && c.w.Flush() == nil {
			_, _, _ = readReply(c.r)
		}
	}
	c.close()
}

// read waits for an answer. One that can't be understood, and 421, end the
// connection.
func (c *conn) read(patience time.Duration) (reply, []string, error) {
	c.net.SetReadDeadline(time.Now().Add(patience))
	r, lines, err := readReply(c.r)
	if err != nil || r.code == 421 {
		c.bad = true
	}
	return r, lines, err
}

func (c *conn) flush() error {
	c.net.SetWriteDeadline(time.Now().Add(c.limits.Command))
	if err := c.w.Flush(); err != nil {
		c.bad = true
		return fmt.Errorf("sending: %w", err)
	}
	return nil
}

// ask sends a command and reads the answer.
func (c *conn) ask(patience time.Duration, words ...string) (reply, []string, error) {
	c.w.WriteString(strings.Join(words, " ") + "\r\n")
	if err := c.flush(); err != nil {
		return reply{}, nil, err
	}
	return c.read(patience)
}

// begin reads the greeting and says EHLO.
func (c *conn) begin(hostname string) error {
	r, _, err := c.read(c.limits.Greeting)
	if err != nil {
		return err
	}
	if r.code != 220 {
		return refused{r}
	}
	return c.hello(hostname)
}

// hello says EHLO, or HELO to a server that doesn't know it (RFC 5321 section
// 3.2).
func (c *conn) hello(hostname string) error {
	c.ext = map[string]string{}
	r, lines, err := c.ask(c.limits.Greeting, "EHLO", hostname)
	if err == nil && (r.code == 500 || r.code == 502) {
		if r, lines, err = c.ask(c.limits.Greeting, "HELO", hostname); err == nil {
			lines = lines[:1]
		}
	}
	if err != nil {
		return err
	}
	if r.code != 250 {
		return refused{r}
	}
	c.name, _, _ = strings.Cut(lines[0], " ")
	for _, l := range lines[1:] {
		word, rest, _ := strings.Cut(l, " ")
		c.ext[strings.ToUpper(word)] = rest
	}
	return nil
}

func (c *conn) offers(extension string) bool {
	_, ok := c.ext[extension]
	return ok
}

// startTLS secures the connection as the policy wants it (RFC 3207).
func (c *conn) startTLS(ctx context.Context, hostname string, config *tls.Config) error {
	r, _, err := c.ask(c.limits.Greeting, "STARTTLS")
	if err != nil {
		return err
	}
	if r.code != 220 {
		return errTLS{refused{r}}
	}
	if c.r.Buffered() > 0 { // Somebody on the way put it there.
		c.bad = true
		return errTLS{errReply}
	}
	if err := c.handshake(ctx, config); err != nil {
		return err
	}
	return c.hello(hostname)
}

func (c *conn) handshake(ctx context.Context, config *tls.Config) error {
	t := tls.Client(c.net, config)
	ctx, cancel := context.WithTimeout(ctx, c.limits.Greeting)
	defer cancel()
	if err := t.HandshakeContext(ctx); err != nil {
		c.bad = true
		return errTLS{err}
	}
	s := t.ConnectionState()
	c.attach(t)
	c.tls = &TLS{Version: tls.VersionName(s.Version), Cipher: tls.CipherSuiteName(s.CipherSuite)}
	return nil
}

// signIn authenticates to a smarthost.
func (c *conn) signIn(user, password string) error {
	if c.tls == nil {
		return errTLS{errors.New("a password is sent within TLS only")}
	}
	b64 := base64.StdEncoding.EncodeToString
	methods := strings.Fields(strings.ToUpper(c.ext["AUTH"]))
	r, err := reply{}, error(nil)
	switch {
	case contains(methods, "PLAIN"):
		r, _, err = c.ask(c.limits.Command, "AUTH PLAIN", b64([]byte("\x00"+user+"\x00"+password)))
	case contains(methods, "LOGIN"):
		for _, word := range []string{"AUTH LOGIN", b64([]byte(user)), b64([]byte(password))} {
			if r, _, err = c.ask(c.limits.Command, word); err != nil || r.code != 334 {
				break
			}
		}
	default:
		r = reply{code: 454, status: "4.7.0", text: "the server offers no way to sign in that we know"}
	}
	if err == nil && r.code != 235 {
		err = refused{r}
	}
	return err
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}

// maxSize is the longest message that the server takes; 0 means that it doesn't
// say (RFC 1870 section 4).
func (c *conn) maxSize() int64 {
	n, _ := strconv.ParseInt(strings.TrimSpace(c.ext["SIZE"]), 10, 64)
	return max(n, 0)
}
