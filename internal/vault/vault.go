// Package vault holds the keys of an office: it seals messages, opens them for
// whom it may, and is the one place where a key can be destroyed.
//
// Each message has its own random key. That key is wrapped under the key of
// each compartment that holds the message; a compartment is one account's
// office or personal mail of one month, and its key in turn is wrapped for
// everyone who may open it. So a month can be closed to the server by deleting
// one row, and a message destroyed by deleting its wrapped keys, without
// touching a byte of what was sealed.
//
// Office compartments open with the server's key while they are hot, and for
// ever with their owner's deep root. Of personal compartments the server has the
// public key only: messages are sealed to it while the owner is away, and open
// with his Ring. A ring comes out of envelopes, which their holders' secrets
// open together with the server's key.
//
// It promises that what Open returns is what was sealed: the entry has the hash
// of the sealed bytes and, since AES-GCM does not commit to its key, a commitment
// that no other key fits. And that a key which it was told to delete is nowhere on disk once it says so:
// rows are overwritten, the write-ahead log is emptied, and half of every key is
// a mask that never moves; see the table mask.
package vault

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"sijill"
	"sijill/internal/db"
)

//go:embed sqlite
var migrations embed.FS

// MaxPayload is the largest message and envelope, together, that Open opens:
// 1 GiB.
const MaxPayload = 1 << 30

// Errors of opening.
var (
	// ErrClosed says that no key that the vault has opens the message: its
	// month is cold, it is personal, or it was destroyed. It is an
	// fs.ErrNotExist as well.
	ErrClosed = fmt.Errorf("no key here opens it: %w", fs.ErrNotExist)
	// ErrDamaged says that a key or a sealed message is not what was stored.
	ErrDamaged = errors.New("sealed data or its key is damaged")
)

// Vault is safe for concurrent use.
type Vault struct {
	db  *db.DB
	key ServerKey
	now func() time.Time

	mu           sync.Mutex // Guards what follows.
	compartments map[slot]target
	rooms        map[int64]*room // Office compartments that the server has opened.
	closed       int64           // The state at which they were; see the table vault_state.
}

// Open prepares the vault that d holds, under the server's key. It finishes a
// deletion of keys that a crash has cut short.
func Open(ctx context.Context, d *db.DB, key ServerKey) (*Vault, error) {
	if err := d.Migrate(ctx, "vault", migrations); err != nil {
		return nil, err
	}
	v := &Vault{db: d, key: key, now: time.Now, compartments: map[slot]target{}, rooms: map[int64]*room{}}
	return v, v.Scrub(ctx)
}

// SetClock gives the vault another clock, by which mail falls into months. It is
// called before anything else.
func (v *Vault) SetClock(now func() time.Time) { v.now = now }

// Derive gives a key of the office for one purpose.
func (v *Vault) Derive(purpose string) [32]byte { return v.key.Derive(purpose) }

// Sealed is a message that is ready to be stored.
type Sealed struct {
	Public     sijill.Message // What the entry says of it.
	Ciphertext []byte
	Keys       []MessageKey // Without the entry's number, which is not known yet.
}

// Seal seals a message and what is known about it, for this month's compartments
// of the given accounts: at least one, and just one where the message is
// personal, which nothing that the server keeps will open. It keeps no hold on
// envelope or msg. The error wraps ErrNoRoots when an account without roots is
// to hold a personal message.
func (v *Vault) Seal(ctx context.Context, class sijill.Class, accounts []int64, envelope, msg []byte) (*Sealed, error) {
	switch {
	case len(accounts) == 0:
		return nil, errors.New("sealing: nobody would hold the message")
	case class == sijill.Personal && len(accounts) > 1:
		return nil, errors.New("sealing: a personal message has one holder")
	case class != sijill.Personal && class != sijill.Office:
		return nil, errors.New("sealing: the message has no class")
	}
	var key [32]byte
	s := &Sealed{}
	rand.Read(key[:])
	rand.Read(s.Public.ID[:])
	if err := s.commit(key, envelope, msg); err != nil {
		return nil, err
	}
	payload, err := sijill.AppendPayload(nil, envelope, msg)
	if err != nil {
		return nil, fmt.Errorf("packing: %w", err)
	}
	if s.Ciphertext, err = sijill.Seal(make([]byte, 0, len(payload)+sijill.SealOverhead), key, s.Public.ID, payload); err != nil {
		return nil, err
	}
	s.Public.Ciphertext = sha256.Sum256(s.Ciphertext)
	for _, a := range accounts {
		k, err := v.wrap(ctx, class, a, key, s.Public.ID)
		if err != nil {
			return nil, err
		}
		s.Keys = append(s.Keys, k)
	}
	return s, nil
}

