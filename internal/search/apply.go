package search

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"sijill/internal/db"
	"sijill/internal/mailbox"
	"sijill/internal/record"
)

// document is a message on its way into the index.
type document struct {
	*draft
	entry, row, doc int64
	holders         []int64
}

const insertText = `INSERT INTO search_text (rowid, body, subject, sender, rcpt, cc, filename, tag)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?)`

// Apply puts captured messages into the index. The mailbox must have had the
// same items before.
func (s *Search) Apply(_ context.Context, tx *db.Tx, items []*record.Item, prepared []any) error {
	docs, err := documents(tx, items, prepared)
	if err != nil || len(docs) == 0 {
		return err
	}
	if err := s.number(tx, docs); err != nil {
		return fmt.Errorf("numbering documents: %w", err)
	}
	if err := noteHolders(tx, docs); err != nil {
		return fmt.Errorf("noting holders: %w", err)
	}
	// In the order of their numbers: the engine writes out what it has
	// gathered whenever a number is lower than the one before.
	for _, d := range docs {
		t := &d.terms
		_, err := tx.Exec(insertText, d.doc, t[colBody], t[colSubject], t[colSender], t[colRcpt], t[colCc], t[colFilename], d.tags())
		if err != nil {
			return fmt.Errorf("indexing entry %d: %w", d.entry, err)
		}
	}
	return nil
}

// documents joins what was prepared with what the mailbox says about it, in the
// order of row ids.
func documents(tx *db.Tx, items []*record.Item, prepared []any) ([]*document, error) {
	var docs []*document
	var entries []int64
	for i, it := range items {
		if d, _ := prepared[i].(*draft); d != nil {
			docs = append(docs, &document{draft: d, entry: it.Index})
			entries = append(entries, it.Index)
		}
	}
	if len(docs) == 0 {
		return nil, nil
	}
	rowOf, err := mailbox.RowOf(tx, entries)
	if err != nil {
		return nil, err
	}
	var rows []int64
	for _, d := range docs {
		d.row = rowOf[d.entry]
		rows = append(rows, d.row)
	}
	holders, err := mailbox.HoldersOf(tx, rows)
	if err != nil {
		return nil, err
	}
	for _, d := range docs {
		d.holders = holders[d.row]
	}
	docs = slices.DeleteFunc(docs, func(d *document) bool { return len(d.holders) == 0 })
	slices.SortFunc(docs, func(a, b *document) int { return cmp.Compare(a.row, b.row) })
	return docs, nil
}

// number gives documents their numbers: the sort date in unix seconds or, where
// that is taken, the next free number.
func (s *Search) number(tx *db.Tx, docs []*document) error {
	last, spill := int64(-1), int64(0)
	for _, d := range docs {
		if err := s.taken.place(tx, d, last+1); err != nil {
			return err
		}
		last, spill = d.doc, max(spill, d.doc-dateOf(d.row))
	}
	_, err := tx.Exec("UPDATE search_spill SET seconds = ? WHERE one = 1 AND seconds < ?", spill, spill)
	return err
}

// run is a stretch of numbers, from first to before next, all of which are
// taken: many messages bear the same second when a day is busy. It is only a
// hint where to look; after a transaction that failed, it may skip numbers that
// are free.
type run struct{ first, next int64 }

// place inserts a document under the first free number from its date on, and
// not below least.
func (r *run) place(tx *db.Tx, d *document, least int64) error {
	d.doc = r.skip(max(dateOf(d.row), least))
	for {
		n, err := tx.Exec(`INSERT INTO search_doc (doc, row, entry, size) VALUES (?, ?, ?, ?)
			ON CONFLICT (doc) DO NOTHING`, d.doc, d.row, d.entry, d.size)
		if err != nil {
			return err
		}
		if n == 1 {
			break
		}
		free, err := nextFree(tx, d.doc)
		if err != nil {
			return err
		}
		*r, d.doc = run{d.doc, free}, free
	}
	if d.doc == r.next {
		r.next++
	}
	return nil
}

func (r *run) skip(doc int64) int64 {
	if r.first <= doc && doc < r.next {
		return r.next
	}
	return doc
}

