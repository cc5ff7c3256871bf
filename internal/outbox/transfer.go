package outbox

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/idna"
)

// errStale says that a connection that was kept was closed by the other side
// before it answered anything: nothing happened, and another may be tried.
var errStale = errors.New("the server had closed the connection")

// errDoubt says that the message was sent as a whole and no answer came: nobody
// knows whether it was taken.
var errDoubt = errors.New("no answer to the whole message")

// send does one transaction for recipients to, of which each gets an answer.
// After an error nobody has one, and the connection is bad: errStale, errDoubt,
// or one that says that the message was not taken.
func (c *conn) send(l *letter, to []*recipient, body io.Reader) ([]reply, error) {
	c.used++
	mail, rcpts := c.mailFrom(l), make([]string, len(to))
	for i, r := range to {
		rcpts[i] = c.rcptTo(l, r)
	}
	if c.offers("PIPELINING") {
		return c.pipelined(mail, rcpts, body)
	}
	return c.stepwise(mail, rcpts, body)
}

// mailFrom uses what the server offers and the letter needs.
func (c *conn) mailFrom(l *letter) string {
	b := "MAIL FROM:<" + spell(l.sender, c.speaksUTF8(l)) + ">"
	if c.offers("SIZE") {
		b += " SIZE=" + strconv.FormatInt(l.size, 10)
	}
	// A server without 8BITMIME gets the message as it is: rewriting it would
	// break its signatures, and servers have passed eight bits for decades.
	if c.offers("8BITMIME") && l.flags&(flagBody8|flagHeader8) != 0 {
		b += " BODY=8BITMIME"
	}
	if c.speaksUTF8(l) {
		b += " SMTPUTF8"
	}
	if l.flags&flagRequire != 0 && c.offers("REQUIRETLS") {
		b += " REQUIRETLS" // RFC 8689 section 2
	}
	if c.offers("DSN") {
		if l.ret != "" {
			b += " RET=" + l.ret
		}
		if l.envid != "" {
			b += " ENVID=" + xtext(l.envid)
		}
	}
	return b
}

func (c *conn) rcptTo(l *letter, r *recipient) string {
	b := "RCPT TO:<" + spell(r.address, c.speaksUTF8(l)) + ">"
	if c.offers("DSN") {
		if r.notify != "" {
			b += " NOTIFY=" + r.notify
		}
		if kind, address, ok := strings.Cut(r.orcpt, ";"); ok && printable(kind) && !strings.ContainsAny(kind, " +=") {
			b += " ORCPT=" + kind + ";" + xtext(address)
		}
	}
	return b
}

// needsUTF8 tells whether a recipient can't be served without SMTPUTF8 (RFC
// 6531): a domain can be spelled in ASCII, nothing else can.
func needsUTF8(l *letter, r *recipient) bool {
	return l.flags&flagUTF8 != 0 && l.flags&flagHeader8 != 0 || !ascii(localPart(l.sender)) || !ascii(localPart(r.address))
}

// speaksUTF8 tells whether a transaction uses SMTPUTF8.
func (c *conn) speaksUTF8(l *letter) bool { return l.flags&flagUTF8 != 0 && c.offers("SMTPUTF8") }

// spell writes an address, its domain in ASCII unless utf8.
func spell(address string, utf8 bool) string {
	if utf8 || ascii(address) {
		return address
	}
	at := strings.LastIndexByte(address, '@')
	if d, err := idna.Lookup.ToASCII(address[at+1:]); err == nil {
		return address[:at+1] + d
	}
	return address
}

