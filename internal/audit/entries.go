package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"sync"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/vault"
)

// batchSize is how many entries are read at once.
const batchSize = 512

// entry is one row of the register with all that belongs to it.
type entry struct {
	number int64
	entry  *sijill.Entry
	body   []byte // Canonical, as it was hashed.
	ref    *reference
	keys   []vault.MessageKey
	err    error // The row can't be read.
}

// entries verifies every entry in order, and the tree that they make.
func (a *auditor) entries(ctx context.Context, h head) {
	wanted := a.wanted(h)
	a.roots, a.last = map[int64]sijill.Hash{0: a.tree.root()}, map[int64]int64{}
	hashes := &storedHashes{a: a, ctx: ctx}
	a.intact = true
	a.keyless, a.own, a.gone = map[int64]bool{}, map[int64]string{}, map[int64]int64{}
	for rows := range a.readAhead(ctx, h.size) {
		a.verify(ctx, rows)
		for _, e := range rows {
			a.claim(e)
			a.destroying(e)
			if a.intact = a.intact && e.err == nil; !a.intact {
				continue
			}
			a.grow(e, hashes)
			if wanted[e.number+1] {
				a.roots[e.number+1] = a.tree.root()
			}
		}
		a.segments.trim()
		if a.opts.Progress != nil {
			a.opts.Progress(rows[len(rows)-1].number+1, h.size)
		}
	}
	hashes.flush()
}

// grow adds an entry to the tree and compares the hashes that are stored.
func (a *auditor) grow(e entry, stored *storedHashes) {
	for level, h := range a.tree.add(leafHash(e.body)) {
		stored.next(level, e.number>>level, h)
	}
}

// readAhead reads all entries before size in batches, one batch ahead of who
// verifies them.
func (a *auditor) readAhead(ctx context.Context, size int64) <-chan []entry {
	batches := make(chan []entry, 1)
	go func() {
		defer close(batches)
		for first := int64(0); first < size && ctx.Err() == nil; first += batchSize {
			batches <- a.read(ctx, first, min(batchSize, size-first))
		}
	}()
	return batches
}

// read reads rows. Where a batch can't be read, each row is tried alone, so that
// the damaged ones can be named.
func (a *auditor) read(ctx context.Context, first, n int64) []entry {
	rows, err := a.query(ctx, first, n)
	if err == nil {
		return rows
	}
	if n == 1 {
		return []entry{{number: first, err: err}}
	}
	rows = nil
	for i := range n {
		rows = append(rows, a.read(ctx, first+i, 1)...)
	}
	return rows
}

func (a *auditor) query(ctx context.Context, first, n int64) (rows []entry, err error) {
	err = a.opts.DB.Read(ctx, func(tx *db.Tx) error {
		last := first + n - 1
		err := tx.Each("SELECT number, compact, segment, at, length FROM entry WHERE number BETWEEN ? AND ? ORDER BY number",
			[]any{first, last}, func(r db.Row) error {
				e, err := scan(r)
				rows = append(rows, e)
				return err
			})
		if err != nil {
			return fmt.Errorf("its row can't be read: %w", err)
		}
		for i := range n {
			if int64(len(rows)) <= i || rows[i].number != first+i {
				return errors.New("its row is missing")
			}
		}
		keys, err := vault.Keys(tx, first, last)
		if err != nil {
			return err
		}
		for _, k := range keys {
			rows[k.Entry-first].keys = append(rows[k.Entry-first].keys, k)
		}
		return nil
	})
	return rows, err
}

func scan(r db.Row) (e entry, err error) {
	var compact []byte
	var segment, at, length *int64
	if err := r.Scan(&e.number, &compact, &segment, &at, &length); err != nil {
		return e, err
	}
	if segment != nil && at != nil && length != nil {
		e.ref = &reference{*segment, *at, *length}
	}
	e.entry = &sijill.Entry{}
	if err := e.entry.UnmarshalBinary(compact); err != nil {
		return e, err
	}
	e.body, err = e.entry.Marshal()
	return e, err
}

// verdict is what verifying one entry gave.
type verdict struct {
	message, opened, closed, personal, keyless bool
	problem                                    string
}

// verify checks entries and messages on all processors, and reports in order.
func (a *auditor) verify(ctx context.Context, rows []entry) {
	verdicts := make([]verdict, len(rows))
	workers := runtime.GOMAXPROCS(0)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(rows); i += workers {
				verdicts[i] = a.one(ctx, rows[i])
			}
		})
	}
	wg.Wait()
	for i, v := range verdicts {
		a.count(rows[i], v)
	}
}

func (a *auditor) count(e entry, v verdict) {
	if v.message {
		a.report.Messages++
	}
	if v.opened {
		a.report.Opened++
	}
	if v.closed {
		a.report.Closed++
	}
	if v.personal {
		a.report.Personal++
		a.own[e.number] = e.entry.Accounts[0]
	}
	if v.keyless {
		a.keyless[e.number] = true
	}
	if v.problem != "" {
		a.report.find(fmt.Sprintf("entry %d", e.number), "%s", v.problem)
	}
}

func (a *auditor) one(ctx context.Context, e entry) (v verdict) {
	switch {
	case e.err != nil:
		v.problem = e.err.Error()
		return v
	case e.entry.Message == nil && e.ref == nil:
		return v
	case e.entry.Message == nil:
		v.problem = "it has no message but refers to one"
		return v
	}
	v.message = true
	if e.ref == nil {
		v.problem = "it does not say where its sealed message is"
		return v
	}
	v.problem, v.opened, v.closed = a.message(ctx, e, e.entry.Message)
	a.personal(e, &v)
	return v
}

func (a *auditor) message(ctx context.Context, e entry, m *sijill.Message) (problem string, open, closed bool) {
	id, data, err := a.segments.frame(*e.ref)
	if err != nil {
		return fmt.Sprintf("segment %d at %d: %v", e.ref.segment, e.ref.at, err), false, false
	}
	if id != m.ID {
		return fmt.Sprintf("segment %d at %d: the message there has another id", e.ref.segment, e.ref.at), false, false
	}
	opened, err := a.opts.Vault.Open(ctx, nil, e.keys, m, data)
	if err == nil {
		_, err = opened.Recommit(m)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", false, true
	case err != nil:
		return fmt.Sprintf("segment %d at %d: %v", e.ref.segment, e.ref.at, err), false, false
	}
	return a.otherKeys(ctx, e, m), true, false
}
