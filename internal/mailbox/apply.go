package mailbox

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/record"
)

// line is a message as one account that holds it sees it.
type line struct {
	*draft  // nil where the message can't be opened
	account int64
	entry   int64
	row     int64
	thread  int64

	kind    sijill.Kind
	class   sijill.Class
	tag     int64
	at      time.Time // Of the entry.
	arrival *arrival
	placed  bool // It was placed once.
	cold    bool // See FlagCold.
}

// batch is what Apply works on.
type batch struct {
	*ledger
	lines    []*line // By entry.
	next     int64   // The first entry that was never placed.
	arrivals map[key]*arrival
	targets  map[target]*folder
}

// target is where lines go of themselves.
type target struct {
	account    int64
	class      sijill.Class
	role, name string
}

// Apply places messages that were never placed, writes the facts of those that
// can be opened, and removes what was destroyed. Other entries change nothing.
func (m *Mailbox) Apply(ctx context.Context, tx *db.Tx, items []*record.Item, prepared []any) error {
	b := &batch{ledger: m.ledger(tx), targets: map[target]*folder{}}
	if err := tx.One("SELECT next FROM mail_clock", nil, &b.next); err != nil {
		return fmt.Errorf("reading how far messages were placed: %w", err)
	}
	first, last := items[0].Index, items[len(items)-1].Index
	var err error
	if b.arrivals, err = m.arrivals(ctx, first, last); err != nil {
		return err
	}
	for i, it := range items {
		d, _ := prepared[i].(*draft)
		b.add(it, d)
	}
	if err := b.apply(ctx, items); err != nil {
		return err
	}
	if last >= b.next {
		if _, err := tx.Exec("UPDATE mail_clock SET next = ?", last+1); err != nil {
			return fmt.Errorf("noting how far messages were placed: %w", err)
		}
	}
	return b.flush()
}

func (b *batch) apply(ctx context.Context, items []*record.Item) error {
	if err := b.known(); err != nil {
		return fmt.Errorf("looking for what was placed: %w", err)
	}
	if err := b.rows(); err != nil {
		return fmt.Errorf("choosing rows: %w", err)
	}
	if err := b.cold(ctx); err != nil {
		return fmt.Errorf("looking for what is cold: %w", err)
	}
	if err := b.place(); err != nil {
		return fmt.Errorf("placing messages: %w", err)
	}
	if err := b.m.facts.apply(b.tx, slices.DeleteFunc(slices.Clone(b.lines), func(l *line) bool { return l.draft == nil })); err != nil {
		return err
	}
	for _, it := range items {
		if it.Entry.Kind == sijill.Destroyed {
			if err := b.destroyed(it); err != nil {
				return fmt.Errorf("removing what entry %d destroyed: %w", it.Index, err)
			}
		}
	}
	return nil
}

// HasMessage tells whether an item is of a kind that has a message for its
// holders to read.
func HasMessage(it *record.Item) bool {
	switch it.Entry.Kind {
	case sijill.Captured, sijill.Sent, sijill.Filed:
		return len(it.Holders) > 0
	}
	return false
}

// add makes the lines of an item with a message.
func (b *batch) add(it *record.Item, d *draft) {
	if !HasMessage(it) || d == nil && it.Entry.Message == nil {
		return
	}
	holders := unique(slices.Clone(it.Holders))
	for _, account := range holders {
		l := &line{draft: d, account: account, entry: it.Index, kind: it.Entry.Kind, class: classOf(it.Class), at: it.Entry.Time,
			arrival: b.arrivals[key{account, it.Index}]}
		if it.Entry.Message != nil {
			l.tag = int64(binary.BigEndian.Uint32(it.Entry.Message.ID[:]))
		}
		if l.arrival != nil && l.arrival.internal != nil && d != nil && len(holders) == 1 {
			d.given(*l.arrival.internal)
		}
		b.lines = append(b.lines, l)
	}
}

