package mailbox

import (
	"context"
	"fmt"
	"math"
	"slices"

	"sijill"
	"sijill/internal/db"
)

// Held is a message of an account, and the row that its facts must have.
type Held struct {
	Entry, Row int64
	Cold       bool // See FlagCold.
}

// Held gives the messages that an account has in folders of a class, newest
// first: those of personal mail are to be opened for its owner.
func (m *Mailbox) Held(ctx context.Context, account int64, class sijill.Class) (list []Held, err error) {
	err = m.db.Read(ctx, func(tx *db.Tx) error {
		const q = `SELECT p.row, p.entry, p.flags & 128 <> 0 FROM mail_folder AS f CROSS JOIN mail_place AS p ON p.folder = f.id
			WHERE f.account = ? AND f.class = ?`
		return tx.Each(q, []any{account, string(class)}, func(r db.Row) error {
			var h Held
			err := r.Scan(&h.Row, &h.Entry, &h.Cold)
			list = append(list, h)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("listing what an account has: %w", err)
	}
	slices.SortFunc(list, func(a, b Held) int { return int(min(max(b.Row-a.Row, -1), 1)) })
	return slices.Compact(list), nil
}

// Mirror brings this mailbox, which is in memory beside private facts, up to the
// state that from has of an account's mail of a class: folders, places, flags. A
// search of private facts needs it to know where messages lie. It takes little
// where little has changed.
func (m *Mailbox) Mirror(ctx context.Context, from *Mailbox, account int64, class sijill.Class) error {
	folders, err := from.Folders(ctx, account)
	if err != nil {
		return err
	}
	folders = slices.DeleteFunc(folders, func(f Folder) bool { return f.Class != class })
	known := map[int64]Folder{}
	have, err := m.Folders(ctx, account)
	if err != nil {
		return err
	}
	for _, f := range have {
		if f.Class == class {
			known[f.ID] = f
		}
	}
	x := &mirror{m: m, from: from, account: account}
	for _, f := range folders {
		if err := x.gather(ctx, f, known[f.ID]); err != nil {
			return err
		}
		delete(known, f.ID)
	}
	for id := range known {
		x.deleted = append(x.deleted, id)
	}
	if len(x.changed) == 0 && len(x.deleted) == 0 {
		return nil
	}
	if err := m.db.Write(ctx, x.write); err != nil {
		return fmt.Errorf("mirroring folders: %w", err)
	}
	return nil
}

// mirror is what is to change.
type mirror struct {
	m, from *Mailbox
	account int64
	changed []mirrored
	deleted []int64
}

type mirrored struct {
	folder Folder
	Changes
}

func (x *mirror) gather(ctx context.Context, f, known Folder) error {
	if f == known {
		return nil
	}
	c := Changes{Whole: true}
	if known.UIDValidity == f.UIDValidity {
		var err error
		if c, err = x.from.Changes(ctx, x.account, f.ID, known.ModSeq); err != nil {
			return err
		}
	}
	if c.Whole {
		var err error
		if c.Changed, err = x.from.Places(ctx, x.account, f.ID, 0, math.MaxInt64); err != nil {
			return err
		}
		c.ModSeq = f.ModSeq // Read before the places: what came between comes again.
	}
	f.ModSeq = c.ModSeq
	x.changed = append(x.changed, mirrored{f, c})
	return nil
}

func (x *mirror) write(tx *db.Tx) error {
	for _, id := range x.deleted {
		x.changed = append(x.changed, mirrored{folder: Folder{ID: id, Account: x.account}, Changes: Changes{Whole: true}})
	}
	var gone []*place
	for _, c := range x.changed {
		left, err := x.writeFolder(tx, c)
		if err != nil {
			return err
		}
		gone = append(gone, left...)
	}
	_, err := x.m.ledger(tx).leave(x.account, gone)
	return err
}

// writeFolder writes what became of a folder and gives what left it.
func (x *mirror) writeFolder(tx *db.Tx, c mirrored) (gone []*place, err error) {
	uids := c.Gone
	if c.Whole {
		err := tx.Each("SELECT uid FROM mail_place WHERE folder = ?", []any{c.folder.ID}, func(r db.Row) error {
			var uid int64
			err := r.Scan(&uid)
			uids = append(uids, uid)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	if gone, err = placesOf(tx, c.folder.ID, uids); err != nil {
		return nil, err
	}
	for _, p := range c.Changed {
		uids = append(uids, p.UID)
	}
	if err := execOf(tx, "DELETE FROM mail_place WHERE folder = ? AND uid IN (?)", []any{c.folder.ID}, unique(uids)); err != nil {
		return nil, err
	}
	var args []any
	var entries []int64
	for _, p := range c.Changed {
		full := place{Place: p, account: x.account, keywords: combineWords(nil, Set, p.Keywords)}
		args = append(args, full.values()...)
		entries = append(entries, p.Entry)
	}
	if err := insert(tx, "mail_place ("+placeColumns+")", 9, args); err != nil {
		return nil, err
	}
	if err := execOf(tx, "DELETE FROM mail_left WHERE account = ? AND entry IN (?)", []any{x.account}, unique(entries)); err != nil {
		return nil, err
	}
	if _, err := tx.Exec("DELETE FROM mail_folder WHERE id = ?", c.folder.ID); err != nil || c.folder.UIDValidity == 0 {
		return gone, err
	}
	f := folder{Folder: c.folder}
	_, err = tx.Exec("INSERT INTO mail_folder ("+folderColumns+") VALUES ("+marks(folderWidth)+")", f.values()...)
	return gone, err
}
