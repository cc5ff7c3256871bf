package vault

import (
	"context"
	"errors"
	"fmt"

	"sijill"
	"sijill/internal/db"
)

// rewrapAtOnce is how many keys one transaction rewraps: others want to write
// meanwhile.
const rewrapAtOnce = 256

// Rewrap makes the personal messages of the ring's account quick to open from
// now on: their keys came in sealed to a public key, and are wrapped again under
// a key that only the ring can make. Compartments that an older generation of a
// root opens are sealed to the newest as well. It tells how many message keys
// were rewrapped, and may be stopped and called again at any time.
func (v *Vault) Rewrap(ctx context.Context, r *Ring) (n int, err error) {
	rooms, err := v.fresh(ctx, r.account)
	if err != nil {
		return 0, fmt.Errorf("rewrapping: %w", err)
	}
	for _, c := range rooms {
		m, err := r.room(ctx, v, c, sealing)
		if errors.Is(err, ErrClosed) {
			continue // Cold, or of roots that the ring lacks.
		}
		for more := err == nil; more; {
			var k int
			if k, more, err = v.rewrap(ctx, c, m); err == nil {
				n += k
			}
			more = more && err == nil
		}
		if err != nil {
			return n, fmt.Errorf("rewrapping: %w", err)
		}
	}
	if err := v.renew(ctx, r); err != nil {
		return n, fmt.Errorf("rewrapping: %w", err)
	}
	return n, nil
}

// fresh lists compartments with keys as they came in.
func (v *Vault) fresh(ctx context.Context, account int64) (ids []int64, err error) {
	err = v.db.Read(ctx, func(tx *db.Tx) error {
		return each(tx, &ids, `SELECT c.id FROM compartment c WHERE c.account = ? AND c.class = ?
			AND EXISTS (SELECT 1 FROM personal_key k WHERE k.method = 2 AND k.compartment = c.id) ORDER BY c.month DESC`, account, sijill.Personal)
	})
	return ids, err
}

func each(tx *db.Tx, into *[]int64, query string, args ...any) error {
	return tx.Each(query, args, func(r db.Row) error {
		var id int64
		err := r.Scan(&id)
		*into = append(*into, id)
		return err
	})
}

// rewrap rewraps some keys of a compartment, the newest first.
func (v *Vault) rewrap(ctx context.Context, compartment int64, m *room) (n int, more bool, err error) {
	type again struct {
		entry int64
		now   []byte
	}
	var list []again
	err = v.db.Read(ctx, func(tx *db.Tx) error {
		return tx.Each(`SELECT k.entry, k.wrapped, k.method, m.mask FROM personal_key k JOIN personal_mask m ON m.entry = k.entry
			WHERE k.method = 2 AND k.compartment = ? ORDER BY k.entry DESC LIMIT ?`, []any{compartment, rewrapAtOnce}, func(row db.Row) error {
			var k MessageKey
			if err := row.Scan(&k.Entry, &k.Wrapped, &k.method, &k.mask); err != nil {
				return err
			}
			mask, err := k.form()
			if err != nil {
				return fmt.Errorf("the key of entry %d: %w", k.Entry, err)
			}
			half, err := m.unwrap(k, mask)
			if err != nil {
				return fmt.Errorf("the key of entry %d: %w", k.Entry, err)
			}
			list = append(list, again{k.Entry, wrapUnder(m.aead, whatMessage(mask), half[:])})
			return nil
		})
	})
	if err != nil || len(list) == 0 {
		return 0, false, err
	}
	err = v.db.Write(ctx, func(tx *db.Tx) error {
		for _, a := range list {
			// Unless it was destroyed or rewrapped meanwhile.
			if _, err := tx.Exec("UPDATE personal_key SET method = 1, wrapped = ? WHERE entry = ? AND method = 2", a.now, a.entry); err != nil {
				return err
			}
		}
		return nil
	})
	return len(list), len(list) == rewrapAtOnce, err
}

// renew seals compartments that the ring opens with roots of older generations
// to the newest, so that they open with what the owner has now. What is cold is
// not made hot by it.
func (v *Vault) renew(ctx context.Context, r *Ring) error {
	var ids []int64
	err := v.db.Read(ctx, func(tx *db.Tx) error {
		return each(tx, &ids, `SELECT DISTINCT c.id FROM compartment c JOIN compartment_key k ON k.compartment = c.id
			JOIN (SELECT root, max(generation) AS newest FROM root WHERE account = ? GROUP BY root) n ON n.root = k.holder
			WHERE c.account = ? AND c.class = ? AND NOT EXISTS
			(SELECT 1 FROM compartment_key o WHERE o.compartment = c.id AND o.holder = k.holder AND o.generation = n.newest)`,
			r.account, r.account, sijill.Personal)
	})
	if err != nil {
		return fmt.Errorf("looking for old roots: %w", err)
	}
	for _, id := range ids {
		if err := v.db.Write(ctx, func(tx *db.Tx) error { return r.renew(tx, id) }); err != nil {
			return fmt.Errorf("sealing to new roots: %w", err)
		}
	}
	return nil
}

func (r *Ring) renew(tx *db.Tx, id int64) error {
	c, err := readCompartment(tx, id)
	if err != nil {
		return err
	}
	return r.withSeed(c, func(seed secret) error {
		has := map[Root]bool{}
		for _, k := range c.keys {
			has[k.root] = true
		}
		for root := range has {
			to, _, ok, err := newestRoot(tx, c.account, root)
			if err == nil && ok {
				ok, err = lacks(tx, id, to)
			}
			if err == nil && ok {
				err = c.share(tx, id, to, seed)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}
