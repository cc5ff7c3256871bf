package outbox

import (
	"context"
	"sync"

	"sijill/internal/db"
)

// writes does small changes of many goroutines in common transactions, since
// each transaction waits for the disk.
type writes struct {
	db *db.DB

	mu      sync.Mutex // Guards what follows.
	waiting []*write
	busy    bool // Somebody is writing, and will look again.
}

type write struct {
	do   func(*db.Tx) error
	err  error
	done chan struct{}
}

// maxTogether bounds one transaction.
const maxTogether = 256

func newWrites(d *db.DB) *writes { return &writes{db: d} }

// do runs fn in a transaction, perhaps together with others; when it returns
// nil what fn did is durable. fn may run twice, once in a transaction that is
// given up. Whoever comes while nobody writes does it for all who come
// meanwhile.
func (w *writes) do(fn func(*db.Tx) error) error {
	mine := &write{do: fn, done: make(chan struct{})}
	w.mu.Lock()
	w.waiting = append(w.waiting, mine)
	lead := !w.busy
	w.busy = true
	w.mu.Unlock()
	if lead {
		go w.drain()
	}
	<-mine.done
	return mine.err
}

func (w *writes) drain() {
	for {
		w.mu.Lock()
		n := min(len(w.waiting), maxTogether)
		batch := w.waiting[:n:n]
		w.waiting = w.waiting[n:]
		w.busy = n > 0
		w.mu.Unlock()
		if n == 0 {
			return
		}
		w.run(batch)
	}
}

// run does a batch; when it fails as a whole, each alone, so that one bad
// change harms nobody else.
func (w *writes) run(batch []*write) {
	err := w.together(batch)
	for _, one := range batch {
		if one.err = err; err != nil && len(batch) > 1 {
			one.err = w.together([]*write{one})
		}
		close(one.done)
	}
}

func (w *writes) together(batch []*write) error {
	// What was begun is seen through: nobody who asked has an answer yet.
	return w.db.Write(context.Background(), func(tx *db.Tx) error {
		for _, one := range batch {
			if err := one.do(tx); err != nil {
				return err
			}
		}
		return nil
	})
}
