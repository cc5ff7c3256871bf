package wall

import (
	"context"
	"fmt"
	"io/fs"
	"time"

	"sijill/internal/db"
)

// What became of a message that looks like the office's business.
const (
	stateDue = iota
	stateFiled
	statePersonal
)

// Due is a personal message of which a copy is to be filed.
type Due struct {
	Entry   int64
	Arrived time.Time
	By      time.Time // The end of the time to file it.
}

// Arrived notes in the transaction of an entry that its personal message came
// from a contact of the office.
func (w *Wall) Arrived(tx *db.Tx, entry, account int64) error {
	_, err := tx.Exec("INSERT INTO wall_due (entry, account, arrived, state) VALUES (?, ?, ?, ?)",
		entry, account, w.options.Now().UnixMicro(), stateDue)
	if err != nil {
		return fmt.Errorf("noting a message to be filed: %w", err)
	}
	return nil
}

// Filed notes, in the transaction of the filed copy's entry, that a message
// needs no reminder any more. One that had none is no error.
func (w *Wall) Filed(tx *db.Tx, account, entry int64) error {
	_, err := tx.Exec("UPDATE wall_due SET state = ? WHERE entry = ? AND account = ?", stateFiled, entry, account)
	if err != nil {
		return fmt.Errorf("noting a filed copy: %w", err)
	}
	return nil
}

// Keep notes, in the transaction of the entry that says so, that its owner found
// a message to be personal. It returns an error that wraps fs.ErrNotExist where
// no copy is due.
func (w *Wall) Keep(tx *db.Tx, account, entry int64) error {
	n, err := tx.Exec("UPDATE wall_due SET state = ? WHERE entry = ? AND account = ? AND state = ?", statePersonal, entry, account, stateDue)
	if err == nil && n == 0 {
		err = fs.ErrNotExist
	}
	if err != nil {
		return fmt.Errorf("noting a message as personal: %w", err)
	}
	return nil
}

// maxDue is how many messages Due lists.
const maxDue = 1000

// Due lists what an account is to file, the most urgent first: at most 1,000.
func (w *Wall) Due(ctx context.Context, account int64) (list []Due, err error) {
	err = w.db.Read(ctx, func(tx *db.Tx) error {
		const q = "SELECT entry, arrived FROM wall_due WHERE account = ? AND state = 0 ORDER BY arrived LIMIT ?"
		return tx.Each(q, []any{account, maxDue}, func(r db.Row) error {
			var d Due
			var at int64
			err := r.Scan(&d.Entry, &at)
			d.Arrived = time.UnixMicro(at).UTC()
			d.By = d.Arrived.Add(Deadline)
			list = append(list, d)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("listing what is to be filed: %w", err)
	}
	return list, nil
}

// Counts tells for the whole office how many copies are due, how many of them
// overdue, how many were filed, and how many messages their owners called
// personal.
type Counts struct{ Due, Overdue, Filed, Personal int64 }

// Count counts.
func (w *Wall) Count(ctx context.Context) (c Counts, err error) {
	err = w.db.Read(ctx, func(tx *db.Tx) error {
		const q = `SELECT coalesce(sum(state = 0), 0), coalesce(sum(state = 0 AND arrived < ?), 0),
			coalesce(sum(state = 1), 0), coalesce(sum(state = 2), 0) FROM wall_due`
		return tx.One(q, []any{w.options.Now().Add(-Deadline).UnixMicro()}, &c.Due, &c.Overdue, &c.Filed, &c.Personal)
	})
	if err != nil {
		return c, fmt.Errorf("counting what is to be filed: %w", err)
	}
	return c, nil
}
