package mailbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"time"

	"sijill/internal/db"
)

// Mail of closed months is cold: nothing of it is known here but where it lies.
// On the web it stands in its place, closed. Mail programs can't show what can't
// be opened, and stumble over it: to them a message that grows cold leaves its
// folder, and what Folders, Places and Changes say is theirs to see without it
// (ProgramFolders, ProgramPlaces, ProgramChanges). One message in each such
// folder, the notice, tells their person. It has a UID like any other, which is
// never given again, and lies in no table of places: nothing that programs do
// reaches it, it counts nowhere else, and no entry stands behind it.

// Cooling is what the mailbox asks about mail that is cold.
type Cooling struct {
	// Cold lists the entries from first to last that an account holds in months
	// that are closed.
	Cold func(ctx context.Context, account, first, last int64) ([]int64, error)
	// Notice writes the message that mail programs find in a folder while some of
	// it is cold. It must ask nothing of the mailbox.
	Notice func(ctx context.Context, f Folder, at time.Time) ([]byte, error)
}

// SetCooling is called before anything else, like Attach. Without it nothing is
// taken for cold that Cool was not told of, and there are no notices.
func (m *Mailbox) SetCooling(c Cooling) { m.cooling = c }

// Notice is the message that stands for what is cold in a folder. Those of a
// folder have ever higher UIDs, and what one says never changes.
type Notice struct {
	Folder, UID, ModSeq int64
	At                  time.Time // When it was written, whole seconds.
	Message             []byte
}

// NoticeEntry is the number under which a folder's notice goes where entries do.
// No entry has a number below 0.
func NoticeEntry(folder int64) int64 { return -folder }

// place is the notice as mail programs see it: read, so that it is nobody's
// unread mail.
func (n *Notice) place() Place {
	return Place{Folder: n.Folder, UID: n.UID, Entry: NoticeEntry(n.Folder), Row: RowID(n.At, 0), Flags: FlagSeen, ModSeq: n.ModSeq}
}

// Cool notes that messages of an account are cold, and tells how many places were
// not known to be.
func (m *Mailbox) Cool(ctx context.Context, account int64, entries []int64) (changed int, err error) {
	var warm []int64
	err = m.db.Read(ctx, func(tx *db.Tx) error {
		const q = "SELECT entry FROM mail_place WHERE account = ? AND flags & 128 = 0 AND entry IN (?)"
		return eachOf(tx, q, []any{account}, unique(slices.Clone(entries)), func(r db.Row) error {
			var entry int64
			err := r.Scan(&entry)
			warm = append(warm, entry)
			return err
		})
	})
	if err != nil {
		return 0, fmt.Errorf("looking for what is cold: %w", err)
	}
	if len(warm) == 0 {
		return 0, nil
	}
	return len(warm), m.change(ctx, "noting what is cold", func(l *ledger) error { return l.cool(account, unique(warm)) })
}

func (l *ledger) cool(account int64, entries []int64) error {
	byFolder := map[int64][]*place{}
	const q = "SELECT " + placeColumns + " FROM mail_place WHERE account = ? AND flags & 128 = 0 AND entry IN (?)"
	err := eachOf(l.tx, q, []any{account}, entries, func(r db.Row) error {
		p := &place{}
		err := p.scan(r)
		byFolder[p.Folder] = append(byFolder[p.Folder], p)
		return err
	})
	if err != nil {
		return err
	}
	for id, places := range byFolder {
		f, err := l.folder(account, id)
		if err != nil {
			return err
		}
		uids := make([]int64, len(places))
		for i, p := range places {
			f.count(p.Flags, -1)
			f.count(p.Flags|FlagCold, 1)
			l.changed(f, p.UID)
			uids[i] = p.UID
		}
		f.cooled = true
		const cold = "UPDATE mail_place SET flags = flags | 128, mod_seq = ? WHERE folder = ? AND uid IN (?)"
		if err := execOf(l.tx, cold, []any{f.ModSeq, id}, uids); err != nil {
			return fmt.Errorf("marking messages: %w", err)
		}
	}
	return nil
}

