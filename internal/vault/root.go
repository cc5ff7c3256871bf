package vault

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"sijill/internal/db"
)

// Root names a key pair that stands above an account's compartments. The server
// keeps the public half, so that it can seal to whoever is away; the private
// half is wrapped in envelopes, which only their holders open.
type Root string

// The roots.
const (
	// Everyday opens personal mail of the last months.
	Everyday Root = "everyday"
	// Deep opens everything that the account holds, the everyday root too.
	Deep Root = "deep"
	// Records is the records office's one root. It opens office mail.
	Records Root = "records"
)

// office is the account of the root Records.
const office = 0

// ErrNoRoots says that an account has no roots yet: nobody could open what would
// be sealed for it.
var ErrNoRoots = errors.New("the account has no roots")

// rootID names one root of some account.
type rootID struct {
	root       Root
	generation int64
}

// HasRoots tells whether an account has roots: without them it can hold no
// personal mail.
func (v *Vault) HasRoots(ctx context.Context, account int64) (has bool, err error) {
	err = v.db.Read(ctx, func(tx *db.Tx) error {
		n, err := generation(tx, account, Everyday)
		has = n > 0
		return err
	})
	return has, err
}

// MakeRoots makes both roots of an account, a new generation if it has some
// already, and gives them in a ring. Nothing holds them until PutEnvelope. What
// was sealed to an older generation stays as closed or as open as it is: only an
// envelope of that generation opens it.
func (v *Vault) MakeRoots(ctx context.Context, account int64) (*Ring, error) {
	r := newRing(account)
	err := v.db.Write(ctx, func(tx *db.Tx) error {
		n, err := generation(tx, account, Everyday)
		if err != nil {
			return err
		}
		for _, root := range []Root{Deep, Everyday} {
			if err := r.make(tx, rootID{root, n + 1}); err != nil {
				return err
			}
		}
		deep, everyday := r.seeds[rootID{Deep, n + 1}], r.seeds[rootID{Everyday, n + 1}]
		e := envelopeID{account: account, rootID: rootID{Everyday, n + 1}, holder: holderDeep, under: n + 1}
		if err := e.seal(tx, deep.public(), everyday.seed); err != nil {
			return err
		}
		_, err = v.ensure(tx, account)
		return err
	})
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("making roots: %w", err)
	}
	return r, nil
}

// make makes a root, stores its public half and keeps the private one.
func (r *Ring) make(tx *db.Tx, id rootID) error {
	k, err := newKeyPair(newSecret())
	if err != nil {
		return err
	}
	r.seeds[id] = k
	account := r.account
	if id.root == Records {
		account = office
	}
	_, err = tx.Exec("INSERT INTO root (account, root, generation, public, created) VALUES (?, ?, ?, ?, ?)",
		account, string(id.root), id.generation, k.public(), tx.Now.UnixMicro())
	if err != nil {
		return fmt.Errorf("storing a root: %w", err)
	}
	return nil
}

// generation is the newest generation of a root; 0 when there is none.
func generation(tx *db.Tx, account int64, root Root) (n int64, err error) {
	err = tx.One("SELECT coalesce(max(generation), 0) FROM root WHERE account = ? AND root = ?", []any{account, string(root)}, &n)
	if err != nil {
		return 0, fmt.Errorf("reading roots: %w", err)
	}
	return n, nil
}

// publicRoot reads the public half of a root. Errors wrap fs.ErrNotExist.
func publicRoot(tx *db.Tx, account int64, id rootID) (public []byte, err error) {
	err = tx.One("SELECT public FROM root WHERE account = ? AND root = ? AND generation = ?",
		[]any{account, string(id.root), id.generation}, &public)
	if err != nil {
		return nil, fmt.Errorf("reading a root: %w", err)
	}
	return public, nil
}

// newestRoot reads the newest generation of a root; ok is false for none.
func newestRoot(tx *db.Tx, account int64, root Root) (id rootID, public []byte, ok bool, err error) {
	n, err := generation(tx, account, root)
	if err != nil || n == 0 {
		return id, nil, false, err
	}
	id = rootID{root, n}
	public, err = publicRoot(tx, account, id)
	return id, public, err == nil, err
}