// xtext encodes a parameter (RFC 3461 section 4).
func xtext(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c < '!' || c > '~' || c == '+' || c == '=' {
			fmt.Fprintf(&b, "+%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// stepwise waits for each answer.
func (c *conn) stepwise(mail string, rcpts []string, body io.Reader) ([]reply, error) {
	r, _, err := c.ask(c.limits.Command, mail)
	if err != nil || r.code == 421 && c.used > 1 {
		return nil, c.stale(err)
	}
	answers := make([]reply, len(rcpts))
	if !r.ok() {
		return c.all(answers, r), nil
	}
	taken := false
	for i, rcpt := range rcpts {
		if answers[i], _, err = c.ask(c.limits.Command, rcpt); err != nil {
			return nil, err
		}
		taken = taken || answers[i].ok()
		if answers[i].code == 421 {
			return c.spread(answers, answers[i]), nil
		}
	}
	if !taken {
		return answers, c.reset()
	}
	if r, _, err = c.ask(c.limits.Command, "DATA"); err != nil {
		return nil, err
	}
	if r.code != 354 {
		return c.spread(answers, r), c.reset()
	}
	return c.data(answers, body)
}

// pipelined sends all commands at once (RFC 2920 section 3.1).
func (c *conn) pipelined(mail string, rcpts []string, body io.Reader) ([]reply, error) {
	c.w.WriteString(mail + "\r\n")
	for _, rcpt := range rcpts {
		c.w.WriteString(rcpt + "\r\n")
	}
	c.w.WriteString("DATA\r\n")
	if err := c.flush(); err != nil {
		return nil, c.stale(err)
	}
	first, _, err := c.read(c.limits.Command)
	if err != nil || first.code == 421 && c.used > 1 {
		return nil, c.stale(err)
	}
	answers, taken := make([]reply, len(rcpts)), false
	if first.code == 421 {
		return c.all(answers, first), nil
	}
	for i := range rcpts {
		if answers[i], _, err = c.read(c.limits.Command); err != nil {
			return nil, err
		}
		if answers[i].code == 421 {
			return c.spread(answers, answers[i]), nil
		}
		taken = taken || answers[i].ok()
	}
	r, _, err := c.read(c.limits.Command)
	if err != nil {
		return nil, err
	}
	if !first.ok() {
		answers, taken = c.all(answers, first), false
	}
	switch {
	case r.code == 354 && !taken:
		return answers, c.nothing()
	case r.code == 354:
		return c.data(answers, body)
	case taken:
		answers = c.spread(answers, r)
	}
	return answers, c.reset()
}

// stale says of a connection that was used before that it may have died of age:
// it broke off, or the server says that it does (421).
func (c *conn) stale(err error) error {
	c.bad = true
	if c.used > 1 {
		return errStale
	}
	return err
}

// all gives every recipient the same answer.
func (c *conn) all(answers []reply, r reply) []reply {
	for i := range answers {
		answers[i] = r
	}
	return answers
}

// spread gives the answer to those who were accepted or have none yet.
func (c *conn) spread(answers []reply, r reply) []reply {
	for i := range answers {
		if answers[i].code == 0 || answers[i].ok() {
			answers[i] = r
		}
	}
	return answers
}

// reset makes the connection ready for the next transaction. When it can't be,
// that is no reason to forget the answers.
func (c *conn) reset() error {
	if !c.bad {
		if r, _, err := c.ask(c.limits.Command, "RSET"); err != nil || !r.ok() {
			c.bad = true
		}
	}
	return nil
}

// nothing ends a message that nobody is to get, where the server takes one all
// the same: with only a dot there is nothing to deliver, and no recipient.
func (c *conn) nothing() error {
	if _, _, err := c.ask(c.limits.Command, "."); err != nil {
		c.bad = true
	}
	return nil
}

// data sends the message and gives the answer to those who were accepted.
func (c *conn) data(answers []reply, body io.Reader) ([]reply, error) {
	s := &stuffer{c: c}
	if _, err := io.Copy(s, body); err != nil {
		c.bad = true // The end is not sent: the server throws away what it has.
		return c.lastWord(answers, fmt.Errorf("sending a message: %w", err))
	}
	if !s.lineStart {
		c.w.WriteString("\r\n")
	}
	c.w.WriteString(".\r\n")
	if err := c.flush(); err != nil {
		return nil, errDoubt // Some of it may have gone.
	}
	r, _, err := c.read(c.limits.Final)
	if err != nil {
		return nil, errDoubt
	}
	return c.spread(answers, r), nil
}

// lastWord reads what a server may have said before it stopped listening in the
// middle of a message: that it is too long, for instance.
func (c *conn) lastWord(answers []reply, err error) ([]reply, error) {
	c.net.SetReadDeadline(time.Now().Add(time.Second))
	if r, _, e := readReply(c.r); e == nil && !r.ok() && r.code >= 400 {
		return c.spread(answers, r), nil
	}
	return nil, err
}

// stuffer doubles the dot at the beginning of a line (RFC 5321 section 4.5.2).
type stuffer struct {
	c         *conn
	begun     bool
	lineStart bool
}

// Write implements io.Writer.
func (s *stuffer) Write(b []byte) (n int, err error) {
	s.c.net.SetWriteDeadline(time.Now().Add(s.c.limits.Command))
	if !s.begun {
		s.begun, s.lineStart = true, true
	}
	for len(b) > 0 {
		if s.lineStart && b[0] == '.' {
			if err := s.c.w.WriteByte('.'); err != nil {
				return n, err
			}
		}
		end := bytes.IndexByte(b, '\n') + 1
		s.lineStart = end > 0
		if end == 0 {
			end = len(b)
		}
		m, err := s.c.w.Write(b[:end])
		if n += m; err != nil {
			return n, err
		}
		b = b[end:]
	}
	return n, nil
}
