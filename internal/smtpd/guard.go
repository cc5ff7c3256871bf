package smtpd

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

const (
	inputSize  = 16 << 10 // one read from the network
	maxCommand = 4096     // a command line with its CR LF; go-smtp takes it in one read
	maxName    = 255      // an EHLO name (RFC 5321 section 4.5.3.1.2)
	flushAt    = 4096     // replies held back for pipelining
	writeTime  = time.Minute
	lingerTime = time.Second
)

// inputs are the input buffers of closed connections.
var inputs = sync.Pool{New: func() any { return new([inputSize]byte) }}

// guard is the connection that go-smtp reads and writes. It gives go-smtp one
// checked command line at each Read, so that whenever Read is called, go-smtp
// holds no input and has answered everything before: the guard may then answer
// a command itself, take a chunk or start TLS, and always knows what the next
// octet means. Replies are held back until input is needed (RFC 2920 section
// 3.2).
//
// But for interrupt, it belongs to the one goroutine that serves it.
type guard struct {
	net.Conn          // the peer: raw or TLS over it
	raw      net.Conn // what a forced shutdown closes
	srv      *Server
	role     *role
	peer     netip.Addr // zero without an IP address
	exempt   bool       // from the limits per address
	tls      string     // version and cipher suite; empty in the clear

	input *[inputSize]byte
	in    []byte // read and not yet used, within input
	feed  []byte // what go-smtp is to read before the next command
	out   []byte // replies not yet sent
	muted bool   // go-smtp's replies are dropped until it asks for a command
	ended error  // what Read returns from now on
	hung  bool   // up by us, while the peer may be sending

	session  *session // nil before EHLO
	sender   Sender   // who has signed in
	refusals int      // failures to sign in
	offer    string   // lines for go-smtp's answer to EHLO
	extended bool     // greeted with EHLO or LHLO
	letter   letter
	chunks   bool // between BDAT commands of one message

	messages, errors, idle int // idle counts commands that lead nowhere

	handed bool // to the guard over TLS, with the connection
	closed sync.Once

	mu       sync.Mutex // guards waiting and stopping
	waiting  bool       // for a command
	stopping bool
}

func newGuard(s *Server, r *role, c, raw net.Conn) *guard {
	g := &guard{Conn: c, raw: raw, srv: s, role: r, input: inputs.Get().(*[inputSize]byte)}
	g.in = g.input[:0]
	return g
}

// Read gives go-smtp its next command line.
func (g *guard) Read(p []byte) (int, error) {
	for len(g.feed) == 0 {
		g.muted = false
		if g.ended != nil {
			return 0, g.ended
		}
		line, err := g.line()
		if err != nil {
			g.end(err)
			continue
		}
		g.command(line)
	}
	n := copy(p, g.feed)
	g.feed = g.feed[n:]
	return n, nil
}

// Write holds back a reply of go-smtp, or drops it when muted.
func (g *guard) Write(p []byte) (int, error) {
	if g.muted {
		return len(p), nil
	}
	if g.offer != "" && bytes.HasPrefix(p, []byte("250-PIPELINING")) {
		g.out = append(g.out, g.offer...)
		g.offer = ""
	}
	if len(p) > 3 && p[3] != '-' {
		g.count(int(p[0]-'0')*100 + int(p[1]-'0')*10 + int(p[2]-'0'))
	}
	return len(p), g.send(append(g.out, p...))
}

// answer sends our own reply.
func (g *guard) answer(r reply) {
	g.count(r.Code)
	g.send(wire(g.out, r)) // what can't be written shows at the next read
}

// end makes Read fail from now on. A *smtp.SMTPError is told to the peer.
func (g *guard) end(err error) {
	var r reply
	if errors.As(err, &r) {
		g.answer(r)
		g.hung = true
	}
	if g.ended == nil {
		g.ended = io.EOF // a quiet end for go-smtp
	}
}

// count notes the code of a reply. A 421 is the last one.
func (g *guard) count(code int) {
	g.srv.stats.reply(code)
	switch {
	case code == 421:
		g.ended, g.hung = io.EOF, true
	case code >= 400:
		g.errors++
	}
}

