// Package record is the register of an office: an append-only, verifiable log
// in which every official message is sealed before anybody is told that it was
// accepted.
//
// Order of durability: the ciphertext of a batch is appended to a segment and
// synced; then one database transaction writes its entries, tree hashes, wrapped
// keys and the new head; only then does Append return. A crash at any moment
// leaves a register that audits, with every entry whose Append returned. One
// goroutine commits, and takes whatever has queued into one batch: that is why
// many senders cost hardly more than one. Several processes may append to the
// same register: they take turns.
//
// Everything else that Sijill knows about mail is a Projection of the entries.
package record

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"sijill/internal/blob"
	"sijill/internal/db"
	"sijill/internal/vault"
)

//go:embed sqlite
var migrations embed.FS

// Errors of the register.
var (
	// ErrBehind says that a checkpoint kept outside the data directory is ahead
	// of the register, or contradicts it: the data directory is an old copy.
	// Nothing is appended until the tail is recovered or the register retired.
	ErrBehind = errors.New("the register is behind a checkpoint that it signed")
	// ErrClosed says that the register is closing.
	ErrClosed = errors.New("the register is closed")
	// ErrNone says that the database holds no register yet.
	ErrNone = errors.New("no register here")
	// ErrExists says that the database holds a register already.
	ErrExists = errors.New("a register is here already")
)

// Options says what a register stands on.
type Options struct {
	DB    *db.DB
	Blobs blob.Store
	Vault *vault.Vault
	// Accounts finds the account behind a pseudonym.
	Accounts Accounts
	// Anchors are files outside the data directory that keep the newest
	// checkpoint, at most one second late. A register that finds one ahead of
	// itself refuses to append.
	Anchors []string
	// Turn is a file that processes on one machine lock in turn to append.
	// Empty means that this process is alone.
	Turn string
	Log  *slog.Logger
}

// Accounts knows the pseudonyms under which accounts appear in entries.
type Accounts interface {
	// Pseudonym gives the pseudonym of an account.
	Pseudonym(ctx context.Context, account int64) (string, error)
	// ByPseudonym gives the account of a pseudonym; fs.ErrNotExist for none.
	ByPseudonym(ctx context.Context, pseudonym string) (int64, error)
}

// Register is an open register. It is safe for concurrent use.
type Register struct {
	opts   Options
	signer *signer
	turn   *turn
	recent *recent

	queue   chan *group
	coming  atomic.Int64 // Drafts that are being sealed.
	stopped chan struct{}
	stop    sync.Once
	tree    *tree // Owned by the committer.
	ready   bool  // The segments were recovered; owned by the committer.

	sending sync.RWMutex // Held for reading while a draft is handed over; guards closed.
	closed  bool

	mu     sync.Mutex // Guards what follows.
	size   int64
	note   []byte
	behind error
	failed error         // See Health.
	moved  chan struct{} // Closed, and made anew, when size grows.

	holders holders
	anchors *anchors
}

// Create makes an empty register with the given origin: a name that looks like
// a URL without its scheme, one line, the name of its keys as well. It returns
// an error that wraps ErrExists when the database has one.
func Create(ctx context.Context, opts Options, origin string) error {
	if err := opts.DB.Migrate(ctx, "record", migrations); err != nil {
		return err
	}
	s, err := newSigner(ctx, opts.Vault, origin)
	if err != nil {
		return err
	}
	note, err := s.sign(0, emptyRoot, time.Now())
	if err != nil {
		return err
	}
	return opts.DB.Write(ctx, func(tx *db.Tx) error {
		var n int
		if err := tx.One("SELECT count(*) FROM head", nil, &n); err != nil {
			return err
		}
		if n != 0 {
			return ErrExists
		}
		if err := s.save(tx, opts.Vault); err != nil {
			return err
		}
		_, err := tx.Exec("INSERT INTO head (id, origin, size, time, checkpoint) VALUES (1, ?, 0, 0, ?)", origin, note)
		return err
	})
}

