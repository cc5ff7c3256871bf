package mailbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"sijill/internal/db"
)

// watchers are those who want to know when an account's folders change.
type watchers struct {
	mu sync.Mutex // Guards of.
	of map[int64]map[chan struct{}]bool
}

// Watch gives a channel that is signalled after every commit of this process
// that changed a folder of the account: see then what Changes and Folders say.
// Signals that nobody has taken yet are one. stop ends it; it may be called twice.
func (m *Mailbox) Watch(account int64) (changed <-chan struct{}, stop func()) {
	w := &m.watchers
	c := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of == nil {
		w.of = map[int64]map[chan struct{}]bool{}
	}
	if w.of[account] == nil {
		w.of[account] = map[chan struct{}]bool{}
	}
	w.of[account][c] = true
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.of[account], c)
		if len(w.of[account]) == 0 {
			delete(w.of, account)
		}
	}
}

func (w *watchers) tell(account int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.of[account] {
		select {
		case c <- struct{}{}:
		default: // It has a signal that it hasn't taken yet.
		}
	}
}

// lookEvery is how often Placed looks without having been told: another process
// may do the placing.
const lookEvery = 200 * time.Millisecond

// Placed waits until an entry lies somewhere for the account, as long as ctx
// lets it, and gives the first place. An entry that will lie nowhere, since it
// left or is another's, is an error that wraps fs.ErrNotExist.
func (m *Mailbox) Placed(ctx context.Context, account, entry int64) (Place, error) {
	changed, stop := m.Watch(account)
	defer stop()
	for {
		p, passed, err := m.firstPlace(ctx, account, entry)
		if err == nil || passed || !errors.Is(err, fs.ErrNotExist) {
			return p, err
		}
		select {
		case <-changed:
		case <-time.After(lookEvery):
		case <-ctx.Done():
			return Place{}, fmt.Errorf("waiting for entry %d: %w", entry, ctx.Err())
		}
	}
}

// firstPlace gives the first place of an entry, and whether its turn has passed.
func (m *Mailbox) firstPlace(ctx context.Context, account, entry int64) (p Place, passed bool, err error) {
	err = m.db.Read(ctx, func(tx *db.Tx) error {
		var next int64
		if err := tx.One("SELECT next FROM mail_clock", nil, &next); err != nil {
			return err
		}
		passed = entry < next
		list, err := placesOfEntry(tx, account, entry)
		if err == nil && len(list) == 0 {
			err = fs.ErrNotExist
		}
		if err == nil {
			p = list[0].Place
		}
		return err
	})
	if err != nil {
		return Place{}, passed, fmt.Errorf("finding entry %d: %w", entry, err)
	}
	return p, passed, nil
}
