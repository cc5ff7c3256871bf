package post

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"sijill"
	"sijill/internal/db"
)

// SuspendForwarding stops, in a transaction, the forwarding of an account's personal
// mail, and tells whether there was any. Where it went is kept in Rule.Suspended,
// until the rule is set again.
func (p *Post) SuspendForwarding(tx *db.Tx, account int64) (bool, error) {
	var b []byte
	err := tx.One("SELECT rule FROM post_rule WHERE account = ? AND class = ?", []any{account, sijill.Personal}, &b)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	var r Rule
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil || r.Forward == "" {
		return false, err
	}
	r.Forward, r.Suspended = "", r.Forward
	if b, err = json.Marshal(r); err == nil {
		_, err = tx.Exec("UPDATE post_rule SET rule = ? WHERE account = ? AND class = ?", b, account, sijill.Personal)
	}
	if err != nil {
		return false, fmt.Errorf("suspending a forwarding: %w", err)
	}
	return true, nil
}
