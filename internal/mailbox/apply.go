package mailbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"sijill/internal/db"
	"sijill/internal/record"
)

// line is a message as one account that holds it sees it.
type line struct {
	*draft
	account, entry, row int64
	folder              *folder
	uid, thread         int64
}

// Apply writes the rows of captured messages. Other entries change nothing.
func (m *Mailbox) Apply(_ context.Context, tx *db.Tx, items []*record.Item, prepared []any) error {
	var messages, lines []*line
	taken := map[int64]bool{}
	for i, it := range items {
		d, _ := prepared[i].(*draft)
		if d == nil {
			continue
		}
		row, err := freeRow(tx, RowID(d.sort, it.Index), it.Index, taken)
		if err != nil {
			return fmt.Errorf("choosing a row: %w", err)
		}
		messages = append(messages, &line{draft: d, entry: it.Index, row: row})
		for _, account := range unique(slices.Clone(it.Holders)) {
			lines = append(lines, &line{draft: d, account: account, entry: it.Index, row: row})
		}
	}
	if len(messages) == 0 {
		return nil
	}
	if err := file(tx, lines); err != nil {
		return err
	}
	if err := thread(tx, lines); err != nil {
		return err
	}
	if err := insertMessages(tx, messages); err != nil {
		return err
	}
	return insertPlacements(tx, lines)
}

// Reset forgets all rows; what people did to messages stays.
func (m *Mailbox) Reset(_ context.Context, tx *db.Tx) error {
	for _, table := range []string{"mail_message", "mail_folder", "mail_placement", "mail_reference", "mail_subject", "mail_merged"} {
		if _, err := tx.Exec("DELETE FROM " + table); err != nil {
			return fmt.Errorf("emptying %s: %w", table, err)
		}
	}
	return nil
}

// freeRow is row or the next one that is free. Two entries want the same row
// only when they are 2^24 apart, so the first 2^24 needn't ask.
func freeRow(tx *db.Tx, row, entry int64, taken map[int64]bool) (int64, error) {
	if entry <= numberMask {
		taken[row] = true
		return row, nil
	}
	for ; ; row++ {
		if taken[row] {
			continue
		}
		var found int64
		err := tx.One("SELECT row FROM mail_message WHERE row = ?", []any{row}, &found)
		if errors.Is(err, fs.ErrNotExist) {
			taken[row] = true
			return row, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// thread gives every line its thread.
func thread(tx *db.Tx, lines []*line) error {
	t, err := newThreads(tx, lines)
	if err != nil {
		return err
	}
	for _, l := range lines {
		if err := t.place(l); err != nil {
			return err
		}
	}
	for _, l := range lines {
		l.thread = t.root(l.account, l.thread)
	}
	return t.flush()
}

func insertMessages(tx *db.Tx, messages []*line) error {
	byRow(messages)
	args := make([]any, 0, 13*len(messages))
	for _, l := range messages {
		args = append(args, l.row, l.entry, l.size, l.sent, l.received, l.internal, l.captured,
			l.from.Name, l.from.Addr, l.to, l.subject, l.snippet, l.attachments)
	}
	return insert(tx, "mail_message (row, entry, size, sent, received, internal, captured, "+
		"from_name, from_addr, to_text, subject, snippet, attachments)", 13, args)
}

func insertPlacements(tx *db.Tx, lines []*line) error {
	byRow(lines)
	args := make([]any, 0, 5*len(lines))
	for _, l := range lines {
		args = append(args, l.row, l.account, l.folder.ID, l.uid, l.thread)
	}
	return insert(tx, "mail_placement (row, account, folder, uid, thread)", 5, args)
}

// byRow puts lines into the order of the tables, which keeps writes together.
func byRow(lines []*line) {
	slices.SortFunc(lines, func(a, b *line) int {
		return cmp.Or(cmp.Compare(a.row, b.row), cmp.Compare(a.account, b.account))
	})
}

// byAccount parts lines by their account, which keep their order.
func byAccount(lines []*line) map[int64][]*line {
	out := map[int64][]*line{}
	for _, l := range lines {
		out[l.account] = append(out[l.account], l)
	}
	return out
}

// accounts gives the accounts of lines, ascending.
func accounts(lines []*line) []int64 {
	return slices.Sorted(maps.Keys(byAccount(lines)))
}
