package vault

import (
	"fmt"

	"sijill/internal/db"
)

// PutSecret stores a secret of the office under a name, wrapped; one of that
// name is replaced.
func (v *Vault) PutSecret(tx *db.Tx, name string, secret []byte) error {
	_, err := tx.Exec("INSERT INTO secret (name, wrapped) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET wrapped = excluded.wrapped",
		name, v.wrapOwn("secret/"+name, 0, secret))
	if err != nil {
		return fmt.Errorf("storing a secret: %w", err)
	}
	return nil
}

// Secret reads a secret of the office. Errors wrap fs.ErrNotExist or
// ErrDamaged.
func (v *Vault) Secret(tx *db.Tx, name string) ([]byte, error) {
	var wrapped []byte
	if err := tx.One("SELECT wrapped FROM secret WHERE name = ?", []any{name}, &wrapped); err != nil {
		return nil, fmt.Errorf("reading the secret %s: %w", name, err)
	}
	b, err := v.unwrapOwn("secret/"+name, 0, wrapped)
	if err != nil {
		return nil, fmt.Errorf("opening the secret %s: %w", name, err)
	}
	return b, nil
}
