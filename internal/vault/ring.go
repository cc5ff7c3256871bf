package vault

import (
	"bytes"
	"context"
	"crypto/cipher"
	"crypto/hpke"
	"errors"
	"fmt"
	"maps"
	"sync"

	"sijill"
	"sijill/internal/db"
)

// Ring holds the roots of one account while its owner is there: whoever has the
// ring opens that account's mail. It is safe for concurrent use, and is never
// written anywhere.
type Ring struct {
	account int64

	mu     sync.Mutex // Guards what follows.
	seeds  map[rootID]keyPair
	rooms  map[int64]*room // Compartments that were opened.
	closed int64           // The state at which they were; see the table vault_state.
}

// keyPair is a root or a personal compartment with its private half.
type keyPair struct {
	seed    secret
	private hpke.PrivateKey
}

func newKeyPair(seed secret) (keyPair, error) {
	private, err := pair(seed)
	return keyPair{seed, private}, err
}

func (k keyPair) public() []byte { return k.private.PublicKey().Bytes() }

// room is an open compartment.
type room struct {
	aead    cipher.AEAD     // Under the compartment's key, or one derived from its seed.
	private hpke.PrivateKey // Of a personal compartment.
}

func newRing(account int64) *Ring {
	return &Ring{account: account, seeds: map[rootID]keyPair{}, rooms: map[int64]*room{}}
}

// Account is whose ring it is.
func (r *Ring) Account() int64 { return r.account }

// Has tells whether the ring holds a root, of whichever generation.
func (r *Ring) Has(root Root) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id := range r.seeds {
		if id.root == root {
			return true
		}
	}
	return false
}

// Clone gives a second ring with the same roots, to be closed by itself.
func (r *Ring) Clone() *Ring {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := newRing(r.account)
	maps.Copy(c.seeds, r.seeds)
	return c
}

// Join adds the roots of another ring of the same account, as when somebody who
// is signed in steps up. It returns an error that wraps ErrClosed for a ring of
// another account.
func (r *Ring) Join(other *Ring) error {
	if other.account != r.account {
		return fmt.Errorf("joining rings of two accounts: %w", ErrClosed)
	}
	c := other.Clone() // So that two rings that are joined both ways never wait for each other.
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seeds == nil {
		return fmt.Errorf("joining a closed ring: %w", ErrClosed)
	}
	maps.Copy(r.seeds, c.seeds)
	return nil
}

// Close forgets the roots: nothing is opened with this ring any more. Seeds are
// overwritten; what the libraries made of them is left to the garbage collector.
// It may be called twice.
func (r *Ring) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, k := range r.seeds {
		wipe(&k.seed)
		r.seeds[id] = keyPair{}
	}
	r.seeds, r.rooms = nil, nil
}

