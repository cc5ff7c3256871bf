package sijill

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cloudflare/circl/sign/mldsa/mldsa44"
	"golang.org/x/mod/sumdb/note"
)

var (
	// ErrKey says that a text isn't a public key that this package verifies
	// with, or that the same key is given twice.
	ErrKey = errors.New("not a public key")
	// ErrSignature says that a checkpoint lacks a valid signature of a key that
	// was given, or that none of those keys is the register's own.
	ErrSignature = errors.New("signature does not hold")
)

// MaxKeys is how many keys ParseKeys accepts.
const MaxKeys = 64

// Keys are the public keys that a reader trusts: the register's own, and those
// of witnesses where the reader wants them. All of them must have signed.
type Keys struct {
	keys []verifyingKey
}

// Signature is one that was found valid.
type Signature struct {
	Name      string
	Algorithm Algorithm
	Time      time.Time // zero for Ed25519, which signs no time
}

// ParseKeys reads one or more vkeys separated by spaces, newlines or commas. It
// knows the types 0x01 (Ed25519), 0x04 (Ed25519 cosignature) and 0x06
// (ML-DSA-44), and wraps ErrKey for anything else.
func ParseKeys(text string) (Keys, error) {
	vkeys := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\r\n,", r) })
	if len(vkeys) == 0 || len(vkeys) > MaxKeys {
		return Keys{}, fmt.Errorf("parse keys: %d of them: %w", len(vkeys), ErrKey)
	}
	var k Keys
	for i, vkey := range vkeys {
		v, err := parseKey(vkey)
		if err != nil {
			return Keys{}, fmt.Errorf("parse key %d: %w", i+1, err)
		}
		same := func(o verifyingKey) bool { return o.name == v.name && o.id == v.id }
		if slices.ContainsFunc(k.keys, same) {
			return Keys{}, fmt.Errorf("parse key %d: given twice: %w", i+1, ErrKey)
		}
		k.keys = append(k.keys, v)
	}
	return k, nil
}

// String returns the keys as vkeys, one a line.
func (k Keys) String() string {
	var b strings.Builder
	for _, v := range k.keys {
		b.WriteString(v.String() + "\n")
	}
	return b.String()
}

// OpenCheckpoint reads a signed checkpoint. It wraps ErrSignature unless every
// key has a valid signature on it and one of them bears the checkpoint's
// origin. Signatures of other keys are ignored, as C2SP signed-note demands.
func (k Keys) OpenCheckpoint(signed []byte) (Checkpoint, []Signature, error) {
	c, err := unverifiedCheckpoint(signed)
	if err != nil {
		return Checkpoint{}, nil, fmt.Errorf("open checkpoint: %w", err)
	}
	verifiers := make([]note.Verifier, len(k.keys))
	own := false
	for i, v := range k.keys {
		verifiers[i] = v
		own = own || v.name == c.Origin
	}
	if !own {
		return Checkpoint{}, nil, fmt.Errorf("open checkpoint: no key is named like the register: %w", ErrSignature)
	}
	n, err := note.Open(signed, note.VerifierList(verifiers...))
	if err != nil {
		return Checkpoint{}, nil, fmt.Errorf("open checkpoint: %w: %w", err, ErrSignature)
	}
	if n.Text != c.Text() {
		return Checkpoint{}, nil, fmt.Errorf("open checkpoint: %w", ErrCheckpoint)
	}
	list, err := k.signatures(n)
	if err != nil {
		return Checkpoint{}, nil, fmt.Errorf("open checkpoint: %w", err)
	}
	return c, list, nil
}

