package sijill

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/cloudflare/circl/sign/mldsa/mldsa44"
)

// Algorithm is the signature type byte of C2SP signed-note.
type Algorithm byte

// The algorithms that this package signs with or verifies.
const (
	Ed25519            Algorithm = 0x01 // signed-note: over the text, no time
	Ed25519Cosignature Algorithm = 0x04 // tlog-cosignature: with a time; verified only
	MLDSA44            Algorithm = 0x06 // tlog-cosignature: with a time, withstands quantum computers
)

// String returns the algorithm's usual name.
func (a Algorithm) String() string {
	switch a {
	case Ed25519:
		return "Ed25519"
	case Ed25519Cosignature:
		return "Ed25519 cosignature"
	case MLDSA44:
		return "ML-DSA-44"
	}
	return "unknown"
}

// ErrKeyName says that a name can't be that of a key: it is empty, longer than
// 255 bytes, or has a space, a plus or a comma in it.
var ErrKeyName = errors.New("not a key name")

// Signer signs checkpoints; it is a [note.Signer].
type Signer struct {
	key  publicKey
	sign func(text []byte) ([]byte, error)
}

// NewEd25519Signer makes a signer of the name from a 32-byte secret seed
// (RFC 8032, section 5.1.5).
func NewEd25519Signer(name string, seed [32]byte) (*Signer, error) {
	private := ed25519.NewKeyFromSeed(seed[:])
	key, err := newPublicKey(name, Ed25519, private[32:])
	if err != nil {
		return nil, fmt.Errorf("make Ed25519 signer: %w", err)
	}
	return &Signer{key, func(text []byte) ([]byte, error) {
		return ed25519.Sign(private, text), nil
	}}, nil
}

// NewMLDSASigner makes a signer of the name from a 32-byte secret seed (FIPS
// 204, algorithm 6). It signs checkpoints only, each with the time that now
// gives, in whole seconds: a statement that this is the largest state of the
// register that the signer knew then.
func NewMLDSASigner(name string, seed [32]byte, now func() time.Time) (*Signer, error) {
	public, private := mldsa44.NewKeyFromSeed(&seed)
	key, err := newPublicKey(name, MLDSA44, public.Bytes())
	if err != nil {
		return nil, fmt.Errorf("make ML-DSA-44 signer: %w", err)
	}
	return &Signer{key, func(text []byte) ([]byte, error) {
		second := now().Unix()
		if second < 0 {
			return nil, errors.New("sign with ML-DSA-44: the clock is before 1970")
		}
		msg, err := cosignedMessage(name, uint64(second), text)
		if err != nil {
			return nil, fmt.Errorf("sign with ML-DSA-44: %w", err)
		}
		sig := make([]byte, 8+mldsa44.SignatureSize)
		binary.BigEndian.PutUint64(sig, uint64(second))
		if err := mldsa44.SignTo(private, msg, nil, true, sig[8:]); err != nil {
			return nil, fmt.Errorf("sign with ML-DSA-44: %w", err)
		}
		return sig, nil
	}}, nil
}

// Name returns the key's name.
func (s *Signer) Name() string { return s.key.name }

// KeyHash returns the key's short identifier.
func (s *Signer) KeyHash() uint32 { return s.key.id }

// Sign signs the text of a note.
func (s *Signer) Sign(text []byte) ([]byte, error) { return s.sign(text) }

// VerifierKey returns the public key as a vkey (C2SP signed-note, verifier
// keys), which ParseKeys reads.
func (s *Signer) VerifierKey() string { return s.key.String() }

// cosignedMessage is what an ML-DSA-44 cosignature signs (C2SP
// tlog-cosignature, ML-DSA-44 signed message) for a checkpoint.
func cosignedMessage(name string, second uint64, text []byte) ([]byte, error) {
	c, err := ParseCheckpoint(string(text))
	if err != nil {
		return nil, err
	}
	if len(name) > 255 || len(c.Origin) > 255 {
		return nil, ErrKeyName
	}
	b := make([]byte, 0, 128+len(name)+len(c.Origin))
	b = append(b, "subtree/v1\n\x00"...)
	b = append(append(b, byte(len(name))), name...)
	b = binary.BigEndian.AppendUint64(b, second)
	b = append(append(b, byte(len(c.Origin))), c.Origin...)
	b = binary.BigEndian.AppendUint64(b, 0)
	b = binary.BigEndian.AppendUint64(b, uint64(c.Size))
	return append(b, c.Root[:]...), nil
}

// publicKey is a key's name and public half.
type publicKey struct {
	name      string
	id        uint32
	algorithm Algorithm
	key       []byte
}

func newPublicKey(name string, a Algorithm, key []byte) (publicKey, error) {
	bad := func(r rune) bool { return unicode.IsSpace(r) || r == '+' || r == ',' || unicode.IsControl(r) }
	if name == "" || len(name) > 255 || !utf8.ValidString(name) || strings.IndexFunc(name, bad) >= 0 {
		return publicKey{}, ErrKeyName
	}
	b := append([]byte(name), '\n', byte(a))
	sum := sha256.Sum256(append(b, key...))
	return publicKey{name, binary.BigEndian.Uint32(sum[:]), a, key}, nil
}

// String returns the key as a vkey.
func (k publicKey) String() string {
	b := append([]byte{byte(k.algorithm)}, k.key...)
	return fmt.Sprintf("%s+%08x+%s", k.name, k.id, base64.StdEncoding.EncodeToString(b))
}
