package vault

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"

	"sijill/internal/db"
)

// compartment finds a compartment, or makes it with a fresh key.
func (v *Vault) compartment(ctx context.Context, s slot) (id int64, err error) {
	v.mu.Lock()
	id, ok := v.compartments[s]
	v.mu.Unlock()
	if ok {
		return id, nil
	}
	if id, err = v.find(ctx, s); errors.Is(err, fs.ErrNotExist) {
		id, err = v.make(ctx, s)
	}
	if err != nil {
		return 0, fmt.Errorf("finding a compartment: %w", err)
	}
	v.mu.Lock()
	v.compartments[s] = id
	v.mu.Unlock()
	return id, nil
}

func (v *Vault) find(ctx context.Context, s slot) (id int64, err error) {
	err = v.db.Read(ctx, func(tx *db.Tx) error { return s.find(tx, &id) })
	return id, err
}

func (s slot) find(tx *db.Tx, id *int64) error {
	return tx.One("SELECT id FROM compartment WHERE account = ? AND class = ? AND month = ?", []any{s.account, s.class, s.month}, id)
}

// make makes a compartment unless another goroutine or process just has.
func (v *Vault) make(ctx context.Context, s slot) (id int64, err error) {
	var key [32]byte
	rand.Read(key[:])
	err = v.db.Write(ctx, func(tx *db.Tx) error {
		if err := s.find(tx, &id); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		id, err = tx.Insert("INSERT INTO compartment (account, class, month, method) VALUES (?, ?, ?, ?)",
			s.account, s.class, s.month, wrapAESGCM)
		if err != nil {
			return err
		}
		_, err = tx.Exec("INSERT INTO compartment_key (compartment, holder, method, wrapped) VALUES (?, ?, ?, ?)",
			id, holderServer, wrapAESGCM, v.wrapOwn("compartment", id, key[:]))
		return err
	})
	return id, err
}

// compartmentKey gives a compartment's key if the server may open it, else
// ErrClosed.
func (v *Vault) compartmentKey(ctx context.Context, id int64) (key [32]byte, err error) {
	v.mu.Lock()
	key, ok := v.keys[id]
	v.mu.Unlock()
	if ok {
		return key, nil
	}
	var wrapped []byte
	err = v.db.Read(ctx, func(tx *db.Tx) error {
		return tx.One("SELECT wrapped FROM compartment_key WHERE compartment = ? AND holder = ?", []any{id, holderServer}, &wrapped)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return key, ErrClosed
	}
	if err != nil {
		return key, fmt.Errorf("reading a compartment's key: %w", err)
	}
	b, err := v.unwrapOwn("compartment", id, wrapped)
	if err != nil || len(b) != len(key) {
		return key, fmt.Errorf("opening compartment %d: %w", id, ErrDamaged)
	}
	key = [32]byte(b)
	v.mu.Lock()
	v.keys[id] = key
	v.mu.Unlock()
	return key, nil
}

// wrapOwn wraps a secret under a key derived from the server's: nonce (12) ‖
// AES-256-GCM, bound to what it is for.
func (v *Vault) wrapOwn(purpose string, id int64, secret []byte) []byte {
	key := v.key.Derive(purpose)
	nonce := make([]byte, 12)
	rand.Read(nonce)
	return gcm(key[:]).Seal(nonce, nonce, secret, binary.BigEndian.AppendUint64(nil, uint64(id)))
}

func (v *Vault) unwrapOwn(purpose string, id int64, wrapped []byte) ([]byte, error) {
	if len(wrapped) < 12 {
		return nil, ErrDamaged
	}
	key := v.key.Derive(purpose)
	b, err := gcm(key[:]).Open(nil, wrapped[:12], wrapped[12:], binary.BigEndian.AppendUint64(nil, uint64(id)))
	if err != nil {
		return nil, ErrDamaged
	}
	return b, nil
}

// Keys reads the wrapped keys of the messages of entries first to last.
func Keys(tx *db.Tx, first, last int64) (keys []MessageKey, err error) {
	err = tx.Each("SELECT entry, compartment, wrapped FROM message_key WHERE entry BETWEEN ? AND ? ORDER BY entry, compartment",
		[]any{first, last}, func(r db.Row) error {
			var k MessageKey
			err := r.Scan(&k.Entry, &k.Compartment, &k.Wrapped)
			keys = append(keys, k)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("reading message keys: %w", err)
	}
	return keys, nil
}

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
