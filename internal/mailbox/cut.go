package mailbox

import (
	"context"
	"fmt"

	"sijill/internal/db"
)

// Cut takes out of all folders what belongs to entries from size on: of a
// register whose tail is lost for good, the numbers of which will be given again.
// It is no doing of a person's, and goes on no record.
func (m *Mailbox) Cut(ctx context.Context, size int64) error {
	err := m.change(ctx, "cutting off the lost tail", func(l *ledger) error {
		var lost []*place
		err := l.tx.Each("SELECT "+placeColumns+" FROM mail_place WHERE entry >= ? ORDER BY folder, uid", []any{size}, func(r db.Row) error {
			p := &place{}
			lost = append(lost, p)
			return p.scan(r)
		})
		if err != nil {
			return err
		}
		for _, p := range lost {
			f, err := l.folder(p.account, p.Folder)
			if err != nil {
				return err
			}
			if err := l.remove(f, []*place{p}); err != nil {
				return err
			}
		}
		_, err = l.tx.Exec("DELETE FROM mail_left WHERE entry >= ?", size)
		return err
	})
	if err != nil {
		return fmt.Errorf("after entry %d: %w", size-1, err)
	}
	return nil
}
