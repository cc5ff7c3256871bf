package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sijill/internal/db"
)

// Holders that the vault itself names.
const (
	holderServer = "server" // of compartments' keys
	holderDeep   = "deep"   // of the everyday root: the deep one of the same account
)

// Envelope tells that a holder opens a root.
type Envelope struct {
	Root    Root
	Holder  string
	Created time.Time
}

// ErrHolder says that a name can't be that of a holder.
var ErrHolder = errors.New("not the name of a holder")

// checkHolder accepts the names of holders outside the vault: "password",
// "recovery", "app/3", "session/9", "passkey/2" and their like, at most 128
// characters.
func checkHolder(holder string) error {
	kind, _, _ := strings.Cut(holder, "/")
	odd := func(c rune) bool { return c <= ' ' || c > '~' }
	if holder == "" || len(holder) > 128 || strings.ContainsFunc(holder, odd) || slices.Contains([]string{holderServer, holderDeep, "officer"}, kind) {
		return ErrHolder
	}
	return nil
}

// envelopeID says which envelope: all of it is bound to what is wrapped, so that
// none can be passed off as another.
type envelopeID struct {
	account int64
	rootID
	holder string
	under  int64
}

func (e envelopeID) what() []byte {
	return fmt.Appendf(nil, "sijill/envelope/v1\naccount %d\nroot %s %d\nholder %s\nunder %d\n", e.account, e.root, e.generation, e.holder, e.under)
}

