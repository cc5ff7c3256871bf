package record

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/mod/sumdb/tlog"

	"sijill/internal/db"
)

// emptyRoot is the hash of a tree without leaves, RFC 6962 section 2.1.
var emptyRoot = tlog.Hash(sha256.Sum256(nil))

type head struct {
	origin string
	size   int64
	time   int64 // of the newest entry, microseconds
	note   []byte
}

func readHead(tx *db.Tx) (h head, err error) {
	err = tx.One("SELECT origin, size, time, checkpoint FROM head WHERE id = 1", nil, &h.origin, &h.size, &h.time, &h.note)
	if errors.Is(err, fs.ErrNotExist) {
		return h, ErrNone
	}
	if err != nil {
		return h, fmt.Errorf("reading the head: %w", err)
	}
	return h, nil
}

// tree is the right edge of the Merkle tree: all that growing it needs. It is
// a value to work on: a batch that fails throws its copy away.
type tree struct {
	size int64
	time int64
	edge map[int64]tlog.Hash // Stored hashes by number; those of the roots of complete subtrees.
	root tlog.Hash
}

func loadTree(tx *db.Tx, h head) (*tree, error) {
	t := &tree{size: h.size, time: h.time, edge: map[int64]tlog.Hash{}}
	if err := t.settle(dbHashes{tx}); err != nil {
		return nil, fmt.Errorf("reading the edge of the tree: %w", err)
	}
	return t, nil
}

func (t *tree) clone() *tree {
	c := &tree{size: t.size, time: t.time, root: t.root, edge: make(map[int64]tlog.Hash, len(t.edge)+8)}
	for k, v := range t.edge {
		c.edge[k] = v
	}
	return c
}

// ReadHashes serves hashes from the edge; growing asks for no others.
func (t *tree) ReadHashes(numbers []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(numbers))
	for i, n := range numbers {
		h, ok := t.edge[n]
		if !ok {
			return nil, fmt.Errorf("hash %d is not on the edge of the tree", n)
		}
		out[i] = h
	}
	return out, nil
}

// add appends a leaf and returns the hashes to store, the first under number
// first.
func (t *tree) add(leaf tlog.Hash) (first int64, hashes []tlog.Hash, err error) {
	hashes, err = tlog.StoredHashesForRecordHash(t.size, leaf, t)
	if err != nil {
		return 0, nil, err
	}
	first = tlog.StoredHashIndex(0, t.size)
	for i, h := range hashes {
		t.edge[first+int64(i)] = h
	}
	t.size++
	return first, hashes, nil
}

// settle computes the root and keeps only the hashes that it was made of.
func (t *tree) settle(from tlog.HashReader) error {
	if t.size == 0 {
		t.root = emptyRoot
		return nil
	}
	used := map[int64]tlog.Hash{}
	root, err := tlog.TreeHash(t.size, tlog.HashReaderFunc(func(numbers []int64) ([]tlog.Hash, error) {
		hs, err := from.ReadHashes(numbers)
		for i := range hs {
			used[numbers[i]] = hs[i]
		}
		return hs, err
	}))
	if err != nil {
		return err
	}
	t.root, t.edge = root, used
	return nil
}

// dbHashes reads hashes of the tree in a transaction. Those of leaves are made
// from their entries.
type dbHashes struct{ tx *db.Tx }

// ReadHashes implements tlog.HashReader.
func (d dbHashes) ReadHashes(numbers []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(numbers))
	for i, n := range numbers {
		if level, entry := tlog.SplitStoredHashIndex(n); level == 0 {
			body, err := bodyOf(d.tx, entry)
			if err != nil {
				return nil, fmt.Errorf("reading entry %d for its hash: %w", entry, err)
			}
			out[i] = tlog.RecordHash(body)
			continue
		}
		var b []byte
		if err := d.tx.One("SELECT hash FROM hash WHERE number = ?", []any{n}, &b); err != nil {
			return nil, fmt.Errorf("reading tree hash %d: %w", n, err)
		}
		if len(b) != len(out[i]) {
			return nil, fmt.Errorf("tree hash %d has %d bytes", n, len(b))
		}
		out[i] = tlog.Hash(b)
	}
	return out, nil
}