// signatures lists what note.Open has verified; a key that it lacks is an error.
func (k Keys) signatures(n *note.Note) ([]Signature, error) {
	list := make([]Signature, len(k.keys))
	for i, v := range k.keys {
		j := slices.IndexFunc(n.Sigs, func(s note.Signature) bool { return s.Name == v.name && s.Hash == v.id })
		if j < 0 {
			return nil, fmt.Errorf("no signature of key %s+%08x: %w", v.name, v.id, ErrSignature)
		}
		list[i] = Signature{Name: v.name, Algorithm: v.algorithm}
		sig, err := decodeBase64([]byte(n.Sigs[j].Base64))
		if err != nil {
			return nil, fmt.Errorf("signature of key %s+%08x: %w", v.name, v.id, ErrSignature)
		}
		if v.algorithm != Ed25519 {
			list[i].Time = time.Unix(int64(binary.BigEndian.Uint64(sig[4:])), 0).UTC()
		}
	}
	return list, nil
}

// verifyingKey is a public key ready to verify; it is a [note.Verifier].
type verifyingKey struct {
	publicKey
	verify func(text, sig []byte) bool
}

func (v verifyingKey) Name() string                 { return v.name }
func (v verifyingKey) KeyHash() uint32              { return v.id }
func (v verifyingKey) Verify(text, sig []byte) bool { return v.verify(text, sig) }

func parseKey(vkey string) (verifyingKey, error) {
	name, rest, _ := strings.Cut(vkey, "+")
	id, key64, _ := strings.Cut(rest, "+")
	key, err := decodeBase64([]byte(key64))
	if err != nil || len(key) < 2 {
		return verifyingKey{}, ErrKey
	}
	p, err := newPublicKey(name, Algorithm(key[0]), key[1:])
	if err != nil {
		return verifyingKey{}, fmt.Errorf("%w: %w", err, ErrKey)
	}
	if id != fmt.Sprintf("%08x", p.id) {
		return verifyingKey{}, fmt.Errorf("its identifier is of another key: %w", ErrKey)
	}
	return newVerifyingKey(p)
}

func newVerifyingKey(p publicKey) (verifyingKey, error) {
	switch {
	case p.algorithm == Ed25519 && len(p.key) == ed25519.PublicKeySize:
		return verifyingKey{p, func(text, sig []byte) bool {
			return ed25519.Verify(p.key, text, sig)
		}}, nil
	case p.algorithm == Ed25519Cosignature && len(p.key) == ed25519.PublicKeySize:
		return verifyingKey{p, func(text, sig []byte) bool {
			return verifyEd25519Cosignature(p.key, text, sig)
		}}, nil
	case p.algorithm == MLDSA44 && len(p.key) == mldsa44.PublicKeySize:
		public := new(mldsa44.PublicKey)
		if err := public.UnmarshalBinary(p.key); err != nil {
			return verifyingKey{}, fmt.Errorf("%w: %w", err, ErrKey)
		}
		return verifyingKey{p, func(text, sig []byte) bool {
			return verifyMLDSA(public, p.name, text, sig)
		}}, nil
	}
	return verifyingKey{}, ErrKey
}

// signedTime returns the timestamp of a timestamped_signature (C2SP
// tlog-cosignature, format) whose signature has the size given.
func signedTime(sig []byte, size int) (second uint64, ok bool) {
	if len(sig) != 8+size {
		return 0, false
	}
	second = binary.BigEndian.Uint64(sig)
	return second, second < 1<<63
}

// verifyEd25519Cosignature follows C2SP tlog-cosignature, Ed25519 signed message.
func verifyEd25519Cosignature(key ed25519.PublicKey, text, sig []byte) bool {
	second, ok := signedTime(sig, ed25519.SignatureSize)
	if !ok {
		return false
	}
	msg := "cosignature/v1\ntime " + strconv.FormatUint(second, 10) + "\n" + string(text)
	return ed25519.Verify(key, []byte(msg), sig[8:])
}

// verifyMLDSA follows C2SP tlog-cosignature, ML-DSA-44 signed message.
func verifyMLDSA(key *mldsa44.PublicKey, name string, text, sig []byte) bool {
	second, ok := signedTime(sig, mldsa44.SignatureSize)
	if !ok {
		return false
	}
	msg, err := cosignedMessage(name, second, text)
	return err == nil && mldsa44.Verify(key, msg, nil, sig[8:])
}
