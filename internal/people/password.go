package people

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/secure/precis"
)

// ErrPassword is returned for a new password that is too short (fewer than 12
// characters), too long (more than 1,024 bytes) or contains control characters.
var ErrPassword = errors.New("a password has 12 characters or more, 1,024 bytes at most, and none that can't be typed")

const (
	minPassword = 12   // characters
	maxPassword = 1024 // bytes

	// hashesAtOnce bounds the memory of a burst of sign-ins: 64 MiB each.
	hashesAtOnce = 2
	keySize      = 32
	minMemory    = 8 // KiB; argon2 takes no less
)

// cost is what one hash takes: RFC 9106 section 4, second choice, with one lane.
type cost struct {
	memory uint32 // KiB
	passes uint32
	lanes  uint8
}

var standard = cost{memory: 64 << 10, passes: 3, lanes: 1}

// maxCost is what a stored hash may ask for; beyond it the row is damaged.
var maxCost = cost{memory: 1 << 20, passes: 16, lanes: 16}

var errHash = errors.New("the stored password hash is malformed")

// ErrSame is returned for a new password that is the one that somebody else chose.
var ErrSame = errors.New("the new password is the one that somebody else knows")

// GeneratePassword returns a random password of 80 bits that can be read out and
// typed: four groups of four letters and digits, without i, l, o and u.
func GeneratePassword() string {
	return groups(random(16))
}

// prepare brings a password into the one form of RFC 8265 section 4.2, so that it
// is the same from every keyboard.
func prepare(password string) (string, error) {
	if len(password) > maxPassword {
		return "", ErrPassword
	}
	s, err := precis.OpaqueString.String(password)
	if err != nil {
		return "", ErrPassword // the reason could quote it
	}
	return s, nil
}

// NewPassword is a password that can be set: what is stored of it, and what can be
// derived from it and from nothing that is stored. Making it and setting it are
// two steps so that what Secret opens can be wrapped before the old one is gone.
type NewPassword struct {
	// Credential names this very password among the credentials of an account:
	// the same words hashed anew have another name and another Secret.
	Credential string
	Secret     [32]byte
	hash       string
}

// CheckPassword returns ErrPassword for what NewPassword wouldn't take, so that it
// can be said before anything is done with it.
func CheckPassword(password string) error {
	_, err := acceptable(password)
	return err
}

// acceptable is a password as it is hashed, or ErrPassword.
func acceptable(password string) (string, error) {
	s, err := prepare(password)
	if err == nil && utf8.RuneCountInString(s) < minPassword {
		err = ErrPassword
	}
	return s, err
}

// NewPassword makes a password that can be set, or returns ErrPassword.
func (p *People) NewPassword(ctx context.Context, password string) (*NewPassword, error) {
	s, err := acceptable(password)
	if err != nil {
		return nil, err
	}
	return p.hashAnew(ctx, s)
}

// hashAnew takes a prepared password of any length: those that people have may be
// shorter than today's least.
func (p *People) hashAnew(ctx context.Context, prepared string) (*NewPassword, error) {
	h := stored{method: methodHKDF, cost: p.cost, salt: random(16)}
	key, err := p.derive(ctx, prepared, h)
	if err != nil {
		return nil, err
	}
	h.key = h.verifier(key)
	return &NewPassword{Credential: h.credential(), Secret: passwordSecret(key), hash: h.encode()}, nil
}

// found is what comparing a password with a stored hash gave.
type found struct {
	ok         bool
	credential string
	secret     [32]byte
	legacy     bool // made when nothing was derived but the hash itself
	outdated   bool // made at another cost than today's
	prepared   string
}

// verify compares a password with a stored hash.
func (p *People) verify(ctx context.Context, hash, password string) (f found, err error) {
	h, err := decode(hash)
	if err != nil {
		return f, err
	}
	if f.prepared, err = prepare(password); err != nil {
		f.prepared = "" // nobody's password, which takes as long as any other to find out
	}
	key, err := p.derive(ctx, f.prepared, h)
	if err != nil {
		return f, err
	}
	f.ok = subtle.ConstantTimeCompare(h.verifier(key), h.key) == 1
	f.legacy, f.outdated = h.method == methodPlain, h.cost != p.cost
	if !f.legacy {
		f.credential, f.secret = h.credential(), passwordSecret(key)
	}
	return f, nil
}

// derive waits for its turn, so that no more than hashesAtOnce are made at once.
func (p *People) derive(ctx context.Context, password string, h stored) ([]byte, error) {
	select {
	case p.hashing <- struct{}{}:
		defer func() { <-p.hashing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	size := uint32(2 * keySize)
	if h.method == methodPlain {
		size = keySize
	}
	return argon2.IDKey([]byte(password), h.salt, h.passes, h.memory, h.lanes, size), nil
}

// nobodys returns a hash that no password has, of today's cost.
func (p *People) nobodys() string {
	return stored{method: methodHKDF, cost: p.cost, salt: random(16), key: random(keySize)}.encode()
}

// How a stored hash comes from what argon2id gives. The names stand in the
// database.
const (
	// methodHKDF makes 64 bytes. One half is expanded to the stored hash and the
	// other to the Secret, so that the one tells nothing of the other.
	methodHKDF = "argon2id-hkdf"
	// methodPlain made 32 bytes and stored them. It is replaced at sign-in.
	methodPlain = "argon2id"
)

// stored is what is stored of a password.
type stored struct {
	method string
	cost
	salt, key []byte
}

// verifier gives what is stored of the output of argon2id.
func (h stored) verifier(output []byte) []byte {
	if h.method == methodPlain {
		return output
	}
	v := expand(output[:keySize], "password verifier")
	return v[:]
}

func passwordSecret(output []byte) [32]byte { return expand(output[keySize:], "password secret") }

func (h stored) credential() string { return "password/" + hex.EncodeToString(h.salt[:8]) }

// encode writes a hash as a PHC string.
func (h stored) encode() string {
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$%s$v=%d$m=%d,t=%d,p=%d$%s$%s", h.method, argon2.Version, h.memory, h.passes, h.lanes, b64(h.salt), b64(h.key))
}

func decode(hash string) (h stored, err error) {
	fields := strings.Split(hash, "$")
	if len(fields) != 6 || fields[0] != "" || fields[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return h, errHash
	}
	if h.method = fields[1]; h.method != methodHKDF && h.method != methodPlain {
		return h, errHash
	}
	if _, err := fmt.Sscanf(fields[3], "m=%d,t=%d,p=%d", &h.memory, &h.passes, &h.lanes); err != nil {
		return h, errHash
	}
	var errSalt, errKey error
	h.salt, errSalt = base64.RawStdEncoding.DecodeString(fields[4])
	h.key, errKey = base64.RawStdEncoding.DecodeString(fields[5])
	if errSalt != nil || errKey != nil || len(h.salt) < 16 || len(h.key) != keySize || !h.reasonable() || h.encode() != hash {
		return h, errHash
	}
	return h, nil
}

func (c cost) reasonable() bool {
	return c.memory >= minMemory && c.memory <= maxCost.memory && c.passes >= 1 && c.passes <= maxCost.passes &&
		c.lanes >= 1 && c.lanes <= maxCost.lanes
}
