package office

import (
	"context"
	"fmt"
	"io/fs"
	"sync"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/mailbox"
)

// roleFolders knows the standard folders of accounts: they are made once and
// keep their numbers.
type roleFolders struct {
	mail *mailbox.Mailbox

	mu    sync.Mutex // Guards known.
	known map[identityKey]map[string]int64
}

type identityKey struct {
	account int64
	class   sijill.Class
}

// of gives an identity's standard folders by their roles.
func (r *roleFolders) of(ctx context.Context, account int64, class sijill.Class) (map[string]int64, error) {
	k := identityKey{account, class}
	r.mu.Lock()
	known := r.known[k]
	r.mu.Unlock()
	if known != nil {
		return known, nil
	}
	list, err := r.mail.EnsureFolders(ctx, account, class)
	if err != nil {
		return nil, err
	}
	known = map[string]int64{}
	for _, f := range list {
		known[f.Role] = f.ID
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = map[identityKey]map[string]int64{}
	}
	r.known[k] = known
	return known, nil
}

// RoleFolders gives the standard folders of an account in one class by their roles.
// They are made when they are first asked for. The map is shared: don't change it.
func (o *Office) RoleFolders(ctx context.Context, account int64, class sijill.Class) (map[string]int64, error) {
	return o.roles.of(ctx, account, class)
}

// arrive notes, in the transaction of an entry, that it goes to the folder of a
// role.
func (o *Office) arrive(tx *db.Tx, entry, account int64, class sijill.Class, role string) error {
	folders, err := o.roles.of(context.Background(), account, class)
	if err != nil {
		return err
	}
	id, ok := folders[role]
	if !ok {
		return fmt.Errorf("there is no folder for %s: %w", role, fs.ErrNotExist)
	}
	return mailbox.Arrive(tx, entry, account, mailbox.Arrival{Folder: id})
}
