package shelf

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"sijill/internal/db"
	"sijill/internal/mailbox"
	"sijill/internal/record"
)

// atOnce is how many messages are opened together.
const atOnce = 256

// lookEvery is how often a shelf looks without having been told: another
// process may have placed something.
const lookEvery = 5 * time.Second

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
	held, err := s.of.o.Mail.Held(ctx, s.key.account, class)
	if err != nil {
		return err
	}
	missing, err := s.missing(ctx, held)
	if err != nil {
		return err
	}
	s.count(len(held)-len(missing), len(held))
	for chunk := range slices.Chunk(missing, atOnce) {
		if err := s.add(ctx, chunk); err != nil {
			return err
		}
	}
	return s.mail.Mirror(ctx, s.of.o.Mail, s.key.account, class)
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
	return s.mail.Mirror(ctx, s.of.o.Mail, s.key.account, class)
}

// missing are those of held that are not on the shelf, in the order of held.
func (s *Shelf) missing(ctx context.Context, held []mailbox.Held) (list []mailbox.Held, err error) {
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
		return nil, fmt.Errorf("looking at a shelf: %w", err)
	}
	for _, h := range held {
		if !have[h.Entry] {
			list = append(list, h)
		}
	}
	return list, nil
}

// opened is a message on its way to the shelf.
type opened struct {
	item  *record.Item
	row   int64
	fact  any
	words any
}

// add opens messages and puts them on the shelf.
func (s *Shelf) add(ctx context.Context, chunk []mailbox.Held) error {
	rows, numbers := map[int64]int64{}, make([]int64, 0, len(chunk))
	for _, h := range chunk {
		rows[h.Entry] = h.Row
		numbers = append(numbers, h.Entry)
	}
	items, err := s.of.o.Register.ItemsFor(ctx, numbers, s.ring)
	if err != nil {
		return fmt.Errorf("reading personal mail: %w", err)
	}
	list := make([]*opened, len(items))
	for i, it := range items {
		list[i] = &opened{item: it, row: rows[it.Index]}
	}
	if err := s.prepare(list); err != nil {
		return err
	}
	// What doesn't open, of a month that is cold to this ring, has no facts.
	list = slices.DeleteFunc(list, func(o *opened) bool { return o.fact == nil })
	if err := s.db.Write(ctx, func(tx *db.Tx) error { return s.put(ctx, tx, list) }); err != nil {
		return fmt.Errorf("putting mail on a shelf: %w", err)
	}
	s.mu.Lock()
	s.done += len(chunk)
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
