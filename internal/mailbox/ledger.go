package mailbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"sijill"
	"sijill/internal/db"
)

// How long a folder remembers what left it: for so many seconds, and so many
// UIDs. A client that was away for longer reads everything anew.
const (
	keepGone = 30 * 24 * 60 * 60
	maxGone  = 100_000
)

// folder is a folder that a transaction touches.
type folder struct {
	Folder
	gone, forgotten int64
	fresh           bool // It has no row yet.
	dirty           bool
	moved           bool // This transaction has given it a new ModSeq.
	first, last     int64
	left            []int64
	cooled          bool // More of it is cold now: what mail programs are told must be said anew.
}

const folderColumns = `id, account, class, name, role, subscribed, uid_validity, uid_next, mod_seq,
	total, unseen, cold, cold_unseen, notice, gone, forgotten`

func (f *folder) scan(r db.Row) error {
	return r.Scan(&f.ID, &f.Account, (*string)(&f.Class), &f.Name, &f.Role, &f.Subscribed, &f.UIDValidity, &f.UIDNext,
		&f.ModSeq, &f.Total, &f.Unseen, &f.Cold, &f.ColdUnseen, &f.Notice, &f.gone, &f.forgotten)
}

// folderWidth is how many columns those are.
const folderWidth = 16

func (f *folder) values() []any {
	return []any{f.ID, f.Account, string(f.Class), f.Name, f.Role, number(f.Subscribed), f.UIDValidity, f.UIDNext,
		f.ModSeq, f.Total, f.Unseen, f.Cold, f.ColdUnseen, f.Notice, f.gone, f.forgotten}
}

// owned gives a folder if it is the account's.
func owned(tx *db.Tx, account, id int64) (*folder, error) {
	var f *folder
	q := "SELECT " + folderColumns + " FROM mail_folder WHERE id = ? AND account = ?"
	err := tx.Each(q, []any{id, account}, func(r db.Row) error { f = &folder{}; return f.scan(r) })
	if err == nil && f == nil {
		err = fmt.Errorf("folder %d: %w", id, fs.ErrNotExist)
	}
	return f, err
}

// ledger gathers what a transaction does to folders and writes it at its end:
// counters, ModSeqs, what Changes will say. All that changes places goes through
// it.
type ledger struct {
	m        *Mailbox
	tx       *db.Tx
	folders  map[int64]*folder
	accounts map[int64]bool // Those of which everything was read.
	order    []*folder      // As they were first touched.
	notes    []int64        // See note.go.
}

func (m *Mailbox) ledger(tx *db.Tx) *ledger {
	return &ledger{m: m, tx: tx, folders: map[int64]*folder{}, accounts: map[int64]bool{}}
}

// folder gives a folder of the account, or fs.ErrNotExist.
func (l *ledger) folder(account, id int64) (*folder, error) {
	if f := l.folders[id]; f != nil {
		if f.Account != account {
			return nil, fmt.Errorf("folder %d: %w", id, fs.ErrNotExist)
		}
		return f, nil
	}
	f, err := owned(l.tx, account, id)
	if err == nil {
		l.folders[id] = f
	}
	return f, err
}

