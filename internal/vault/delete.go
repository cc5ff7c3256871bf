package vault

import (
	"context"
	"fmt"
	"strings"

	"sijill/internal/db"
)

// delete runs a transaction that may delete key material, and when it says that
// it did returns only once that is nowhere on disk.
func (v *Vault) delete(ctx context.Context, do func(tx *db.Tx) (deleted bool, err error)) error {
	var deleted bool
	err := v.db.Write(ctx, func(tx *db.Tx) (err error) {
		if deleted, err = do(tx); err == nil && deleted {
			err = Owe(tx)
		}
		return err
	})
	if err != nil || !deleted {
		return err
	}
	return v.Scrub(ctx)
}

// Owe notes, in the transaction that deletes what may not be left on the disk, that
// the write-ahead log will hold it until Scrub.
func Owe(tx *db.Tx) error {
	if _, err := tx.Exec("UPDATE vault_state SET deleted = deleted + 1 WHERE id = 1"); err != nil {
		return fmt.Errorf("noting a deletion: %w", err)
	}
	return nil
}

// Scrub empties the write-ahead log if keys were deleted since it last was:
// until then the log holds them. It waits for readers. What a crash prevented is
// made good when the vault is next opened.
func (v *Vault) Scrub(ctx context.Context) error {
	var deleted, scrubbed int64
	err := v.db.Read(ctx, func(tx *db.Tx) error {
		return tx.One("SELECT deleted, scrubbed FROM vault_state WHERE id = 1", nil, &deleted, &scrubbed)
	})
	if err != nil {
		return fmt.Errorf("reading the state of the vault: %w", err)
	}
	if deleted == scrubbed {
		return nil
	}
	// The deletion is durable: it is finished whatever becomes of the caller.
	bg := context.WithoutCancel(ctx)
	if err := v.db.Truncate(bg); err != nil {
		return fmt.Errorf("keys were deleted, but the log still holds them: %w", err)
	}
	return v.db.Write(bg, func(tx *db.Tx) error {
		_, err := tx.Exec("UPDATE vault_state SET scrubbed = max(scrubbed, ?) WHERE id = 1", deleted)
		return err
	})
}

// destroyAtOnce bounds the arguments of a statement.
const destroyAtOnce = 256

// Destroy deletes the keys of personal messages, in the caller's transaction.
// What was destroyed before is no error; an office message is none that this
// could touch. Call Scrub when the transaction has committed: only then is
// nothing left of the keys.
func Destroy(tx *db.Tx, entries []int64) error {
	for len(entries) > 0 {
		n := min(len(entries), destroyAtOnce)
		args := []any{noMask[:]}
		for _, e := range entries[:n] {
			args = append(args, e)
		}
		in := "(?" + strings.Repeat(", ?", n-1) + ")"
		if _, err := tx.Exec("UPDATE personal_mask SET mask = ? WHERE entry IN "+in, args...); err != nil {
			return fmt.Errorf("destroying message keys: %w", err)
		}
		if _, err := tx.Exec("DELETE FROM personal_key WHERE entry IN "+in, args[1:]...); err != nil {
			return fmt.Errorf("destroying message keys: %w", err)
		}
		entries = entries[n:]
	}
	return Owe(tx)
}

// Traces tells which of the entries first to last have a mask although their
// message has no key any more: half a key is left that should not be.
func Traces(tx *db.Tx, first, last int64) (entries []int64, err error) {
	err = tx.Each(`SELECT m.entry FROM personal_mask m LEFT JOIN personal_key k ON k.entry = m.entry
		WHERE m.entry BETWEEN ? AND ? AND k.entry IS NULL AND m.mask <> ? ORDER BY m.entry`, []any{first, last, noMask[:]}, func(r db.Row) error {
		var n int64
		err := r.Scan(&n)
		entries = append(entries, n)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("looking for halves of keys: %w", err)
	}
	return entries, nil
}
