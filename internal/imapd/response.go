package imapd

import (
	"bytes"
	"errors"
	"net"
	"time"
)

// bug is how the library answers what it can't parse but has no word for.
const bug = " NO [SERVERBUG] Internal server error\r\n"

// Write takes a response of the library, or a piece of one.
func (g *guard) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.muted {
		g.muted = false
		return len(p), nil
	}
	n := len(p)
	if g.tidy != nil {
		p = g.tidy.filter(p)
	}
	return n, g.send(g.inspect(p))
}

// inspect sees how a command ends. In the few commands that can't carry a
// message's octets it also mends what the library says.
func (g *guard) inspect(p []byte) []byte {
	switch g.name {
	case "IDLE", "AUTHENTICATE":
		if bytes.HasPrefix(p, []byte("+ ")) {
			g.continued = true
			if string(p) == "+ =\r\n" { // "=" for nothing is the clients' alone (RFC 9051, sections 6.2.2 and 7.6)
				p = []byte("+ \r\n")
			}
			return p
		}
	case "NAMESPACE": // the library puts a space where RFC 2342 has none
		p = bytes.ReplaceAll(p, []byte(`"/") (`), []byte(`"/")(`))
	case "LIST", "LSUB", "STATUS", "SELECT", "EXAMINE":
		p = g.decodeNames(p)
	case "", "CAPABILITY":
		for _, start := range []string{"* OK [CAPABILITY ", "* CAPABILITY "} {
			if rest, ok := bytes.CutPrefix(p, []byte(start)); ok {
				return capabilities(start, rest)
			}
		}
	}
	rest, tagged := bytes.CutPrefix(p, []byte(g.tag))
	if g.tag == "" || !tagged {
		return p
	}
	return g.tagged(p, rest)
}

// tagged sees the response that ends the command.
func (g *guard) tagged(p, rest []byte) []byte {
	switch {
	case string(rest) == bug:
		g.answered, g.errors = true, g.errors+1
		g.srv.stats.refused.Add(1)
		return []byte(g.tag + " BAD The command was not understood\r\n")
	case bytes.HasPrefix(rest, []byte(" OK ")):
		g.answered, g.errors = true, 0
	case bytes.HasPrefix(rest, []byte(" NO ")):
		g.answered = true
		g.srv.stats.refused.Add(1)
	case bytes.HasPrefix(rest, []byte(" BAD ")):
		g.answered, g.errors = true, g.errors+1
		g.srv.stats.refused.Add(1)
	}
	if caps, ok := bytes.CutPrefix(rest, []byte(" OK [CAPABILITY ")); ok && (g.name == "LOGIN" || g.name == "AUTHENTICATE") {
		return capabilities(g.tag+" OK [CAPABILITY ", caps)
	}
	return p
}

// capabilities puts ID, which the library doesn't know, before its list, and takes
// LITERAL- out where LITERAL+ is: nobody may offer both (RFC 7888, section 5).
func capabilities(start string, list []byte) []byte {
	if bytes.Contains(list, []byte(" LITERAL+")) {
		list = bytes.Replace(list, []byte(" LITERAL-"), nil, 1)
	}
	return append([]byte(start+"ID "), list...)
}

// answer ends the command under way with our own tagged response, such as
// "BAD Not understood".
func (g *guard) answer(text string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	tag := g.tag
	if tag == "" {
		tag = "*"
	}
	g.send(g.tagged([]byte(tag+" "+text+"\r\n"), []byte(" "+text+"\r\n")))
}

// say sends a line of our own that ends nothing.
func (g *guard) say(line string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.send([]byte(line + "\r\n"))
}

// bye ends the connection with a reason, also while the client is waited for.
func (g *guard) bye(text string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended != nil {
		return
	}
	g.send([]byte("* BYE " + text + "\r\n"))
	g.flush()
	g.hung, g.ended = true, errGone
	if g.waiting {
		g.Conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// hang ends the connection without a word.
func (g *guard) hang() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hung = true
	if g.ended == nil {
		g.ended = errGone
	}
}

// errGone ends the library's loop in silence.
var errGone = net.ErrClosed

// send holds a response back, or sends it when the client waits or enough has
// come together. Called with mu held, as flush is.
func (g *guard) send(p []byte) error {
	if g.hung {
		return errGone
	}
	g.srv.stats.bytesOut.Add(int64(len(p)))
	if g.out != nil && g.out.Len()+len(p) > flushAt {
		if err := g.flush(); err != nil {
			return err
		}
	}
	if len(p) >= flushAt {
		return g.transmit(p)
	}
	if g.out == nil {
		g.out = outputs.Get().(*bytes.Buffer)
	}
	g.out.Write(p)
	if g.waiting {
		return g.flush()
	}
	return nil
}

// flush sends what was held back and gives the buffer away.
func (g *guard) flush() error {
	if g.out == nil {
		return nil
	}
	b := g.out
	g.out = nil
	defer outputs.Put(b)
	defer b.Reset()
	if b.Len() == 0 || g.hung {
		return nil
	}
	return g.transmit(b.Bytes())
}

// transmit sends in pieces, so that each has its time.
func (g *guard) transmit(p []byte) error {
	for len(p) > 0 {
		n := min(len(p), 64<<10)
		g.Conn.SetWriteDeadline(time.Now().Add(g.srv.opt.Limits.Write))
		if _, err := g.Conn.Write(p[:n]); err != nil {
			g.hung = true
			if g.ended == nil {
				g.ended = errGone
			}
			return errors.New("send a response: the connection is gone")
		}
		p = p[n:]
	}
	return nil
}
