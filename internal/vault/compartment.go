package vault

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"sijill"
	"sijill/internal/db"
)

// slot is what makes a compartment unique.
type slot struct {
	account    int64
	class      sijill.Class
	month      int
	generation int64 // Of the owner's roots where it is personal.
}

func monthOf(t time.Time) int { return t.UTC().Year()*12 + int(t.UTC().Month()) - 1 }

// what is what a compartment's key is bound to.
func (s slot) what(holder string, generation int64) []byte {
	return fmt.Appendf(nil, "sijill/compartment/v1\naccount %d\nclass %s\nmonth %d\ngeneration %d\nholder %s %d\n",
		s.account, s.class, s.month, s.generation, holder, generation)
}

func (s slot) find(tx *db.Tx, id *int64, public *[]byte) error {
	return tx.One("SELECT id, public FROM compartment WHERE account = ? AND class = ? AND month = ? AND generation = ?",
		[]any{s.account, s.class, s.month, s.generation}, id, public)
}

// target is a compartment that messages are sealed to.
type target struct {
	id     int64
	public []byte // Of a personal one.
}

// compartment finds a compartment, or makes it with a fresh key.
func (v *Vault) compartment(ctx context.Context, s slot) (t target, err error) {
	v.mu.Lock()
	t, ok := v.compartments[s]
	v.mu.Unlock()
	if ok {
		return t, nil
	}
	err = v.db.Read(ctx, func(tx *db.Tx) error { return s.find(tx, &t.id, &t.public) })
	if errors.Is(err, fs.ErrNotExist) {
		err = v.db.Write(ctx, func(tx *db.Tx) error {
			// Another goroutine or process may just have made it.
			if err := s.find(tx, &t.id, &t.public); !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			t, err = v.make(tx, s)
			return err
		})
	}
	if err != nil {
		return t, fmt.Errorf("finding a compartment: %w", err)
	}
	v.mu.Lock()
	v.compartments[s] = t
	v.mu.Unlock()
	return t, nil
}

// make makes a compartment. Of a personal one the server keeps the public half
// alone: its seed is sealed to the owner's roots and forgotten.
func (v *Vault) make(tx *db.Tx, s slot) (t target, err error) {
	key := newSecret()
	defer wipe(&key)
	if s.class == sijill.Personal {
		k, err := newKeyPair(key)
		if err != nil {
			return t, err
		}
		t.public = k.public()
	}
	t.id, err = tx.Insert("INSERT INTO compartment (account, class, month, generation, public) VALUES (?, ?, ?, ?, ?)",
		s.account, s.class, s.month, s.generation, t.public)
	if err != nil {
		return t, fmt.Errorf("storing a compartment: %w", err)
	}
	if s.class == sijill.Personal {
		for _, root := range []Root{Everyday, Deep} {
			if err := s.share(tx, t.id, rootID{root, s.generation}, key); err != nil {
				return t, err
			}
		}
		return t, nil
	}
	mask, m, err := newMask(tx)
	if err != nil {
		return t, err
	}
	half, wrap := masked(key, m), v.key.Derive("compartment")
	if err := storeKey(tx, t.id, holderServer, 0, mask, wrapUnder(gcm(wrap[:]), s.what(holderServer, 0), half[:])); err != nil {
		return t, err
	}
	_, err = s.shareOffice(tx, t.id, key)
	return t, err
}

// share seals a compartment's key to a root of its owner, or of the records
// office.
func (s slot) share(tx *db.Tx, id int64, to rootID, key secret) error {
	account := s.account
	if to.root == Records {
		account = office
	}
	public, err := publicRoot(tx, account, to)
	if err != nil {
		return err
	}
	mask, m, err := newMask(tx)
	if err != nil {
		return err
	}
	wrapped, err := sealTo(public, s.what(string(to.root), to.generation), masked(key, m))
	if err != nil {
		return err
	}
	return storeKey(tx, id, string(to.root), to.generation, mask, wrapped)
}

func storeKey(tx *db.Tx, id int64, holder string, generation, mask int64, wrapped []byte) error {
	_, err := tx.Exec("INSERT INTO compartment_key (compartment, holder, generation, mask, wrapped) VALUES (?, ?, ?, ?, ?)",
		id, holder, generation, mask, wrapped)
	if err != nil {
		return fmt.Errorf("storing a compartment's key: %w", err)
	}
	return nil
}