// Open opens the register and compares the anchors; one that is missing is
// written within a second. It changes nothing else: what a
// crash left behind the last referenced frame is truncated before the first
// append, so that looking at a directory whose database is an old copy, or
// damaged, destroys nothing. It succeeds when the register is behind an anchor;
// then Append returns ErrBehind.
func Open(ctx context.Context, opts Options) (*Register, error) {
	if err := opts.DB.Migrate(ctx, "record", migrations); err != nil {
		return nil, err
	}
	r := &Register{
		opts: opts, recent: newRecent(recentBytes),
		queue: make(chan *group, maxBatch), stopped: make(chan struct{}), moved: make(chan struct{}),
	}
	if err := r.load(ctx); err != nil {
		return nil, err
	}
	var err error
	if r.turn, err = openTurn(opts.Turn); err != nil {
		return nil, err
	}
	if r.behind == nil && r.anchors.missing() {
		r.anchors.offer(r.note)
	}
	go r.commitLoop()
	return r, nil
}

// load reads the head, the keys and the right edge of the tree.
func (r *Register) load(ctx context.Context) error {
	found := readAnchors(r.opts.Anchors)
	return r.opts.DB.Read(ctx, func(tx *db.Tx) error {
		h, err := readHead(tx)
		if err != nil {
			return err
		}
		if r.signer, err = loadSigner(tx, r.opts.Vault, h.origin); err != nil {
			return err
		}
		if r.tree, err = loadTree(tx, h); err != nil {
			return err
		}
		r.size, r.note = h.size, h.note
		r.anchors = newAnchors(r.opts.Anchors, r.signer, r.opts.Log)
		r.behind = r.anchors.check(tx, h, found)
		return nil
	})
}

// recover truncates segments to what entries refer to, once. The caller has its
// turn, so that no other process is between writing a frame and referring to
// it. A damaged segment is no reason to refuse mail: nothing is appended to it,
// and the audit names what is lost.
func (r *Register) recover(ctx context.Context) error {
	if r.ready {
		return nil
	}
	ends := map[int64]int64{}
	err := r.opts.DB.Read(ctx, func(tx *db.Tx) error {
		return tx.Each("SELECT segment, at FROM segment_end", nil, func(row db.Row) error {
			var segment, at int64
			err := row.Scan(&segment, &at)
			ends[segment] = at
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("reading segment ends: %w", err)
	}
	err = r.opts.Blobs.Recover(ctx, func(segment int64) (int64, error) { return ends[segment], nil })
	if errors.Is(err, blob.ErrDamaged) {
		r.opts.Log.Error("a segment is damaged; run an audit", "error", err)
		err = nil
	}
	if err != nil {
		return fmt.Errorf("recovering segments: %w", err)
	}
	r.ready = true
	return nil
}

// Close appends what has queued, signs off at the anchors and stops.
func (r *Register) Close() error {
	r.stop.Do(func() {
		r.sending.Lock() // Waits for drafts that are being handed over.
		r.closed = true
		r.sending.Unlock()
		close(r.queue)
	})
	<-r.stopped
	r.mu.Lock()
	note, behind := r.note, r.behind
	r.mu.Unlock()
	var err error
	if behind == nil && !r.retiredElsewhere() {
		err = r.anchors.close(note)
	}
	return errors.Join(err, r.turn.close())
}

// retiredElsewhere tells whether another process has retired the register: then
// the anchors are its successor's.
func (r *Register) retiredElsewhere() bool {
	var h head
	err := r.opts.DB.Read(context.Background(), func(tx *db.Tx) (err error) {
		h, err = readHead(tx)
		return err
	})
	return err == nil && h.origin != r.signer.origin
}

// Origin names the register: the first line of its checkpoints.
func (r *Register) Origin() string { return r.signer.origin }

// Key is the register's public key: one verifier key (C2SP signed-note) a line.
func (r *Register) Key() string { return r.signer.public() }

// Behind is nil, or says why nothing may be appended (it wraps ErrBehind).
func (r *Register) Behind() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.behind
}

// Head gives the number of entries and the newest checkpoint, as this process
// knows them.
func (r *Register) Head() (size int64, checkpoint []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.size, r.note
}

// Refresh looks at the database for entries that other processes appended.
func (r *Register) Refresh(ctx context.Context) error {
	return r.opts.DB.Read(ctx, func(tx *db.Tx) error {
		h, err := readHead(tx)
		if err != nil {
			return err
		}
		r.advance(h.size, h.note)
		if h.origin != r.signer.origin {
			r.tell(errRetired)
		}
		return nil
	})
}

// advance publishes a newer head and wakes who waits for it.
func (r *Register) advance(size int64, note []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if size <= r.size {
		return
	}
	r.size, r.note = size, note
	close(r.moved)
	r.moved = make(chan struct{})
}
