package mailbox

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"sijill/internal/db"
)

// maxThread is how many messages of a thread are shown.
const maxThread = 500

// maxList is how many rows List gives at once.
const maxList = 1000

// lineColumns are those that scanRow reads, from lineTables.
const (
	lineColumns = `m.row, m.entry, p.thread, p.folder, p.uid, m.from_name, m.from_addr, m.to_text,
		m.subject, m.snippet, m.size, m.attachments, coalesce(s.flags, 0)`
	lineTables = ` JOIN mail_message AS m ON m.row = p.row
		LEFT JOIN mail_state AS s ON s.account = p.account AND s.entry = m.entry `
)

func scanRow(r db.Row) (w Row, err error) {
	var flags int64
	err = r.Scan(&w.ID, &w.Entry, &w.Thread, &w.Folder, &w.UID, &w.From.Name, &w.From.Addr, &w.To,
		&w.Subject, &w.Snippet, &w.Size, &w.Attachments, &flags)
	w.Date, w.Seen = rowDate(w.ID), flags&flagSeen != 0
	return w, err
}

// selectRows reads the rows of a query that begins with a selection of
// lineColumns.
func selectRows(tx *db.Tx, query string, args ...any) (rows []Row, err error) {
	err = tx.Each(query, args, func(r db.Row) error {
		w, err := scanRow(r)
		rows = append(rows, w)
		return err
	})
	return rows, err
}