func (s *Sealed) commit(key [32]byte, envelope, msg []byte) error {
	seed, err := sijill.CommitmentSeed(key)
	if err != nil {
		return err
	}
	salt, err := sijill.EnvelopeSalt(key)
	if err != nil {
		return err
	}
	s.Public.Commitment, s.Public.Units = sijill.Commit(seed, msg)
	s.Public.Envelope = sijill.CommitEnvelope(salt, envelope)
	return nil
}

// Opened is a message that was opened, with the salt of its envelope's
// commitment: whoever has that can tell whether a guess at the envelope is right.
type Opened struct {
	Envelope, Message []byte
	Salt              sijill.Hash

	key secret
}

// Open opens a message with whichever of its keys the server may use, or else a
// ring, which may be nil; and checks it against what its entry says. A ring opens
// what its account holds, and an officer's also office mail. Errors wrap
// ErrClosed or ErrDamaged.
//
// The entry says which bytes were sealed, and its envelope commitment, salted
// with a hash of the key, fits no other key: so what comes out is what was sealed.
// That it is also what the message's commitment says, which is proven to others,
// is for Recommit to tell.
func (v *Vault) Open(ctx context.Context, r *Ring, keys []MessageKey, m *sijill.Message, ciphertext []byte) (*Opened, error) {
	if sha256.Sum256(ciphertext) != m.Ciphertext {
		return nil, fmt.Errorf("the sealed bytes are not those of the entry: %w", ErrDamaged)
	}
	failed := error(ErrClosed)
	for _, k := range keys {
		key, err := v.unwrap(ctx, r, k, m.ID)
		if err == nil {
			return open(key, m, ciphertext)
		}
		if !errors.Is(err, ErrClosed) {
			failed = err // Damage must not pass for a month that was closed.
		}
	}
	return nil, failed
}

func open(key [32]byte, m *sijill.Message, ciphertext []byte) (*Opened, error) {
	o := &Opened{key: key}
	err := o.unpack(m.ID, ciphertext)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrDamaged)
	}
	if o.Salt, err = sijill.EnvelopeSalt(key); err != nil {
		return nil, err
	}
	if sijill.CommitEnvelope(o.Salt, o.Envelope) != m.Envelope {
		return nil, fmt.Errorf("what is sealed beside the message does not match its commitment: %w", ErrDamaged)
	}
	return o, nil
}

// scratch has room for payloads that are unpacked at once: a reader of a whole
// folder would make as much garbage again as mail.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// keepScratch is the largest room that is kept, in bytes.
const keepScratch = 1 << 20

// unpack decrypts, and takes the envelope and the message out of the payload.
func (o *Opened) unpack(id sijill.ID, ciphertext []byte) error {
	room := scratch.Get().(*[]byte)
	payload, err := sijill.Open((*room)[:0], o.key, id, ciphertext)
	if err != nil {
		return err
	}
	o.Envelope, o.Message, err = sijill.ParsePayload(payload, MaxPayload)
	if len(payload) > 0 && payload[0] != sijill.PayloadPlain && cap(payload) <= keepScratch { // A plain one is not copied.
		clear(payload)
		*room = payload
		scratch.Put(room)
	}
	return err
}

// Recommit computes the commitment of the message again and compares it with
// what its entry says: an audit does so, and whoever is about to prove the
// message. It returns the seed, with which anybody can tell whether a guess at the
// message is right. The error wraps ErrDamaged.
func (o *Opened) Recommit(m *sijill.Message) (seed sijill.Hash, err error) {
	if seed, err = sijill.CommitmentSeed(o.key); err != nil {
		return seed, err
	}
	if c, n := sijill.Commit(seed, o.Message); c != m.Commitment || n != m.Units {
		return sijill.Hash{}, fmt.Errorf("the message does not match its commitment: %w", ErrDamaged)
	}
	return seed, nil
}
