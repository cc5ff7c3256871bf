package audit

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"sijill/internal/db"
)

// head is the register's own account of itself, at one moment: it may be
// growing while it is audited.
type head struct {
	size int64
	note []byte
	kept []noteOf        // Checkpoints that it keeps of its present origin.
	ends map[int64]int64 // Where it says that the last frame of each segment ends.
}

// noteOf is a checkpoint and what to call it.
type noteOf struct {
	what string
	note []byte
}

// snapshot reads the head, and looks for what lies beyond it: rows there are
// covered by no checkpoint, and stand in the way of entries to come.
func (a *auditor) snapshot(ctx context.Context) (h head, ok bool) {
	err := a.opts.DB.Read(ctx, func(tx *db.Tx) error {
		err := tx.One("SELECT origin, size, checkpoint FROM head WHERE id = 1", nil, &a.report.Origin, &h.size, &h.note)
		if err != nil {
			return err
		}
		ok = true
		a.report.Entries = h.size
		if err := a.kept(tx, &h); err != nil {
			return err
		}
		if err := segmentEnds(tx, &h); err != nil {
			return err
		}
		return a.beyond(tx, h.size)
	})
	if err != nil {
		a.report.find("head", "it can't be read: %v", err)
	}
	return h, ok
}

// kept reads the checkpoints that the register keeps of its present origin.
func (a *auditor) kept(tx *db.Tx, h *head) error {
	return tx.Each("SELECT size, note FROM checkpoint ORDER BY size", nil, func(r db.Row) error {
		var size int64
		var note []byte
		if err := r.Scan(&size, &note); err != nil {
			return err
		}
		if c, err := unsigned(note); err != nil || c.Origin == a.report.Origin {
			h.kept = append(h.kept, noteOf{fmt.Sprintf("checkpoint of size %d", size), note})
		}
		return nil
	})
}

func segmentEnds(tx *db.Tx, h *head) error {
	h.ends = map[int64]int64{}
	return tx.Each("SELECT segment, at FROM segment_end", nil, func(r db.Row) error {
		var segment, at int64
		err := r.Scan(&segment, &at)
		h.ends[segment] = at
		return err
	})
}

// beyond counts rows that belong to no entry before size, and hashes that
// belong to no tree of that size.
func (a *auditor) beyond(tx *db.Tx, size int64) error {
	numbers, inner := hashNumbers(size)
	for _, q := range []struct {
		what, query string
		arg, want   int64
	}{
		{"entries", "SELECT count(*) FROM entry WHERE number >= ? OR number < 0", size, 0},
		{"message keys", "SELECT count(*) FROM message_key WHERE entry >= ? OR entry < 0", size, 0},
		{"personal keys", "SELECT count(*) FROM personal_key WHERE entry >= ? OR entry < 0", size, 0},
		{"tree hashes", "SELECT count(*) FROM hash WHERE number >= ? OR number < 0", numbers, 0},
		{"tree hashes", "SELECT count(*) FROM hash WHERE number >= 0 AND number < ?", numbers, inner},
	} {
		var n int64
		if err := tx.One(q.query, []any{q.arg}, &n); err != nil {
			return fmt.Errorf("counting %s: %w", q.what, err)
		}
		if n > q.want { // Those that are missing are named one by one.
			a.report.find(q.what, "%d rows belong to nothing in the register", n-q.want)
		}
	}
	return nil
}

// hashNumbers tells how many numbers the hashes of a tree take, and how many of
// those are of hashes above the leaves.
func hashNumbers(size int64) (all, inner int64) {
	for n := size >> 1; n > 0; n >>= 1 {
		inner += n
	}
	return size + inner, inner
}

// claim notes that an entry refers to a frame.
func (a *auditor) claim(e entry) {
	if e.ref != nil {
		a.last[e.ref.segment] = max(a.last[e.ref.segment], e.ref.at+frameOverhead+e.ref.length)
	}
}

// ends compares where segments end: what lies after the end that the register
// notes is cut off at its next start.
func (a *auditor) ends(h head) {
	if !a.intact || h.ends == nil {
		return // What can't be read was named already.
	}
	all := maps.Clone(h.ends)
	maps.Copy(all, a.last)
	for _, segment := range slices.Sorted(maps.Keys(all)) {
		if noted, last := h.ends[segment], a.last[segment]; noted != last {
			a.report.find(fmt.Sprintf("segment %d", segment), "its messages end at %d, and %d is noted as its end", last, noted)
		}
	}
}
