package vault

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"sijill"
	"sijill/internal/db"
)

// How the key of a personal message is wrapped. The numbers stand in the
// database.
const (
	wrapSecond = 1 // AES-256-GCM under a key derived from the compartment's seed
	wrapSealed = 2 // HPKE to the compartment's public key
)

// MessageKey is a message's key, wrapped under a compartment's.
type MessageKey struct {
	Entry, Compartment int64
	Wrapped            []byte

	method int    // Of a personal message's key; else 0.
	mask   []byte // Likewise.
	closed int64  // The state of the vault when it was read.
}

// Personal tells whether the message is its holder's own: nothing that the
// server has opens it.
func (k MessageKey) Personal() bool { return k.method != 0 }

// KeysTable is where keys of office messages are inserted, with the columns in
// the order of MessageKey's fields. Keys of personal ones are for InsertPersonal.
const KeysTable = "message_key (entry, compartment, wrapped)"

// InsertPersonal inserts the keys of personal messages.
func InsertPersonal(tx *db.Tx, keys []MessageKey) error {
	for _, k := range keys {
		_, err := tx.Exec("INSERT INTO personal_key (entry, compartment, method, wrapped) VALUES (?, ?, ?, ?)",
			k.Entry, k.Compartment, k.method, k.Wrapped)
		if err == nil {
			_, err = tx.Exec("INSERT INTO personal_mask (entry, mask) VALUES (?, ?)", k.Entry, k.mask)
		}
		if err != nil {
			return fmt.Errorf("storing a personal message's key: %w", err)
		}
	}
	return nil
}

// Stale tells whether a personal message was sealed to roots that have been
// replaced since: perhaps nobody could open it.
func Stale(tx *db.Tx, k MessageKey) (bool, error) {
	if !k.Personal() {
		return false, nil
	}
	var n int
	err := tx.One(`SELECT count(*) FROM compartment c WHERE c.id = ? AND c.generation =
		(SELECT max(r.generation) FROM root r WHERE r.account = c.account AND r.root = 'everyday')`, []any{k.Compartment}, &n)
	if err != nil {
		return false, fmt.Errorf("comparing roots: %w", err)
	}
	return n == 0, nil
}

// wrap wraps a message key for one account. In an office compartment the nonce
// is the message's id, which is random and used once under each compartment's
// key.
func (v *Vault) wrap(ctx context.Context, class sijill.Class, account int64, key secret, id sijill.ID) (MessageKey, error) {
	s := slot{account: account, class: class, month: monthOf(v.now())}
	if class == sijill.Personal {
		return v.wrapPersonal(ctx, s, key)
	}
	c, err := v.compartment(ctx, s)
	if err != nil {
		return MessageKey{}, err
	}
	m, err := v.serverRoom(ctx, c.id, sealing)
	if err != nil {
		return MessageKey{}, err
	}
	return MessageKey{Compartment: c.id, Wrapped: m.aead.Seal(nil, id[:12], key[:], id[:])}, nil
}

func (v *Vault) wrapPersonal(ctx context.Context, s slot, key secret) (k MessageKey, err error) {
	// Asked each time: another process may have made new roots, and what is
	// sealed to the old ones may be lost.
	err = v.db.Read(ctx, func(tx *db.Tx) error {
		s.generation, err = generation(tx, s.account, Everyday)
		return err
	})
	if err != nil {
		return k, err
	}
	if s.generation == 0 {
		return k, ErrNoRoots
	}
	c, err := v.compartment(ctx, s)
	if err != nil {
		return k, err
	}
	mask := newSecret()
	wrapped, err := sealTo(c.public, whatMessage(mask), masked(key, mask))
	return MessageKey{Compartment: c.id, Wrapped: wrapped, method: wrapSealed, mask: mask[:]}, err
}

// whatMessage is what the key of a personal message is bound to: its mask, which
// no two messages share.
func whatMessage(mask secret) []byte { return append([]byte("sijill/message/v1\n"), mask[:]...) }

