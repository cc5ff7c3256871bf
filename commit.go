package sijill

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"
	"sync"
)

// Labels of the commitment, and of the keys under which it is made.
const (
	commitmentLabel = "sijill/commitment/v1"
	envelopeLabel   = "sijill/envelope/v1"
)

// First bytes of what is hashed, which keep leaves, nodes and seeds apart.
const (
	tagLeaf byte = iota
	tagNode
	tagLeft
	tagRight
)

// CommitmentSeed derives from a message's key the seed of its commitment:
// HKDF-Expand-SHA-256 (RFC 5869, section 2.3) with the key as PRK.
func CommitmentSeed(key [32]byte) (Hash, error) { return derive(key, commitmentLabel) }

// EnvelopeSalt derives from a message's key the salt of its envelope's
// commitment, in the same way.
func EnvelopeSalt(key [32]byte) (Hash, error) { return derive(key, envelopeLabel) }

func derive(key [32]byte, label string) (Hash, error) {
	b, err := hkdf.Expand(sha256.New, key[:], label, len(Hash{}))
	if err != nil {
		return Hash{}, fmt.Errorf("derive %s: %w", label, err)
	}
	return Hash(b), nil
}

// CommitEnvelope binds the bytes of an envelope under a salt.
func CommitEnvelope(salt Hash, envelope []byte) Hash {
	b := make([]byte, 0, 1024)
	b = append(b, envelopeLabel...)
	b = append(b, '\n')
	b = append(b, salt[:]...)
	return sha256.Sum256(append(b, envelope...))
}

// Commit binds a message under a seed and returns the commitment with the
// number of units that Split cuts the message into.
//
// Every unit gets a salt of its own: the leaf of a tree of seeds that has the
// shape of the RFC 6962 tree over the units. So the seed of a subtree shows its
// units and no others, and without a seed a withheld unit can't be guessed at.
// The commitment is the root of the hash tree over the salted units, hashed
// with their number.
func Commit(seed Hash, msg []byte) (commitment Hash, units int) {
	t := hashers.Get().(*hasher)
	t.msg, t.ends = msg, appendEnds(t.room[:0], msg)
	units = len(t.ends)
	commitment = finish(units, t.root(0, units, &seed))
	t.forget()
	hashers.Put(t)
	return commitment, units
}

// finish hashes the number of units with the root of their tree.
func finish(n int, root Hash) Hash {
	var b [len(commitmentLabel) + 1 + 8 + 32]byte
	copy(b[:], commitmentLabel+"\n")
	binary.BigEndian.PutUint64(b[len(commitmentLabel)+1:], uint64(n))
	copy(b[len(commitmentLabel)+9:], root[:])
	return sha256.Sum256(b[:])
}

// hasher computes roots over the units of one message. It hashes from one
// buffer of its own, since commitments are the costliest part of a capture.
type hasher struct {
	msg    []byte
	ends   []int
	room   [512]int // for ends: most messages have fewer units
	buf    [1024]byte
	pair   pair
	hashes [bunch]Hash
}

// hashers are kept: with their lanes they are too large to be made each time.
var hashers = sync.Pool{New: func() any { return new(hasher) }}

// forget clears what is left of a message: others may not be meant to have it.
func (t *hasher) forget() {
	t.msg, t.ends = nil, nil
	clear(t.room[:])
	clear(t.buf[:])
	clear(t.hashes[:])
	t.pair = pair{}
}

func (t *hasher) unit(i int) []byte {
	if i == 0 {
		return t.msg[:t.ends[0]]
	}
	return t.msg[t.ends[i-1]:t.ends[i]]
}

// root hashes units lo to hi under the seed of their subtree.
func (t *hasher) root(lo, hi int, seed *Hash) Hash {
	switch hi - lo {
	case 0:
		return sha256.Sum256(nil) // RFC 6962, section 2.1: the empty tree
	case 1:
		return t.leaf(seed, t.unit(lo))
	}
	if paired && hi-lo <= bunch {
		return t.bunchOf(lo, hi, seed)
	}
	left, right := children(seed)
	mid := lo + split(hi-lo)
	l := t.root(lo, mid, &left)
	r := t.root(mid, hi, &right)
	return node(&l, &r)
}

// leaf hashes one unit with its salt. A unit that doesn't fit the buffer is
// hashed as a stream.
func (t *hasher) leaf(salt *Hash, unit []byte) Hash {
	t.buf[0] = tagLeaf
	copy(t.buf[1:], salt[:])
	if n := 33 + len(unit); n <= len(t.buf) {
		copy(t.buf[33:], unit)
		return sha256.Sum256(t.buf[:n])
	}
	h := sha256.New()
	h.Write(t.buf[:33])
	h.Write(unit)
	return Hash(h.Sum(t.buf[:0]))
}

// node hashes two subtrees (RFC 6962, section 2.1).
func node(left, right *Hash) Hash {
	var b [65]byte
	b[0] = tagNode
	copy(b[1:], left[:])
	copy(b[33:], right[:])
	return sha256.Sum256(b[:])
}

// children derives the seeds of the two subtrees under a seed.
func children(seed *Hash) (left, right Hash) {
	var b [33]byte
	copy(b[1:], seed[:])
	b[0] = tagLeft
	left = sha256.Sum256(b[:])
	b[0] = tagRight
	right = sha256.Sum256(b[:])
	return left, right
}

// split returns the largest power of two below n, for n of at least 2: the
// number of leaves in the left subtree (RFC 6962, section 2.1).
func split(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }
