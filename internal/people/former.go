package people

import (
	"errors"
	"fmt"
	"time"

	"sijill/internal/db"
)

// FormerFor is how long an address that was somebody's personal one is kept from
// others: people go on writing to it.
const FormerFor = 90 * 24 * time.Hour

// ErrFormer is returned for an address that was a personal one of another account
// within FormerFor: mail that is meant for one person would come to another.
var ErrFormer = errors.New("it was a personal address of somebody else's of late")

// remember notes whose addresses were that are about to be removed: those of the
// condition where.
func (p *People) remember(tx *db.Tx, where string, args ...any) error {
	_, err := tx.Exec("INSERT INTO former_address (domain, local, account, taken) SELECT domain, local, account, ? FROM address WHERE "+where+
		" ON CONFLICT (domain, local, account) DO UPDATE SET taken = excluded.taken", append([]any{p.now().UnixMicro()}, args...)...)
	return err
}

// unclaimed returns ErrFormer when an address was, of late, a personal one of an
// account other than the given one.
func (p *People) unclaimed(tx *db.Tx, local, domain string, account int64) error {
	var n int
	err := tx.One("SELECT count(*) FROM former_address WHERE domain = ? AND local = ? AND account <> ? AND taken > ?",
		[]any{domain, local, account, p.now().Add(-FormerFor).UnixMicro()}, &n)
	if err != nil {
		return fmt.Errorf("looking for former owners: %w", err)
	}
	if n > 0 {
		return ErrFormer
	}
	return nil
}
