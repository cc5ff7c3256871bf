package record

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"sync"
	"time"

	"sijill/internal/db"
)

//go:embed cursor
var cursorFiles embed.FS

// A batch of entries that projections take at once is bounded in number and in
// sealed bytes, so that memory stays small whatever people send.
const (
	followBatch = 1000
	followBytes = 8 << 20
)

// gatherFor is how long a projection waits for more when an entry has arrived:
// full-text indexing one message at a time costs four times as much. While much
// arrives, it waits longer, and between one batch and the next as well. It doesn't
// wait for the first entry after a time of quiet, nor, for vainFor, after it has
// waited in vain: who appends the next message only when this one is placed would
// pay for every one of them.
const (
	gatherFor   = 40 * time.Millisecond
	gatherMuch  = 250 * time.Millisecond
	gatherFlood = time.Second
	vainFor     = 2 * time.Second
	some        = 8                     // entries in one go: more may be expected, vain or not
	much        = 32                    // likewise: many more
	flood       = 128                   // likewise: so many that whoever sends them must come first
	lull        = 20 * time.Millisecond // without an entry: nobody waits for more
)

// patienceAfter is how long to wait for more after a batch of so many entries.
func patienceAfter(last int64) time.Duration {
	switch {
	case last >= flood:
		return gatherFlood
	case last >= much:
		return gatherMuch
	}
	return gatherFor
}

// pollEvery is how often a follower looks for entries of other processes.
const pollEvery = time.Second

// Follower keeps projections up to date in one database, all in the same
// transactions. At most one follower of a database works at a time: it holds
// the lease.
type Follower struct {
	r     *Register
	db    *db.DB
	ps    []Projection
	lease string
	until int64         // Where to stop; 0 means the head.
	bulk  int           // How many entries a transaction takes at least; 0 means what there is.
	ended chan struct{} // Closed when no more entries will come in bulk.
	began int64         // The first entry that work took the last time.
	done  time.Time     // When work ended the last time.
	vain  time.Time     // When a pause ended in which nothing more came.
}

// Bulk makes a transaction of this follower take n entries or more, and wait for
// them, until end is called: for imports. A full-text index written in a few
// large pieces costs much less than one written in many small ones. It is called
// before Run; nothing is lost if the process dies, only work.
func (f *Follower) Bulk(n int) (end func()) {
	f.bulk, f.ended = n, make(chan struct{})
	return sync.OnceFunc(func() { close(f.ended) })
}

// Until makes the follower stop before entry n, for comparing projections as
// they were at that size.
func (f *Follower) Until(n int64) { f.until = n }

// goal is the size of the register, or where to stop.
func (f *Follower) goal() int64 {
	size, _ := f.r.Head()
	if f.until > 0 {
		size = min(size, f.until)
	}
	return size
}

