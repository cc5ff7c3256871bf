package sijill

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// mth is RFC 6962, section 2.1, word for word.
func mth(entries [][]byte) Hash {
	if len(entries) == 1 {
		return sha256.Sum256(append([]byte{0}, entries[0]...))
	}
	k := 1
	for 2*k < len(entries) {
		k *= 2
	}
	l, r := mth(entries[:k]), mth(entries[k:])
	return sha256.Sum256(append(append([]byte{1}, l[:]...), r[:]...))
}

func TestInclusionAndConsistency(t *testing.T) {
	r := newRegister(t)
	r.fill(t, 35)
	for size := int64(1); size <= 35; size++ {
		root := mth(r.entries[:size])
		if got := r.root(t, size); got != root {
			t.Fatalf("root of %d differs", size)
		}
		for i := range size {
			proof, err := Inclusion(size, i, r)
			if err != nil {
				t.Fatal(err)
			}
			if err := CheckInclusion(proof, size, root, i, LeafHash(r.entries[i])); err != nil {
				t.Error(err)
			}
			if err := CheckInclusion(proof, size, root, i, LeafHash([]byte("x"))); !errors.Is(err, ErrInclusion) {
				t.Error(err)
			}
		}
		for from := range size + 1 {
			proof, err := Consistency(from, size, r)
			if err != nil {
				t.Fatal(err)
			}
			var earlier Hash
			if from > 0 {
				earlier = mth(r.entries[:from])
			}
			if err := CheckConsistency(proof, from, earlier, size, root); err != nil {
				t.Error(err)
			}
			earlier[0] ^= 1
			if err := CheckConsistency(proof, from, earlier, size, root); from > 0 && !errors.Is(err, ErrConsistency) {
				t.Error(err)
			}
		}
	}
	for _, bad := range [][2]int64{{0, 0}, {-1, 5}, {5, 5}, {0, -1}} {
		if err := CheckInclusion(nil, bad[1], Hash{}, bad[0], Hash{}); !errors.Is(err, ErrInclusion) {
			t.Errorf("%v: %v", bad, err)
		}
	}
	if err := CheckConsistency(nil, 5, Hash{}, 4, Hash{}); !errors.Is(err, ErrConsistency) {
		t.Error(err)
	}
}

func TestTilePath(t *testing.T) {
	for path, tile := range map[string]tlog.Tile{
		"tile/0/000":                               NewTile(0, 0, 256),
		"tile/0/x001/x234/067":                     NewTile(0, 1234067, 256), // the example of tlog-tiles
		"tile/0/x001/x234/067.p/255":               NewTile(0, 1234067, 255),
		"tile/63/x001/000.p/1":                     NewTile(63, 1000, 1),
		"tile/entries/999":                         NewTile(EntryTile, 999, 256),
		"tile/entries/x001/x000/000":               NewTile(EntryTile, 1000000, 256),
		"tile/entries/x001/000.p/17":               NewTile(EntryTile, 1000, 17),
		"tile/0/x009/x223/x372/x036/x854/x775/807": NewTile(0, 1<<63-1, 256),
	} {
		if got := TilePath(tile); got != path {
			t.Errorf("%v is at %s, want %s", tile, got, path)
		}
		if got, err := ParseTilePath(path); err != nil || got != tile {
			t.Errorf("%s is %v, %v", path, got, err)
		}
	}
	for _, path := range []string{"", "tile", "tile/0", "tile/0/", "tile/0/0", "tile/0/0000", "tile/00/000", "tile/64/000",
		"tile/-1/000", "tile/+1/000", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01", "tile/0/000.p/", "tile/0/x000/001",
		"tile/0/001/001", "tile/0/x001", "tile/data/000", "tile/0/000/", "/tile/0/000", "tile/0/x009/x223/x372/x036/x854/x775/808",
		"tile/0/../../000"} {
		if got, err := ParseTilePath(path); !errors.Is(err, ErrTilePath) {
			t.Errorf("%q is %v, %v", path, got, err)
		}
	}
}

// What is served as tiles makes up the tree that is signed.
func TestTiles(t *testing.T) {
	r := newRegister(t)
	r.fill(t, 300)
	full, err := TileData(NewTile(0, 0, 256), r)
	if err != nil || len(full) != 8192 {
		t.Fatal(len(full), err)
	}
	for i := range 256 {
		if Hash(full[32*i:][:32]) != LeafHash(r.entries[i]) {
			t.Errorf("leaf %d differs", i)
		}
	}
	partial, err := TileData(NewTile(0, 1, 44), r)
	if err != nil || len(partial) != 44*32 {
		t.Fatal(len(partial), err)
	}
	top, err := TileData(NewTile(1, 0, 1), r)
	if err != nil || Hash(top) != mth(r.entries[:256]) {
		t.Error("level 1 differs", err)
	}
	if _, err := TileData(NewTile(0, 1, 256), &bounded{r, int64(len(r.hashes))}); err == nil {
		t.Error("a tile beyond the tree was read")
	}
}

// bounded refuses hashes that aren't there, as a store does.
type bounded struct {
	*register
	n int64
}

func (b *bounded) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	for _, x := range indexes {
		if x >= b.n {
			return nil, errors.New("no such hash")
		}
	}
	return b.register.ReadHashes(indexes)
}

func TestBundle(t *testing.T) {
	entries := [][]byte{[]byte("a"), {}, bytes.Repeat([]byte("b"), MaxEntry)}
	var bundle []byte
	var err error
	for _, e := range entries {
		if bundle, err = AppendBundle(bundle, e); err != nil {
			t.Fatal(err)
		}
	}
	got, err := ParseBundle(bundle)
	if err != nil || len(got) != 3 {
		t.Fatal(err)
	}
	for i := range got {
		if !bytes.Equal(got[i], entries[i]) {
			t.Errorf("entry %d differs", i)
		}
	}
	if _, err := AppendBundle(nil, make([]byte, MaxEntry+1)); !errors.Is(err, ErrEntry) {
		t.Error(err)
	}
	for _, bad := range [][]byte{{0}, {0, 1}, make([]byte, 2*257)} {
		if _, err := ParseBundle(bad); !errors.Is(err, ErrBundle) {
			t.Errorf("%d bytes: %v", len(bad), err)
		}
	}
}