// unwrap opens a message's key: with the server's key where it can, else with a
// ring, which may be nil.
func (v *Vault) unwrap(ctx context.Context, r *Ring, k MessageKey, id sijill.ID) (key secret, err error) {
	if k.Personal() {
		return v.unwrapPersonal(ctx, r, k)
	}
	m, err := v.serverRoom(ctx, k.Compartment, k.closed)
	if errors.Is(err, ErrClosed) {
		m, err = r.room(ctx, v, k.Compartment, k.closed)
	}
	if err != nil {
		return key, err
	}
	if key, err = asSecret(m.aead.Open(nil, id[:12], k.Wrapped, id[:])); err != nil {
		return key, fmt.Errorf("unwrapping the message key: %w", err)
	}
	return key, nil
}

func (v *Vault) unwrapPersonal(ctx context.Context, r *Ring, k MessageKey) (key secret, err error) {
	mask, err := k.form()
	if err != nil {
		return key, fmt.Errorf("unwrapping the message key: %w", err)
	}
	m, err := r.room(ctx, v, k.Compartment, k.closed)
	if err != nil {
		return key, err
	}
	half, err := m.unwrap(k, mask)
	if err != nil {
		return key, fmt.Errorf("unwrapping the message key: %w", err)
	}
	return masked(half, mask), nil
}

// form checks what can be seen of a personal message's key from without.
func (k MessageKey) form() (mask secret, err error) {
	want := map[int]int{wrapSecond: 12 + 32 + 16, wrapSealed: 32 + hpkeOverhead}
	if n, ok := want[k.method]; !ok || n != len(k.Wrapped) {
		return mask, ErrDamaged
	}
	return readMask(k.mask)
}

func (m *room) unwrap(k MessageKey, mask secret) (secret, error) {
	if m.private == nil {
		return secret{}, ErrDamaged // The key of a personal message in an office compartment.
	}
	if k.method == wrapSecond {
		return asSecret(unwrapUnder(m.aead, whatMessage(mask), k.Wrapped))
	}
	return openSealed(m.private, whatMessage(mask), k.Wrapped)
}

// CheckKey tells whether a wrapped key is sound, without opening the message.
// Errors wrap ErrClosed or ErrDamaged.
func (v *Vault) CheckKey(ctx context.Context, k MessageKey, id sijill.ID) error {
	_, err := v.unwrap(ctx, nil, k, id)
	return err
}

// Keys reads the wrapped keys of the messages of entries first to last.
func Keys(tx *db.Tx, first, last int64) ([]MessageKey, error) {
	return keys(tx, "BETWEEN ? AND ?", []any{first, last})
}

// KeysOf reads the wrapped keys of the messages of some entries.
func KeysOf(tx *db.Tx, entries []int64) ([]MessageKey, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	args := make([]any, len(entries))
	for i, n := range entries {
		args[i] = n
	}
	return keys(tx, "IN (?"+strings.Repeat(", ?", len(entries)-1)+")", args)
}

func keys(tx *db.Tx, which string, args []any) (list []MessageKey, err error) {
	closed, err := closings(tx)
	if err != nil {
		return nil, err
	}
	err = tx.Each("SELECT entry, compartment, wrapped FROM message_key WHERE entry "+which+" ORDER BY entry, compartment", args, func(r db.Row) error {
		k := MessageKey{closed: closed}
		err := r.Scan(&k.Entry, &k.Compartment, &k.Wrapped)
		list = append(list, k)
		return err
	})
	if err == nil {
		err = tx.Each(`SELECT k.entry, k.compartment, k.wrapped, k.method, m.mask FROM personal_key k
			LEFT JOIN personal_mask m ON m.entry = k.entry WHERE k.entry `+which+" ORDER BY k.entry", args, func(r db.Row) error {
			k := MessageKey{closed: closed}
			err := r.Scan(&k.Entry, &k.Compartment, &k.Wrapped, &k.method, &k.mask)
			list = append(list, k)
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("reading message keys: %w", err)
	}
	return list, nil
}
