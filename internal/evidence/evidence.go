// Package evidence keeps what DNS said when office mail arrived, so that a
// signature can be proved years after its key has gone from DNS.
//
// It promises that what Load returns is what was kept, bit for bit: it is found
// by its SHA-256, to which the message's entry commits. Answers that many
// messages share are stored once.
package evidence

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"sijill/internal/db"
	"sijill/internal/mailauth"
)

//go:embed sqlite
var migrations embed.FS

// ErrDamaged says that stored evidence is not what was kept.
var ErrDamaged = errors.New("the evidence is damaged")

// Store is evidence in a database. It is safe for concurrent use.
type Store struct {
	db *db.DB

	mu   sync.Mutex // Guards kept.
	kept map[[sha256.Size]byte]bool
}

// maxKept is of how much evidence a Store knows without asking that it is kept:
// it is never deleted. Mail of one domain brings the same as long as DNS says
// that it may be remembered.
const maxKept = 4096

// Open migrates the tables in d.
func Open(ctx context.Context, d *db.DB) (*Store, error) {
	if err := d.Migrate(ctx, "evidence", migrations); err != nil {
		return nil, err
	}
	return &Store{db: d, kept: make(map[[sha256.Size]byte]bool)}, nil
}

// Keep stores evidence in its canonical form, in the transaction of the entry
// that commits to it. Kept again it changes nothing.
func (s *Store) Keep(tx *db.Tx, canonical []byte) error {
	id := sha256.Sum256(canonical)
	if s.knows(id) {
		return nil
	}
	err := tx.One("SELECT 1 FROM evidence WHERE hash = ?", []any{id[:]}, new(int64))
	if errors.Is(err, fs.ErrNotExist) {
		err = keep(tx, id, canonical)
	}
	if err == nil {
		tx.After(func() { s.know(id) })
	}
	return err
}

func (s *Store) knows(id [sha256.Size]byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept[id]
}

func (s *Store) know(id [sha256.Size]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept) >= maxKept {
		clear(s.kept)
	}
	s.kept[id] = true
}

func keep(tx *db.Tx, id [sha256.Size]byte, canonical []byte) error {
	e, err := mailauth.ParseEvidence(canonical)
	if err != nil {
		return err
	}
	if got, err := e.ID(); err != nil || got != id {
		return errors.Join(fmt.Errorf("keeping evidence: it is not in its canonical form: %w", ErrDamaged), err)
	}
	var ids []byte
	for _, a := range e.Answers {
		n, err := keepAnswer(tx, a)
		if err != nil {
			return fmt.Errorf("keeping an answer of DNS: %w", err)
		}
		ids = binary.AppendUvarint(ids, uint64(n))
	}
	if ids == nil {
		ids = []byte{}
	}
	if _, err := tx.Exec("INSERT INTO evidence (hash, answers) VALUES (?, ?) ON CONFLICT DO NOTHING", id[:], ids); err != nil {
		return fmt.Errorf("keeping evidence: %w", err)
	}
	return nil
}

func keepAnswer(tx *db.Tx, a mailauth.Answer) (id int64, err error) {
	body, err := a.Bytes()
	if err != nil {
		return 0, err
	}
	hash := sha256.Sum256(body)
	err = tx.One("SELECT id FROM evidence_answer WHERE hash = ?", []any{hash[:]}, &id)
	if errors.Is(err, fs.ErrNotExist) {
		return tx.Insert("INSERT INTO evidence_answer (hash, body) VALUES (?, ?)", hash[:], body)
	}
	return id, err
}

// Load returns the evidence of a SHA-256. The error wraps fs.ErrNotExist or
// ErrDamaged.
func (s *Store) Load(ctx context.Context, id [sha256.Size]byte) (e mailauth.Evidence, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		var ids []byte
		if err := tx.One("SELECT answers FROM evidence WHERE hash = ?", []any{id[:]}, &ids); err != nil {
			return err
		}
		for len(ids) > 0 {
			n, size := binary.Uvarint(ids)
			if size <= 0 {
				return ErrDamaged
			}
			ids = ids[size:]
			var body []byte
			if err := tx.One("SELECT body FROM evidence_answer WHERE id = ?", []any{int64(n)}, &body); err != nil {
				return fmt.Errorf("%w: %w", ErrDamaged, err)
			}
			var a mailauth.Answer
			if err := json.Unmarshal(body, &a); err != nil {
				return fmt.Errorf("%w: %w", ErrDamaged, err)
			}
			e.Answers = append(e.Answers, a)
		}
		return nil
	})
	if err == nil {
		var got [sha256.Size]byte
		if got, err = e.ID(); err == nil && got != id {
			err = ErrDamaged
		}
	}
	if err != nil {
		return mailauth.Evidence{}, fmt.Errorf("loading evidence: %w", err)
	}
	return e, nil
}