// seed gives the private half of a root, or ErrClosed. A nil ring has none.
func (r *Ring) seed(id rootID) (secret, error) {
	if r == nil {
		return secret{}, ErrClosed
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	k, ok := r.seeds[id]
	if !ok {
		return secret{}, fmt.Errorf("the ring lacks the root: %w", ErrClosed)
	}
	return k.seed, nil
}

// generations are those of a root that the ring holds.
func (r *Ring) generations(root Root) (all []int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id := range r.seeds {
		if id.root == root {
			all = append(all, id.generation)
		}
	}
	return all
}

// put adds a root, if its seed is that of the public half that is stored:
// otherwise somebody has put another in its place, so as to be sealed to.
func (r *Ring) put(id rootID, seed secret, public []byte) error {
	k, err := newKeyPair(seed)
	if err != nil {
		return err
	}
	if !bytes.Equal(k.public(), public) {
		return fmt.Errorf("a root's public half is not its own: %w", ErrDamaged)
	}
	r.seeds[id] = k
	return nil
}

// room opens a compartment of the ring's account, or one of the office's if the
// ring holds the records office's root. closed is the state of the vault when
// the caller read what it wants to open. Errors wrap ErrClosed or ErrDamaged.
func (r *Ring) room(ctx context.Context, v *Vault, id, closed int64) (*room, error) {
	if r == nil {
		return nil, ErrClosed
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if closed > r.closed {
		clear(r.rooms)
		r.closed = closed
	}
	if m, ok := r.rooms[id]; ok {
		return m, nil
	}
	if len(r.seeds) == 0 {
		return nil, ErrClosed
	}
	c, err := v.read(ctx, id)
	if err != nil {
		return nil, err
	}
	seed, err := r.unseal(c)
	if err != nil {
		return nil, err
	}
	defer wipe(&seed)
	m, err := c.room(seed)
	if err == nil {
		r.rooms[id] = m
	}
	return m, err
}

// room makes an open compartment of its key.
func (c *compartment) room(seed secret) (*room, error) {
	if c.class == sijill.Office {
		return &room{aead: gcm(seed[:])}, nil
	}
	k, err := newKeyPair(seed)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(k.public(), c.public) {
		return nil, fmt.Errorf("compartment %d: its public key is not its own: %w", c.id, ErrDamaged)
	}
	key := derive(seed[:], "sijill/personal/again/v1")
	return &room{aead: gcm(key[:]), private: k.private}, nil
}

// compartment is one as the database has it, with the keys that roots open.
type compartment struct {
	slot
	id     int64
	public []byte
	keys   []sealedKey
}

// sealedKey is a compartment's key, sealed to a root.
type sealedKey struct {
	rootID
	mask, wrapped []byte
}

// read reads a compartment with the keys that are sealed to roots.
func (v *Vault) read(ctx context.Context, id int64) (c *compartment, err error) {
	err = v.db.Read(ctx, func(tx *db.Tx) error {
		c, err = readCompartment(tx, id)
		return err
	})
	return c, err
}

func readCompartment(tx *db.Tx, id int64) (*compartment, error) {
	c := &compartment{id: id}
	err := tx.One("SELECT account, class, month, generation, public FROM compartment WHERE id = ?", []any{id},
		&c.account, &c.class, &c.month, &c.generation, &c.public)
	if err != nil {
		return nil, fmt.Errorf("reading compartment %d: %w", id, err)
	}
	err = tx.Each(`SELECT k.holder, k.generation, m.mask, k.wrapped FROM compartment_key k JOIN mask m ON m.id = k.mask
		WHERE k.compartment = ? AND k.holder <> ?`, []any{id, holderServer}, func(r db.Row) error {
		var k sealedKey
		err := r.Scan(&k.root, &k.generation, &k.mask, &k.wrapped)
		c.keys = append(c.keys, k)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the keys of compartment %d: %w", id, err)
	}
	return c, nil
}

// unseal opens a compartment's key with the first of the ring's roots that can.
// The caller holds r.mu.
func (r *Ring) unseal(c *compartment) (s secret, err error) {
	failed := error(ErrClosed)
	for _, k := range c.keys {
		root, ok := r.seeds[k.rootID]
		if !ok || c.account != r.account && k.root != Records {
			continue
		}
		if s, err = c.open(k, root); err == nil {
			return s, nil
		}
		failed = fmt.Errorf("opening compartment %d: %w", c.id, err)
	}
	return s, failed
}

func (c *compartment) open(k sealedKey, root keyPair) (s secret, err error) {
	mask, err := readMask(k.mask)
	if err != nil {
		return s, err
	}
	half, err := openSealed(root.private, c.what(string(k.root), k.generation), k.wrapped)
	if err != nil {
		return s, err
	}
	return masked(half, mask), nil
}

// withSeed calls f with the seed of a compartment, if the ring opens it.
func (r *Ring) withSeed(c *compartment, f func(secret) error) error {
	r.mu.Lock()
	seed, err := r.unseal(c)
	r.mu.Unlock()
	if errors.Is(err, ErrClosed) {
		return nil
	}
	if err != nil {
		return err
	}
	defer wipe(&seed)
	return f(seed)
}
