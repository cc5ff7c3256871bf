package outbox

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"sijill/internal/db"
)

// A message waits in parts, each sealed by AES-256-GCM under the letter's own
// random key, so that a long one is never in memory as a whole. The nonce of a
// part is its number, and the associated data tells whether it is the last:
// parts can't be left out, added or exchanged.
const (
	partSize     = 256 << 10
	partOverhead = 16
)

func newAEAD(key [32]byte) (cipher.AEAD, error) {
	b, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(b)
}

func partNonce(number int) []byte {
	return binary.BigEndian.AppendUint32(make([]byte, 8, 12), uint32(number))
}

func sealParts(key [32]byte, msg []byte) ([][]byte, error) {
	aead, err := newAEAD(key)
	if err != nil {
		return nil, fmt.Errorf("sealing a letter: %w", err)
	}
	var parts [][]byte
	for n := 0; n == 0 || len(msg) > 0; n++ {
		piece := msg[:min(len(msg), partSize)]
		msg = msg[len(piece):]
		parts = append(parts, aead.Seal(nil, partNonce(n), piece, lastPart(len(msg) == 0)))
	}
	if len(parts) > maxNumber {
		return nil, fmt.Errorf("size: %w", ErrLetter)
	}
	return parts, nil
}

func lastPart(last bool) []byte {
	if last {
		return []byte("sijill outbox last part")
	}
	return []byte("sijill outbox part")
}

// wrapKey seals a letter's key under the server's, bound to its entry.
func wrapKey(server, key [32]byte, entry int64) []byte {
	aead, err := newAEAD(server)
	if err != nil {
		panic(err) // Only for keys of another length.
	}
	nonce := make([]byte, aead.NonceSize())
	rand.Read(nonce)
	return aead.Seal(nonce, nonce, key[:], binary.BigEndian.AppendUint64(nil, uint64(entry)))
}

var errSpool = errors.New("a queued letter can't be opened")

func unwrapKey(server [32]byte, wrapped []byte, entry int64) (key [32]byte, err error) {
	aead, err := newAEAD(server)
	if err != nil || len(wrapped) < aead.NonceSize() {
		return key, errSpool
	}
	n := aead.NonceSize()
	b, err := aead.Open(nil, wrapped[:n], wrapped[n:], binary.BigEndian.AppendUint64(nil, uint64(entry)))
	if err != nil || len(b) != len(key) {
		return key, errSpool
	}
	return [32]byte(b), nil
}

// spool reads a queued message from its parts.
type spool struct {
	ctx   context.Context
	db    *db.DB
	entry int64
	aead  cipher.AEAD
	left  int64 // Bytes that were not read from the database yet.
	next  int
	rest  []byte // Of the part that is being read.
}

func (o *Outbox) open(ctx context.Context, l *letter) (*spool, error) {
	aead, err := newAEAD(l.key)
	if err != nil {
		return nil, errSpool
	}
	return &spool{ctx: ctx, db: o.opts.DB, entry: l.entry, aead: aead, left: l.size}, nil
}

// Read implements io.Reader.
func (s *spool) Read(b []byte) (int, error) {
	if len(s.rest) == 0 {
		if s.left == 0 {
			return 0, io.EOF
		}
		if err := s.load(); err != nil {
			return 0, err
		}
	}
	n := copy(b, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func (s *spool) load() error {
	var data []byte
	err := s.db.Read(s.ctx, func(tx *db.Tx) error {
		return tx.One("SELECT data FROM outbox_part WHERE id = ?", []any{s.entry<<numberBits + int64(s.next)}, &data)
	})
	if err != nil {
		return fmt.Errorf("reading a queued letter: %w", err)
	}
	last := s.left <= partSize
	s.rest, err = s.aead.Open(data[:0], partNonce(s.next), data, lastPart(last))
	if err != nil || int64(len(s.rest)) != min(s.left, partSize) {
		return errSpool
	}
	s.left -= int64(len(s.rest))
	s.next++
	return nil
}

// whole reads all of a message.
func (o *Outbox) whole(ctx context.Context, l *letter) ([]byte, error) {
	s, err := o.open(ctx, l)
	if err != nil {
		return nil, err
	}
	b := make([]byte, l.size)
	_, err = io.ReadFull(s, b)
	return b, err
}