// HasRecords tells whether there is a records office's root.
func (v *Vault) HasRecords(ctx context.Context) (has bool, err error) {
	err = v.db.Read(ctx, func(tx *db.Tx) error {
		n, err := generation(tx, office, Records)
		has = n > 0
		return err
	})
	return has, err
}

// ErrLastOfficer says that nobody would be left to open the records office's
// root.
var ErrLastOfficer = errors.New("the only records officer can't be removed")

func officer(account int64) string { return fmt.Sprintf("officer/%d", account) }

// AddOfficer lets an account's deep root open the records office's root. The
// first officer makes it; after that by must be the ring of another officer,
// with the deep root in it. An officer opens office mail, never personal mail.
// Errors: ErrNoRoots for an account without roots, ErrClosed without such a ring.
func (v *Vault) AddOfficer(ctx context.Context, by *Ring, account int64) error {
	err := v.db.Write(ctx, func(tx *db.Tx) error {
		deep, public, ok, err := newestRoot(tx, account, Deep)
		if err != nil {
			return err
		}
		if !ok {
			return ErrNoRoots
		}
		n, err := generation(tx, office, Records)
		if err != nil {
			return err
		}
		made := newRing(office)
		defer made.Close()
		if n == 0 {
			n, by = 1, made
			if err := made.make(tx, rootID{Records, n}); err != nil {
				return err
			}
		}
		seed, err := by.seed(rootID{Records, n})
		if err != nil {
			return err
		}
		e := envelopeID{account: office, rootID: rootID{Records, n}, holder: officer(account), under: deep.generation}
		if err := e.seal(tx, public, seed); err != nil {
			return err
		}
		_, err = v.ensure(tx, everyone)
		return err
	})
	if err != nil {
		return fmt.Errorf("adding a records officer: %w", err)
	}
	return nil
}

// RemoveOfficer takes the records office's root from an account. It can't take
// back what an officer wrote down while he had it. Errors: ErrLastOfficer, and
// fs.ErrNotExist for an account that is none.
func (v *Vault) RemoveOfficer(ctx context.Context, account int64) error {
	err := v.delete(ctx, func(tx *db.Tx) (bool, error) {
		var others int
		err := tx.One("SELECT count(DISTINCT holder) FROM envelope WHERE account = ? AND root = ? AND holder <> ?",
			[]any{office, string(Records), officer(account)}, &others)
		if err != nil {
			return false, err
		}
		n, err := dropEnvelopes(tx, "account = ? AND root = ? AND holder = ?", office, string(Records), officer(account))
		switch {
		case err != nil:
			return false, err
		case n == 0:
			return false, fs.ErrNotExist
		case others == 0:
			return false, ErrLastOfficer
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("removing a records officer: %w", err)
	}
	return nil
}

// IsOfficer tells whether an account's newest deep root opens the records office's:
// not who has made new roots since becoming an officer.
func (v *Vault) IsOfficer(ctx context.Context, account int64) (is bool, err error) {
	err = v.db.Read(ctx, func(tx *db.Tx) error {
		n, err := generation(tx, account, Deep)
		if err != nil || n == 0 {
			return err
		}
		return tx.One("SELECT count(*) > 0 FROM envelope WHERE account = ? AND root = ? AND holder = ? AND under = ?",
			[]any{office, string(Records), officer(account), n}, &is)
	})
	if err != nil {
		return false, fmt.Errorf("looking for a records officer: %w", err)
	}
	return is, nil
}

// Officers lists the accounts that can open the records office's root.
func (v *Vault) Officers(ctx context.Context) (accounts []int64, err error) {
	err = v.db.Read(ctx, func(tx *db.Tx) error {
		return tx.Each("SELECT DISTINCT holder FROM envelope WHERE account = ? AND root = ? ORDER BY holder", []any{office, string(Records)},
			func(r db.Row) error {
				var holder string
				var a int64
				if err := r.Scan(&holder); err != nil {
					return err
				}
				if _, err := fmt.Sscanf(holder, "officer/%d", &a); err != nil {
					return fmt.Errorf("holder of the records office's root: %w", ErrDamaged)
				}
				accounts = append(accounts, a)
				return nil
			})
	})
	if err != nil {
		return nil, fmt.Errorf("listing records officers: %w", err)
	}
	return accounts, nil
}