func (g *guard) send(out []byte) error {
	g.out = out
	if len(g.out) < flushAt {
		return nil
	}
	return g.flush()
}

func (g *guard) flush() error {
	if len(g.out) == 0 {
		return nil
	}
	g.Conn.SetWriteDeadline(time.Now().Add(writeTime))
	_, err := g.Conn.Write(g.out)
	g.out = g.out[:0]
	return err
}

// fill sends what was held back and reads more input before the deadline.
func (g *guard) fill(deadline time.Time) error {
	if err := g.flush(); err != nil {
		return err
	}
	if err := g.Conn.SetReadDeadline(deadline); err != nil {
		return err
	}
	return g.read()
}

// read reads at least one more octet or returns an error.
func (g *guard) read() error {
	kept := copy(g.input[:], g.in)
	n, err := io.ReadAtLeast(g.Conn, g.input[kept:], 1)
	g.in = g.input[:kept+n]
	if n > 0 {
		return nil
	}
	return err
}

// line returns the next command line with its line end, valid until the next
// read. Its error is a reply where the peer should hear it.
func (g *guard) line() ([]byte, error) {
	if err := g.patience(); err != nil {
		return nil, err
	}
	deadline := time.Now().Add(g.srv.opt.Limits.Idle)
	for {
		if i := bytes.IndexByte(g.in, '\n'); i >= 0 && i < maxCommand {
			line := g.in[:i+1]
			g.in = g.in[i+1:]
			return line, nil
		} else if i >= 0 || len(g.in) >= maxCommand {
			return nil, replyLongLine
		}
		if err := g.await(deadline); err != nil {
			return nil, err
		}
	}
}

// patience tells whether another command is wanted from this peer.
func (g *guard) patience() error {
	switch limit := g.srv.opt.Limits.Errors; {
	case g.errors > limit:
		return replyTooManyErrors
	case g.idle > limit:
		return replyTooManyCommands
	}
	return nil
}

// await reads more of a command before the deadline, unless the server stops.
func (g *guard) await(deadline time.Time) error {
	if err := g.flush(); err != nil {
		return err
	}
	if !g.wait(deadline) {
		return replyStopping
	}
	err := g.read()
	g.mu.Lock()
	g.waiting = false
	stopping := g.stopping
	g.mu.Unlock()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) && stopping:
		return replyStopping
	case errors.Is(err, os.ErrDeadlineExceeded):
		return replyIdle
	}
	return err
}

// wait sets the deadline of a read that interrupt may end, or reports that the
// server is stopping.
func (g *guard) wait(deadline time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = !g.stopping
	if g.waiting {
		g.Conn.SetReadDeadline(deadline) // a failure shows at the read
	}
	return g.waiting
}

// interrupt ends a wait for a command, now or when it comes.
func (g *guard) interrupt() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stopping = true
	if g.waiting {
		g.raw.SetReadDeadline(time.Unix(1, 0))
	}
}

// Close sends what was held back and closes the connection, unless it now
// belongs to the guard over TLS.
func (g *guard) Close() error {
	var err error
	g.closed.Do(func() {
		g.letter.drop(g.srv.memory)
		if !g.handed {
			err = g.flush()
			g.linger()
			err = errors.Join(err, g.Conn.Close())
			g.srv.leave(g)
		}
		if g.sender != nil {
			g.sender.Close()
		}
		inputs.Put(g.input)
		g.input, g.in, g.feed = nil, nil, nil
		g.end(net.ErrClosed)
	})
	return err
}

// linger reads a little of what a peer we hang up on is still sending: closing
// with unread input resets the connection, and the reset may overtake the reply
// that says why.
func (g *guard) linger() {
	half, ok := g.raw.(interface{ CloseWrite() error })
	if !g.hung || !ok {
		return
	}
	if t, ok := g.Conn.(*tls.Conn); ok {
		t.CloseWrite()
	}
	half.CloseWrite()
	g.raw.SetReadDeadline(time.Now().Add(lingerTime))
	io.CopyBuffer(io.Discard, io.LimitReader(g.raw, 1<<20), g.input[:])
}
