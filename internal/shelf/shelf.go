// Package shelf holds the mail that only its owner can open, while the owner is
// there: what lists, threads and searches need of it, in memory and nowhere else.
// With the everyday root that is personal mail which is not cold; with the deep
// root, after a step-up, all personal mail and the office mail that is cold.
//
// It promises that nothing of it outlives the owner's presence: when the last
// holder lets go and the grace is over, when a step-up is over, or at once when
// told to, keys and index are gone; that what grows cold, or is destroyed, leaves it; that the newest mail can be used while the rest is still being
// opened; and that what a shelf shows follows what other clients of the owner do.
package shelf

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/mailbox"
	"sijill/internal/record"
	"sijill/internal/search"
	"sijill/internal/vault"
)

// Register opens entries for who is there; *record.Register is one.
type Register interface {
	ItemFor(ctx context.Context, number int64, ring *vault.Ring) (*record.Item, error)
	ItemsFor(ctx context.Context, numbers []int64, ring *vault.Ring) ([]*record.Item, error)
}

// Options says what shelves stand on.
type Options struct {
	Register Register
	Mail     *mailbox.Mailbox
	// Rewrap makes the mail of a ring's account quick to open from now on; nil
	// leaves it as it is.
	Rewrap func(ctx context.Context, ring *vault.Ring) error
	// Grace is how long a shelf stays after its last holder let go: a browser
	// comes back with every page. 0 means 15 minutes.
	Grace time.Duration
	Log   *slog.Logger
}

// Shelves are those of all who are there. It is safe for concurrent use.
type Shelves struct {
	o    Options
	ctx  context.Context // Ends with Close.
	stop context.CancelFunc

	mu     sync.Mutex // Guards what follows, and the holds of shelves.
	closed bool
	of     map[key]*Shelf
}

// key tells shelves apart: who has stepped up sees more than who has not.
type key struct {
	account int64
	deep    bool
}

