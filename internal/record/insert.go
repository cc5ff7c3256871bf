package record

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"sijill/internal/blob"
	"sijill/internal/db"
	"sijill/internal/vault"
)

// insert writes the rows of a batch: entries, hashes, wrapped keys, head.
func (b *batchWrite) insert(tx *db.Tx) error {
	steps := []func(*db.Tx) error{b.insertEntries, b.insertHashes, b.insertKeys, b.insertContents, b.insertMarks, b.insertEnds, b.keepCheckpoint, b.moveHead, b.runWith}
	for _, step := range steps {
		if err := step(tx); err != nil {
			return err
		}
	}
	for k, at := range b.places {
		b.receipts[at.group][at.job] = Receipt{Entry: b.first + int64(k), Time: b.entries[k].Time}
	}
	return nil
}

// runWith runs what drafts want done in their entries' transaction.
func (b *batchWrite) runWith(tx *db.Tx) error {
	for i, j := range b.fresh {
		if j.draft.With == nil {
			continue
		}
		if err := j.draft.With(tx, b.first+int64(i)); err != nil {
			b.vetoed = true
			return err
		}
	}
	return nil
}

func (b *batchWrite) insertEntries(tx *db.Tx) error {
	var args []any
	for i, e := range b.entries {
		compact, err := e.AppendBinary(nil)
		if err != nil {
			return err
		}
		ref := b.refs[i]
		if ref == (blob.Ref{}) {
			args = append(args, b.first+int64(i), compact, nil, nil, nil)
			continue
		}
		args = append(args, b.first+int64(i), compact, ref.Segment, ref.Offset, ref.Length)
	}
	return insertRows(tx, "entry (number, compact, segment, at, length)", 5, args)
}

func (b *batchWrite) insertHashes(tx *db.Tx) error {
	args := make([]any, 0, 2*len(b.hashes))
	for i, h := range b.hashes {
		number := b.hashAt + int64(i)
		if level, _ := tlog.SplitStoredHashIndex(number); level > 0 {
			args = append(args, number, h[:])
		}
	}
	return insertRows(tx, "hash (number, hash)", 2, args)
}

func (b *batchWrite) insertKeys(tx *db.Tx) error {
	var args []any
	var personal []vault.MessageKey
	for i, j := range b.fresh {
		if j.sealed == nil {
			continue
		}
		for _, k := range j.sealed.Keys {
			k.Entry = b.first + int64(i)
			if k.Personal() {
				personal = append(personal, k)
				continue
			}
			args = append(args, k.Entry, k.Compartment, k.Wrapped)
		}
	}
	if err := vault.InsertPersonal(tx, personal); err != nil {
		return err
	}
	return insertRows(tx, vault.KeysTable, 3, args)
}

func (b *batchWrite) insertEnds(tx *db.Tx) error {
	ends := map[int64]int64{}
	for _, ref := range b.refs {
		if ref != (blob.Ref{}) {
			ends[ref.Segment] = max(ends[ref.Segment], ref.End())
		}
	}
	for segment, at := range ends {
		if _, err := tx.Exec(`INSERT INTO segment_end (segment, at) VALUES (?, ?)
			ON CONFLICT (segment) DO UPDATE SET at = excluded.at`, segment, at); err != nil {
			return fmt.Errorf("noting the end of a segment: %w", err)
		}
	}
	return nil
}

func (b *batchWrite) insertMarks(tx *db.Tx) error {
	for i, j := range b.fresh {
		if j.draft.Mark == "" {
			continue
		}
		if err := save(tx, j.draft.Mark, strconv.AppendInt(nil, b.first+int64(i), 10)); err != nil {
			return err
		}
	}
	return nil
}

// checkpointEvery is how far apart kept checkpoints are, in microseconds.
const checkpointEvery = 3600 * 1e6

// keepCheckpoint keeps the head's checkpoint when the last one kept is old:
// whoever holds an old proof can then be shown how the register grew from it.
func (b *batchWrite) keepCheckpoint(tx *db.Tx) error {
	var last int64
	if err := tx.One("SELECT coalesce(max(time), 0) FROM checkpoint", nil, &last); err != nil {
		return fmt.Errorf("finding the last checkpoint kept: %w", err)
	}
	if b.tree.time < last+checkpointEvery {
		return nil
	}
	_, err := tx.Exec("INSERT INTO checkpoint (size, time, note) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", b.tree.size, b.tree.time, b.note)
	if err != nil {
		return fmt.Errorf("keeping a checkpoint: %w", err)
	}
	return nil
}

// moveHead moves the head from where this batch found it, and from nowhere
// else: a head that anybody else has moved meanwhile is an error.
func (b *batchWrite) moveHead(tx *db.Tx) error {
	n, err := tx.Exec("UPDATE head SET size = ?, time = ?, checkpoint = ? WHERE id = 1 AND size = ?",
		b.tree.size, b.tree.time, b.note, b.first)
	if err != nil {
		return fmt.Errorf("moving the head: %w", err)
	}
	if n != 1 {
		return fmt.Errorf("moving the head: it is not at %d any more", b.first)
	}
	return nil
}

// rowsPerInsert is how many rows one statement takes: one statement a row
// costs three times the time.
const rowsPerInsert = 32

// insertRows inserts rows of width columns, given one after the other. into is
// the table with its columns.
func insertRows(tx *db.Tx, into string, width int, args []any) error {
	row := "(?" + strings.Repeat(", ?", width-1) + ")"
	for len(args) > 0 {
		// Two sizes of statement only, so that both stay prepared.
		n := 1
		if len(args) >= rowsPerInsert*width {
			n = rowsPerInsert
		}
		if _, err := tx.Exec(tx.InsertAll()+into+" VALUES "+row+strings.Repeat(", "+row, n-1), args[:n*width]...); err != nil {
			return fmt.Errorf("inserting rows: %w", err)
		}
		args = args[n*width:]
	}
	return nil
}
