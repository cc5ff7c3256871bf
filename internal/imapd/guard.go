package imapd

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

const (
	inputSize  = 4 << 10
	flushAt    = 32 << 10 // responses held back while more are made
	handshake  = 30 * time.Second
	lingerTime = 500 * time.Millisecond
)

// outputs are the buffers of connections that have something to say; one that
// waits has none.
var outputs = sync.Pool{New: func() any { return bytes.NewBuffer(make([]byte, 0, flushAt+inputSize)) }}

// guard is the connection that the library reads and writes. It gives the
// library one whole command at a time, literals within made quoted strings, so
// that whenever Read is called the library holds no input: whatever the
// library thinks of a command, what follows is never taken for another one.
// Responses are held back until input is needed; while the client waits (IDLE)
// they go out at once.
//
// Read belongs to the goroutine that serves the connection; Write may be called
// by the one that idles too.
type guard struct {
	net.Conn          // the peer: raw or TLS over it
	raw      net.Conn // what a forced shutdown closes
	srv      *Server
	lib      *imapserver.Conn // set by the session; nil before
	peer     netip.Addr       // zero without an IP address
	secure   bool             // over TLS
	ctx      context.Context
	cancel   context.CancelFunc

	in      *bufio.Reader
	feed    []byte  // what the library is to read next
	message literal // of an APPEND under way
	shaken  bool    // the TLS handshake is done
	handed  bool    // to the guard over TLS, with the connection
	closed  sync.Once

	signedIn atomic.Bool // set by the session
	failures atomic.Int64

	mu        sync.Mutex // guards what follows
	out       *bytes.Buffer
	tag, name string          // of the command under way; the name in capitals
	set       []imap.UIDRange // for which "$" stands in it; see shorten
	byUID     bool            // set is of UIDs
	tidy      *tidy           // of a FETCH of envelopes or structures
	answered  bool            // its tagged response was written
	continued bool            // the library asked for a line that is no command
	errors    int             // commands refused in a row
	muted     bool            // the library's greeting is dropped
	waiting   bool            // for a command or the end of IDLE
	stopping  bool
	hung      bool  // nothing more is written
	ended     error // what Read returns from now on
}

// literal is the message of an APPEND, which goes through as it comes.
type literal struct {
	open     bool
	left     int64
	promised bool // its octets are on their way
}

func newGuard(s *Server, c, raw net.Conn) *guard {
	g := &guard{Conn: c, raw: raw, srv: s, in: bufio.NewReaderSize(c, inputSize)}
	g.ctx, g.cancel = context.WithCancel(s.ctx)
	_, g.secure = c.(*tls.Conn)
	return g
}

// Read gives the library what it may read next.
func (g *guard) Read(p []byte) (int, error) {
	if err := g.shake(); err != nil {
		return 0, err
	}
	for len(g.feed) == 0 {
		if err := g.over(); err != nil {
			return 0, err
		}
		if g.message.open && g.message.promised && g.message.left > 1 && !g.isAnswered() {
			return g.pass(p)
		}
		g.advance()
	}
	n := copy(p, g.feed)
	g.feed = g.feed[n:]
	return n, nil
}

// shake does the TLS handshake, once. The greeting waits for it.
func (g *guard) shake() error {
	if g.shaken {
		return nil
	}
	g.shaken = true
	c, ok := g.Conn.(*tls.Conn)
	if !ok {
		return nil
	}
	g.raw.SetDeadline(time.Now().Add(handshake))
	if err := c.HandshakeContext(g.ctx); err != nil {
		g.hang()
		return io.EOF
	}
	g.raw.SetDeadline(time.Time{})
	g.srv.stats.tls.Add(1)
	return nil
}

func (g *guard) over() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ended
}

// advance makes something to read, or ends the connection.
func (g *guard) advance() {
	switch {
	case g.message.open:
		g.appending()
	case g.isContinued():
		g.continuation()
	default:
		g.command()
	}
}

// await sends what was held back and waits up to d for input. It reports
// whether there is some.
func (g *guard) await(d time.Duration) bool {
	if buffered, _ := g.in.Peek(g.in.Buffered()); bytes.IndexByte(buffered, '\n') >= 0 && !g.isStopping() {
		return true // pipelined: the responses may go together
	}
	g.mu.Lock()
	if g.stopping {
		g.mu.Unlock()
		g.bye("The server is shutting down")
		return false
	}
	if g.ended != nil { // by what goes on beside IDLE
		g.mu.Unlock()
		return false
	}
	g.flush()
	g.waiting = true
	g.Conn.SetReadDeadline(time.Now().Add(d))
	g.mu.Unlock()
	_, err := g.in.Peek(1)
	g.mu.Lock()
	g.waiting = false
	stopping := g.stopping
	g.mu.Unlock()
	switch {
	case stopping:
		g.bye("The server is shutting down")
	case errors.Is(err, os.ErrDeadlineExceeded):
		g.bye("Nothing was heard for too long")
	case err != nil:
		g.hang()
	}
	return err == nil && !stopping
}

func (g *guard) isStopping() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.stopping
}

func (g *guard) isAnswered() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.answered
}

func (g *guard) isContinued() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.continued
}

// current names the command under way.
func (g *guard) current() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.name
}

// interrupt ends the connection with a word as soon as no command is under way.
func (g *guard) interrupt() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stopping = true
	if g.waiting {
		g.Conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// Close sends what is left and closes the connection.
func (g *guard) Close() error {
	if g.handed {
		return nil
	}
	g.closed.Do(func() {
		g.cancel()
		g.mu.Lock()
		said := g.hung
		g.flush()
		g.hung = true
		g.mu.Unlock()
		if said {
			g.linger()
		}
		g.Conn.Close()
		g.srv.leave(g)
	})
	return nil
}

// linger lets the peer read our last words: closing while it is still sending
// would make its system throw them away.
func (g *guard) linger() {
	half, ok := g.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	g.raw.SetReadDeadline(time.Now().Add(lingerTime))
	io.CopyN(io.Discard, g.raw, 1<<20)
}

// SetDeadline does nothing: times are the guard's, not the library's. The same
// holds for the two below.
func (g *guard) SetDeadline(time.Time) error      { return nil }
func (g *guard) SetReadDeadline(time.Time) error  { return nil }
func (g *guard) SetWriteDeadline(time.Time) error { return nil }
