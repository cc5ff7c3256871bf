package mailbox

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/record"
)

// A note is what the register is owed about a change. It is written in the
// change's own transaction, becomes an entry right after, and is forgotten then.
// Its mark is written in the entry's own transaction, so that a note which a
// crash has left behind becomes no second entry. What nobody waits for (a copy
// that left Sent, see sent.go) is told by Keep.

// actor names who appends for people in entries; the entry's account says for
// whom.
const actor = "mailbox"

// detail is sealed in an entry: what must be provable and not public.
type detail struct {
	From    string `json:"from,omitempty"`   // Names of folders.
	To      string `json:"to,omitempty"`     //
	UIDs    string `json:"uids,omitempty"`   // In From; ranges as IMAP writes them.
	Entries string `json:"entries"`          // Of the messages, likewise.
	Reason  string `json:"reason,omitempty"` // Why, where nobody asked for it.
}

// noteFields stand in the entry for everyone where the messages are too many to
// be named there: a count. Their numbers are in the detail.
type noteFields struct {
	Messages int64 `json:"messages"`
}

// maxNamed is how many messages an entry names: many more don't fit into one.
const maxNamed = 4000

// fields are those of the note's entry.
func (n *note) fields() (any, error) {
	if n.count > maxNamed {
		return noteFields{Messages: n.count}, nil
	}
	entries, err := n.entries()
	if n.kind == sijill.Moved {
		return sijill.MovedFields{Entries: entries}, err
	}
	return sijill.ExpungedFields{Entries: entries}, err
}

func (n *note) entries() ([]int64, error) {
	var d detail
	if err := json.Unmarshal([]byte(n.detail), &d); err != nil {
		return nil, fmt.Errorf("reading a note: %w", err)
	}
	return numbers(d.Entries)
}

// owe writes a note about places.
func (l *ledger) owe(account int64, kind sijill.Kind, places []*place, d detail) error {
	uids, entries := make([]int64, len(places)), make([]int64, len(places))
	for i, p := range places {
		uids[i], entries[i] = p.UID, p.Entry
	}
	d.UIDs = ranges(uids)
	return l.oweEntries(account, kind, entries, d)
}

func (l *ledger) oweEntries(account int64, kind sijill.Kind, entries []int64, d detail) error {
	d.Entries = ranges(entries)
	b, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("encoding a note: %w", err)
	}
	mark := make([]byte, 16)
	_, _ = rand.Read(mark) // It never fails.
	id, err := l.tx.Insert("INSERT INTO mail_note (mark, account, kind, count, detail) VALUES (?, ?, ?, ?, ?)",
		mark, account, string(kind), len(entries), string(b))
	if err != nil {
		return fmt.Errorf("writing a note: %w", err)
	}
	l.notes = append(l.notes, id)
	return nil
}

// ranges writes numbers as IMAP does: 1:3,7. Repeated ones are written once.
func ranges(numbers []int64) string {
	var b strings.Builder
	numbers = unique(slices.Clone(numbers))
	for i := 0; i < len(numbers); i++ {
		first := numbers[i]
		for i+1 < len(numbers) && numbers[i+1] == numbers[i]+1 {
			i++
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatInt(first, 10))
		if numbers[i] > first {
			b.WriteByte(':')
			b.WriteString(strconv.FormatInt(numbers[i], 10))
		}
	}
	return b.String()
}

// maxRange bounds what a list of ranges may stand for.
const maxRange = 10_000_000

// numbers reads what ranges wrote.
func numbers(s string) (out []int64, err error) {
	for part := range strings.SplitSeq(s, ",") {
		if part == "" {
			continue
		}
		from, to, wide := strings.Cut(part, ":")
		first, err := strconv.ParseInt(from, 10, 64)
		last := first
		if err == nil && wide {
			last, err = strconv.ParseInt(to, 10, 64)
		}
		if err != nil || last < first || last-first > maxRange-int64(len(out)) {
			return nil, fmt.Errorf("reading a list of numbers: %w", errors.ErrUnsupported)
		}
		for n := first; n <= last; n++ {
			out = append(out, n)
		}
	}
	return out, nil
}

// note is a row of mail_note.
type note struct {
	id, account, count int64
	mark               []byte
	kind               sijill.Kind
	detail             string
}

// claim keeps others from telling notes of a transaction that is about to commit.
func (m *Mailbox) claim(ids []int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		m.claimed[id] = true
	}
}

func (m *Mailbox) unclaim(ids []int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		delete(m.claimed, id)
	}
}

// claimRest claims those of the notes that nobody has claimed and gives them.
func (m *Mailbox) claimRest(ids []int64) (mine []int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		if !m.claimed[id] {
			m.claimed[id] = true
			mine = append(mine, id)
		}
	}
	return mine
}