// all gives the folders of an account and class, by their ids.
func (l *ledger) all(account int64, class sijill.Class) (list []*folder, err error) {
	if !l.accounts[account] {
		q := "SELECT " + folderColumns + " FROM mail_folder WHERE account = ?"
		err := l.tx.Each(q, []any{account}, func(r db.Row) error {
			f := &folder{}
			if err := f.scan(r); err != nil {
				return err
			}
			if l.folders[f.ID] == nil {
				l.folders[f.ID] = f
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("reading folders: %w", err)
		}
		l.accounts[account] = true
	}
	for _, f := range l.folders {
		if f.Account == account && f.Class == class {
			list = append(list, f)
		}
	}
	slices.SortFunc(list, func(a, b *folder) int { return int(min(max(a.ID-b.ID, -1), 1)) })
	return list, nil
}

// dirty notes that a folder's row is to be written.
func (l *ledger) dirty(f *folder) {
	if !f.dirty {
		f.dirty = true
		l.order = append(l.order, f)
	}
}

// touch gives a folder its ModSeq of this transaction. It is the clock, so that
// none is given twice even if the last transactions, which were not synced, are
// lost in a power failure.
func (l *ledger) touch(f *folder) int64 {
	l.dirty(f)
	if !f.moved {
		f.moved = true
		f.ModSeq = max(f.ModSeq+1, l.tx.Now.UnixMilli())
	}
	return f.ModSeq
}

// changed notes that a place is new or has changed, and gives its ModSeq.
func (l *ledger) changed(f *folder, uid int64) int64 {
	if f.first == 0 {
		f.first, f.last = uid, uid
	}
	f.first, f.last = min(f.first, uid), max(f.last, uid)
	return l.touch(f)
}

// add counts a place that comes to a folder, and gives it its UID and ModSeq.
func (l *ledger) add(f *folder, p *place, uid int64) {
	p.Folder, p.UID = f.ID, max(f.UIDNext, uid)
	f.UIDNext = p.UID + 1
	f.count(p.Flags, 1)
	p.ModSeq = l.changed(f, p.UID)
}

// drop counts a place that leaves a folder.
func (l *ledger) drop(f *folder, p *place) {
	l.touch(f)
	f.count(p.Flags, -1)
	f.left = append(f.left, p.UID)
}

// count counts messages with these flags.
func (f *folder) count(flags Flags, by int64) {
	f.Total += by
	f.Unseen += by * unseen(flags)
	if flags&FlagCold != 0 {
		f.Cold += by
		f.ColdUnseen += by * unseen(flags)
	}
}

func unseen(f Flags) int64 { return number(f&FlagSeen == 0) }

// insert writes places that add has been told of.
func (l *ledger) insert(places []*place) error {
	args := make([]any, 0, 9*len(places))
	for _, p := range places {
		args = append(args, p.values()...)
	}
	return insert(l.tx, "mail_place ("+placeColumns+")", 9, args)
}

// remove takes places, all of one folder, out of it.
func (l *ledger) remove(f *folder, places []*place) error {
	uids := make([]int64, len(places))
	for i, p := range places {
		l.drop(f, p)
		uids[i] = p.UID
	}
	if err := execOf(l.tx, "DELETE FROM mail_place WHERE folder = ? AND uid IN (?)", []any{f.ID}, uids); err != nil {
		return fmt.Errorf("removing from a folder: %w", err)
	}
	return nil
}

// leave notes which entries lie nowhere any more for the account, once their
// places are removed, and gives them.
func (l *ledger) leave(account int64, places []*place) (entries []int64, err error) {
	tags := map[int64]int64{}
	for _, p := range places {
		tags[p.Entry] = p.tag
	}
	for _, p := range places {
		entries = append(entries, p.Entry)
	}
	entries = unique(entries)
	err = eachOf(l.tx, "SELECT entry FROM mail_place WHERE account = ? AND entry IN (?)", []any{account}, entries, func(r db.Row) error {
		var entry int64
		err := r.Scan(&entry)
		delete(tags, entry)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("looking for other places: %w", err)
	}
	entries = slices.DeleteFunc(entries, func(e int64) bool { _, left := tags[e]; return !left })
	for _, e := range entries {
		const q = "INSERT INTO mail_left (account, entry, tag) VALUES (?, ?, ?) ON CONFLICT (account, entry) DO UPDATE SET tag = excluded.tag"
		if _, err := l.tx.Exec(q, account, e, tags[e]); err != nil {
			return nil, fmt.Errorf("noting what left: %w", err)
		}
	}
	return entries, nil
}

// flush writes the folders and tells those who watch, once all is committed.
func (l *ledger) flush() error {
	for _, f := range l.order {
		if err := l.announce(f); err != nil {
			return fmt.Errorf("saying what is cold: %w", err)
		}
		if f.moved {
			if err := l.log(f); err != nil {
				return fmt.Errorf("noting changes: %w", err)
			}
		}
		if err := l.write(f); err != nil {
			return fmt.Errorf("writing a folder: %w", err)
		}
		l.tx.After(func() { l.m.watchers.tell(f.Account) })
	}
	return nil
}

func (l *ledger) write(f *folder) error {
	if f.fresh {
		_, err := l.tx.Exec("INSERT INTO mail_folder ("+folderColumns+") VALUES ("+marks(folderWidth)+")", f.values()...)
		return err
	}
	const q = `UPDATE mail_folder SET name = ?, role = ?, subscribed = ?, uid_next = ?, mod_seq = ?, total = ?, unseen = ?,
		cold = ?, cold_unseen = ?, notice = ?, gone = ?, forgotten = ? WHERE id = ?`
	_, err := l.tx.Exec(q, f.Name, f.Role, number(f.Subscribed), f.UIDNext, f.ModSeq, f.Total, f.Unseen,
		f.Cold, f.ColdUnseen, f.Notice, f.gone, f.forgotten, f.ID)
	return err
}

// log writes what this transaction did to a folder and forgets what is too old.
func (l *ledger) log(f *folder) error {
	slices.Sort(f.left)
	const q = "INSERT INTO mail_change (folder, mod_seq, first, last, gone, count, at) VALUES (?, ?, ?, ?, ?, ?, ?)"
	if _, err := l.tx.Exec(q, f.ID, f.ModSeq, f.first, f.last, packUIDs(f.left), len(f.left), l.tx.Now.Unix()); err != nil {
		return err
	}
	f.gone += int64(len(f.left))
	for {
		var modSeq, count, at int64
		err := l.tx.One("SELECT mod_seq, count, at FROM mail_change WHERE folder = ? ORDER BY mod_seq LIMIT 1", []any{f.ID}, &modSeq, &count, &at)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || f.gone <= maxGone && at >= l.tx.Now.Unix()-keepGone {
			return err
		}
		if _, err := l.tx.Exec("DELETE FROM mail_change WHERE folder = ? AND mod_seq = ?", f.ID, modSeq); err != nil {
			return err
		}
		f.gone -= count
		f.forgotten = modSeq
	}
}

func packUIDs(uids []int64) []byte {
	out := make([]byte, 0, 2*len(uids))
	last := int64(0)
	for _, uid := range uids {
		out = binary.AppendUvarint(out, uint64(uid-last))
		last = uid
	}
	return out
}

func unpackUIDs(b []byte, into []int64) []int64 {
	last := int64(0)
	for len(b) > 0 {
		d, n := binary.Uvarint(b)
		if n <= 0 {
			return into
		}
		b, last = b[n:], last+int64(d)
		into = append(into, last)
	}
	return into
}