// mark notes on a place that its message is cold.
func (l *line) mark(p *place) {
	p.Flags &^= FlagCold
	if l.cold {
		p.Flags |= FlagCold
	}
}

// cold finds which of the lines that are about to be placed are cold: none of
// this month's, and none that could be opened. So only a mailbox that is made
// anew asks at all.
func (b *batch) cold(ctx context.Context) error {
	if b.m.cooling.Cold == nil {
		return nil
	}
	year, month, _ := b.tx.Now.UTC().Date()
	begun := time.Date(year, month, 1, 0, 0, 0, 0, time.UTC)
	for account, lines := range byAccount(b.lines) {
		lines = slices.DeleteFunc(lines, func(l *line) bool { return l.placed || l.draft != nil || !l.at.Before(begun) })
		if len(lines) == 0 {
			continue
		}
		list, err := b.m.cooling.Cold(ctx, account, lines[0].entry, lines[len(lines)-1].entry)
		if err != nil {
			return err
		}
		for _, l := range lines {
			_, l.cold = slices.BinarySearch(list, l.entry)
		}
	}
	return nil
}

// announce puts a notice into a folder, or a new one in the place of one that
// says too little, or takes it away.
func (l *ledger) announce(f *folder) error {
	if l.m.cooling.Notice == nil && f.Notice == 0 {
		return nil
	}
	if want := f.Cold > 0; want == (f.Notice != 0) && !(want && f.cooled) {
		return nil
	}
	if f.Notice != 0 {
		f.left = append(f.left, f.Notice)
		f.Notice = 0
		if _, err := l.tx.Exec("DELETE FROM mail_notice WHERE folder = ?", f.ID); err != nil {
			return err
		}
		l.touch(f)
	}
	if f.Cold == 0 || l.m.cooling.Notice == nil {
		return nil
	}
	message, err := l.m.cooling.Notice(context.Background(), f.Folder, l.tx.Now)
	if err != nil {
		return err
	}
	f.Notice = f.UIDNext
	f.UIDNext++
	_, err = l.tx.Exec("INSERT INTO mail_notice (folder, uid, account, mod_seq, at, message) VALUES (?, ?, ?, ?, ?, ?)",
		f.ID, f.Notice, f.Account, l.changed(f, f.Notice), l.tx.Now.Unix(), message)
	return err
}

