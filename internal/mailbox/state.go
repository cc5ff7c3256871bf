package mailbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"sijill/internal/db"
)

// flagSeen is the bit of mail_state.flags that says that a message was read.
const flagSeen = 1

// seenStates gives what is known of lines, by account and entry.
func seenStates(tx *db.Tx, lines []*line) (map[key]bool, error) {
	seen := map[key]bool{}
	for account, lines := range byAccount(lines) {
		entries := make([]int64, len(lines))
		for i, l := range lines {
			entries[i] = l.entry
		}
		const q = "SELECT entry, flags FROM mail_state WHERE account = ? AND entry IN (?)"
		err := eachOf(tx, q, []any{account}, entries, func(r db.Row) error {
			var entry, flags int64
			if err := r.Scan(&entry, &flags); err != nil {
				return err
			}
			seen[key{account, entry}] = flags&flagSeen != 0
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return seen, nil
}

// MarkSeen says that the account's person has read a message, or not. It
// outlives a rebuild. An entry that the account doesn't hold is an error that
// wraps fs.ErrNotExist.
func (m *Mailbox) MarkSeen(ctx context.Context, account, entry int64, seen bool) error {
	err := m.db.Write(ctx, func(tx *db.Tx) error {
		now, err := isSeen(tx, account, entry)
		if err != nil || now == seen {
			return err
		}
		unseen, flag := 1, 0
		if seen {
			unseen, flag = -1, flagSeen
		}
		const upsert = `INSERT INTO mail_state (account, entry, flags) VALUES (?, ?, ?)
			ON CONFLICT (account, entry) DO UPDATE SET flags = (mail_state.flags & ~1) | excluded.flags`
		if _, err := tx.Exec(upsert, account, entry, flag); err != nil {
			return err
		}
		const count = `UPDATE mail_folder SET unseen = unseen + ? WHERE id IN
			(SELECT p.folder FROM mail_placement AS p JOIN mail_message AS m ON m.row = p.row
			WHERE m.entry = ? AND p.account = ?)`
		_, err = tx.Exec(count, unseen, entry, account)
		return err
	})
	if err != nil {
		return fmt.Errorf("marking entry %d: %w", entry, err)
	}
	return nil
}

// isSeen tells whether the account, which must hold the entry, has seen it.
func isSeen(tx *db.Tx, account, entry int64) (bool, error) {
	var row, flags int64
	const held = `SELECT p.row FROM mail_message AS m JOIN mail_placement AS p ON p.row = m.row
		WHERE m.entry = ? AND p.account = ?`
	if err := tx.One(held, []any{entry, account}, &row); err != nil {
		return false, err
	}
	err := tx.One("SELECT flags FROM mail_state WHERE account = ? AND entry = ?", []any{account, entry}, &flags)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return flags&flagSeen != 0, err
}
