package record

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/vault"
)

// signer signs checkpoints with the two keys of the register: Ed25519, which
// everybody can verify today, and ML-DSA-44, which a quantum computer can't
// forge.
type signer struct {
	origin string
	seeds  [2][32]byte
	ed     *sijill.Signer
	pq     *sijill.Signer
	at     time.Time  // Of the signature being made; see sign.
	mu     sync.Mutex // Guards at.
}

func newSigner(_ context.Context, _ *vault.Vault, origin string) (*signer, error) {
	var seeds [2][32]byte
	rand.Read(seeds[0][:])
	rand.Read(seeds[1][:])
	return signerOf(origin, seeds)
}

func signerOf(origin string, seeds [2][32]byte) (*signer, error) {
	s := &signer{origin: origin, seeds: seeds}
	var err error
	if s.ed, err = sijill.NewEd25519Signer(origin, seeds[0]); err != nil {
		return nil, err
	}
	if s.pq, err = sijill.NewMLDSASigner(origin, seeds[1], func() time.Time { return s.at }); err != nil {
		return nil, err
	}
	return s, nil
}

// Secrets are stored under the origin's name, so that a register that was
// retired keeps its keys beside its successor's.
func secretName(origin string) string { return "sign/" + origin }

func (s *signer) save(tx *db.Tx, v *vault.Vault) error {
	return v.PutSecret(tx, secretName(s.origin), append(s.seeds[0][:], s.seeds[1][:]...))
}

func loadSigner(tx *db.Tx, v *vault.Vault, origin string) (*signer, error) {
	b, err := v.Secret(tx, secretName(origin))
	if err != nil {
		return nil, fmt.Errorf("loading the keys of the register: %w", err)
	}
	if len(b) != 64 {
		return nil, fmt.Errorf("loading the keys of the register: %w", vault.ErrDamaged)
	}
	return signerOf(origin, [2][32]byte{[32]byte(b[:32]), [32]byte(b[32:])})
}

// sign makes the checkpoint of a tree.
func (s *signer) sign(size int64, root tlog.Hash, at time.Time) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = at
	note, err := sijill.Checkpoint{Origin: s.origin, Size: size, Root: root}.Sign(s.ed, s.pq)
	if err != nil {
		return nil, fmt.Errorf("signing a checkpoint: %w", err)
	}
	return note, nil
}

// public gives both verifier keys, one a line.
func (s *signer) public() string { return s.ed.VerifierKey() + "\n" + s.pq.VerifierKey() + "\n" }

// open verifies a checkpoint against both keys.
func (s *signer) open(note []byte) (sijill.Checkpoint, error) {
	keys, err := sijill.ParseKeys(s.public())
	if err != nil {
		return sijill.Checkpoint{}, err
	}
	c, _, err := keys.OpenCheckpoint(note)
	return c, err
}
