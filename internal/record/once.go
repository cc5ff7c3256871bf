package record

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/vault"
)

// digest tells contents apart that are captured once. It is keyed, so that the
// table says nothing to whoever lacks the server's key, and it never stands in
// an entry.
type digest struct {
	number, rest int64
}

// digest of a message in the hands of an account: the same bytes in two
// mailboxes are two records, and so are they as office and as personal mail.
func (r *Register) digest(account int64, class sijill.Class, msg []byte) digest {
	key := r.opts.Vault.Derive("content")
	sum := sha256.Sum256(msg)
	m := hmac.New(sha256.New, key[:])
	_ = binary.Write(m, binary.BigEndian, account)
	m.Write(sum[:])
	if class != sijill.Office {
		m.Write([]byte(class))
	}
	b := m.Sum(nil)
	return digest{int64(binary.BigEndian.Uint64(b) >> 1), int64(binary.BigEndian.Uint64(b[8:]))}
}

// admit decides what becomes an entry: it refuses groups whose personal mail was
// sealed to roots of yesterday, answers the jobs whose content is in the register
// already, or earlier in the batch, and leaves the others in fresh.
func (b *batchWrite) admit(tx *db.Tx) error {
	known, err := b.known(tx)
	if err != nil {
		return err
	}
	b.refused = make([]error, len(b.groups))
	for g, group := range b.groups {
		if b.refused[g], err = stale(tx, group); err != nil {
			return err
		}
		b.receipts = append(b.receipts, make([]Receipt, len(group.jobs)))
		if b.refused[g] != nil {
			continue
		}
		for i, j := range group.jobs {
			if entry, ok := known[j.once]; ok && j.once != (digest{}) {
				b.receipts[g][i] = Receipt{Entry: entry, Already: true}
				continue
			}
			known[j.once] = b.first + int64(len(b.fresh))
			b.fresh, b.places = append(b.fresh, j), append(b.places, place{g, i})
		}
	}
	return nil
}

// stale refuses a group that must be sealed anew.
func stale(tx *db.Tx, g *group) (refused, err error) {
	for _, j := range g.jobs {
		if j.sealed == nil || j.draft.Class != sijill.Personal {
			continue
		}
		old, err := vault.Stale(tx, j.sealed.Keys[0])
		if err != nil {
			return nil, err
		}
		if old {
			return errStale, nil
		}
	}
	return nil, nil
}

// known looks up the digests of a batch, many at a time.
func (b *batchWrite) known(tx *db.Tx) (map[digest]int64, error) {
	known := map[digest]int64{}
	var args []any
	for _, g := range b.groups {
		for _, j := range g.jobs {
			if j.once != (digest{}) {
				args = append(args, j.once.number)
			}
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