// shareOffice seals an office compartment's key to the owner's deep root and the
// records office's, where there are such roots and it isn't yet.
func (s slot) shareOffice(tx *db.Tx, id int64, key secret) (added int, err error) {
	for account, root := range map[int64]Root{s.account: Deep, office: Records} {
		to, _, ok, err := newestRoot(tx, account, root)
		if err != nil {
			return added, err
		}
		if ok {
			ok, err = lacks(tx, id, to)
		}
		if ok && err == nil {
			added++
			err = s.share(tx, id, to, key)
		}
		if err != nil {
			return added, err
		}
	}
	return added, nil
}

func lacks(tx *db.Tx, id int64, to rootID) (bool, error) {
	var n int
	err := tx.One("SELECT count(*) FROM compartment_key WHERE compartment = ? AND holder = ? AND generation = ?",
		[]any{id, string(to.root), to.generation}, &n)
	if err != nil {
		return false, fmt.Errorf("looking for a compartment's key: %w", err)
	}
	return n == 0, nil
}

// everyone stands for all accounts.
const everyone = -1

// EnsureWraps seals the keys of hot office compartments to their owners' deep
// roots and to the records office, wherever that has not been done: roots may be
// younger than compartments. It tells how many were added. Making roots and
// officers does it too.
func (v *Vault) EnsureWraps(ctx context.Context) (added int, err error) {
	err = v.db.Write(ctx, func(tx *db.Tx) error {
		added, err = v.ensure(tx, everyone)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("sealing compartments to roots: %w", err)
	}
	return added, nil
}

func (v *Vault) ensure(tx *db.Tx, account int64) (added int, err error) {
	var hot []int64
	err = tx.Each(`SELECT c.id FROM compartment c JOIN compartment_key k ON k.compartment = c.id AND k.holder = ?
		WHERE c.class = ? AND ? IN (?, c.account)`, []any{holderServer, sijill.Office, account, everyone}, func(r db.Row) error {
		var id int64
		err := r.Scan(&id)
		hot = append(hot, id)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("listing compartments: %w", err)
	}
	for _, id := range hot {
		key, s, err := v.serverKey(tx, id)
		if err != nil {
			return added, err
		}
		n, err := s.shareOffice(tx, id, key)
		if added += n; err != nil {
			return added, err
		}
	}
	return added, nil
}

// serverKey opens an office compartment with the server's key. Errors wrap
// ErrClosed or ErrDamaged.
func (v *Vault) serverKey(tx *db.Tx, id int64) (key secret, s slot, err error) {
	var mask, wrapped []byte
	err = tx.One(`SELECT c.account, c.class, c.month, c.generation, m.mask, k.wrapped
		FROM compartment c JOIN compartment_key k ON k.compartment = c.id JOIN mask m ON m.id = k.mask
		WHERE c.id = ? AND k.holder = ?`, []any{id, holderServer}, &s.account, &s.class, &s.month, &s.generation, &mask, &wrapped)
	if errors.Is(err, fs.ErrNotExist) {
		return key, s, ErrClosed
	}
	if err != nil {
		return key, s, fmt.Errorf("reading a compartment's key: %w", err)
	}
	m, err := readMask(mask)
	if err != nil {
		return key, s, fmt.Errorf("opening compartment %d: %w", id, err)
	}
	wrap := v.key.Derive("compartment")
	half, err := asSecret(unwrapUnder(gcm(wrap[:]), s.what(holderServer, 0), wrapped))
	if err != nil {
		return key, s, fmt.Errorf("opening compartment %d: %w", id, err)
	}
	return masked(half, m), s, nil
}

// serverRoom opens an office compartment with the server's key, which it
// remembers until a month is closed, by whichever process. closed is the state
// of the vault when the caller read what it wants to open, or sealing.
func (v *Vault) serverRoom(ctx context.Context, id, closed int64) (*room, error) {
	v.mu.Lock()
	if closed > v.closed {
		clear(v.rooms)
		v.closed = closed
	}
	m, ok := v.rooms[id]
	v.mu.Unlock()
	if ok {
		return m, nil
	}
	var key secret
	var now int64
	err := v.db.Read(ctx, func(tx *db.Tx) (err error) {
		if now, err = closings(tx); err != nil {
			return err
		}
		key, _, err = v.serverKey(tx, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	m = &room{aead: gcm(key[:])}
	v.mu.Lock()
	defer v.mu.Unlock()
	if now >= v.closed { // Else it may have been closed since it was read.
		v.rooms[id] = m
	}
	return m, nil
}

// sealing is a state older than any: who seals into this month need not know
// whether older ones were closed.
const sealing = 0

// closings is how often months were closed.
func closings(tx *db.Tx) (n int64, err error) {
	if err = tx.One("SELECT closed FROM vault_state WHERE id = 1", nil, &n); err != nil {
		return 0, fmt.Errorf("reading the state of the vault: %w", err)
	}
	return n, nil
}
