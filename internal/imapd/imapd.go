// Package imapd is the door through which people read their mail with any mail
// program: IMAP4rev1 (RFC 3501) and IMAP4rev2 (RFC 9051).
//
// It promises:
//
//   - APPEND is answered OK only after the backend has sealed the message and
//     put it in its folder. What was appended comes out octet for octet.
//   - A folder opened with EXAMINE is changed by nothing that is done in it.
//   - Sequence numbers mean to each session what it was told: what other
//     sessions do is announced where RFC 9051, section 7.5.1, allows, and once.
//   - Whatever a client sends, no octet is read twice, and what belongs to one
//     command is never taken for another.
//   - Names and passwords are read over TLS only, unless Options say otherwise.
//   - Memory for messages in flight is bounded by Options.Memory, and what one
//     peer can take by Limits.
//   - No address, no content and no password appears in a log line, and no
//     internal error text in a response.
//
// Commands are parsed and responses written by emersion/go-imap. It reads from
// a guard that hands over one whole command at a time; DESIGN.md in this folder
// says why.
package imapd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"golang.org/x/sync/semaphore"

	"sijill/internal/door"
)

// ErrClosed is returned by Serve and ServeTLS once Shutdown was called.
var ErrClosed = errors.New("imapd: server is shut down")

// Options are the settings of a Server. Zero values mean the defaults given.
type Options struct {
	// Backend is required.
	Backend Backend
	// TLS is required by ServeTLS, and lets Serve offer STARTTLS.
	TLS *tls.Config
	// InsecureAuth lets people sign in without TLS. It is for tests on loopback.
	InsecureAuth bool
	// MaxSize is the largest message in octets that may be appended; 50 MiB.
	MaxSize int64
	// Memory bounds the octets of all messages in flight; 512 MiB. It must be
	// at least twice MaxSize.
	Memory int64
	// Limits bound what one peer may take.
	Limits Limits
	// Log receives what an operator should know; slog.Default().
	Log *slog.Logger
}

// Server lets people read mail. Its methods may be called from several
// goroutines.
type Server struct {
	opt      Options
	memory   *semaphore.Weighted
	peers    *door.Peers
	stats    counters
	plain    *imapserver.Server // before STARTTLS
	secure   *imapserver.Server // over TLS
	upgraded *door.Handoff
	once     sync.Once // serves upgraded

	ctx    context.Context // ends when a Shutdown loses patience
	cancel context.CancelFunc

	mu        sync.Mutex // guards what follows
	closing   bool
	listeners []net.Listener
	guards    map[*guard]struct{}
	empty     chan struct{} // closed when closing and no guard is left
}

