package mailbox

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"sijill/internal/db"
)

// Changes is what became of a folder since a ModSeq.
type Changes struct {
	// Changed are the messages that came or changed and are still there, by UID.
	Changed []Place
	// Gone are the UIDs that left, ascending; some of them may have come and
	// gone since.
	Gone []int64
	// ModSeq is what to ask with the next time.
	ModSeq int64
	// Whole says that nobody remembers any more: read everything. The lists
	// are empty then.
	Whole bool
}

// Changes gives what became of a folder after the ModSeq since: what Places gave
// then, without those that are Gone and with those that are Changed in place of
// their older selves, is what it gives now. A folder that isn't the account's is
// an error that wraps fs.ErrNotExist.
func (m *Mailbox) Changes(ctx context.Context, account, folder, since int64) (c Changes, err error) {
	err = m.db.Read(ctx, func(tx *db.Tx) error {
		f, err := owned(tx, account, folder)
		if err != nil {
			return err
		}
		c.ModSeq = f.ModSeq
		if since < f.forgotten || since > f.ModSeq {
			c.Whole = true
			return nil
		}
		return c.read(tx, folder, since)
	})
	if err != nil {
		return Changes{}, fmt.Errorf("reading changes: %w", err)
	}
	return c, nil
}

// span is a stretch of UIDs.
type span struct{ first, last int64 }

func (c *Changes) read(tx *db.Tx, folder, since int64) error {
	if since == c.ModSeq {
		return nil
	}
	var spans []span
	const q = "SELECT first, last, gone FROM mail_change WHERE folder = ? AND mod_seq > ?"
	err := tx.Each(q, []any{folder, since}, func(r db.Row) error {
		var s span
		var gone []byte
		if err := r.Scan(&s.first, &s.last, &gone); err != nil {
			return err
		}
		if s.first > 0 {
			spans = append(spans, s)
		}
		c.Gone = unpackUIDs(gone, c.Gone)
		return nil
	})
	if err != nil {
		return err
	}
	slices.Sort(c.Gone)
	for _, s := range joined(spans) {
		places, err := placesBetween(tx, folder, s.first, s.last, since)
		if err != nil {
			return err
		}
		c.Changed = append(c.Changed, places...)
	}
	return nil
}

// joined makes spans that overlap or touch one, ascending.
func joined(spans []span) (out []span) {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	for _, s := range spans {
		if n := len(out); n > 0 && s.first <= out[n-1].last+1 {
			out[n-1].last = max(out[n-1].last, s.last)
			continue
		}
		out = append(out, s)
	}
	return out
}
