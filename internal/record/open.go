package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"sijill"
	"sijill/internal/blob"
	"sijill/internal/db"
	"sijill/internal/vault"
)

// row is an entry as the database has it.
type row struct {
	number int64
	entry  *sijill.Entry
	ref    blob.Ref
	keys   []vault.MessageKey
}

func scanRow(r db.Row) (e row, err error) {
	var compact []byte
	var segment, at, length *int64
	if err := r.Scan(&e.number, &compact, &segment, &at, &length); err != nil {
		return e, err
	}
	e.entry = &sijill.Entry{}
	if err := e.entry.UnmarshalBinary(compact); err != nil {
		return e, fmt.Errorf("entry %d: %w", e.number, err)
	}
	if segment != nil && at != nil && length != nil {
		e.ref = blob.Ref{Segment: *segment, Offset: *at, Length: *length}
	}
	return e, nil
}

// read reads the entries from first on, at most n, with their wrapped keys.
func read(tx *db.Tx, first int64, n int) ([]row, error) {
	rows := make([]row, 0, n)
	last := first + int64(n) - 1
	err := tx.Each("SELECT number, compact, segment, at, length FROM entry WHERE number BETWEEN ? AND ? ORDER BY number",
		[]any{first, last}, func(r db.Row) error {
			e, err := scanRow(r)
			if err == nil && e.number != first+int64(len(rows)) {
				err = fmt.Errorf("entry %d is missing", first+int64(len(rows)))
			}
			rows = append(rows, e)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("reading entries: %w", err)
	}
	keys, err := vault.Keys(tx, first, last)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		if i := k.Entry - first; i < int64(len(rows)) {
			rows[i].keys = append(rows[i].keys, k)
		}
	}
	return rows, nil
}

// Item reads one entry. Its content opens if the server's key opens it. It
// returns an error that wraps fs.ErrNotExist when the register has no entry of
// that number.
func (r *Register) Item(ctx context.Context, number int64) (*Item, error) {
	e, err := r.row(ctx, number)
	if err != nil {
		return nil, err
	}
	return r.item(ctx, e, nil)
}

// ItemFor reads one entry for somebody who is there: its content opens with the
// server's key or with his ring, whose account must hold the entry. The error
// wraps fs.ErrNotExist when it doesn't, as when there is no such entry. A nil
// ring opens what the server can.
func (r *Register) ItemFor(ctx context.Context, number int64, ring *vault.Ring) (*Item, error) {
	e, err := r.row(ctx, number)
	if err != nil {
		return nil, err
	}
	it, err := r.item(ctx, e, ring)
	if err != nil {
		return nil, err
	}
	if ring != nil && !slices.Contains(it.Holders, ring.Account()) {
		return nil, fmt.Errorf("entry %d is not held by the ring's account: %w", number, fs.ErrNotExist)
	}
	return it, nil
}

// ItemsFor reads entries like ItemFor, at most 1,000 at once, in one go. Those
// that aren't there, or that the ring's account doesn't hold, are left out.
func (r *Register) ItemsFor(ctx context.Context, numbers []int64, ring *vault.Ring) ([]*Item, error) {
	var rows []row
	err := r.opts.DB.Read(ctx, func(tx *db.Tx) (err error) {
		rows, err = readSome(tx, numbers)
		return err
	})
	if err != nil {
		return nil, err
	}
	var items []*Item
	for _, e := range rows {
		it, err := r.item(ctx, e, ring)
		if err != nil {
			return nil, err
		}
		if ring == nil || slices.Contains(it.Holders, ring.Account()) {
			items = append(items, it)
		}
	}
	return items, nil
}

// row reads the row of one entry.
func (r *Register) row(ctx context.Context, number int64) (row, error) {
	var rows []row
	err := r.opts.DB.Read(ctx, func(tx *db.Tx) (err error) {
		rows, err = read(tx, number, 1)
		return err
	})
	if err != nil {
		return row{}, err
	}
	if len(rows) == 0 {
		return row{}, fmt.Errorf("entry %d: %w", number, fs.ErrNotExist)
	}
	return rows[0], nil
}

