package mailbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/message"
	"sijill/internal/record"
)

// Facts are what is derived from messages: lines of lists, threads, what IMAP
// shows. The same code keeps those of office mail on disk and those of mail that
// only its owner opens in memory. It is safe for concurrent use.
type Facts struct {
	db *db.DB
}

// NewFacts makes the facts whose tables are in d. The migrations of a Mailbox
// must have run there.
func NewFacts(d *db.DB) *Facts { return &Facts{db: d} }

// Fact is one message as an account that holds it is to see it.
type Fact struct {
	Entry, Account int64
	Row            int64 // That of the message's place.
	Draft          any   // What Prepare gave.
}

// Prepare makes the draft of a message from an item that opens, whatever its
// class, or nil where there is nothing to show. It uses no database.
func (f *Facts) Prepare(it *record.Item) (any, error) { return prepare(it) }

// Apply writes the facts of messages, in the order of list, in a transaction of
// the facts' database. A fact that is there already is left as it is.
func (f *Facts) Apply(_ context.Context, tx *db.Tx, list []Fact) error {
	var entries []int64
	for _, x := range list {
		entries = append(entries, x.Entry)
	}
	have, err := RowOf(tx, unique(entries))
	if err != nil {
		return err
	}
	var lines []*line
	for _, x := range list {
		d, _ := x.Draft.(*draft)
		if _, ok := have[x.Entry]; d == nil || ok {
			continue
		}
		lines = append(lines, &line{draft: d, account: x.Account, entry: x.Entry, row: x.Row})
	}
	return f.apply(tx, lines)
}

// apply writes facts that aren't there. Lines of one entry stand together.
func (f *Facts) apply(tx *db.Tx, lines []*line) error {
	if len(lines) == 0 {
		return nil
	}
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
	if err := t.flush(); err != nil {
		return err
	}
	byRow(lines)
	if err := insertMessages(tx, lines); err != nil {
		return err
	}
	return insertHoldings(tx, lines)
}

func insertMessages(tx *db.Tx, lines []*line) error {
	args := make([]any, 0, 14*len(lines))
	for i, l := range lines {
		if i > 0 && lines[i-1].row == l.row { // Another holder of the same.
			continue
		}
		args = append(args, l.row, l.entry, l.size, l.sent, l.received, l.internal, l.captured,
			l.from.Name, l.from.Addr, l.to, l.subject, l.snippet, l.attachments, l.envelope)
	}
	return insert(tx, "mail_message (row, entry, size, sent, received, internal, captured, "+
		"from_name, from_addr, to_text, subject, snippet, attachments, envelope)", 14, args)
}

func insertHoldings(tx *db.Tx, lines []*line) error {
	args := make([]any, 0, 3*len(lines))
	for _, l := range lines {
		args = append(args, l.row, l.account, l.thread)
	}
	return insert(tx, "mail_holding (row, account, thread)", 3, args)
}

// reset forgets all.
func (f *Facts) reset(tx *db.Tx) error {
	for _, table := range []string{"mail_message", "mail_holding", "mail_reference", "mail_subject", "mail_merged"} {
		if _, err := tx.Exec("DELETE FROM " + table); err != nil {
			return fmt.Errorf("emptying %s: %w", table, err)
		}
	}
	return nil
}

// Remove forgets the facts of messages, whoever holds them, and gives the rows
// that they had: of what can't be opened any more. What is known of the
// Message-IDs of a thread stays.
func (f *Facts) Remove(_ context.Context, tx *db.Tx, entries []int64) (rows []int64, err error) {
	found, err := RowOf(tx, unique(slices.Clone(entries)))
	if err != nil {
		return nil, err
	}
	for _, row := range found {
		rows = append(rows, row)
	}
	rows = unique(rows)
	for _, table := range []string{"mail_holding", "mail_message"} {
		if err := execOf(tx, "DELETE FROM "+table+" WHERE row IN (?)", nil, rows); err != nil {
			return nil, fmt.Errorf("forgetting facts: %w", err)
		}
	}
	return rows, nil
}

// removePersonal removes the facts of destroyed messages. Personal mail has one
// holder: what others hold too, or only others, is none.
func (f *Facts) removePersonal(tx *db.Tx, holders, entries []int64) error {
	if len(holders) != 1 {
		return nil
	}
	rows, err := RowOf(tx, entries)
	if err != nil || len(rows) == 0 {
		return err
	}
	var gone []int64
	for entry, row := range rows {
		err := tx.One("SELECT row FROM mail_holding WHERE row = ? AND account <> ?", []any{row, holders[0]}, new(int64))
		if errors.Is(err, fs.ErrNotExist) {
			err, gone = nil, append(gone, entry)
		}
		if err != nil {
			return err
		}
	}
	_, err = f.Remove(context.Background(), tx, gone)
	return err
}

// Prepare makes the draft of an office message, or nil where there is nothing to
// show: another kind of entry, personal mail, or content that can't be opened.
func (m *Mailbox) Prepare(it *record.Item) (any, error) {
	if classOf(it.Class) != sijill.Office {
		return nil, nil // Its facts are never here, even while it could be opened.
	}
	return prepare(it)
}

func prepare(it *record.Item) (any, error) {
	if !HasMessage(it) {
		return nil, nil
	}
	c, err := it.Content()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("opening entry %d for the mailbox: %w", it.Index, err)
	}
	p, err := it.Parsed()
	if err != nil {
		return nil, fmt.Errorf("parsing entry %d for the mailbox: %w", it.Index, err)
	}
	d := newDraft(c, p, it.Entry.Time)
	outer := p
	if c.Envelope.Journal != nil { // IMAP shows the report itself.
		outer = message.Parse(c.Message)
	}
	d.envelope = packEnvelope(d, outer, len(c.Envelope.Present(c.Message))-len(c.Message))
	return d, nil
}
