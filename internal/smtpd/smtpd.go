// Package smtpd is the door of SMTP: mail comes in through it as a mail
// exchanger (RFC 5321) and by LMTP (RFC 2033), and goes out through it by
// submission (RFC 6409, RFC 8314).
//
// It promises:
//
//   - "250 2.0.0 sealed as entry N" is said only after the Appender returned
//     entry N, once for each message however many recipients it has; LMTP says
//     it once for each recipient, always with the same number.
//   - What is handed to the Appender is exactly what came after DATA, without
//     the dots of RFC 5321 section 4.5.2, or exactly the octets of the BDAT
//     chunks. Our trace fields are kept beside it in the envelope.
//   - A message that did not arrive whole is never appended.
//   - Only CR LF . CR LF ends a message. A bare CR, a bare LF or a NUL refuses
//     the whole message and leaves the session in step, so that no other
//     server's reading of line ends can make two messages of one.
//   - Nothing sent before STARTTLS has an effect after it.
//   - Nobody submits without TLS and a sign-in, nor from an address that isn't
//     theirs, in MAIL FROM or in the From and Sender fields. What is sent on has
//     no Bcc and does not tell where the client is. Names and passwords are in
//     no log line.
//   - Memory for messages in flight is bounded by Options.Memory, and the time
//     and effort that one peer can take by Limits.
//   - No address and no content of a message appears in a log line, and no
//     internal error text in a reply.
//
// Commands are parsed and sequenced by emersion/go-smtp. It reads from a guard
// that hands over one checked command line at a time, and itself takes the
// message data, BDAT, STARTTLS and AUTH; DESIGN.md in this folder says why.
package smtpd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"sijill"
	"sijill/internal/door"
	"sijill/internal/message"

	"golang.org/x/sync/semaphore"
)

// ErrClosed is returned by Serve and ServeLMTP once Shutdown was called.
var ErrClosed = errors.New("smtpd: server is shut down")

// Directory knows the mailboxes of the office. It is called from many
// goroutines, once for each RCPT command.
type Directory interface {
	// Lookup returns the account that address belongs to. The error wraps
	// fs.ErrNotExist when there is no such mailbox and people.ErrForeign when the
	// domain is not the office's; any other error is taken as passing.
	Lookup(ctx context.Context, address string) (account int64, err error)
}

// Resolver is a Directory that knows the classes of addresses; without one all
// mail is office mail. Resolve takes the place of Lookup, with its errors.
type Resolver interface {
	Resolve(ctx context.Context, address string) (Mailbox, error)
}

// Mailbox is what mail to an address belongs to.
type Mailbox struct {
	Account int64
	Class   sijill.Class
	Address string // its own, whatever alias or detail the mail was sent to
}

// Appender seals messages into the register. It is called from many
// goroutines; it may keep what it is given.
type Appender interface {
	// Append returns only when the message is durable. On any error the peer
	// is asked to send it again later; an error that wraps syscall.ENOSPC is
	// told as insufficient storage.
	Append(ctx context.Context, m *Mail) (Receipt, error)
}

// Mail is one message and who holds it.
type Mail struct {
	// Accounts are those of Holders, none twice.
	Accounts []int64
	// Holders are who gets it, no account twice in one class.
	Holders  []Holder
	Envelope message.Envelope
	Message  []byte
	// Evidence and Facts are those of the check's Verdict.
	Evidence []byte
	Facts    map[string]string
}

// Holder is an account in one of its classes.
type Holder struct {
	Account int64
	Class   sijill.Class
	Address string   // its mailbox's own address; the first, where it has several
	To      []string // the recipients of the message that lead to it, as given; none where a journal report names it
}

// Receipt names the register entry in which a message was sealed, the first
// where there are several.
type Receipt struct {
	Entry int64
}

// Options are the settings of a Server. Zero values mean the defaults given.
type Options struct {
	// Hostname is our own name in the greeting and in Received fields.
	Hostname string
	// Directory and Appender are required.
	Directory Directory
	Appender  Appender
	// TLS offers STARTTLS when set. Submission can't be served without.
	TLS *tls.Config
	// Submitter knows who may submit; submission can't be served without.
	Submitter Submitter
	// Check looks at each message that came by SMTP or LMTP once it is whole,
	// before it is sealed; nil lets all in. It must heed its context, which ends
	// with Limits.Check or Limits.Data, and is called from many goroutines.
	Check func(ctx context.Context, a *Arrival) Verdict
	// Greylist makes strangers come back after GreyDelay (5 minutes); nil,
	// the default, does not.
	Greylist  GreyTable
	GreyDelay time.Duration
	// Journal holds the addresses at which other mail servers deliver journal
	// reports or blind copies. Each must be an account in the Directory too;
	// mail for one that isn't is put off, not refused.
	Journal []string
	// JournalPeers are the networks that may send to the Journal addresses;
	// none means any. A forged report files a message under accounts of the
	// forger's choice, so this should be set.
	JournalPeers []netip.Prefix
	// Postmaster is the address that RCPT TO:<postmaster> without a domain
	// means, and postmaster, abuse and mailer-daemon at Hostname or at an address
	// literal of ours; empty refuses them.
	Postmaster string
	// MaxSize is the largest message in bytes; 50 MiB.
	MaxSize int64
	// Memory bounds the bytes of all messages in flight; 512 MiB. It must be
	// at least twice MaxSize.
	Memory int64
	// Limits bound what one peer may take.
	Limits Limits
	// Log receives what an operator should know; slog.Default().
	Log *slog.Logger
}