// known finds the lines that were placed once: all of a rebuild. Entries get
// their numbers anew when the end of a register was lost; what was placed under
// a number by another message, or for an account that doesn't hold it, is
// removed.
func (b *batch) known() error {
	if len(b.lines) == 0 || b.lines[0].entry >= b.next {
		return nil
	}
	lines := map[key]*line{}
	var entries []int64
	for _, l := range b.lines {
		if l.entry < b.next {
			lines[key{l.account, l.entry}] = l
			entries = append(entries, l.entry)
		}
	}
	entries = unique(entries)
	for account, of := range byAccount(b.lines) {
		if err := b.left(account, of); err != nil {
			return err
		}
	}
	var stale []*place
	const q = "SELECT " + placeColumns + " FROM mail_place WHERE entry IN (?)"
	err := eachOf(b.tx, q, nil, entries, func(r db.Row) error {
		p := &place{}
		if err := p.scan(r); err != nil {
			return err
		}
		l := lines[key{p.account, p.Entry}]
		if l == nil || l.tag != p.tag {
			stale = append(stale, p)
			return nil
		}
		l.placed, l.row = true, p.Row
		return nil
	})
	if err != nil {
		return err
	}
	for _, p := range stale {
		f, err := b.folder(p.account, p.Folder)
		if err == nil {
			err = b.remove(f, []*place{p})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// left finds those of an account's lines that lie nowhere any more.
func (b *batch) left(account int64, lines []*line) error {
	var entries []int64
	byEntry := map[int64]*line{}
	for _, l := range lines {
		if l.entry < b.next {
			entries, byEntry[l.entry] = append(entries, l.entry), l
		}
	}
	var stale []int64
	err := eachOf(b.tx, "SELECT entry, tag FROM mail_left WHERE account = ? AND entry IN (?)", []any{account}, entries, func(r db.Row) error {
		var entry, tag int64
		if err := r.Scan(&entry, &tag); err != nil {
			return err
		}
		if byEntry[entry].tag == tag {
			byEntry[entry].placed = true
		} else {
			stale = append(stale, entry)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return execOf(b.tx, "DELETE FROM mail_left WHERE account = ? AND entry IN (?)", []any{account}, stale)
}

// rows gives every line its row: the sort date where there is one, else the date
// that it was given or captured at. One that lies somewhere without facts keeps
// the row that it has.
func (b *batch) rows() error {
	taken := map[int64]bool{}
	for lines := b.lines; len(lines) > 0; {
		n := 1
		for n < len(lines) && lines[n].entry == lines[0].entry {
			n++
		}
		if err := b.rowOf(lines[:n], taken); err != nil {
			return err
		}
		lines = lines[n:]
	}
	return nil
}

// rowOf gives the lines of one entry their row.
func (b *batch) rowOf(lines []*line, taken map[int64]bool) error {
	l := lines[0]
	if l.draft == nil && l.placed && l.row != 0 {
		return nil
	}
	date := l.at
	if l.draft != nil {
		date = l.draft.sort
	} else if l.arrival != nil && l.arrival.internal != nil {
		date = time.Unix(*l.arrival.internal, 0)
	}
	row, err := b.freeRow(lines, RowID(date, l.entry), taken)
	if err != nil {
		return err
	}
	for _, l := range lines {
		if l.placed && l.row != row {
			const q = "UPDATE mail_place SET row = ? WHERE entry = ? AND account = ?"
			if _, err := b.tx.Exec(q, row, l.entry, l.account); err != nil {
				return err
			}
		}
		l.row = row
	}
	return nil
}

// freeRow is row or the next one that is free. Two entries want the same row
// only when they are 2^24 apart, so the first 2^24 needn't ask.
func (b *batch) freeRow(lines []*line, row int64, taken map[int64]bool) (int64, error) {
	entry := lines[0].entry
	if entry <= numberMask {
		taken[row] = true
		return row, nil
	}
	for ; ; row++ {
		found := taken[row]
		if !found {
			err := b.tx.One("SELECT row FROM mail_message WHERE row = ? AND entry <> ?", []any{row, entry}, new(int64))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return 0, err
			}
			found = err == nil
		}
		for _, l := range lines {
			const q = `SELECT p.row FROM mail_folder AS f JOIN mail_place AS p ON p.folder = f.id AND p.row = ?
				WHERE f.account = ? AND p.entry <> ?`
			err := b.tx.One(q, []any{row, l.account, entry}, new(int64))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return 0, err
			}
			found = found || err == nil
		}
		if !found {
			break
		}
	}
	taken[row] = true
	return row, nil
}

// place puts lines that were never placed into their folders.
func (b *batch) place() error {
	var places []*place
	for _, l := range b.lines {
		if l.placed {
			continue
		}
		f, p, err := b.where(l)
		if err != nil {
			return err
		}
		b.ledger.add(f, p, l.entry+1)
		places = append(places, p)
		if err := b.match(f, p, l, places); err != nil {
			return err
		}
	}
	places = slices.DeleteFunc(places, func(p *place) bool { return p.UID == 0 })
	return b.insert(places)
}

// where is the folder of a line, and what it bears there.
func (b *batch) where(l *line) (*folder, *place, error) {
	p := &place{Place: Place{Entry: l.entry, Row: l.row}, account: l.account, tag: l.tag}
	if a := l.arrival; a != nil {
		p.Flags = a.flags
		words, err := spell(b.tx, l.account, a.keywords)
		if err != nil && !errors.Is(err, ErrKeyword) { // Too many words are no reason to lose a message.
			return nil, nil, err
		}
		p.keywords = combineWords(nil, Set, words)
		f, err := b.folder(l.account, a.folder)
		if err == nil && f.Class == l.class {
			l.mark(p)
			return f, p, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, err
		}
	}
	f, err := b.byItself(l)
	switch {
	case l.arrival != nil:
	case l.kind == sijill.Sent, l.kind == sijill.Filed, l.draft != nil && l.draft.seen:
		p.Flags = FlagSeen
	}
	l.mark(p)
	return f, p, err
}

// byItself is the folder of a line of which nobody said where it is to go, or
// whose folder is gone.
func (b *batch) byItself(l *line) (f *folder, err error) {
	t := l.target()
	if f := b.targets[t]; f != nil {
		return f, nil
	}
	if f, err = b.role(t.account, t.class, t.role); err == nil && t.name != "" {
		f, err = b.path(t.account, t.class, t.name, RoleImport)
	}
	if err == nil {
		b.targets[t] = f
	}
	return f, err
}

// target names the folder by its role or, where it has none, its name; then the
// inbox is to be there too.
func (l *line) target() target {
	t := target{account: l.account, class: l.class, role: RoleInbox}
	switch {
	case l.kind == sijill.Sent:
		t.role = RoleSent
	case l.kind == sijill.Filed:
		t.role = RoleArchive
	case l.arrival != nil && l.arrival.flags&FlagDraft != 0:
		t.role = RoleDrafts
	case l.draft != nil && l.draft.folder != "":
		t.name = l.draft.folder
	case l.draft != nil && l.draft.junk:
		t.role = RoleJunk
	}
	return t
}

// destroyed removes what an entry says was destroyed.
func (b *batch) destroyed(it *record.Item) error {
	entries, err := destroyedEntries(it)
	if err != nil {
		return err
	}
	for _, account := range unique(slices.Clone(it.Holders)) {
		var places []*place
		const q = "SELECT " + placeColumns + " FROM mail_place WHERE account = ? AND entry IN (?)"
		err := eachOf(b.tx, q, []any{account}, entries, func(r db.Row) error {
			p := &place{}
			places = append(places, p)
			return p.scan(r)
		})
		if err != nil {
			return err
		}
		for _, p := range places {
			f, err := b.folder(account, p.Folder)
			if err == nil && f.Class == sijill.Personal { // Office mail is never destroyed.
				err = b.remove(f, []*place{p})
			}
			if err != nil {
				return err
			}
		}
		if _, err := b.leave(account, places); err != nil {
			return err
		}
	}
	return b.m.facts.removePersonal(b.tx, it.Holders, entries)
}

// destroyedEntries are the numbers that an entry of kind destroyed names: a list,
// or ranges as text.
func destroyedEntries(it *record.Item) ([]int64, error) {
	var f struct {
		Entries json.RawMessage `json:"entries"`
	}
	if err := it.Entry.DecodeFields(&f); err != nil {
		return nil, err
	}
	var list []int64
	var text string
	switch {
	case len(f.Entries) == 0:
	case f.Entries[0] == '"':
		if err := json.Unmarshal(f.Entries, &text); err != nil {
			return nil, fmt.Errorf("reading the entries that were destroyed: %w", err)
		}
		var err error
		if list, err = numbers(text); err != nil {
			return nil, err
		}
	default:
		if err := json.Unmarshal(f.Entries, &list); err != nil {
			return nil, fmt.Errorf("reading the entries that were destroyed: %w", err)
		}
	}
	return unique(list), nil
}

// Reset forgets all facts; what people did to messages stays.
func (m *Mailbox) Reset(_ context.Context, tx *db.Tx) error { return m.facts.reset(tx) }

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