// Follow makes a follower of the register for projections in d, in the order
// in which they are to be applied. lease is a file that followers in other
// processes lock too. It migrates, and resets projections whose Version has
// changed.
func (r *Register) Follow(ctx context.Context, d *db.DB, lease string, ps ...Projection) (*Follower, error) {
	f := &Follower{r: r, db: d, ps: ps, lease: lease}
	sub, err := fs.Sub(cursorFiles, "cursor")
	if err != nil {
		return nil, err
	}
	if err := d.Migrate(ctx, "cursor", sub); err != nil {
		return nil, err
	}
	for _, p := range ps {
		if err := d.Migrate(ctx, p.Name(), p.Migrations()); err != nil {
			return nil, err
		}
		if err := f.admit(ctx, p); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// admit makes sure that p has a cursor of its version, and none ahead of the
// register: that one has seen entries of a tail that is lost, whose numbers will
// be given again.
func (f *Follower) admit(ctx context.Context, p Projection) error {
	version, next := -1, int64(0)
	err := f.db.Read(ctx, func(tx *db.Tx) error {
		err := tx.One("SELECT version, next FROM cursor WHERE projection = ?", []any{p.Name()}, &version, &next)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("reading the cursor of %s: %w", p.Name(), err)
	}
	if err := f.r.Refresh(ctx); err != nil { // After the cursor: the register only grows.
		return err
	}
	if size, _ := f.r.Head(); version == p.Version() && next <= size {
		return nil
	}
	return f.Reset(ctx, p.Name())
}

// Reset makes a projection start again from entry 0. The others stay where
// they are. It returns an error that wraps fs.ErrNotExist for an unknown name.
func (f *Follower) Reset(ctx context.Context, name string) error {
	for _, p := range f.ps {
		if p.Name() != name {
			continue
		}
		return f.db.Write(ctx, func(tx *db.Tx) error {
			if err := p.Reset(ctx, tx); err != nil {
				return fmt.Errorf("resetting %s: %w", name, err)
			}
			_, err := tx.Exec(`INSERT INTO cursor (projection, version, next) VALUES (?, ?, 0)
				ON CONFLICT (projection) DO UPDATE SET version = excluded.version, next = 0`, name, p.Version())
			return err
		})
	}
	return fmt.Errorf("no projection is called %q: %w", name, fs.ErrNotExist)
}

// Cursors tells for each projection the first entry that it has not seen.
func (f *Follower) Cursors(ctx context.Context) (map[string]int64, error) {
	next := map[string]int64{}
	err := f.db.Read(ctx, func(tx *db.Tx) error {
		return tx.Each("SELECT projection, next FROM cursor", nil, func(row db.Row) error {
			var name string
			var n int64
			err := row.Scan(&name, &n)
			next[name] = n
			return err
		})
	})
	return next, err
}

// lowest is the first entry that some projection of ours has not seen.
func (f *Follower) lowest(ctx context.Context) (int64, map[string]int64, error) {
	next, err := f.Cursors(ctx)
	if err != nil {
		return 0, nil, fmt.Errorf("reading cursors: %w", err)
	}
	low := next[f.ps[0].Name()]
	for _, p := range f.ps {
		low = min(low, next[p.Name()])
	}
	return low, next, nil
}

// How long Run waits before it tries again what has failed: longer each time.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = time.Minute
)

// Run keeps the projections up to date until ctx is done, which is no error.
// What fails, for want of space perhaps, is said in the log and tried again: mail
// is accepted meanwhile, and only finding it must wait.
func (f *Follower) Run(ctx context.Context) error {
	release, err := f.take(ctx, true)
	if err != nil {
		return ignoreDone(ctx, err)
	}
	defer release()
	pause := firstPause
	for ctx.Err() == nil {
		if err = f.work(ctx); err == nil {
			pause = firstPause
			err = f.wait(ctx)
		}
		if err != nil && ctx.Err() == nil {
			f.r.opts.Log.Error("the projections are behind; trying again", "error", err)
			_ = sleep(ctx, pause)
			pause = min(2*pause, lastPause)
		}
	}
	return nil
}

func ignoreDone(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// wait returns a moment after the register has grown.
func (f *Follower) wait(ctx context.Context) error {
	for gathered := false; ; {
		low, _, err := f.lowest(ctx)
		if err != nil {
			return err
		}
		f.r.mu.Lock()
		size, moved := f.r.size, f.r.moved
		f.r.mu.Unlock()
		if size > low {
			if last := low - f.began; last >= some && !gathered { // They came while the last ones were written.
				f.swell(ctx, low, last)
			}
			return nil
		}
		select {
		case <-moved:
			if err := f.gather(ctx, low); err != nil {
				return err
			}
			gathered = true
		case <-time.After(pollEvery):
			if err := f.r.Refresh(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// gather waits for more, where more can be expected, when the register has grown
// beyond low.
func (f *Follower) gather(ctx context.Context, low int64) error {
	now, last := time.Now(), low-f.began
	if now.Sub(f.done) > gatherFor || now.Sub(f.vain) < vainFor && last < some {
		return nil
	}
	before, _ := f.r.Head()
	if err := sleep(ctx, min(patienceAfter(last), gatherMuch)); err != nil {
		return err
	}
	if after, _ := f.r.Head(); after == before {
		f.vain = time.Now()
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// CatchUp returns when the projections have seen every entry that the register
// had when it was called: by working, or by waiting for the process that holds
// the lease.
func (f *Follower) CatchUp(ctx context.Context) error {
	if err := f.r.Refresh(ctx); err != nil {
		return err
	}
	target := f.goal()
	for {
		low, _, err := f.lowest(ctx)
		if err != nil || low >= target {
			return err
		}
		release, err := f.take(ctx, false)
		if errors.Is(err, ErrLeased) {
			if err := sleep(ctx, 20*time.Millisecond); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		err = f.work(ctx)
		release()
		if err != nil {
			return err
		}
	}
}

// applied is a batch on its way to the database.
type applied struct {
	next     int64 // The first entry after the batch.
	items    []*Item
	prepared map[Projection][]any
	err      error
}

// work applies all entries that there are. While one batch is written the
// next is prepared.
func (f *Follower) work(ctx context.Context) error {
	low, next, err := f.lowest(ctx)
	if err != nil {
		return err
	}
	f.began = low
	defer func() { f.done = time.Now() }()
	ctx, cancel := context.WithCancel(ctx)
	batches := make(chan *applied, 1)
	seen := maps.Clone(next) // next moves on while batches are prepared.
	go func() {
		defer close(batches)
		f.produce(ctx, low, seen, batches)
	}()
	defer func() {
		cancel()
		for range batches { // Nothing is prepared any more once work has returned.
		}
	}()
	for b := range batches {
		err := f.transact(ctx, b, batches, next)
		if errors.Is(err, errReset) {
			return nil // The caller looks at the cursors again.
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// transact writes a batch, and in bulk more of them, in one transaction that
// also moves the cursors. next is where they stand.
func (f *Follower) transact(ctx context.Context, b *applied, more <-chan *applied, next map[string]int64) error {
	at := maps.Clone(next)
	err := f.db.Write(ctx, func(tx *db.Tx) error {
		for n := 0; b != nil; b = <-more { // A closed channel gives nil.
			if b.err != nil {
				return b.err
			}
			if err := f.apply(ctx, tx, b, at); err != nil {
				return err
			}
			if n += len(b.items); n >= f.bulk {
				return nil
			}
		}
		return nil
	})
	if err == nil {
		maps.Copy(next, at)
	}
	return err
}

// apply writes one batch and moves the cursors.
func (f *Follower) apply(ctx context.Context, tx *db.Tx, b *applied, at map[string]int64) error {
	for _, p := range f.ps {
		from := at[p.Name()]
		skip := int(max(0, min(from-b.items[0].Index, int64(len(b.items)))))
		if skip == len(b.items) {
			continue
		}
		if err := f.expect(tx, p, max(from, b.items[0].Index)); err != nil {
			return err
		}
		if err := p.Apply(ctx, tx, b.items[skip:], b.prepared[p][skip:]); err != nil {
			return fmt.Errorf("projecting %s: %w", p.Name(), err)
		}
		if _, err := tx.Exec("UPDATE cursor SET next = ? WHERE projection = ?", b.next, p.Name()); err != nil {
			return fmt.Errorf("moving the cursor of %s: %w", p.Name(), err)
		}
		at[p.Name()] = b.next
	}
	return nil
}

// errReset says that a cursor is not where this follower left it: another
// process has reset the projection.
var errReset = errors.New("the projection was reset meanwhile")

// ErrVersion says that a program of another version has made a projection its
// own while this one ran: rows of both must not mix.
var ErrVersion = errors.New("another version of the program keeps the projection now: restart this one")

// expect makes sure that a projection's cursor is at next, and still that of
// our version.
func (f *Follower) expect(tx *db.Tx, p Projection, next int64) error {
	var at int64
	var version int
	if err := tx.One("SELECT next, version FROM cursor WHERE projection = ?", []any{p.Name()}, &at, &version); err != nil {
		return fmt.Errorf("reading the cursor of %s: %w", p.Name(), err)
	}
	if version != p.Version() {
		return fmt.Errorf("%s: %w", p.Name(), ErrVersion)
	}
	if at != next {
		return fmt.Errorf("%s: %w", p.Name(), errReset)
	}
	return nil
}