// noteHolders keeps the list of accounts that hold anything. It is there before
// any document that they hold, in the same transaction.
func noteHolders(tx *db.Tx, docs []*document) error {
	seen := map[int64]bool{}
	for _, d := range docs {
		for _, account := range d.holders {
			if seen[account] {
				continue
			}
			seen[account] = true
			if _, err := tx.Exec("INSERT INTO search_holder (account) VALUES (?) ON CONFLICT (account) DO NOTHING", account); err != nil {
				return err
			}
		}
	}
	return nil
}

// dateOf is the sort date of a mailbox row in unix seconds.
func dateOf(row int64) int64 { return row >> 24 }

var errStop = errors.New("stop")

// nextFree is the first free number after doc, which is taken.
func nextFree(tx *db.Tx, doc int64) (int64, error) {
	free := doc + 1
	err := tx.Each("SELECT doc FROM search_doc WHERE doc >= ? ORDER BY doc", []any{free}, func(r db.Row) error {
		var taken int64
		if err := r.Scan(&taken); err != nil {
			return err
		}
		if taken != free {
			return errStop
		}
		free++
		return nil
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	return free, err
}

// Remove takes rows of the mailbox out of the index; those that it doesn't have
// are no error. Their words stay in the encrypted file until the engine merges
// the segments they are in, or Purge does.
func (s *Search) Remove(_ context.Context, tx *db.Tx, rows []int64) error {
	for _, row := range rows {
		var doc int64
		err := tx.One("SELECT doc FROM search_doc WHERE row = ?", []any{row}, &doc)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			_, err = tx.Exec("DELETE FROM search_text WHERE rowid = ?", doc)
		}
		if err == nil {
			_, err = tx.Exec("DELETE FROM search_doc WHERE doc = ?", doc)
		}
		if err == nil {
			_, err = tx.Exec("UPDATE search_spill SET removed = 1 WHERE removed = 0")
		}
		if err != nil {
			return fmt.Errorf("removing row %d from the index: %w", row, err)
		}
	}
	return nil
}

// Removed tells whether words of what was removed may be in the file still: Purge
// is owed, and Shrink of the database; then Purged notes that both were done.
func (s *Search) Removed(ctx context.Context) (owed bool, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error { return tx.One("SELECT removed <> 0 FROM search_spill", nil, &owed) })
	if err != nil {
		return false, fmt.Errorf("asking whether the index is to be purged: %w", err)
	}
	return owed, nil
}

// Purged notes that nothing of what was removed is in the file any more.
func (s *Search) Purged(_ context.Context, tx *db.Tx) error {
	_, err := tx.Exec("UPDATE search_spill SET removed = 0")
	return err
}

// Purge rewrites the index without what was removed from it. It takes about as
// long as building the index took.
func (s *Search) Purge(_ context.Context, tx *db.Tx) error {
	if _, err := tx.Exec("INSERT INTO search_text (search_text) VALUES ('optimize')"); err != nil {
		return fmt.Errorf("purging the index: %w", err)
	}
	return nil
}

// Reset forgets all rows.
func (s *Search) Reset(_ context.Context, tx *db.Tx) error {
	s.taken = run{}
	for _, q := range []string{
		"INSERT INTO search_text (search_text) VALUES ('delete-all')",
		"DELETE FROM search_doc",
		"DELETE FROM search_holder",
		"UPDATE search_spill SET seconds = 0",
	} {
		if _, err := tx.Exec(q); err != nil {
			return fmt.Errorf("emptying the index: %w", err)
		}
	}
	return nil
}

// tags are terms that no text gives, since they begin with "=": who holds a
// message, and what it has. Where it lies and whether it was read are no tags,
// so that moving it costs the index nothing.
func (d *document) tags() string {
	var out []string
	for _, account := range d.holders {
		out = append(out, accountTag(account))
	}
	if d.attachments {
		out = append(out, attachmentTag)
	}
	for k := firstSizeTag; d.size >= 1<<k; k++ {
		out = append(out, sizeTag(k))
	}
	return strings.Join(out, " ")
}

const (
	attachmentTag = "=attachment"
	// firstSizeTag is the binary logarithm of the smallest size that has a
	// tag: looking for large messages then walks over few others.
	firstSizeTag = 12
)

func accountTag(id int64) string { return fmt.Sprintf("=a%d", id) }
func sizeTag(log2 int) string    { return fmt.Sprintf("=s%d", log2) }
