// Package outbox delivers outgoing mail: the queue and the engine that empties
// it.
//
// It promises these things. A letter is queued exactly when its *sent* entry is
// in the register, since both are written in one transaction. Whatever becomes
// of a recipient stands in an *outcome* entry, and leaves the queue in the
// transaction of that entry. A crash at any moment loses nothing, and doubles
// nothing beyond what SMTP itself can't tell: an attempt is recorded before it
// begins, and where its end isn't known the next one uses the same message and
// the outcome says so. A sender is told of everything that failed, in a notice
// that is owed until it is captured. What a letter says is sealed while it
// waits, under a key that is destroyed with it.
//
// No address, and nothing of a letter, is written to a log or an error.
package outbox

import (
	"context"
	"crypto/x509"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"sijill/internal/db"
	"sijill/internal/record"
	"sijill/internal/resolve"
)

//go:embed sqlite
var migrations embed.FS

// Errors of the queue. What is not in it is fs.ErrNotExist.
var (
	// ErrLetter says that a letter can't be sent: an address that is none, no
	// recipient, a message that isn't in lines ended by CRLF.
	ErrLetter = errors.New("this is no letter that can be sent")
	// ErrBusy says that an attempt is under way; wait for its end.
	ErrBusy = errors.New("the letter is being delivered right now")
	// ErrTooLate says that a letter has begun to leave.
	ErrTooLate = errors.New("too late: the letter is on its way")
	// ErrRunning says that another process delivers.
	ErrRunning = errors.New("another process delivers this queue")
)

// Ledger appends to the register; *record.Register is one.
type Ledger interface {
	Append(ctx context.Context, d record.Draft) (record.Receipt, error)
}

// Resolver asks DNS; *resolve.Client is one, and its errors are what counts:
// fs.ErrNotExist (better *resolve.NotFound) for "there is none", any other for
// "nobody knows now".
type Resolver interface {
	MX(ctx context.Context, domain string) (resolve.Answer[resolve.MX], error)
	Addrs(ctx context.Context, host string) (resolve.Answer[netip.Addr], error)
	TLSA(ctx context.Context, name string) (resolve.Answer[resolve.TLSA], error)
	TXT(ctx context.Context, name string) (resolve.Answer[string], error)
}

var _ Resolver = (*resolve.Client)(nil)

// Delivery is a message for addresses of this server. It arrives as if it came
// from outside: captured before anybody sees it.
type Delivery struct {
	From    string   // MAIL FROM; empty for notices.
	To      []string // Addresses as they were given; Options.Local holds for each.
	Message []byte
	// With must run in the transaction of the capture, once, however many
	// entries the capture makes, with the number of one of them: by it the
	// queue knows that the message has arrived. It is never nil, and never
	// fails for a reason of its own.
	With func(tx *db.Tx, entry int64) error
}

// Smarthost is a server that takes all mail to other servers.
type Smarthost struct {
	Addr string // host:port
	// User and Password, if not empty, sign in with AUTH PLAIN or LOGIN. They
	// are sent within TLS only.
	User, Password string
	// TLS is "starttls" (also when empty), "implicit" or "none". With the first
	// two the certificate must be valid for the host.
	TLS string
}

// Options says what an Outbox stands on. All are needed unless a default is
// named.
type Options struct {
	DB     *db.DB // The register's.
	Ledger Ledger
	// Key wraps the keys of letters that wait. It must be the same at every
	// opening; letters under another are undeliverable.
	Key      [32]byte
	Resolver Resolver
	// Local tells whether this server is the one that takes mail for an
	// address: its domain is ours. With an error nobody knows now.
	Local func(ctx context.Context, address string) (bool, error)
	// Deliver captures a message for such addresses. An error that wraps
	// fs.ErrNotExist says that an address has no account; others are temporary.
	Deliver func(ctx context.Context, d Delivery) error
	// Sign gives a notice that leaves this server its DKIM signatures; nil
	// sends it without.
	Sign func(message []byte) ([]byte, error)
	// Smarthost, if not nil, takes all mail to other servers.
	Smarthost *Smarthost
	// Hostname is the name under which this server greets others, and the
	// domain of the notices it writes.
	Hostname string
	// Lock is a file whose lock keeps a second process from delivering; empty
	// for none.
	Lock     string
	Limits   Limits
	Schedule Schedule
	// Now is the clock; nil means the real one.
	Now func() time.Time
	// Jitter gives a random part of d; nil means any, evenly.
	Jitter func(d time.Duration) time.Duration
	// Dial connects; nil means the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Port is where other servers listen; 0 means 25.
	Port int
	// Roots are the authorities trusted by MTA-STS and for the smarthost; nil
	// means the system's.
	Roots *x509.CertPool
	// HTTP fetches MTA-STS policies, without following redirects; nil means a
	// client that trusts Roots.
	HTTP *http.Client
	Log  *slog.Logger
}

// Schedule says when attempts are repeated. Zero values mean the defaults.
type Schedule struct {
	// First is the pause after the first failure; 5 minutes, which is what
	// greylisting servers ask for. It doubles with every further one. A pause
	// is up to a quarter longer by chance.
	First time.Duration
	// Longest is the longest pause; 4 hours.
	Longest time.Duration
	// Lifetime is for how long a recipient is tried; 5 days.
	Lifetime time.Duration
	// Delay is after how long the sender is told of it; 4 hours.
	Delay time.Duration
}

