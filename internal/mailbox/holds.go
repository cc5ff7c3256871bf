package mailbox

import (
	"context"
	"fmt"

	"sijill"
	"sijill/internal/db"
)

// Holds tells whether an account has mail of a class with one of these
// Message-IDs (without angle brackets), or mail that names one of them. Of
// personal mail nothing is known here: it is always false.
func (m *Mailbox) Holds(ctx context.Context, account int64, class sijill.Class, ids []string) (held bool, err error) {
	if class == sijill.Personal || len(ids) == 0 {
		return false, nil
	}
	var hashes []int64
	for _, id := range ids {
		hashes = append(hashes, hash(id))
	}
	err = m.db.Read(ctx, func(tx *db.Tx) error {
		return eachOf(tx, "SELECT hash FROM mail_reference WHERE account = ? AND hash IN (?)", []any{account}, hashes, func(db.Row) error {
			held = true
			return nil
		})
	})
	if err != nil {
		return false, fmt.Errorf("looking for messages by their ids: %w", err)
	}
	return held, nil
}
