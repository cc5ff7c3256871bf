package shelf

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/mailbox"
	"sijill/internal/record"
)

// How many messages are opened together: few at first, so that the newest are
// there soon, then many, since the index is written once for all of them. The
// register gives 1,000 at once.
const (
	atFirst = 250
	atOnce  = 1000
)

// lookEvery is how often a shelf looks without having been told: another
// process may have placed something.
const lookEvery = 5 * time.Second

// tryAgain is how long what doesn't open is left alone: it opens later only where
// older roots turn up.
const tryAgain = 5 * time.Minute

// run fills the shelf and keeps it up to date until it is closed.
func (s *Shelf) run() {
	defer close(s.ended)
	changed, stop := s.of.o.Mail.Watch(s.key.account)
	defer stop()
	first := true
	for {
		err := s.update(s.ctx)
		if s.ctx.Err() != nil {
			return
		}
		if err != nil {
			s.of.o.Log.Error("personal mail could not be opened for its owner; it is tried again", "error", err)
		} else if first {
			first = false
			close(s.filled)
			s.rewrap()
		}
		select {
		case <-changed:
		case <-time.After(lookEvery):
		case <-s.ctx.Done():
			return
		}
	}
}

// rewrap makes it quicker the next time.
func (s *Shelf) rewrap() {
	if s.of.o.Rewrap == nil {
		return
	}
	if err := s.of.o.Rewrap(s.ctx, s.ring); err != nil && s.ctx.Err() == nil {
		s.of.o.Log.Warn("personal mail could not be made quicker to open", "error", err)
	}
}

// Sync brings the shelf up to date, so that what its owner has just been told
// about can be found.
func (s *Shelf) Sync(ctx context.Context) error { return s.update(ctx) }

func (s *Shelf) update(ctx context.Context) error {
	s.updating.Lock()
	defer s.updating.Unlock()
	if time.Since(s.tried) > tryAgain {
		s.tried = time.Now()
		clear(s.shut)
	}
	held, err := s.held(ctx)
	if err != nil {
		return err
	}
	missing, left, err := s.compare(ctx, held)
	if err != nil {
		return err
	}
	if err := s.remove(ctx, left); err != nil {
		return err
	}
	s.count(len(held)-len(missing), len(held))
	if err := s.add(ctx, missing); err != nil {
		return err
	}
	return s.reflect(ctx)
}

// held are the messages that are to be on the shelf, newest first: personal mail,
// unless it is cold and the ring isn't deep, and with that office mail that is cold.
func (s *Shelf) held(ctx context.Context) (all []mailbox.Held, err error) {
	for _, c := range s.classes() {
		list, err := s.of.o.Mail.Held(ctx, s.key.account, c)
		if err != nil {
			return nil, err
		}
		all = append(all, slices.DeleteFunc(list, func(h mailbox.Held) bool {
			return s.shut[h.Entry] || c == sijill.Personal && h.Cold && !s.key.deep || c == sijill.Office && !h.Cold
		})...)
	}
	slices.SortFunc(all, func(a, b mailbox.Held) int { return cmp.Compare(b.Row, a.Row) })
	return all, nil
}

func (s *Shelf) reflect(ctx context.Context) error {
	for _, c := range s.classes() {
		if err := s.mail.Mirror(ctx, s.of.o.Mail, s.key.account, c); err != nil {
			return err
		}
	}
	return nil
}

func (s *Shelf) count(done, total int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done, s.total = done, total
}

// mirror brings folders and flags up to date, for a search.
func (s *Shelf) mirror(ctx context.Context) error {
	s.updating.Lock()
	defer s.updating.Unlock()
	return s.reflect(ctx)
}

// compare gives those of held that are not on the shelf, in the order of held, and
// the entries that are on it and not among them.
func (s *Shelf) compare(ctx context.Context, held []mailbox.Held) (missing []mailbox.Held, left []int64, err error) {
	have := map[int64]bool{}
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.Each("SELECT entry FROM mail_message", nil, func(r db.Row) error {
			var entry int64
			err := r.Scan(&entry)
			have[entry] = true
			return err
		})
	})
	if err != nil {
		return nil, nil, fmt.Errorf("looking at a shelf: %w", err)
	}
	for _, h := range held {
		if _, ok := have[h.Entry]; !ok {
			missing = append(missing, h)
		}
		have[h.Entry] = false
	}
	for entry, there := range have {
		if there {
			left = append(left, entry)
		}
	}
	return missing, left, nil
}