// Settle tells the register all that it is owed: what a crash has left behind,
// and what Apply owes. Only one process may do it at a time: the one that serves.
func (m *Mailbox) Settle(ctx context.Context) error {
	if m.register == nil || m.books == nil {
		return fmt.Errorf("settling: %w", errNoRegister)
	}
	var ids []int64
	err := m.db.Read(ctx, func(tx *db.Tx) error {
		return tx.Each("SELECT id FROM mail_note ORDER BY id", nil, func(r db.Row) error {
			var id int64
			err := r.Scan(&id)
			ids = append(ids, id)
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("reading notes: %w", err)
	}
	mine := m.claimRest(ids)
	defer m.unclaim(mine)
	if err := m.tell(ctx, mine); err != nil {
		return fmt.Errorf("settling: %w", err)
	}
	return m.forgetMarks(ctx)
}

// forgetMarks deletes marks whose notes are deleted for good.
func (m *Mailbox) forgetMarks(ctx context.Context) error {
	var marks [][]byte
	err := m.books.Read(ctx, func(tx *db.Tx) error {
		return tx.Each("SELECT mark FROM mail_noted", nil, func(r db.Row) error {
			var mark []byte
			err := r.Scan(&mark)
			marks = append(marks, mark)
			return err
		})
	})
	if err != nil || len(marks) == 0 {
		return err
	}
	// Their notes are gone, and with this it is certain that no power failure
	// brings them back. What is told from now on has marks of its own.
	err = m.db.WriteSynced(ctx, func(tx *db.Tx) error {
		for i, mark := range marks {
			err := tx.One("SELECT id FROM mail_note WHERE mark = ?", []any{mark}, new(int64))
			if err == nil {
				marks[i] = nil // It is being told.
			} else if !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		_, err := tx.Exec("UPDATE mail_clock SET one = 1")
		return err
	})
	if err != nil {
		return fmt.Errorf("forgetting notes: %w", err)
	}
	return m.books.Write(ctx, func(tx *db.Tx) error {
		for _, mark := range marks {
			if _, err := tx.Exec("DELETE FROM mail_noted WHERE mark = ?", mark); err != nil {
				return err
			}
		}
		return nil
	})
}

// Owed is signalled when Apply has left something for Settle to do.
func (m *Mailbox) Owed() <-chan struct{} { return m.owed }

// settlePause is how long Keep waits before it tries again.
const settlePause = 5 * time.Second

// Keep settles what is owed, at once and whenever something comes, until ctx is
// done, which is no error. What fails is given to failed and tried again.
func (m *Mailbox) Keep(ctx context.Context, failed func(error)) error {
	for {
		retry := (<-chan time.Time)(nil)
		if err := m.Settle(ctx); err != nil && ctx.Err() == nil {
			failed(err)
			retry = time.After(settlePause)
		}
		select {
		case <-m.owed:
		case <-retry:
		case <-ctx.Done():
			return nil
		}
	}
}

// oweLater has Keep look for notes once the transaction has committed.
func (l *ledger) oweLater() {
	l.tx.After(func() {
		select {
		case l.m.owed <- struct{}{}:
		default:
		}
	})
}

// tell makes entries of notes, which the caller has claimed, and forgets them.
func (m *Mailbox) tell(ctx context.Context, ids []int64) error {
	for _, id := range ids {
		n := note{id: id}
		err := m.db.Read(ctx, func(tx *db.Tx) error {
			const q = "SELECT mark, account, kind, count, detail FROM mail_note WHERE id = ?"
			return tx.One(q, []any{id}, &n.mark, &n.account, (*string)(&n.kind), &n.count, &n.detail)
		})
		if errors.Is(err, fs.ErrNotExist) {
			continue // Told meanwhile.
		}
		if err == nil {
			err = m.append(ctx, &n)
		}
		if err != nil {
			return err
		}
		err = m.db.Write(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec("DELETE FROM mail_note WHERE id = ?", id)
			return err
		})
		if err != nil {
			return fmt.Errorf("forgetting a note: %w", err)
		}
	}
	return nil
}

// append makes the entry of a note, unless it has been made.
func (m *Mailbox) append(ctx context.Context, n *note) error {
	if n.kind == sijill.Destroyed {
		return m.destroy(ctx, n)
	}
	if m.books == nil {
		return errNoRegister
	}
	err := m.books.Read(ctx, func(tx *db.Tx) error {
		return tx.One("SELECT mark FROM mail_noted WHERE mark = ?", []any{n.mark}, new([]byte))
	})
	if err == nil {
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("looking for a note's entry: %w", err)
	}
	fields, err := n.fields()
	if err != nil {
		return err
	}
	_, err = m.register.Append(ctx, record.Draft{
		Kind: n.kind, Actor: actor, Holders: []int64{n.account}, Class: sijill.Office,
		Detail: json.RawMessage(n.detail), Fields: fields,
		With: func(tx *db.Tx, _ int64) error {
			_, err := tx.Exec("INSERT INTO mail_noted (mark) VALUES (?) ON CONFLICT (mark) DO NOTHING", n.mark)
			return err
		},
	})
	return err
}

// destroy destroys the messages of a note. Those that are destroyed already are
// no error: it may have been told before a crash.
func (m *Mailbox) destroy(ctx context.Context, n *note) error {
	entries, err := n.entries()
	if err != nil {
		return err
	}
	_, err = m.register.Destroy(ctx, n.account, actor, entries)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
