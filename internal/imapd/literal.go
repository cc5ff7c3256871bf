package imapd

import (
	"bufio"
	"bytes"
	"fmt"
	"time"
)

var errBufferFull = bufio.ErrBufferFull

// openMessage hands over an APPEND up to its message, whose octets then go
// through as they come. The client is told to send them only when the library
// asks for them, so that what is refused at once isn't sent.
func (g *guard) openMessage(cmd []byte, lit announced) {
	refusal := ""
	switch {
	case lit.size > g.srv.opt.MaxSize:
		refusal = fmt.Sprintf("NO [TOOBIG] Messages are limited to %d octets", g.srv.opt.MaxSize)
	case len(cmd) > maxLine:
		refusal = "BAD The command is too long"
	}
	if refusal != "" {
		if !lit.sync {
			if err := g.drop(lit.size); err != nil {
				g.lost(err)
				return
			}
			if _, err := g.line(maxLine); err != nil {
				g.lost(err)
				return
			}
		}
		g.answer(refusal)
		return
	}
	g.message = literal{open: true, left: lit.size, promised: !lit.sync}
	g.feed = fmt.Appendf(cmd, "{%d+}\r\n", lit.size)
}

// pass reads a piece of the message. The last octet stays behind: see finish.
func (g *guard) pass(p []byte) (int, error) {
	g.mu.Lock()
	g.flush()
	g.mu.Unlock()
	g.Conn.SetReadDeadline(time.Now().Add(g.srv.opt.Limits.Command))
	n, err := g.in.Read(p[:min(int64(len(p)), g.message.left-1)])
	g.message.left -= int64(n)
	g.srv.stats.bytesIn.Add(int64(n))
	if err != nil {
		g.hang()
		return 0, errGone
	}
	return n, nil
}

// appending goes on with the message: it asks for it, ends it, or drops it when
// the library has answered already.
func (g *guard) appending() {
	switch {
	case g.isAnswered() && !g.message.promised:
		g.message = literal{}
	case g.isAnswered():
		err := g.drop(g.message.left)
		if err == nil {
			_, err = g.line(maxLine)
		}
		if err != nil {
			g.lost(err)
		}
		g.message = literal{}
	case !g.message.promised:
		g.goAhead()
		g.message.promised = true
	default:
		g.finish()
	}
}

// finish gives the library the last octet of the message together with the end
// of the command. A command that doesn't end there (MULTIAPPEND, which isn't
// offered) is cut off before the message is whole: the library would keep the
// message and say nothing.
func (g *guard) finish() {
	g.Conn.SetReadDeadline(time.Now().Add(g.srv.opt.Limits.Command))
	last := make([]byte, g.message.left, g.message.left+4)
	if len(last) > 0 {
		b, err := g.in.ReadByte()
		if err != nil {
			g.lost(err)
			return
		}
		last[0] = b
	}
	rest, err := g.line(maxLine)
	if err != nil {
		g.lost(err)
		return
	}
	if rest = bytes.TrimRight(rest, " "); len(rest) > 0 && string(rest) != ")" {
		g.bye("APPEND takes one message at a time")
		return
	}
	g.message = literal{}
	g.feed = append(append(last, rest...), '\r', '\n')
}
