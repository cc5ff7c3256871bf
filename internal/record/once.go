package record

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"

	"sijill/internal/db"
)

// digest tells contents apart that are captured once. It is keyed, so that the
// table says nothing to whoever lacks the server's key, and it never stands in
// an entry.
type digest struct {
	number, rest int64
}

// digest of a message in the hands of an account: the same bytes in two
// mailboxes are two records.
func (r *Register) digest(account int64, msg []byte) digest {
	key := r.opts.Vault.Derive("content")
	sum := sha256.Sum256(msg)
	m := hmac.New(sha256.New, key[:])
	_ = binary.Write(m, binary.BigEndian, account)
	m.Write(sum[:])
	b := m.Sum(nil)
	return digest{int64(binary.BigEndian.Uint64(b) >> 1), int64(binary.BigEndian.Uint64(b[8:]))}
}

// dropKnown answers the jobs whose content is in the register already, or
// earlier in the batch, and leaves the others in fresh.
func (b *batchWrite) dropKnown(tx *db.Tx) error {
	known, err := b.known(tx)
	if err != nil {
		return err
	}
	number := b.first
	for i, j := range b.jobs {
		if j.once == (digest{}) {
			b.fresh = append(b.fresh, j)
			number++
			continue
		}
		if entry, ok := known[j.once]; ok {
			b.receipts[i] = Receipt{Entry: entry, Already: true}
			continue
		}
		known[j.once] = number
		b.fresh = append(b.fresh, j)
		number++
	}
	return nil
}

// known looks up the digests of a batch, many at a time.
func (b *batchWrite) known(tx *db.Tx) (map[digest]int64, error) {
	known := map[digest]int64{}
	var args []any
	for _, j := range b.jobs {
		if j.once != (digest{}) {
			args = append(args, j.once.number)
		}
	}
	for len(args) > 0 {
		n := 1
		if len(args) >= rowsPerInsert {
			n = rowsPerInsert
		}
		query := "SELECT number, rest, entry FROM content WHERE number IN (?" + strings.Repeat(", ?", n-1) + ")"
		err := tx.Each(query, args[:n], func(row db.Row) error {
			var d digest
			var entry int64
			err := row.Scan(&d.number, &d.rest, &entry)
			known[d] = entry
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("looking for contents already there: %w", err)
		}
		args = args[n:]
	}
	return known, nil
}

func (b *batchWrite) insertContents(tx *db.Tx) error {
	var args []any
	for i, j := range b.fresh {
		if j.once != (digest{}) {
			args = append(args, j.once.number, j.once.rest, b.first+int64(i))
		}
	}
	return insertRows(tx, "content (number, rest, entry)", 3, args)
}