// readSome reads entries by number, in order.
func readSome(tx *db.Tx, numbers []int64) (rows []row, err error) {
	if len(numbers) == 0 {
		return nil, nil
	}
	if len(numbers) > followBatch {
		return nil, fmt.Errorf("reading %d entries at once: at most %d are possible", len(numbers), followBatch)
	}
	args := make([]any, len(numbers))
	for i, n := range numbers {
		args[i] = n
	}
	at := map[int64]int{}
	err = tx.Each("SELECT number, compact, segment, at, length FROM entry WHERE number IN (?"+strings.Repeat(", ?", len(args)-1)+") ORDER BY number",
		args, func(r db.Row) error {
			e, err := scanRow(r)
			at[e.number] = len(rows)
			rows = append(rows, e)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("reading entries: %w", err)
	}
	keys, err := vault.KeysOf(tx, numbers)
	for _, k := range keys {
		if i, ok := at[k.Entry]; ok {
			rows[i].keys = append(rows[i].keys, k)
		}
	}
	return rows, err
}

// item makes an Item of a row; its content is opened when asked for.
func (r *Register) item(ctx context.Context, e row, ring *vault.Ring) (*Item, error) {
	entry := e.entry
	var accounts []int64
	for _, p := range entry.Accounts {
		a, err := r.holders.account(ctx, r.opts.Accounts, p)
		if errors.Is(err, fs.ErrNotExist) {
			continue // An account of which nothing is left but its pseudonym.
		}
		if err != nil {
			return nil, fmt.Errorf("finding a holder of entry %d: %w", e.number, err)
		}
		accounts = append(accounts, a)
	}
	if entry.Message == nil {
		return NewItem(e.number, entry, accounts, nil), nil
	}
	return NewItem(e.number, entry, accounts, func() (*Content, error) { return r.content(ctx, e, ring) }), nil
}

func (r *Register) content(ctx context.Context, e row, ring *vault.Ring) (*Content, error) {
	if c := r.recent.take(e.number); c != nil {
		return c, nil
	}
	o, err := r.unseal(ctx, e, ring)
	if err != nil {
		return nil, err
	}
	c := &Content{Message: o.Message}
	if k := e.entry.Kind; len(o.Message) == 0 && k != sijill.Captured && k != sijill.Sent && k != sijill.Filed {
		c.Detail = o.Envelope
		return c, nil
	}
	if err := json.Unmarshal(o.Envelope, &c.Envelope); err != nil {
		return nil, fmt.Errorf("entry %d: reading what is sealed beside the message: %w", e.number, err)
	}
	return c, nil
}

// rooms are for ciphertexts of up to roomSize bytes, which are opened at once:
// whoever reads a folder makes that much less garbage.
var rooms = sync.Pool{New: func() any { return new([roomSize]byte) }}

const roomSize = 64 << 10

// unseal reads the ciphertext of an entry and opens it. The vault
// checks that it is what was sealed.
func (r *Register) unseal(ctx context.Context, e row, ring *vault.Ring) (*vault.Opened, error) {
	room := rooms.Get().(*[roomSize]byte)
	defer rooms.Put(room)
	f, err := r.opts.Blobs.Read(ctx, e.ref, room[:])
	if errors.Is(err, fs.ErrNotExist) { // Not "closed to the server": it should be there.
		return nil, fmt.Errorf("entry %d: segment %d is missing: %w", e.number, e.ref.Segment, blob.ErrDamaged)
	}
	if err != nil {
		return nil, fmt.Errorf("entry %d: reading the sealed message: %w", e.number, err)
	}
	if f.ID != e.entry.Message.ID {
		return nil, fmt.Errorf("entry %d: another message is where its own should be: %w", e.number, blob.ErrDamaged)
	}
	o, err := r.opts.Vault.Open(ctx, ring, e.keys, e.entry.Message, f.Data)
	if err != nil {
		return nil, fmt.Errorf("entry %d: %w", e.number, err)
	}
	return o, nil
}