// remove takes off the shelf what its owner has destroyed, or what has grown cold.
func (s *Shelf) remove(ctx context.Context, entries []int64) error {
	if len(entries) == 0 {
		return nil
	}
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		rows, err := s.Facts().Remove(ctx, tx, entries)
		if err != nil {
			return err
		}
		return s.search.Remove(ctx, tx, rows)
	})
	if err != nil {
		return fmt.Errorf("taking mail off a shelf: %w", err)
	}
	return nil
}

// opened is a message on its way to the shelf.
type opened struct {
	item  *record.Item
	row   int64
	fact  any
	words any
}

// add opens messages and puts them on the shelf. While some are put there the next
// are opened.
func (s *Shelf) add(ctx context.Context, missing []mailbox.Held) error {
	work, ctx := errgroup.WithContext(ctx)
	ready := make(chan *batch)
	work.Go(func() error {
		defer close(ready)
		for n := atFirst; len(missing) > 0; n = atOnce {
			n = min(n, len(missing))
			b, err := s.open(ctx, missing[:n])
			if err != nil {
				return err
			}
			missing = missing[n:]
			select {
			case ready <- b:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	work.Go(func() error {
		for b := range ready {
			if err := s.place(ctx, b); err != nil {
				return err
			}
		}
		return nil
	})
	return work.Wait()
}

// batch is some messages on their way to the shelf.
type batch struct {
	chunk []mailbox.Held
	list  []*opened // Those of it that could be opened.
}

// open opens some messages.
func (s *Shelf) open(ctx context.Context, chunk []mailbox.Held) (*batch, error) {
	rows, numbers := map[int64]int64{}, make([]int64, 0, len(chunk))
	for _, h := range chunk {
		rows[h.Entry] = h.Row
		numbers = append(numbers, h.Entry)
	}
	items, err := s.of.o.Register.ItemsFor(ctx, numbers, s.ring)
	if err != nil {
		return nil, fmt.Errorf("reading personal mail: %w", err)
	}
	list := make([]*opened, len(items))
	for i, it := range items {
		list[i] = &opened{item: it, row: rows[it.Index]}
	}
	if err := s.prepare(list); err != nil {
		return nil, err
	}
	return &batch{chunk, slices.DeleteFunc(list, func(o *opened) bool { return o.fact == nil })}, nil
}

// place puts opened messages on the shelf. What doesn't open to its ring has no
// facts.
func (s *Shelf) place(ctx context.Context, b *batch) error {
	for _, h := range b.chunk {
		s.shut[h.Entry] = true
	}
	for _, o := range b.list {
		delete(s.shut, o.item.Index)
	}
	if err := s.db.Write(ctx, func(tx *db.Tx) error { return s.put(ctx, tx, b.list) }); err != nil {
		return fmt.Errorf("putting mail on a shelf: %w", err)
	}
	s.mu.Lock()
	s.done += len(b.chunk)
	s.mu.Unlock()
	return nil
}

// prepare opens and reads messages on all processors.
func (s *Shelf) prepare(list []*opened) error {
	workers := min(runtime.GOMAXPROCS(0), len(list))
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(list) && errs[w] == nil && s.ctx.Err() == nil; i += workers {
				o := list[i]
				var err error
				if o.fact, err = s.Facts().Prepare(o.item); err == nil {
					o.words, err = s.search.Prepare(o.item)
				}
				if err != nil && s.ctx.Err() == nil { // One damaged message must not keep the others closed.
					s.of.o.Log.Error("a sealed message could not be opened for its owner; run \"sijill audit\"", "entry", o.item.Index, "error", err)
					o.fact, err = nil, nil
				}
				errs[w] = err
			}
		})
	}
	wg.Wait()
	return errors.Join(append(errs, s.ctx.Err())...)
}

func (s *Shelf) put(ctx context.Context, tx *db.Tx, list []*opened) error {
	var facts []mailbox.Fact
	var items []*record.Item
	var words []any
	for _, o := range list {
		facts = append(facts, mailbox.Fact{Entry: o.item.Index, Account: s.key.account, Row: o.row, Draft: o.fact})
		items, words = append(items, o.item), append(words, o.words)
	}
	if err := s.Facts().Apply(ctx, tx, facts); err != nil {
		return err
	}
	return s.search.Apply(ctx, tx, items, words)
}
