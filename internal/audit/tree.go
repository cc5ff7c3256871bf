package audit

import (
	"crypto/sha256"

	"sijill"
)

// tree computes Merkle tree hashes as RFC 6962 section 2.1 defines them, with a
// stack of complete subtrees: the largest first, each smaller than the one
// before.
type tree struct {
	stack []subtree
}

type subtree struct {
	leaves int64
	hash   sijill.Hash
}

func leafHash(entry []byte) sijill.Hash {
	h := sha256.New()
	h.Write([]byte{0})
	h.Write(entry)
	return sijill.Hash(h.Sum(nil))
}

func nodeHash(left, right sijill.Hash) sijill.Hash {
	var b [65]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[33:], right[:])
	return sha256.Sum256(b[:])
}

// add appends a leaf and gives the hashes that became final with it: the leaf's
// own, then those of the subtrees that it completes, from the bottom up. That is
// the order in which the register stores them.
func (t *tree) add(leaf sijill.Hash) []sijill.Hash {
	top := subtree{1, leaf}
	final := []sijill.Hash{leaf}
	for n := len(t.stack); n > 0 && t.stack[n-1].leaves == top.leaves; n = len(t.stack) {
		top = subtree{2 * top.leaves, nodeHash(t.stack[n-1].hash, top.hash)}
		t.stack = t.stack[:n-1]
		final = append(final, top.hash)
	}
	t.stack = append(t.stack, top)
	return final
}

// root is the hash of the tree of all leaves so far; of none, of the empty
// string.
func (t *tree) root() sijill.Hash {
	if len(t.stack) == 0 {
		return sha256.Sum256(nil)
	}
	root := t.stack[len(t.stack)-1].hash
	for i := len(t.stack) - 2; i >= 0; i-- {
		root = nodeHash(t.stack[i].hash, root)
	}
	return root
}
