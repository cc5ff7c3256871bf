package record

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/mod/sumdb/tlog"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/vault"
)

// Proof proves an entry against the newest checkpoint. For an entry with a
// message that the server can open it carries the seed, which proves the whole
// message to whoever has that too; withEnvelope adds what was known about the
// message. Errors wrap fs.ErrNotExist for a number that is not there yet.
func (r *Register) Proof(ctx context.Context, number int64, withEnvelope bool) (*sijill.Proof, error) {
	return r.ProofFor(ctx, number, withEnvelope, nil)
}

// ProofFor is Proof for somebody who is there: the seed is that of a message
// which the server's key or his ring opens. A ring whose account doesn't hold
// the entry is fs.ErrNotExist. A nil ring opens what the server can.
func (r *Register) ProofFor(ctx context.Context, number int64, withEnvelope bool, ring *vault.Ring) (*sijill.Proof, error) {
	if ring != nil {
		if _, err := r.ItemFor(ctx, number, ring); err != nil {
			return nil, fmt.Errorf("proving: %w", err)
		}
	}
	p := &sijill.Proof{Index: number}
	var e row
	err := r.opts.DB.Read(ctx, func(tx *db.Tx) error {
		h, err := readHead(tx)
		if err != nil {
			return err
		}
		if number < 0 || number >= h.size {
			return fmt.Errorf("entry %d: %w", number, fs.ErrNotExist)
		}
		rows, err := read(tx, number, 1)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return fmt.Errorf("entry %d is missing", number)
		}
		e, p.Checkpoint = rows[0], h.note
		if p.Entry, err = e.entry.Marshal(); err != nil {
			return err
		}
		p.Inclusion, err = sijill.Inclusion(h.size, number, dbHashes{tx})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("proving: %w", err)
	}
	if err := r.disclose(ctx, p, e, withEnvelope, ring); err != nil {
		return nil, fmt.Errorf("proving: %w", err)
	}
	return p, nil
}

func (r *Register) disclose(ctx context.Context, p *sijill.Proof, e row, withEnvelope bool, ring *vault.Ring) error {
	if e.entry.Message == nil {
		return nil
	}
	o, err := r.unseal(ctx, e, ring)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // Closed to the server: that it is in the register can be proven all the same.
	}
	if err != nil {
		return err
	}
	seed, err := o.Recommit(e.entry.Message)
	if err != nil {
		return fmt.Errorf("entry %d: %w", e.number, err)
	}
	p.Seed = &seed
	if withEnvelope {
		p.Envelope, p.EnvelopeSalt = o.Envelope, &o.Salt
	}
	return nil
}

// Body gives the bytes of an entry as they are hashed.
func (r *Register) Body(ctx context.Context, number int64) (body []byte, err error) {
	err = r.opts.DB.Read(ctx, func(tx *db.Tx) error {
		body, err = bodyOf(tx, number)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading entry %d: %w", number, err)
	}
	return body, nil
}

// bodyOf reads the canonical bytes of an entry.
func bodyOf(tx *db.Tx, number int64) ([]byte, error) {
	var compact []byte
	if err := tx.One("SELECT compact FROM entry WHERE number = ?", []any{number}, &compact); err != nil {
		return nil, err
	}
	var e sijill.Entry
	if err := e.UnmarshalBinary(compact); err != nil {
		return nil, err
	}
	return e.Marshal()
}

// Tile gives a hash tile (C2SP tlog-tiles) of the register, or a bundle of its
// entries. A tile that reaches beyond the register is fs.ErrNotExist.
func (r *Register) Tile(ctx context.Context, t tlog.Tile) (data []byte, err error) {
	err = r.opts.DB.Read(ctx, func(tx *db.Tx) error {
		h, err := readHead(tx)
		if err != nil {
			return err
		}
		if !within256(t, h.size) {
			return fs.ErrNotExist
		}
		if t.L == sijill.EntryTile {
			data, err = bundle(tx, t)
			return err
		}
		data, err = sijill.TileData(t, dbHashes{tx})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", sijill.TilePath(t), err)
	}
	return data, nil
}

// within256 tells whether every hash of the tile exists in a tree of size.
func within256(t tlog.Tile, size int64) bool {
	level := max(t.L, 0)
	if t.N < 0 || level > 7 || t.N > size>>8 {
		return false
	}
	return t.N<<8+int64(t.W) <= size>>(8*level)
}

func bundle(tx *db.Tx, t tlog.Tile) (data []byte, err error) {
	for i := range int64(t.W) {
		body, err := bodyOf(tx, t.N<<8+i)
		if err != nil {
			return nil, err
		}
		if data, err = sijill.AppendBundle(data, body); err != nil {
			return nil, err
		}
	}
	return data, nil
}

// Tiles names the tiles of a register of size entries, entry bundles last, for
// an export that foreign tools can check.
func Tiles(size int64) (tiles []tlog.Tile) {
	for level := 0; level < 8; level++ {
		n := size >> (8 * level)
		tiles = append(tiles, row256(level, n)...)
		if n < 256 {
			break
		}
	}
	return append(tiles, row256(sijill.EntryTile, size)...)
}

func row256(level int, n int64) (tiles []tlog.Tile) {
	for i := range n >> 8 {
		tiles = append(tiles, sijill.NewTile(level, i, 256))
	}
	if rest := int(n & 255); rest > 0 {
		tiles = append(tiles, sijill.NewTile(level, n>>8, rest))
	}
	return tiles
}
