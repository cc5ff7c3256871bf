// Package remote moves an account here from another server, by IMAP: every
// folder, with dates, flags and keywords.
//
// Promises, like those of package intake:
//   - Nothing is dropped in silence: seen = captured + already there + refused,
//     each refusal with folder, UID and reason.
//   - A message keeps its bytes. The other server's mailboxes are only looked at
//     (EXAMINE): nothing is marked as read there.
//   - It can be stopped at any moment, by kill -9 too, and goes on where it was;
//     a connection that breaks is made again.
//   - Memory is bounded by Options.Memory and one message.
package remote

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"log/slog"
	"time"
)

// Security is how a connection is protected.
type Security string

// The ways.
const (
	TLS      Security = "tls"      // from the first octet, port 993
	StartTLS Security = "starttls" // port 143
	Plain    Security = "plain"    // only ever on loopback
)

// Source is an account on another server.
type Source struct {
	Address        string // "host:port"
	Security       Security
	TLSConfig      *tls.Config // nil is the default
	User, Password string
}

// ID names the account for good, without telling which it is.
func (s Source) ID() string {
	h := sha256.Sum256([]byte("sijill/remote/v1\n" + s.Address + "\n" + s.User))
	return hex.EncodeToString(h[:16])
}

// Folder is a mailbox of the other server.
type Folder struct {
	Name     string // its path, with "/" between the parts
	Role     string // "inbox", "sent", "drafts", "junk", "trash", "archive", or ""
	Validity uint32 // UIDVALIDITY
	// All says that it shows what lies in other folders too: what is there
	// already needs no second place.
	All      bool
	Messages int64
	mailbox  string // as the server calls it
}

// Mail is one message to append.
type Mail struct {
	Folder   Folder
	UID      uint32
	Flags    []string // as the server gave them, "\\Seen" and keywords
	Internal time.Time
	Message  []byte
}

// Receipt is what an Appender did with a message.
type Receipt struct {
	Entry   int64
	Already bool // The account had the message already; it was not captured again.
}

// Appender puts messages on the register.
type Appender interface {
	// Append returns when the message is durable. The same folder (by name and
	// validity) and UID may come again after a crash: it is then to return the
	// receipt of the first time. An error that wraps ErrRefused is about this
	// message alone; any other stops the move.
	Append(ctx context.Context, m *Mail) (Receipt, error)
}

// Ledger keeps how far a move has come, durably.
type Ledger interface {
	// Load returns what was saved under key, or an error that wraps
	// fs.ErrNotExist; Save replaces it.
	Load(ctx context.Context, key string) ([]byte, error)
	Save(ctx context.Context, key string, state []byte) error
}

// Counts is the reconciliation: Seen = Captured + Already + Refused.
type Counts struct {
	Seen     int64 `json:"seen"`
	Captured int64 `json:"captured"`
	Already  int64 `json:"already"`
	Refused  int64 `json:"refused"`
	Bytes    int64 `json:"bytes"` // of the messages captured
}

// Refusal is a message that was not captured.
type Refusal struct {
	Folder string `json:"folder"`
	UID    uint32 `json:"uid"`
	Reason string `json:"reason"`
}

// Progress is how far a move has come.
type Progress struct {
	Folder      string
	Done, Total int64 // messages
	Counts      Counts
}

// Options set up Pull; zero values mean the defaults given.
type Options struct {
	Appender Appender // required
	Ledger   Ledger   // required
	// Key is the name under which progress is kept; it should say which
	// account here the mail goes to, besides Source.ID.
	Key        string
	Skip       []string       // names of folders to leave out
	InFlight   int            // appends at once; 64
	Memory     int64          // bytes of messages being appended; 64 MiB
	MaxMessage int64          // bytes, above which one is refused; 128 MiB
	Attempts   int            // to connect, without any message between; 6
	Pause      time.Duration  // before the second attempt, doubled each time; 1 s
	Progress   func(Progress) // called now and then from one goroutine
	Refused    func(Refusal)  // called for each refusal, in order
	Log        *slog.Logger   // discarded if nil
}

// Result is how a move ended.
type Result struct {
	Counts  Counts
	Folders []Folder
	Resumed bool
}

// Errors of a move.
var (
	// ErrRefused is wrapped by an Appender's error when one message can never
	// be stored, while others can.
	ErrRefused = errors.New("message refused")
	// ErrSignIn says that the other server didn't accept user and password.
	ErrSignIn = errors.New("the other server refused user and password")
	// ErrCertificate says that the other server's certificate isn't believed.
	ErrCertificate = errors.New("the other server's certificate is not to be believed")
)

func (o *Options) setDefaults() error {
	if o.Appender == nil || o.Ledger == nil || o.Key == "" {
		return errors.New("moving an account: appender, ledger and key are needed")
	}
	for _, d := range []struct {
		v   *int64
		def int64
	}{{&o.Memory, 64 << 20}, {&o.MaxMessage, 128 << 20}} {
		if *d.v == 0 {
			*d.v = d.def
		}
	}
	if o.InFlight == 0 {
		o.InFlight = 64
	}
	if o.Attempts == 0 {
		o.Attempts = 6
	}
	if o.Pause == 0 {
		o.Pause = time.Second
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	if o.Refused == nil {
		o.Refused = func(Refusal) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}
