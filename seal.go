package sijill

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
)

// SealOverhead is by how many bytes a ciphertext is longer than its payload.
const SealOverhead = 16

// ErrSeal says that a ciphertext doesn't open under a key and an id.
var ErrSeal = errors.New("ciphertext does not open")

// Seal appends to dst the payload, encrypted with AES-256-GCM under key, with
// id as associated data. dst may be payload[:0].
//
// The nonce is zero: a key must seal one payload, ever. Opening doesn't prove
// that the key is the right one, since GCM doesn't commit to its key: recompute
// the commitment of the envelope or of the message, whose salts come from the key.
func Seal(dst []byte, key [32]byte, id ID, payload []byte) ([]byte, error) {
	aead, err := newAEAD(key)
	if err != nil {
		return dst, fmt.Errorf("seal: %w", err)
	}
	var nonce [12]byte
	return aead.Seal(dst, nonce[:], payload, id[:]), nil
}

// Open appends to dst the payload that Seal encrypted. The error wraps ErrSeal
// where key or id is another, or a bit of the ciphertext has changed.
func Open(dst []byte, key [32]byte, id ID, ciphertext []byte) ([]byte, error) {
	aead, err := newAEAD(key)
	if err != nil {
		return dst, fmt.Errorf("open: %w", err)
	}
	var nonce [12]byte
	out, err := aead.Open(dst, nonce[:], ciphertext, id[:])
	if err != nil {
		return dst, fmt.Errorf("open: %w", ErrSeal)
	}
	return out, nil
}

func newAEAD(key [32]byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, fmt.Errorf("aes: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("gcm: %w", err)
	}
	return aead, nil
}