// New returns a Server that is not serving yet. It fails when the backend is
// missing or Memory is too small for MaxSize.
func New(o Options) (*Server, error) {
	if o.Backend == nil {
		return nil, errors.New("imapd: a backend is required")
	}
	if o.MaxSize == 0 {
		o.MaxSize = 50 << 20
	}
	if o.Memory == 0 {
		o.Memory = max(512<<20, 2*o.MaxSize)
	}
	if o.Memory < 2*o.MaxSize || o.MaxSize < 0 || o.MaxSize > 1<<31 {
		return nil, fmt.Errorf("imapd: memory of %d bytes does not fit messages of %d", o.Memory, o.MaxSize)
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	o.Limits = o.Limits.orDefault()
	s := &Server{
		opt:      o,
		memory:   semaphore.NewWeighted(o.Memory),
		peers:    door.NewPeers(o.Limits.peers()),
		upgraded: door.NewHandoff(),
		guards:   make(map[*guard]struct{}),
		empty:    make(chan struct{}),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.plain = s.library(o.InsecureAuth, o.TLS)
	s.secure = s.library(true, nil)
	return s, nil
}

// library returns a server of go-imap. TLS is only advertised by it; the guard
// does the handshake.
func (s *Server) library(auth bool, starttls *tls.Config) *imapserver.Server {
	return imapserver.New(&imapserver.Options{
		NewSession:   s.newSession,
		InsecureAuth: auth,
		TLSConfig:    starttls,
		Logger:       quietLog{s.opt.Log},
		Caps: imap.CapSet{
			imap.CapIMAP4rev1: {}, imap.CapIMAP4rev2: {}, imap.CapNamespace: {}, imap.CapUIDPlus: {},
			imap.CapESearch: {}, imap.CapSearchRes: {}, imap.CapListExtended: {}, imap.CapListStatus: {},
			imap.CapMove: {}, imap.CapStatusSize: {}, imap.CapBinary: {}, imap.CapChildren: {},
			imap.CapSpecialUse: {}, imap.CapLiteralPlus: {}, imap.CapUnauthenticate: {},
		},
	})
}

// Serve accepts connections on l that may turn to TLS by STARTTLS, until
// Shutdown; then it returns nil. It closes l.
func (s *Server) Serve(l net.Listener) error {
	return s.serve(l, s.plain, func(c net.Conn) net.Conn { return c })
}

// ServeTLS accepts connections on l that begin with TLS, until Shutdown; then
// it returns nil. It closes l.
func (s *Server) ServeTLS(l net.Listener) error {
	if s.opt.TLS == nil {
		l.Close()
		return errors.New("imapd: serve with TLS: no certificate was given")
	}
	return s.serve(l, s.secure, func(c net.Conn) net.Conn { return tls.Server(c, s.opt.TLS) })
}

func (s *Server) serve(l net.Listener, lib *imapserver.Server, wrap func(net.Conn) net.Conn) error {
	defer l.Close()
	if !s.listening(l) {
		return ErrClosed
	}
	s.once.Do(func() { go s.secure.Serve(s.upgraded) })
	err := lib.Serve(&admitting{l, s, wrap})
	if s.stopping() {
		return nil
	}
	return fmt.Errorf("imapd: accept connections: %w", err)
}

// Shutdown stops accepting connections, tells those between two commands BYE,
// and waits for commands under way. When ctx ends first the remaining
// connections are cut, the contexts given to the backend end, and ctx's error
// is returned; a message that was being appended was not acknowledged.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if !s.closing {
		s.closing = true
		for _, l := range s.listeners {
			l.Close()
		}
		if len(s.guards) == 0 {
			close(s.empty)
		}
	}
	for g := range s.guards {
		go g.interrupt() // it may have to wait for a slow peer
	}
	s.mu.Unlock()
	select {
	case <-s.empty:
	case <-ctx.Done():
	}
	s.upgraded.Close()
	s.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	for g := range s.guards {
		g.raw.Close()
	}
	if len(s.guards) > 0 {
		return ctx.Err()
	}
	return nil
}

// admit makes a connection's guard, or refuses it and returns nil.
func (s *Server) admit(c net.Conn, wrap func(net.Conn) net.Conn) *guard {
	peer := door.Addr(c.RemoteAddr())
	if !s.enter(peer) {
		s.stats.turnedAway.Add(1)
		if w := wrap(c); w == c {
			c.SetWriteDeadline(time.Now().Add(time.Second))
			fmt.Fprint(c, "* BYE [UNAVAILABLE] Too many connections; try again later\r\n")
		}
		c.Close()
		return nil
	}
	s.stats.sessions.Add(1)
	g := newGuard(s, wrap(c), c)
	g.peer = peer
	s.register(g)
	return g
}

// enter counts a new connection against the limits.
func (s *Server) enter(peer netip.Addr) bool {
	if s.stats.open.Add(1) <= int64(s.opt.Limits.Connections) && s.peers.Enter(peer, time.Now()) {
		return true
	}
	s.stats.open.Add(-1)
	return false
}

// leave takes the connection of g back out of the limits.
func (s *Server) leave(g *guard) {
	s.peers.Leave(g.peer)
	s.stats.open.Add(-1)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.guards, g)
	if s.closing && len(s.guards) == 0 {
		close(s.empty)
	}
}

// register makes g known to Shutdown.
func (s *Server) register(g *guard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.guards[g] = struct{}{}
	if s.closing {
		go g.interrupt()
	}
}

// replace makes the guard over TLS known in place of the one below it.
func (s *Server) replace(old, new *guard) {
	s.mu.Lock()
	delete(s.guards, old)
	s.mu.Unlock()
	s.register(new)
}

// listening makes l known to Shutdown, unless it is too late.
func (s *Server) listening(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.listeners = append(s.listeners, l)
	return true
}

func (s *Server) stopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}