// New makes shelves; Close them.
func New(o Options) *Shelves {
	if o.Grace == 0 {
		o.Grace = 15 * time.Minute
	}
	s := &Shelves{o: o, of: map[key]*Shelf{}}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

// ErrClosed says that the shelves are closed.
var ErrClosed = errors.New("the shelves are closed")

// Take gives the shelf of a ring's account, and begins to fill it when it is
// not there. Release it. The ring stays the caller's.
func (s *Shelves) Take(ctx context.Context, ring *vault.Ring) (*Shelf, error) {
	return s.TakeFor(ctx, ring, 0)
}

// TakeFor is Take for a ring that is good for no longer than d: after a step-up.
// Then the shelf is gone, unless somebody took it for longer. 0 is no end.
func (s *Shelves) TakeFor(ctx context.Context, ring *vault.Ring, d time.Duration) (*Shelf, error) {
	k := key{ring.Account(), ring.Has(vault.Deep)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	sh := s.of[k]
	if sh == nil {
		var err error
		if sh, err = s.make(ctx, k, ring); err != nil {
			return nil, err
		}
		s.of[k] = sh
		go sh.run()
	}
	sh.holds++
	sh.last(d)
	if sh.grace != nil {
		sh.grace.Stop()
		sh.grace = nil
	}
	return sh, nil
}

func (s *Shelves) make(ctx context.Context, k key, ring *vault.Ring) (*Shelf, error) {
	d, err := db.OpenMemory(ctx)
	if err != nil {
		return nil, err
	}
	sh := &Shelf{of: s, key: k, ring: ring.Clone(), db: d, mail: mailbox.New(d), shut: map[int64]bool{},
		filled: make(chan struct{}), ended: make(chan struct{}), free: make(chan struct{})}
	sh.search = search.NewPrivate(d, sh.mail, func(ctx context.Context, entry int64) (*record.Item, error) {
		return s.o.Register.ItemFor(ctx, entry, sh.ring)
	})
	err = errors.Join(d.Migrate(ctx, "mailbox", sh.mail.Migrations()), d.Migrate(ctx, "search", sh.search.Migrations()))
	if err != nil {
		sh.ring.Close()
		return nil, errors.Join(fmt.Errorf("making a shelf: %w", err), d.Close())
	}
	sh.ctx, sh.stop = context.WithCancel(s.ctx)
	return sh, nil
}

// Forget closes the shelves of an account that nobody holds: at its last
// sign-out.
func (s *Shelves) Forget(account int64) {
	s.mu.Lock()
	var gone []*Shelf
	for _, deep := range []bool{false, true} {
		if sh := s.of[key{account, deep}]; sh != nil && sh.holds == 0 {
			gone = append(gone, sh)
			delete(s.of, sh.key)
		}
	}
	s.mu.Unlock()
	for _, sh := range gone {
		sh.close()
	}
}

// Close closes all shelves, held or not.
func (s *Shelves) Close() {
	s.mu.Lock()
	s.closed = true
	all := s.of
	s.of = map[key]*Shelf{}
	s.mu.Unlock()
	s.stop()
	for _, sh := range all {
		sh.close()
	}
}

// Shelf is the opened mail of one account. It is safe for concurrent use.
type Shelf struct {
	of     *Shelves
	key    key
	ring   *vault.Ring
	db     *db.DB
	mail   *mailbox.Mailbox
	search *search.Search
	ctx    context.Context
	stop   context.CancelFunc
	filled chan struct{} // Closed when everything that was there at first is on it.
	ended  chan struct{} // Closed when run has returned.

	updating sync.Mutex     // Held while it is brought up to date; guards shut.
	shut     map[int64]bool // Entries that its ring doesn't open.
	tried    time.Time      // When shut was begun.

	holds int           // Guarded by of.mu, like what follows.
	grace *time.Timer   // Runs while nobody holds it.
	until time.Time     // When it must be gone; zero for no end.
	end   *time.Timer   // Runs until then.
	over  bool          // It is not one of the shelves any more.
	free  chan struct{} // Closed when it is over and nobody holds it.

	mu          sync.Mutex // Guards what follows.
	done, total int
}

// Release lets go.
func (s *Shelf) Release() {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	if s.holds--; s.holds == 0 && s.over {
		close(s.free)
	}
	if s.holds > 0 || s.of.closed || s.of.of[s.key] != s {
		return
	}
	s.grace = time.AfterFunc(s.of.o.Grace, s.expire)
}

// last lets the shelf last for d more at least. Called with of.mu held.
func (s *Shelf) last(d time.Duration) {
	until := time.Now().Add(d)
	switch {
	case s.holds > 1 && s.until.IsZero(), d > 0 && until.Before(s.until):
		return
	case s.end != nil:
		s.end.Stop()
		s.end = nil
	}
	s.until = time.Time{}
	if d > 0 {
		s.until = until
		s.end = time.AfterFunc(d, s.finish)
	}
}

// letGo is how long those who hold a shelf that is over may look at its lists
// still: a request that is being answered. Its keys are gone by then.
const letGo = 20 * time.Second

// finish ends a shelf whose time is over, held or not.
func (s *Shelf) finish() {
	s.of.mu.Lock()
	mine := s.of.of[s.key] == s && !s.until.After(time.Now())
	if mine {
		delete(s.of.of, s.key)
		s.over = true
		if s.holds == 0 {
			close(s.free)
		}
	}
	s.of.mu.Unlock()
	if !mine {
		return
	}
	s.stop()
	s.ring.Close()
	select {
	case <-s.free:
	case <-time.After(letGo):
	case <-s.of.ctx.Done():
	}
	s.close()
}

func (s *Shelf) expire() {
	s.of.mu.Lock()
	over := s.holds == 0 && s.of.of[s.key] == s
	if over {
		delete(s.of.of, s.key)
	}
	s.of.mu.Unlock()
	if over {
		s.close()
	}
}

// close forgets the keys at once and the index as soon as nobody works on it.
func (s *Shelf) close() {
	s.stop()
	s.ring.Close()
	<-s.ended
	if err := s.db.Close(); err != nil {
		s.of.o.Log.Error("a shelf could not be closed", "error", err)
	}
}

// Facts are those of the mail that is on the shelf, for mailbox.View.
func (s *Shelf) Facts() *mailbox.Facts { return s.mail.Facts() }

// Search finds in it, once it is up to date with what other clients did.
func (s *Shelf) Search(ctx context.Context) (*search.Search, error) {
	return s.search, s.mirror(ctx)
}

// Progress tells how many messages are on the shelf, of how many.
func (s *Shelf) Progress() (done, total int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.done, s.total
}

// Filled is closed when everything is on the shelf that was there when it was
// made.
func (s *Shelf) Filled() <-chan struct{} { return s.filled }

// classes are of the mail that may be on the shelf.
func (s *Shelf) classes() []sijill.Class {
	if s.key.deep {
		return []sijill.Class{sijill.Office, sijill.Personal}
	}
	return []sijill.Class{sijill.Personal}
}
