package sijill

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

var (
	// ErrInclusion says that an entry isn't proven to be in a tree.
	ErrInclusion = errors.New("not proven to be in the tree")
	// ErrConsistency says that a tree isn't proven to continue another.
	ErrConsistency = errors.New("not proven to continue the earlier tree")
	// ErrTilePath says that a path isn't that of a tile.
	ErrTilePath = errors.New("not a tile's path")
	// ErrBundle says that bytes aren't a bundle of entries.
	ErrBundle = errors.New("not an entry bundle")
)

// LeafHash is the leaf of an entry's bytes in the register's tree (RFC 6962,
// section 2.1).
func LeafHash(entry []byte) Hash { return tlog.RecordHash(entry) }

// Inclusion proves that the entry of an index is in the tree of a size: the
// hashes from the leaf's sibling up (RFC 6962, section 2.1.1).
func Inclusion(size, index int64, r tlog.HashReader) ([]Hash, error) {
	p, err := tlog.ProveRecord(size, index, r)
	if err != nil {
		return nil, fmt.Errorf("prove inclusion of entry %d in tree of %d: %w", index, size, err)
	}
	return p, nil
}

// CheckInclusion wraps ErrInclusion unless proof leads from the leaf at index to
// the root of the tree of that size.
func CheckInclusion(proof []Hash, size int64, root Hash, index int64, leaf Hash) error {
	if index < 0 || index >= size {
		return fmt.Errorf("entry %d in tree of %d: %w", index, size, ErrInclusion)
	}
	if err := tlog.CheckRecord(proof, size, root, index, leaf); err != nil {
		return fmt.Errorf("entry %d in tree of %d: %w", index, size, ErrInclusion)
	}
	return nil
}

// Consistency proves that the tree of the larger size begins with the tree of
// the smaller (RFC 6962, section 2.1.2). Nothing needs proof of an empty tree,
// for which the proof is empty.
func Consistency(from, to int64, r tlog.HashReader) ([]Hash, error) {
	if from == 0 && to >= 0 {
		return nil, nil
	}
	p, err := tlog.ProveTree(to, from, r)
	if err != nil {
		return nil, fmt.Errorf("prove tree of %d continues %d: %w", to, from, err)
	}
	return p, nil
}

// CheckConsistency wraps ErrConsistency unless proof shows that the tree of
// size to begins with the tree of size from.
func CheckConsistency(proof []Hash, from int64, fromRoot Hash, to int64, toRoot Hash) error {
	if from == 0 && to >= 0 && len(proof) == 0 {
		return nil
	}
	if from < 1 || to < from || tlog.CheckTree(proof, to, toRoot, from, fromRoot) != nil {
		return fmt.Errorf("tree of %d after %d: %w", to, from, ErrConsistency)
	}
	return nil
}

// TileHeight is the height of every tile: 256 hashes a tile (C2SP tlog-tiles).
const TileHeight = 8

// EntryTile is the level of entry bundles among tiles.
const EntryTile = -1

// NewTile names a tile: level 0 holds leaf hashes, EntryTile entries; width is
// 1 to 256.
func NewTile(level int, n int64, width int) tlog.Tile {
	return tlog.Tile{H: TileHeight, L: level, N: n, W: width}
}

// TilePath returns the path of a tile or entry bundle below a register's
// prefix: tile/<L>/<N>[.p/<W>] (C2SP tlog-tiles).
func TilePath(t tlog.Tile) string {
	level := "entries"
	if t.L != EntryTile {
		level = strconv.Itoa(t.L)
	}
	n := t.N
	index := fmt.Sprintf("%03d", n%1000)
	for n >= 1000 {
		n /= 1000
		index = fmt.Sprintf("x%03d/%s", n%1000, index)
	}
	if t.W == 1<<TileHeight {
		return "tile/" + level + "/" + index
	}
	return "tile/" + level + "/" + index + ".p/" + strconv.Itoa(t.W)
}

// ParseTilePath reads what TilePath writes and wraps ErrTilePath for any other
// path.
func ParseTilePath(path string) (tlog.Tile, error) {
	bad := fmt.Errorf("parse tile path: %w", ErrTilePath)
	if len(path) > 64 {
		return tlog.Tile{}, bad
	}
	rest, ok := strings.CutPrefix(path, "tile/")
	level, rest, ok2 := strings.Cut(rest, "/")
	index, width, partial := strings.Cut(rest, ".p/")
	t := NewTile(EntryTile, 0, 1<<TileHeight)
	var err, err2, err3 error
	if level != "entries" {
		t.L, err = strconv.Atoi(level)
	}
	if partial {
		t.W, err2 = strconv.Atoi(width)
	}
	digits := strings.ReplaceAll(strings.ReplaceAll(index, "x", ""), "/", "")
	t.N, err3 = strconv.ParseInt(digits, 10, 64)
	outside := t.L > 63 || t.L < 0 && level != "entries" || t.W < 1 || t.W > 1<<TileHeight || t.N < 0
	if !ok || !ok2 || err != nil || err2 != nil || err3 != nil || outside || TilePath(t) != path {
		return tlog.Tile{}, bad
	}
	return t, nil
}

// TileData returns the hashes of a tile, 32 bytes each, as they are served.
func TileData(t tlog.Tile, r tlog.HashReader) ([]byte, error) {
	b, err := tlog.ReadTileData(t, r)
	if err != nil {
		return nil, fmt.Errorf("read tile %s: %w", TilePath(t), err)
	}
	return b, nil
}

// AppendBundle appends an entry to a bundle: its length in two bytes, then its
// bytes (C2SP tlog-tiles, log entries). It wraps ErrEntry for one longer than
// MaxEntry.
func AppendBundle(bundle, entry []byte) ([]byte, error) {
	if len(entry) > MaxEntry {
		return bundle, fmt.Errorf("append to bundle: %w", ErrEntry)
	}
	bundle = binary.BigEndian.AppendUint16(bundle, uint16(len(entry)))
	return append(bundle, entry...), nil
}

// ParseBundle returns the entries of a bundle, at most 256. They share its
// memory. It wraps ErrBundle where the bytes don't come out even.
func ParseBundle(bundle []byte) ([][]byte, error) {
	var entries [][]byte
	for len(bundle) > 0 {
		if len(bundle) < 2 || len(entries) == 1<<TileHeight {
			return nil, fmt.Errorf("parse bundle: %w", ErrBundle)
		}
		end := 2 + int(binary.BigEndian.Uint16(bundle))
		if end > len(bundle) {
			return nil, fmt.Errorf("parse bundle: %w", ErrBundle)
		}
		entries = append(entries, bundle[2:end:end])
		bundle = bundle[end:]
	}
	return entries, nil
}
