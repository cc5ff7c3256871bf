package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"

	"sijill/internal/db"
)

// Whatever is wrapped here is 32 bytes: a message's key, a compartment's key or
// seed, a root's seed. What is wrapped is never the secret itself but secret XOR
// mask; see the table mask.
type secret = [32]byte

func masked(s, mask secret) (out secret) {
	subtle.XORBytes(out[:], s[:], mask[:])
	return out
}

func newSecret() (s secret) {
	rand.Read(s[:])
	return s
}

// wipe overwrites a secret. It does what Go lets one do: copies that were made
// on the way are left to the garbage collector.
func wipe(s *secret) { clear(s[:]) }

// gcm makes the AEAD of a 32-byte key.
func gcm(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // Only for keys of another length.
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // Only for block ciphers of another size.
	}
	return aead
}

// wrapUnder wraps a secret: nonce (12) ‖ AES-256-GCM, bound to what it is for.
func wrapUnder(aead cipher.AEAD, what []byte, s []byte) []byte {
	nonce := make([]byte, 12, 12+len(s)+16)
	rand.Read(nonce)
	return aead.Seal(nonce, nonce, s, what)
}

func unwrapUnder(aead cipher.AEAD, what []byte, wrapped []byte) ([]byte, error) {
	if len(wrapped) < 12 {
		return nil, ErrDamaged
	}
	b, err := aead.Open(nil, wrapped[:12], wrapped[12:], what)
	if err != nil {
		return nil, ErrDamaged
	}
	return b, nil
}

// derive gives a key for one purpose of a secret.
func derive(s []byte, purpose string) (out secret) {
	b, err := hkdf.Key(sha256.New, s, nil, purpose, len(out))
	if err != nil {
		panic(err) // Only for lengths over 8,160 bytes.
	}
	return secret(b)
}

// Key pairs are those of HPKE (RFC 9180) with the hybrid KEM MLKEM768-X25519
// (draft-ietf-hpke-pq), HKDF-SHA256 and AES-256-GCM.
var (
	kem  = hpke.MLKEM768X25519()
	kdf  = hpke.HKDFSHA256()
	aead = hpke.AES256GCM()
)

// hpkeOverhead is how much longer than its content a text sealed to a key is.
const hpkeOverhead = 1120 + 16

// pair makes the key pair of a seed.
func pair(seed secret) (hpke.PrivateKey, error) {
	k, err := kem.NewPrivateKey(seed[:])
	if err != nil {
		return nil, fmt.Errorf("making a key pair: %w", err)
	}
	return k, nil
}

// sealTo wraps a secret to a public key, bound to what it is for.
func sealTo(public []byte, what []byte, s secret) ([]byte, error) {
	k, err := kem.NewPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("reading a public key: %w", errors.Join(err, ErrDamaged))
	}
	b, err := hpke.Seal(k, kdf, aead, what, s[:])
	if err != nil {
		return nil, fmt.Errorf("sealing to a public key: %w", err)
	}
	return b, nil
}

// openSealed unwraps what sealTo wrapped.
func openSealed(k hpke.PrivateKey, what []byte, wrapped []byte) (s secret, err error) {
	b, err := hpke.Open(k, kdf, aead, what, wrapped)
	if err != nil || len(b) != len(s) {
		return s, ErrDamaged
	}
	return secret(b), nil
}

// asSecret takes what an unwrapping gave.
func asSecret(b []byte, err error) (s secret, _ error) {
	if err != nil || len(b) != len(s) {
		return s, ErrDamaged
	}
	return secret(b), nil
}

// wrapOwn wraps a secret of the office under a key derived from the server's.
func (v *Vault) wrapOwn(purpose string, id int64, s []byte) []byte {
	key := v.key.Derive(purpose)
	return wrapUnder(gcm(key[:]), binary.BigEndian.AppendUint64(nil, uint64(id)), s)
}

func (v *Vault) unwrapOwn(purpose string, id int64, wrapped []byte) ([]byte, error) {
	key := v.key.Derive(purpose)
	return unwrapUnder(gcm(key[:]), binary.BigEndian.AppendUint64(nil, uint64(id)), wrapped)
}

// newMask stores a fresh mask and gives its number.
func newMask(tx *db.Tx) (id int64, mask secret, err error) {
	mask = newSecret()
	if id, err = tx.Insert("INSERT INTO mask (mask) VALUES (?)", mask[:]); err != nil {
		return 0, mask, fmt.Errorf("storing a mask: %w", err)
	}
	return id, mask, nil
}

// readMask takes a mask as it is stored. One that was overwritten is damage
// where the key that it belongs to is still there.
func readMask(b []byte) (m secret, err error) {
	if len(b) != len(m) || secret(b) == (secret{}) {
		return m, fmt.Errorf("the mask of a key is gone: %w", ErrDamaged)
	}
	return secret(b), nil
}

var noMask secret // What a mask is overwritten with.
