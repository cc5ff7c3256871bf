package mailbox

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"sijill"
	"sijill/internal/db"
)

// maxThread is how many messages of a thread are shown.
const maxThread = 500

// maxList is how many rows List gives at once.
const maxList = 1000

// View reads an account's mail of both classes. It is safe for concurrent use,
// and cheap to make.
type View struct {
	m       *Mailbox
	account int64
	private *Facts
}

// View gives the reader of an account. private has the facts of its personal
// mail while that is open, and of office mail that the server can't open; it may
// be nil. A message without facts shows its date and flags only.
func (m *Mailbox) View(account int64, private *Facts) *View {
	return &View{m: m, account: account, private: private}
}

// sources are where facts are looked for, one after the other.
func (v *View) sources() []*Facts {
	if v.private == nil {
		return []*Facts{v.m.facts}
	}
	return []*Facts{v.m.facts, v.private}
}

// Folders gives the folders of the account: office before personal, the inbox
// first, then by name.
func (v *View) Folders(ctx context.Context) ([]Folder, error) { return v.m.Folders(ctx, v.account) }

// Folders gives the folders of an account; see View.Folders.
func (m *Mailbox) Folders(ctx context.Context, account int64) (list []Folder, err error) {
	err = m.db.Read(ctx, func(tx *db.Tx) error {
		q := "SELECT " + folderColumns + " FROM mail_folder WHERE account = ?"
		return tx.Each(q, []any{account}, func(r db.Row) error {
			var f folder
			err := f.scan(r)
			list = append(list, f.Folder)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("listing folders: %w", err)
	}
	sortFolders(list)
	return list, nil
}

func sortFolders(list []Folder) {
	slices.SortFunc(list, func(a, b Folder) int {
		return cmp.Or(cmp.Compare(a.Class, b.Class), -cmp.Compare(number(a.Role == RoleInbox), number(b.Role == RoleInbox)),
			cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
}

// List gives at most n (and 1,000) rows of a folder, newest first, after the
// first offset. A folder that isn't the account's is an error that wraps
// fs.ErrNotExist.
func (v *View) List(ctx context.Context, folder, offset, n int64) ([]Row, error) {
	var rows []Row
	err := v.m.db.Read(ctx, func(tx *db.Tx) error {
		f, err := owned(tx, v.account, folder)
		if err != nil {
			return err
		}
		offset := max(offset, 0)
		n := min(n, maxList, f.Total-offset)
		if n <= 0 {
			return nil
		}
		// The index is walked from the nearer end.
		order, skip := "DESC", offset
		if offset > f.Total/2 {
			order, skip = "ASC", f.Total-offset-n
		}
		uids, err := pageOf(tx, folder, order, n, skip)
		if err != nil {
			return err
		}
		const q = lines + "WHERE p.folder = ? AND p.uid IN (?)"
		return eachOf(tx, q, []any{folder}, uids, func(r db.Row) error {
			w := Row{Class: f.Class}
			err := w.scanLine(r)
			rows = append(rows, w)
			return err
		})
	})
	if err == nil {
		slices.SortFunc(rows, func(a, b Row) int { return cmp.Or(cmp.Compare(b.ID, a.ID), cmp.Compare(b.UID, a.UID)) })
		err = v.fill(ctx, rows)
	}
	if err != nil {
		return nil, fmt.Errorf("listing messages: %w", err)
	}
	return rows, nil
}

// pageOf gives the UIDs of messages that stand together in a folder. It is a
// query of its own: in one with joins SQLite may choose to walk the whole folder.
func pageOf(tx *db.Tx, folder int64, order string, n, skip int64) (uids []int64, err error) {
	q := "SELECT uid FROM mail_place WHERE folder = ? ORDER BY row " + order + ", uid " + order + " LIMIT ? OFFSET ?"
	err = tx.Each(q, []any{folder, n, skip}, func(r db.Row) error {
		var uid int64
		err := r.Scan(&uid)
		uids = append(uids, uid)
		return err
	})
	return uids, err
}

// lines selects places, as p, with the facts that are beside them, for scanLine.
const lines = `SELECT p.folder, p.uid, p.entry, p.row, p.flags, m.entry = p.entry AND h.account IS NOT NULL,
	coalesce(h.thread, 0), coalesce(m.from_name, ''), coalesce(m.from_addr, ''), coalesce(m.to_text, ''),
	coalesce(m.subject, ''), coalesce(m.snippet, ''), coalesce(m.size, 0), coalesce(m.attachments, 0)
	FROM mail_place AS p LEFT JOIN mail_message AS m ON m.row = p.row
	LEFT JOIN mail_holding AS h ON h.row = p.row AND h.account = p.account `

func (w *Row) scanLine(r db.Row) error {
	var facts Row
	var open *bool
	err := r.Scan(&w.Folder, &w.UID, &w.Entry, &w.ID, &w.Flags, &open, &facts.Thread, &facts.From.Name, &facts.From.Addr,
		&facts.To, &facts.Subject, &facts.Snippet, &facts.Size, &facts.Attachments)
	w.Date, w.Seen, w.Closed = rowDate(w.ID), w.Flags&FlagSeen != 0, true
	if open != nil && *open {
		w.take(&facts)
	}
	return err
}

// fill gives rows that have no facts yet those of the account's private ones.
func (v *View) fill(ctx context.Context, rows []Row) error {
	if v.private == nil {
		return nil
	}
	var ids []int64
	for i := range rows {
		if rows[i].Closed {
			ids = append(ids, rows[i].ID)
		}
	}
	found := make(map[int64]*Row, len(ids))
	err := v.private.db.Read(ctx, func(tx *db.Tx) error { return lookUp(tx, v.account, unique(ids), found) })
	if err != nil {
		return err
	}
	for i := range rows {
		if f := found[rows[i].ID]; rows[i].Closed && f != nil && f.Entry == rows[i].Entry {
			rows[i].take(f)
		}
	}
	return nil
}

// take takes the facts of f.
func (w *Row) take(f *Row) {
	w.Thread, w.From, w.To, w.Subject, w.Snippet = f.Thread, f.From, f.To, f.Subject, f.Snippet
	w.Size, w.Attachments, w.Closed = f.Size, f.Attachments, false
}

const factColumns = "m.row, m.entry, h.thread, m.from_name, m.from_addr, m.to_text, m.subject, m.snippet, m.size, m.attachments"

func (w *Row) scan(r db.Row) error {
	return r.Scan(&w.ID, &w.Entry, &w.Thread, &w.From.Name, &w.From.Addr, &w.To, &w.Subject, &w.Snippet, &w.Size, &w.Attachments)
}

// lookUp reads the facts of rows that the account holds.
func lookUp(tx *db.Tx, account int64, ids []int64, into map[int64]*Row) error {
	const q = "SELECT " + factColumns + ` FROM mail_holding AS h JOIN mail_message AS m ON m.row = h.row
		WHERE h.account = ? AND h.row IN (?)`
	return eachOf(tx, q, []any{account}, ids, func(r db.Row) error {
		w := &Row{}
		if err := w.scan(r); err != nil {
			return err
		}
		into[w.ID] = w
		return nil
	})
}

// Position is the offset of a row in List. A row that isn't in the folder, or
// a folder that isn't the account's, is an error that wraps fs.ErrNotExist.
func (v *View) Position(ctx context.Context, folder, row int64) (offset int64, err error) {
	err = v.m.db.Read(ctx, func(tx *db.Tx) error {
		f, err := owned(tx, v.account, folder)
		if err != nil {
			return err
		}
		const held = `SELECT (SELECT min(row) FROM mail_place WHERE folder = p.folder), (SELECT max(row) FROM mail_place WHERE folder = p.folder)
			FROM mail_place AS p WHERE p.folder = ? AND p.row = ?`
		var oldest, newest int64
		if err := tx.One(held, []any{folder, row}, &oldest, &newest); err != nil {
			return err
		}
		if newest-row < row-oldest { // The index is walked from the nearer end.
			return tx.One("SELECT count(*) FROM mail_place WHERE folder = ? AND row > ?", []any{folder, row}, &offset)
		}
		err = tx.One("SELECT count(*) FROM mail_place WHERE folder = ? AND row <= ?", []any{folder, row}, &offset)
		offset = f.Total - offset
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("finding the position of row %d: %w", row, err)
	}
	return offset, nil
}

// placed gives entries as rows, with the facts of office mail, each in the first
// of its folders. Those that lie nowhere for the account are left out.
func (v *View) placed(ctx context.Context, entries []int64) (map[int64]Row, error) {
	found := make(map[int64]Row, len(entries))
	classes := map[int64]sijill.Class{}
	err := v.m.db.Read(ctx, func(tx *db.Tx) error {
		const q = lines + "WHERE p.account = ? AND p.entry IN (?) ORDER BY p.folder DESC, p.uid DESC"
		err := eachOf(tx, q, []any{v.account}, entries, func(r db.Row) error {
			var w Row
			err := w.scanLine(r)
			found[w.Entry] = w
			return err
		})
		if err != nil {
			return err
		}
		return tx.Each("SELECT id, class FROM mail_folder WHERE account = ?", []any{v.account}, func(r db.Row) error {
			var id int64
			var class sijill.Class
			err := r.Scan(&id, (*string)(&class))
			classes[id] = class
			return err
		})
	})
	for entry, w := range found {
		w.Class = classes[w.Folder]
		found[entry] = w
	}
	return found, err
}

// Get gives the row of an entry, in the first of its folders. An entry that lies
// nowhere for the account is an error that wraps fs.ErrNotExist.
func (v *View) Get(ctx context.Context, entry int64) (Row, error) {
	found, err := v.placed(ctx, []int64{entry})
	w, ok := found[entry]
	if err == nil && !ok {
		err = fs.ErrNotExist
	}
	rows := []Row{w}
	if err == nil {
		err = v.fill(ctx, rows)
	}
	if err != nil {
		return Row{}, fmt.Errorf("getting entry %d: %w", entry, err)
	}
	return rows[0], nil
}

// Rows gives rows by their ids, in the order of ids, each in the first of its
// folders. Those without facts, or that lie nowhere for the account, are left
// out.
func (v *View) Rows(ctx context.Context, ids []int64) ([]Row, error) {
	// Which entries they are: the facts themselves come with the places.
	facts := make(map[int64]*Row, len(ids))
	for i, f := range v.sources() {
		look := lookUp
		if i == 0 {
			look = entriesOf
		}
		if err := f.db.Read(ctx, func(tx *db.Tx) error { return look(tx, v.account, ids, facts) }); err != nil {
			return nil, fmt.Errorf("reading rows: %w", err)
		}
	}
	rows, err := v.join(ctx, ids, facts)
	if err != nil {
		return nil, fmt.Errorf("reading rows: %w", err)
	}
	return rows, nil
}

// entriesOf reads which entries rows are that the account holds.
func entriesOf(tx *db.Tx, account int64, ids []int64, into map[int64]*Row) error {
	const q = `SELECT m.row, m.entry FROM mail_holding AS h JOIN mail_message AS m ON m.row = h.row
		WHERE h.account = ? AND h.row IN (?)`
	return eachOf(tx, q, []any{account}, ids, func(r db.Row) error {
		w := &Row{}
		err := r.Scan(&w.ID, &w.Entry)
		into[w.ID] = w
		return err
	})
}

// join gives facts their places, in the order of ids.
func (v *View) join(ctx context.Context, ids []int64, facts map[int64]*Row) ([]Row, error) {
	var entries []int64
	for _, f := range facts {
		entries = append(entries, f.Entry)
	}
	placed, err := v.placed(ctx, unique(entries))
	if err != nil {
		return nil, err
	}
	rows := make([]Row, 0, len(ids))
	for _, id := range ids {
		f := facts[id]
		if f == nil {
			continue
		}
		if w, ok := placed[f.Entry]; ok {
			if w.Closed {
				w.take(f)
			}
			rows = append(rows, w)
		}
	}
	return rows, nil
}

// Thread gives the first 500 messages of a thread that lie somewhere, oldest
// first; none where the account has no such thread. The id of a thread that has
// since become part of another gives that one.
func (v *View) Thread(ctx context.Context, thread int64) ([]Row, error) {
	facts := map[int64]*Row{}
	for _, f := range v.sources() {
		if err := f.thread(ctx, v.account, thread, facts); err != nil {
			return nil, fmt.Errorf("reading a thread: %w", err)
		}
	}
	var ids []int64
	for id := range facts {
		ids = append(ids, id)
	}
	ids = unique(ids)
	rows, err := v.join(ctx, ids, facts)
	if err != nil {
		return nil, fmt.Errorf("reading a thread: %w", err)
	}
	return rows, nil
}

func (f *Facts) thread(ctx context.Context, account, thread int64, into map[int64]*Row) error {
	return f.db.Read(ctx, func(tx *db.Tx) error {
		t := &threads{tx: tx, merged: map[key]int64{}}
		if err := t.follow(account, []int64{thread}); err != nil {
			return err
		}
		const q = "SELECT " + factColumns + ` FROM mail_holding AS h JOIN mail_message AS m ON m.row = h.row
			WHERE h.account = ? AND h.thread = ? ORDER BY h.row LIMIT ?`
		return tx.Each(q, []any{account, t.root(account, thread), maxThread}, func(r db.Row) error {
			w := &Row{}
			err := w.scan(r)
			into[w.ID] = w
			return err
		})
	})
}

// Dates gives the four dates of an entry's message, whole seconds. An entry
// that the account doesn't hold, or without facts, is an error that wraps
// fs.ErrNotExist.
func (v *View) Dates(ctx context.Context, entry int64) (d Dates, err error) {
	for _, f := range v.sources() {
		var sent, received, internal, captured *int64
		err = f.db.Read(ctx, func(tx *db.Tx) error {
			const q = `SELECT m.sent, m.received, m.internal, m.captured FROM mail_message AS m
				JOIN mail_holding AS h ON h.row = m.row WHERE m.entry = ? AND h.account = ?`
			return tx.One(q, []any{entry, v.account}, &sent, &received, &internal, &captured)
		})
		if err == nil {
			return Dates{Sent: at(sent), Received: at(received), Internal: at(internal), Captured: at(captured)}, nil
		}
	}
	return Dates{}, fmt.Errorf("getting the dates of entry %d: %w", entry, err)
}

func at(seconds *int64) time.Time {
	if seconds == nil {
		return time.Time{}
	}
	return time.Unix(*seconds, 0).UTC()
}

// List is View.List without private facts.
func (m *Mailbox) List(ctx context.Context, account, folder, offset, n int64) ([]Row, error) {
	return m.View(account, nil).List(ctx, folder, offset, n)
}

// Position is View.Position.
func (m *Mailbox) Position(ctx context.Context, account, folder, row int64) (int64, error) {
	return m.View(account, nil).Position(ctx, folder, row)
}

// Get is View.Get without private facts.
func (m *Mailbox) Get(ctx context.Context, account, entry int64) (Row, error) {
	return m.View(account, nil).Get(ctx, entry)
}

// Rows is View.Rows without private facts.
func (m *Mailbox) Rows(ctx context.Context, account int64, ids []int64) ([]Row, error) {
	return m.View(account, nil).Rows(ctx, ids)
}

// Thread is View.Thread without private facts.
func (m *Mailbox) Thread(ctx context.Context, account, thread int64) ([]Row, error) {
	return m.View(account, nil).Thread(ctx, thread)
}

// Dates is View.Dates without private facts.
func (m *Mailbox) Dates(ctx context.Context, account, entry int64) (Dates, error) {
	return m.View(account, nil).Dates(ctx, entry)
}