// Limits bounds what is done at once. Zero values mean the defaults.
type Limits struct {
	// Connections is how many may be in use at once, all destinations
	// together; 100.
	Connections int
	// PerDestination is how many of them may go to one domain, and how many to
	// one host; 10.
	PerDestination int
	// PerConnection is how many messages one connection carries; 100.
	PerConnection int
	// PerMinute is how many messages one domain gets in a minute; no limit.
	PerMinute int
	// Recipients is how many one transaction has; 100 (RFC 5321 section
	// 4.5.3.1.8 makes every server take as many).
	Recipients int
	// Hops is how many Received fields make a loop; 50.
	Hops int
	// Return is how much of a message a notice gives back where all of it was
	// asked for, in bytes; 1 MiB. A longer one comes back as its header.
	Return int
	// Memory is how many bytes of messages to own addresses are held at once;
	// 64 MiB. Other messages are streamed.
	Memory int64

	// Connect is how long opening a connection may take; 30 seconds.
	Connect time.Duration
	// Greeting is how long a server may take to greet and to answer EHLO; 1
	// minute.
	Greeting time.Duration
	// Command is how long an answer may take, and a pause in sending; 5 minutes
	// (RFC 5321 section 4.5.3.2).
	Command time.Duration
	// Final is how long the answer to a whole message may take; 10 minutes.
	Final time.Duration
	// Idle is how long an unused connection is kept; 5 seconds.
	Idle time.Duration
	// Grace is how long attempts under way may go on when Run is to end; 15
	// seconds.
	Grace time.Duration
}

func or[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}

func (o *Options) setDefaults() {
	or(&o.Schedule.First, 5*time.Minute)
	or(&o.Schedule.Longest, 4*time.Hour)
	or(&o.Schedule.Lifetime, 5*24*time.Hour)
	or(&o.Schedule.Delay, 4*time.Hour)
	l := &o.Limits
	or(&l.Connections, 100)
	or(&l.PerDestination, 10)
	or(&l.PerConnection, 100)
	or(&l.Recipients, 100)
	or(&l.Hops, 50)
	or(&l.Return, 1<<20)
	or(&l.Memory, 64<<20)
	or(&l.Connect, 30*time.Second)
	or(&l.Greeting, time.Minute)
	or(&l.Command, 5*time.Minute)
	or(&l.Final, 10*time.Minute)
	or(&l.Idle, 5*time.Second)
	or(&l.Grace, 15*time.Second)
	or(&o.Port, 25)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Jitter == nil {
		o.Jitter = func(d time.Duration) time.Duration { return rand.N(d + 1) }
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{}).DialContext
	}
	if o.HTTP == nil {
		o.HTTP = policyClient(o.Roots)
	}
}

// Outbox is an open queue. It is safe for concurrent use; one process at a
// time may Run it.
type Outbox struct {
	opts   Options
	writes *writes
	memory *semaphore.Weighted
	slots  chan struct{} // One token for each connection in use.
	pool   *pool
	stats  counters

	// wanting is how many destinations wait for their first connection.
	wanting atomic.Int32

	// wiped is how many had left the queue when the log was last emptied.
	wiped atomic.Int64

	kick, owing chan struct{} // Each holds one token when there is something to look at.

	mu     sync.Mutex // Guards what follows.
	active map[string]*destination
	// unsettled counts, by entry, whose recipients are being settled.
	unsettled map[int64]int
	downs     map[string]down      // Destinations that could not be reached a moment ago.
	paces     map[string]time.Time // When a domain with a rate may get its next message.
	asked     map[string]time.Time // When a policy was last asked for in vain.
}

// Open opens the queue and makes its tables where they are absent. Nothing is
// delivered before Run.
func Open(ctx context.Context, o Options) (*Outbox, error) {
	if o.DB == nil || o.Ledger == nil || o.Resolver == nil || o.Local == nil || o.Deliver == nil || o.Hostname == "" || o.Log == nil {
		return nil, errors.New("opening the queue: an option is missing")
	}
	if err := o.Smarthost.check(); err != nil {
		return nil, err
	}
	o.setDefaults()
	if err := o.DB.Migrate(ctx, "outbox", migrations); err != nil {
		return nil, fmt.Errorf("opening the queue: %w", err)
	}
	out := &Outbox{
		opts: o, writes: newWrites(o.DB), memory: semaphore.NewWeighted(o.Limits.Memory),
		slots: make(chan struct{}, o.Limits.Connections), kick: make(chan struct{}, 1), owing: make(chan struct{}, 1),
		active: map[string]*destination{}, unsettled: map[int64]int{}, downs: map[string]down{}, paces: map[string]time.Time{}, asked: map[string]time.Time{},
	}
	out.pool = newPool(o.Limits)
	return out, nil
}

// Kick makes Run look at the queue now. Call it when a letter was enqueued.
func (o *Outbox) Kick() { signal(o.kick) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (o *Outbox) now() time.Time { return o.opts.Now() }

// micro is a time as the tables have it.
func micro(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicro(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}
