package people

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/secure/precis"
)

// ErrPassword is returned for a new password that is too short (fewer than 12
// characters), too long (more than 1,024 bytes) or contains control characters.
var ErrPassword = errors.New("the password is too short, too long or has characters that can't be typed")

const (
	minPassword = 12   // characters
	maxPassword = 1024 // bytes

	// hashesAtOnce bounds the memory of a burst of sign-ins: 64 MiB each.
	hashesAtOnce = 2
	keySize      = 32
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

// GeneratePassword returns a random password of 80 bits that can be read out and
// typed: four groups of four letters and digits, without i, l, o and u.
func GeneratePassword() string {
	const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
	var b [16]byte
	rand.Read(b[:]) // never fails
	var s strings.Builder
	for i, c := range b {
		if i > 0 && i%4 == 0 {
			s.WriteByte('-')
		}
		s.WriteByte(alphabet[c%32])
	}
	return s.String()
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

// newHash makes the hash of a new password, or returns ErrPassword.
func (p *People) newHash(ctx context.Context, password string) (string, error) {
	s, err := prepare(password)
	if err != nil {
		return "", err
	}
	if utf8.RuneCountInString(s) < minPassword {
		return "", ErrPassword
	}
	salt := make([]byte, 16)
	rand.Read(salt)
	key, err := p.derive(ctx, s, salt, p.cost)
	if err != nil {
		return "", err
	}
	return encode(p.cost, salt, key), nil
}

// verify tells whether a password has that hash, and whether the hash was made at
// another cost than today's.
func (p *People) verify(ctx context.Context, hash, password string) (ok, outdated bool, err error) {
	c, salt, want, err := decode(hash)
	if err != nil {
		return false, false, err
	}
	s, err := prepare(password)
	if err != nil {
		s = "" // nobody's password, which takes as long as any other to find out
	}
	got, err := p.derive(ctx, s, salt, c)
	if err != nil {
		return false, false, err
	}
	return subtle.ConstantTimeCompare(got, want) == 1, c != p.cost, nil
}

// derive waits for its turn, so that no more than hashesAtOnce are made at once.
func (p *People) derive(ctx context.Context, password string, salt []byte, c cost) ([]byte, error) {
	select {
	case p.hashing <- struct{}{}:
		defer func() { <-p.hashing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return argon2.IDKey([]byte(password), salt, c.passes, c.memory, c.lanes, keySize), nil
}

// nobodys returns a hash that no password has, of today's cost.
func (p *People) nobodys() string {
	b := make([]byte, 16+keySize)
	rand.Read(b)
	return encode(p.cost, b[:16], b[16:])
}

// encode writes a hash as a PHC string.
func encode(c cost, salt, key []byte) string {
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.memory, c.passes, c.lanes, b64(salt), b64(key))
}

func decode(hash string) (c cost, salt, key []byte, err error) {
	fields := strings.Split(hash, "$")
	if len(fields) != 6 || fields[0] != "" || fields[1] != "argon2id" || fields[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return c, nil, nil, errHash
	}
	if _, err := fmt.Sscanf(fields[3], "m=%d,t=%d,p=%d", &c.memory, &c.passes, &c.lanes); err != nil {
		return c, nil, nil, errHash
	}
	salt, errSalt := base64.RawStdEncoding.DecodeString(fields[4])
	key, errKey := base64.RawStdEncoding.DecodeString(fields[5])
	if errSalt != nil || errKey != nil || len(key) != keySize || !c.reasonable() || encode(c, salt, key) != hash {
		return c, nil, nil, errHash
	}
	return c, salt, key, nil
}

func (c cost) reasonable() bool {
	return c.memory >= 8 && c.memory <= maxCost.memory && c.passes >= 1 && c.passes <= maxCost.passes &&
		c.lanes >= 1 && c.lanes <= maxCost.lanes
}