// store inserts an envelope, in place of the same one if there is.
func (e envelopeID) store(tx *db.Tx, mask int64, wrapped []byte) error {
	if _, err := dropEnvelopes(tx, "account = ? AND root = ? AND generation = ? AND holder = ? AND under = ?",
		e.account, string(e.root), e.generation, e.holder, e.under); err != nil {
		return err
	}
	_, err := tx.Exec("INSERT INTO envelope (account, root, generation, holder, under, mask, wrapped, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		e.account, string(e.root), e.generation, e.holder, e.under, mask, wrapped, tx.Now.UnixMicro())
	if err != nil {
		return fmt.Errorf("storing an envelope: %w", err)
	}
	return nil
}

// seal stores an envelope that another root opens.
func (e envelopeID) seal(tx *db.Tx, public []byte, seed secret) error {
	id, mask, err := newMask(tx)
	if err != nil {
		return err
	}
	wrapped, err := sealTo(public, e.what(), masked(seed, mask))
	if err != nil {
		return err
	}
	return e.store(tx, id, wrapped)
}

// envelopeKey makes the key of an envelope of a holder's secret and the server's
// key: with a stolen disk alone nobody can try out passwords.
func (v *Vault) envelopeKey(e envelopeID, kek secret) secret {
	pepper := v.key.Derive("pepper")
	return derive(slices.Concat(kek[:], pepper[:]), string(e.what()))
}

// PutEnvelope lets a holder open a root: every generation of it that the ring
// has. kek is a secret of the holder's, 32 bytes that nobody else can make. It
// takes the place of what the same holder opened of that root before. Errors:
// ErrHolder; ErrClosed when the ring lacks the root.
func (v *Vault) PutEnvelope(ctx context.Context, r *Ring, root Root, holder string, kek [32]byte) error {
	if err := checkHolder(holder); err != nil {
		return fmt.Errorf("storing an envelope: %w", err)
	}
	generations := r.generations(root)
	if len(generations) == 0 || root == Records {
		return fmt.Errorf("storing an envelope: the ring lacks the root: %w", ErrClosed)
	}
	err := v.delete(ctx, func(tx *db.Tx) (bool, error) {
		n, err := dropEnvelopes(tx, "account = ? AND root = ? AND holder = ?", r.account, string(root), holder)
		if err != nil {
			return false, err
		}
		for _, g := range generations {
			if err := v.putEnvelope(tx, r, envelopeID{account: r.account, rootID: rootID{root, g}, holder: holder}, kek); err != nil {
				return false, err
			}
		}
		return n > 0, nil
	})
	if err != nil {
		return fmt.Errorf("storing an envelope: %w", err)
	}
	return nil
}

func (v *Vault) putEnvelope(tx *db.Tx, r *Ring, e envelopeID, kek secret) error {
	seed, err := r.seed(e.rootID)
	if err != nil {
		return err
	}
	id, mask, err := newMask(tx)
	if err != nil {
		return err
	}
	key, half := v.envelopeKey(e, kek), masked(seed, mask)
	return e.store(tx, id, wrapUnder(gcm(key[:]), e.what(), half[:]))
}

// DropEnvelope takes every root from a holder, for good: the envelopes are
// nowhere on disk when it returns nil. One that has none is no error.
func (v *Vault) DropEnvelope(ctx context.Context, account int64, holder string) error {
	if err := checkHolder(holder); err != nil {
		return fmt.Errorf("dropping an envelope: %w", err)
	}
	err := v.delete(ctx, func(tx *db.Tx) (bool, error) {
		n, err := dropEnvelopes(tx, "account = ? AND holder = ?", account, holder)
		return n > 0, err
	})
	if err != nil {
		return fmt.Errorf("dropping an envelope: %w", err)
	}
	return nil
}

// dropEnvelopes deletes envelopes and overwrites their masks.
func dropEnvelopes(tx *db.Tx, where string, args ...any) (int64, error) {
	if _, err := tx.Exec("UPDATE mask SET mask = ? WHERE id IN (SELECT mask FROM envelope WHERE "+where+")",
		append([]any{noMask[:]}, args...)...); err != nil {
		return 0, fmt.Errorf("destroying envelopes: %w", err)
	}
	n, err := tx.Exec("DELETE FROM envelope WHERE "+where, args...)
	if err != nil {
		return 0, fmt.Errorf("destroying envelopes: %w", err)
	}
	return n, nil
}

// Envelopes lists who opens which root of an account, in the order of their
// names; each root once a holder.
func (v *Vault) Envelopes(ctx context.Context, account int64) (list []Envelope, err error) {
	err = v.db.Read(ctx, func(tx *db.Tx) error {
		return tx.Each(`SELECT root, holder, max(created) FROM envelope WHERE account = ? AND under = 0
			GROUP BY root, holder ORDER BY holder, root`, []any{account}, func(r db.Row) error {
			var e Envelope
			var created int64
			err := r.Scan(&e.Root, &e.Holder, &created)
			e.Created = time.UnixMicro(created).UTC()
			list = append(list, e)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("listing envelopes: %w", err)
	}
	return list, nil
}

// stored is an envelope as the database has it, with the public half of its
// root.
type stored struct {
	envelopeID
	mask, wrapped, public []byte
}

// Unlock gives a ring of every root that a holder's secret opens; with the deep
// root come the everyday one, and that of the records office for its officers.
// The error wraps ErrClosed when nothing opens: no such holder, or another
// secret; ErrDamaged when a root is not what was stored.
func (v *Vault) Unlock(ctx context.Context, account int64, holder string, kek [32]byte) (*Ring, error) {
	if err := checkHolder(holder); err != nil {
		return nil, fmt.Errorf("unlocking: %w: %w", err, ErrClosed)
	}
	own, others, err := v.envelopes(ctx, account, holder)
	if err != nil {
		return nil, fmt.Errorf("unlocking: %w", err)
	}
	r := newRing(account)
	for _, e := range own {
		key := v.envelopeKey(e.envelopeID, kek)
		half, err := asSecret(unwrapUnder(gcm(key[:]), e.what(), e.wrapped))
		if err != nil {
			continue // Another secret.
		}
		if err := r.take(e, half); err != nil {
			r.Close()
			return nil, fmt.Errorf("unlocking: %w", err)
		}
	}
	if err := r.descend(others); err != nil {
		r.Close()
		return nil, fmt.Errorf("unlocking: %w", err)
	}
	if len(r.seeds) == 0 {
		return nil, fmt.Errorf("unlocking: %w", ErrClosed)
	}
	return r, nil
}

// descend takes the roots that the deep ones open.
func (r *Ring) descend(list []stored) error {
	for _, e := range list {
		deep, ok := r.seeds[rootID{Deep, e.under}]
		if _, known := r.seeds[e.rootID]; known || !ok {
			continue
		}
		half, err := openSealed(deep.private, e.what(), e.wrapped)
		if err == nil {
			err = r.take(e, half)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// take takes a root out of its envelope.
func (r *Ring) take(e stored, half secret) error {
	mask, err := readMask(e.mask)
	if err != nil {
		return err
	}
	return r.put(e.rootID, masked(half, mask), e.public)
}

// envelopes reads those of a holder, and those that a deep root of the account
// opens.
func (v *Vault) envelopes(ctx context.Context, account int64, holder string) (own, others []stored, err error) {
	err = v.db.Read(ctx, func(tx *db.Tx) error {
		return tx.Each(`SELECT e.account, e.root, e.generation, e.holder, e.under, m.mask, e.wrapped, r.public
			FROM envelope e JOIN mask m ON m.id = e.mask
			JOIN root r ON r.account = e.account AND r.root = e.root AND r.generation = e.generation
			WHERE e.account = ? AND e.holder IN (?, ?) OR e.account = ? AND e.holder = ?`,
			[]any{account, holder, holderDeep, office, officer(account)}, func(row db.Row) error {
				var e stored
				err := row.Scan(&e.account, &e.root, &e.generation, &e.holder, &e.under, &e.mask, &e.wrapped, &e.public)
				if e.under > 0 {
					others = append(others, e)
				} else {
					own = append(own, e)
				}
				return err
			})
	})
	return own, others, err
}
