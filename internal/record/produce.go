package record

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"sijill/internal/blob"
	"sijill/internal/db"
	"sijill/internal/vault"
)

// produce reads and prepares batches from low to the head, in order.
func (f *Follower) produce(ctx context.Context, low int64, next map[string]int64, out chan<- *applied) {
	last := int64(0) // entries in the batch before
	for {
		size := f.goal()
		switch {
		case f.bulk > 0:
			size = f.await(ctx, low)
		case low < size && last >= some:
			size = f.swell(ctx, low, last)
		}
		if low >= size {
			return
		}
		b := f.batch(ctx, low, size, next)
		select {
		case out <- b:
		case <-ctx.Done():
			return
		}
		if b.err != nil {
			return
		}
		last, low = b.next-low, b.next
	}
}

// swell waits for more to come while much comes, and returns how far the register
// reaches then. Without it a batch would be what came while the one before was
// written, and the faster mail came in, the more of the machine would go into
// writing many small pieces of index. It doesn't wait for a lull, nor once there
// is a whole batch; last is how many entries there were in the batch before.
func (f *Follower) swell(ctx context.Context, low, last int64) int64 {
	late := time.After(patienceAfter(last))
	for {
		f.r.mu.Lock()
		moved := f.r.moved
		f.r.mu.Unlock()
		size := f.goal()
		if size-low >= followBatch {
			return size
		}
		select {
		case <-moved:
		case <-time.After(lull):
			return size
		case <-late:
			return f.goal()
		case <-ctx.Done():
			return low
		}
	}
}

// await returns how far the register reaches once a good batch has come, or no
// more will.
func (f *Follower) await(ctx context.Context, low int64) int64 {
	for {
		f.r.mu.Lock()
		moved := f.r.moved
		f.r.mu.Unlock()
		if size := f.goal(); size >= low+followBatch/2 {
			return size
		}
		select {
		case <-moved:
		case <-f.ended:
			return f.goal()
		case <-ctx.Done():
			return low
		}
	}
}

func (f *Follower) batch(ctx context.Context, low, size int64, next map[string]int64) *applied {
	b := &applied{prepared: map[Projection][]any{}}
	var rows []row
	b.err = f.r.opts.DB.Read(ctx, func(tx *db.Tx) (err error) {
		rows, err = read(tx, low, int(min(size-low, followBatch)))
		return err
	})
	if b.err == nil && len(rows) == 0 {
		b.err = fmt.Errorf("entry %d is missing", low)
	}
	if b.err != nil {
		return b
	}
	rows = within(rows, followBytes)
	b.next = low + int64(len(rows))
	for _, e := range rows {
		it, err := f.r.item(ctx, e, nil)
		if err != nil {
			b.err = err
			return b
		}
		b.items = append(b.items, f.tolerate(it))
	}
	b.err = f.prepare(b, next)
	return b
}

// tolerate lets the projections pass over a message that is damaged, as if it
// were closed to them: one damaged frame must not stop the mail of an office.
// It is said in the log, and the audit names it.
func (f *Follower) tolerate(it *Item) *Item {
	if it.Entry.Message == nil {
		return it
	}
	return NewItem(it.Index, it.Entry, it.Holders, func() (*Content, error) {
		c, err := it.Content()
		if errors.Is(err, vault.ErrDamaged) || errors.Is(err, blob.ErrDamaged) {
			f.r.opts.Log.Error("a sealed message is damaged; run \"sijill audit\"", "entry", it.Index, "error", err)
			err = fmt.Errorf("%w: %w", err, fs.ErrNotExist)
		}
		return c, err
	})
}

// within cuts rows so that their sealed bytes stay under limit; one row is
// always left.
func within(rows []row, limit int64) []row {
	var sum int64
	for i, e := range rows {
		if sum += e.ref.Length; sum > limit && i > 0 {
			return rows[:i]
		}
	}
	return rows
}

// prepare runs Prepare of every projection that has not seen an item, on all
// processors.
func (f *Follower) prepare(b *applied, next map[string]int64) error {
	for _, p := range f.ps {
		b.prepared[p] = make([]any, len(b.items))
	}
	workers := min(runtime.GOMAXPROCS(0), len(b.items))
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(b.items) && errs[w] == nil; i += workers {
				errs[w] = f.prepareOne(b, i, next)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (f *Follower) prepareOne(b *applied, i int, next map[string]int64) error {
	it := b.items[i]
	for _, p := range f.ps {
		if next[p.Name()] > it.Index {
			continue
		}
		v, err := p.Prepare(it)
		if err != nil {
			return fmt.Errorf("preparing entry %d for %s: %w", it.Index, p.Name(), err)
		}
		b.prepared[p][i] = v
	}
	return nil
}

// ErrLeased says that another process, a server most likely, keeps the
// projections of this data directory.
var ErrLeased = errors.New("another process holds the lease")

// take takes the lease; it waits for it, or returns ErrLeased.
func (f *Follower) take(ctx context.Context, wait bool) (release func(), err error) {
	if f.lease == "" {
		return func() {}, nil
	}
	file, err := os.OpenFile(f.lease, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lease: %w", err)
	}
	for {
		err := flock(file, unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { file.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("taking the lease: %w", err), file.Close())
		}
		if !wait {
			return nil, errors.Join(ErrLeased, file.Close())
		}
		if err := sleep(ctx, 200*time.Millisecond); err != nil {
			return nil, errors.Join(err, file.Close())
		}
	}
}

// Hold takes the lease without waiting, for work that no server may run beside.
// It returns an error that wraps ErrLeased when another process has it.
func (f *Follower) Hold(ctx context.Context) (release func(), err error) { return f.take(ctx, false) }
