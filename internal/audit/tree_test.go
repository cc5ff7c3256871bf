package audit

import (
	"fmt"
	"go/build"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"sijill"
)

// The tree that the auditor computes in its own way is that of tlog, at every
// size and for every hash that is stored.
func TestTreeIsThatOfTlog(t *testing.T) {
	var ours tree
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(numbers []int64) (out []tlog.Hash, err error) {
		for _, n := range numbers {
			out = append(out, stored[n])
		}
		return out, nil
	})
	if empty, err := tlog.TreeHash(0, reader); err != nil || tlog.Hash(ours.root()) != empty {
		t.Fatalf("the empty tree: %v", err)
	}
	for n := range int64(300) {
		leaf := fmt.Appendf(nil, "entry %d", n)
		hashes, err := tlog.StoredHashes(n, leaf, reader)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, hashes...)
		final := ours.add(leafHash(leaf))
		if !slices.EqualFunc(final, hashes, func(a sijill.Hash, b tlog.Hash) bool { return tlog.Hash(a) == b }) {
			t.Fatalf("the hashes that entry %d completes differ", n)
		}
		for level := range final {
			if at := tlog.StoredHashIndex(level, n>>level); stored[at] != tlog.Hash(final[level]) {
				t.Fatalf("entry %d, level %d: another number", n, level)
			}
		}
		root, err := tlog.TreeHash(n+1, reader)
		if err != nil || tlog.Hash(ours.root()) != root {
			t.Fatalf("the tree of %d entries: %v", n+1, err)
		}
		if all, inner := hashNumbers(n + 1); all != int64(len(stored)) || inner != all-n-1 {
			t.Fatalf("%d entries: %d numbers, %d of them above the leaves", n+1, all, inner)
		}
	}
}

// An auditor that used the code it audits would repeat its mistakes.
func TestIndependence(t *testing.T) {
	p, err := build.ImportDir(".", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range p.Imports {
		switch path {
		case "sijill/internal/record", "sijill/internal/blob", "sijill/internal/blob/files", "golang.org/x/mod/sumdb/tlog":
			t.Errorf("the auditor imports %s", path)
		}
	}
	if len(p.Imports) < 5 {
		t.Fatalf("only %v is imported: is this the right folder?", p.Imports)
	}
}
