package mailbox

import (
	"context"
	"fmt"

	"sijill/internal/db"
)

// PlacesOf gives all places of an entry for an account; none where it lies
// nowhere.
func (m *Mailbox) PlacesOf(ctx context.Context, account, entry int64) (list []Place, err error) {
	err = m.db.Read(ctx, func(tx *db.Tx) error {
		found, err := placesOfEntry(tx, account, entry)
		for _, p := range found {
			list = append(list, p.Place)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("finding where entry %d lies: %w", entry, err)
	}
	return list, nil
}