// notices reads the notices of an account's folders; all for none.
func notices(tx *db.Tx, account int64, folders ...int64) (list []Notice, err error) {
	err = tx.Each("SELECT folder, uid, mod_seq, at, message FROM mail_notice WHERE account = ?", []any{account}, func(r db.Row) error {
		var n Notice
		var at int64
		err := r.Scan(&n.Folder, &n.UID, &n.ModSeq, &at, &n.Message)
		n.At = time.Unix(at, 0).UTC()
		if len(folders) == 0 || slices.Contains(folders, n.Folder) {
			list = append(list, n)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading notices: %w", err)
	}
	return list, nil
}

// NoticeOf gives the notice that goes under a number of NoticeEntry, or an error
// that wraps fs.ErrNotExist.
func (m *Mailbox) NoticeOf(ctx context.Context, account, entry int64) (n Notice, err error) {
	err = m.db.Read(ctx, func(tx *db.Tx) error {
		list, err := notices(tx, account, -entry)
		if err == nil && len(list) == 0 {
			err = fmt.Errorf("the notice of folder %d: %w", -entry, fs.ErrNotExist)
		}
		if err == nil {
			n = list[0]
		}
		return err
	})
	return n, err
}

// ProgramFolders is Folders as mail programs are to see them: without what is
// cold, with the notices.
func (m *Mailbox) ProgramFolders(ctx context.Context, account int64) ([]Folder, error) {
	list, err := m.Folders(ctx, account)
	for i := range list {
		f := &list[i]
		f.Total += number(f.Notice != 0) - f.Cold
		f.Unseen -= f.ColdUnseen
	}
	return list, err
}

// ProgramPlaces is Places for mail programs.
func (m *Mailbox) ProgramPlaces(ctx context.Context, account, folder, first, last int64) (list []Place, err error) {
	err = m.db.Read(ctx, func(tx *db.Tx) error {
		f, err := owned(tx, account, folder)
		if err != nil {
			return err
		}
		if list, err = placesBetween(tx, folder, first, last, 0); err != nil || f.Cold == 0 && f.Notice == 0 {
			return err
		}
		list = slices.DeleteFunc(list, func(p Place) bool { return p.Flags&FlagCold != 0 })
		list, err = withNotice(tx, f, list, first, last, 0)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the messages of a folder: %w", err)
	}
	return list, nil
}

// withNotice puts the notice of a folder among its places, if it changed after
// since.
func withNotice(tx *db.Tx, f *folder, list []Place, first, last, since int64) ([]Place, error) {
	if f.Notice < first || f.Notice > last || f.Notice == 0 {
		return list, nil
	}
	found, err := notices(tx, f.Account, f.ID)
	if err != nil || len(found) == 0 || found[0].ModSeq <= since {
		return list, err
	}
	at, _ := slices.BinarySearchFunc(list, f.Notice, func(p Place, uid int64) int { return int(min(max(p.UID-uid, -1), 1)) })
	return slices.Insert(list, at, found[0].place()), nil
}

// ProgramChanges is Changes for mail programs: what has grown cold is gone.
func (m *Mailbox) ProgramChanges(ctx context.Context, account, folder, since int64) (c Changes, err error) {
	err = m.db.Read(ctx, func(tx *db.Tx) error {
		f, err := owned(tx, account, folder)
		if err != nil {
			return err
		}
		c, err = programChanges(tx, f, since)
		return err
	})
	if err != nil {
		return Changes{}, fmt.Errorf("reading changes: %w", err)
	}
	return c, nil
}

func programChanges(tx *db.Tx, f *folder, since int64) (c Changes, err error) {
	c.ModSeq = f.ModSeq
	if since < f.forgotten || since > f.ModSeq {
		c.Whole = true
		return c, nil
	}
	if err := c.read(tx, f.ID, since); err != nil {
		return c, err
	}
	c.Changed = slices.DeleteFunc(c.Changed, func(p Place) bool {
		cold := p.Flags&FlagCold != 0
		if cold {
			c.Gone = append(c.Gone, p.UID)
		}
		return cold
	})
	slices.Sort(c.Gone)
	c.Changed, err = withNotice(tx, f, c.Changed, 1, math.MaxInt64, since)
	return c, err
}

// ErrNotice says that what was to be changed is the mailbox's own notice alone.
var ErrNotice = errors.New("the notice of older mail can't be moved or copied")

// Prune forgets what is known of threads in which nothing is left.
func (f *Facts) Prune(_ context.Context, tx *db.Tx) error {
	for _, table := range []string{"mail_reference", "mail_subject"} {
		q := "DELETE FROM " + table + ` AS t WHERE NOT EXISTS (SELECT 1 FROM mail_holding AS h WHERE h.account = t.account AND h.thread = t.thread)
			AND NOT EXISTS (SELECT 1 FROM mail_merged AS g WHERE g.account = t.account AND g.thread = t.thread)`
		if _, err := tx.Exec(q); err != nil {
			return fmt.Errorf("forgetting threads: %w", err)
		}
	}
	return nil
}

// WithFacts gives those of entries of which facts are known here, ascending.
func (m *Mailbox) WithFacts(ctx context.Context, entries []int64) (list []int64, err error) {
	err = m.db.Read(ctx, func(tx *db.Tx) error {
		found, err := RowOf(tx, unique(slices.Clone(entries)))
		for entry := range found {
			list = append(list, entry)
		}
		return err
	})
	return unique(list), err
}