// Server receives mail. Its methods may be called from several goroutines.
type Server struct {
	opt     Options
	journal map[string]bool // lower-case addresses
	memory  *semaphore.Weighted
	peers   *door.Peers
	stats   counters
	senders *senders

	smtp, lmtp, submission, submissions *role

	ctx    context.Context // ends when a Shutdown loses patience
	cancel context.CancelFunc

	mu        sync.Mutex // guards what follows
	closing   bool
	listeners []net.Listener
	guards    map[*guard]struct{}
}

// New returns a Server that is not serving yet. It fails when a required
// option is missing or Memory is too small for MaxSize.
func New(o Options) (*Server, error) {
	if o.Directory == nil || o.Appender == nil || o.Hostname == "" {
		return nil, errors.New("smtpd: hostname, directory and appender are required")
	}
	if o.MaxSize == 0 {
		o.MaxSize = 50 << 20
	}
	if o.Memory == 0 {
		o.Memory = max(512<<20, 2*o.MaxSize+smallest)
	}
	if o.Memory < 2*o.MaxSize {
		return nil, fmt.Errorf("smtpd: memory of %d bytes is less than twice the message size of %d", o.Memory, o.MaxSize)
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	o.Limits = o.Limits.orDefault()
	if o.GreyDelay == 0 {
		o.GreyDelay = 5 * time.Minute
	}
	s := &Server{
		opt:     o,
		journal: make(map[string]bool),
		memory:  semaphore.NewWeighted(o.Memory + smallest),
		peers:   door.NewPeers(o.Limits.peers()),
		senders: newSenders(o.Limits),
		guards:  make(map[*guard]struct{}),
	}
	for _, a := range o.Journal {
		s.journal[strings.ToLower(a)] = true
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.smtp, s.lmtp = newRole(s, exchange), newRole(s, localDelivery)
	s.submission, s.submissions = newRole(s, submission), newRole(s, submissions)
	return s, nil
}

// Serve accepts SMTP connections on l until Shutdown, then returns nil. It
// closes l.
func (s *Server) Serve(l net.Listener) error { return s.smtp.serve(l) }

// ServeLMTP accepts LMTP connections on l until Shutdown, then returns nil. It
// closes l.
func (s *Server) ServeLMTP(l net.Listener) error { return s.lmtp.serve(l) }

// ServeSubmission accepts connections of clients on l that begin in the clear
// and go on with STARTTLS (port 587) until Shutdown, then returns nil. It closes
// l.
func (s *Server) ServeSubmission(l net.Listener) error { return s.serveSubmission(s.submission, l) }

// ServeSubmissions accepts connections of clients on l that begin with TLS
// (port 465, RFC 8314 section 3.3) until Shutdown, then returns nil. It closes l.
func (s *Server) ServeSubmissions(l net.Listener) error { return s.serveSubmission(s.submissions, l) }

func (s *Server) serveSubmission(r *role, l net.Listener) error {
	if s.opt.TLS == nil || s.opt.Submitter == nil {
		l.Close()
		return errors.New("smtpd: submission needs TLS and a Submitter")
	}
	return r.serve(l)
}

// Shutdown stops accepting connections, tells those between two commands that
// the service closes, and waits for messages that are arriving or being sealed
// to be answered. When ctx ends first the remaining connections are cut, the
// context given to the Appender ends, and ctx's error is returned; a message
// cut so was not acknowledged.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	for _, l := range s.listeners {
		l.Close()
	}
	for g := range s.guards {
		g.interrupt()
	}
	s.mu.Unlock()
	for _, r := range []*role{s.smtp, s.lmtp, s.submission, s.submissions} {
		r.shutdown(ctx)
	}
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
func (s *Server) admit(c net.Conn, r *role) *guard {
	peer := door.Addr(c.RemoteAddr())
	if refusal := s.enter(peer); refusal != nil {
		s.stats.turnedAway.Add(1)
		s.stats.reply(refusal.Code)
		c.SetWriteDeadline(time.Now().Add(time.Second))
		c.Write(wire(nil, refusal))
		c.Close()
		return nil
	}
	s.stats.sessions.Add(1)
	g := newGuard(s, r, c, c)
	g.peer, g.exempt = peer, s.opt.Limits.peers().Exempts(peer)
	s.register(g)
	return g
}

// enter counts a new connection against the limits.
func (s *Server) enter(peer netip.Addr) reply {
	if s.stats.open.Add(1) > int64(s.opt.Limits.Connections) {
		s.stats.open.Add(-1)
		return replyBusy
	}
	if !s.peers.Enter(peer, time.Now()) {
		s.stats.open.Add(-1)
		return replyTooManyConnections
	}
	return nil
}

// leave takes the connection of g back out of the limits.
func (s *Server) leave(g *guard) {
	s.mu.Lock()
	delete(s.guards, g)
	s.mu.Unlock()
	s.peers.Leave(g.peer)
	s.stats.open.Add(-1)
}

// register makes g known to Shutdown.
func (s *Server) register(g *guard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.guards[g] = struct{}{}
	if s.closing {
		g.interrupt()
	}
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

// replace makes the guard over TLS known in place of the one below it.
func (s *Server) replace(old, new *guard) {
	s.mu.Lock()
	delete(s.guards, old)
	s.mu.Unlock()
	s.register(new)
}