// Folders gives the folders of an account, the inbox first, then by name.
func (m *Mailbox) Folders(ctx context.Context, account int64) (list []Folder, err error) {
	err = m.db.Read(ctx, func(tx *db.Tx) error {
		q := "SELECT " + folderColumns + " FROM mail_folder WHERE account = ? ORDER BY role <> 'inbox', name, id"
		return tx.Each(q, []any{account}, func(r db.Row) error {
			var f Folder
			err := f.scan(r)
			list = append(list, f)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("listing folders: %w", err)
	}
	return list, nil
}

// List gives at most n (and 1,000) rows of a folder, newest first, after the
// first offset. A folder that isn't the account's is an error that wraps
// fs.ErrNotExist.
func (m *Mailbox) List(ctx context.Context, account, folder, offset, n int64) (rows []Row, err error) {
	err = m.db.Read(ctx, func(tx *db.Tx) error {
		f, err := owned(tx, account, folder)
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
		page, err := pageOf(tx, folder, order, n, skip)
		if err != nil {
			return err
		}
		rows, err = rowsIn(tx, account, folder, page)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing messages: %w", err)
	}
	return rows, nil
}

// pageOf gives the ids of rows that stand together in a folder. It is a query of
// its own: in one with joins SQLite may choose to walk the whole folder.
func pageOf(tx *db.Tx, folder int64, order string, n, skip int64) (ids []int64, err error) {
	q := "SELECT row FROM mail_placement WHERE folder = ? ORDER BY row " + order + " LIMIT ? OFFSET ?"
	err = tx.Each(q, []any{folder, n, skip}, func(r db.Row) error {
		var id int64
		err := r.Scan(&id)
		ids = append(ids, id)
		return err
	})
	return ids, err
}

// rowsIn reads rows that lie in a folder, newest first.
func rowsIn(tx *db.Tx, account, folder int64, ids []int64) ([]Row, error) {
	rows := make([]Row, 0, len(ids))
	const q = `SELECT ` + lineColumns + ` FROM mail_placement AS p` + lineTables +
		`WHERE p.account = ? AND p.folder = ? AND p.row IN (?)`
	err := eachOf(tx, q, []any{account, folder}, ids, func(r db.Row) error {
		w, err := scanRow(r)
		rows = append(rows, w)
		return err
	})
	slices.SortFunc(rows, func(a, b Row) int { return cmp.Compare(b.ID, a.ID) })
	return rows, err
}

// Position is the offset of a row in List. A row that isn't in the folder, or
// a folder that isn't the account's, is an error that wraps fs.ErrNotExist.
func (m *Mailbox) Position(ctx context.Context, account, folder, row int64) (offset int64, err error) {
	err = m.db.Read(ctx, func(tx *db.Tx) error {
		const held = "SELECT folder FROM mail_placement WHERE row = ? AND account = ? AND folder = ?"
		if err := tx.One(held, []any{row, account, folder}, new(int64)); err != nil {
			return err
		}
		return tx.One("SELECT count(*) FROM mail_placement WHERE folder = ? AND row > ?", []any{folder, row}, &offset)
	})
	if err != nil {
		return 0, fmt.Errorf("finding the position of row %d: %w", row, err)
	}
	return offset, nil
}

// Get gives the row of an entry, in the first of its folders. An entry that the
// account doesn't hold is an error that wraps fs.ErrNotExist.
func (m *Mailbox) Get(ctx context.Context, account, entry int64) (Row, error) {
	var rows []Row
	err := m.db.Read(ctx, func(tx *db.Tx) (err error) {
		const q = `SELECT ` + lineColumns + ` FROM mail_placement AS p` + lineTables +
			`WHERE m.entry = ? AND p.account = ? ORDER BY p.folder LIMIT 1`
		rows, err = selectRows(tx, q, entry, account)
		return err
	})
	if err == nil && len(rows) == 0 {
		err = fs.ErrNotExist
	}
	if err != nil {
		return Row{}, fmt.Errorf("getting entry %d: %w", entry, err)
	}
	return rows[0], nil
}

// Rows gives rows by their ids, in the order of ids, each in the first of its
// folders. Those that the account doesn't hold are left out.
func (m *Mailbox) Rows(ctx context.Context, account int64, ids []int64) ([]Row, error) {
	found := make(map[int64]Row, len(ids))
	err := m.db.Read(ctx, func(tx *db.Tx) error {
		const q = `SELECT ` + lineColumns + ` FROM mail_placement AS p` + lineTables +
			`WHERE p.account = ? AND p.row IN (?) ORDER BY p.folder DESC`
		return eachOf(tx, q, []any{account}, ids, func(r db.Row) error {
			w, err := scanRow(r)
			found[w.ID] = w
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("reading rows: %w", err)
	}
	rows := make([]Row, 0, len(ids))
	for _, id := range ids {
		if w, ok := found[id]; ok {
			rows = append(rows, w)
		}
	}
	return rows, nil
}

// Thread gives the first 500 messages of a thread, oldest first; none where
// the account has no such thread. The id of a thread that has since become
// part of another gives that one.
func (m *Mailbox) Thread(ctx context.Context, account, thread int64) (rows []Row, err error) {
	err = m.db.Read(ctx, func(tx *db.Tx) error {
		t := &threads{tx: tx, merged: map[key]int64{}}
		if err := t.follow(account, []int64{thread}); err != nil {
			return err
		}
		q := `SELECT ` + lineColumns + ` FROM mail_placement AS p` + lineTables +
			`WHERE p.account = ? AND p.thread = ? ORDER BY p.row, p.folder LIMIT ?`
		rows, err = selectRows(tx, q, account, t.root(account, thread), maxThread)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading a thread: %w", err)
	}
	// A message that lies in several folders is shown once.
	return slices.CompactFunc(rows, func(a, b Row) bool { return a.ID == b.ID }), nil
}

// Dates gives the four dates of an entry's message, whole seconds. An entry
// that the account doesn't hold is an error that wraps fs.ErrNotExist.
func (m *Mailbox) Dates(ctx context.Context, account, entry int64) (d Dates, err error) {
	var sent, received, internal, captured *int64
	err = m.db.Read(ctx, func(tx *db.Tx) error {
		const q = `SELECT m.sent, m.received, m.internal, m.captured FROM mail_message AS m
			JOIN mail_placement AS p ON p.row = m.row WHERE m.entry = ? AND p.account = ?`
		return tx.One(q, []any{entry, account}, &sent, &received, &internal, &captured)
	})
	if err != nil {
		return Dates{}, fmt.Errorf("getting the dates of entry %d: %w", entry, err)
	}
	return Dates{Sent: at(sent), Received: at(received), Internal: at(internal), Captured: at(captured)}, nil
}

func at(seconds *int64) time.Time {
	if seconds == nil {
		return time.Time{}
	}
	return time.Unix(*seconds, 0).UTC()
}
