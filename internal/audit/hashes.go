package audit

import (
	"context"
	"errors"
	"fmt"

	"sijill"
	"sijill/internal/db"
)

// storedHashes compares the hashes of the tree that the register stores with
// those that its entries give, in order, a batch at a time. The register stores
// those above the leaves; leaves have numbers too, but no rows.
type storedHashes struct {
	a     *auditor
	ctx   context.Context
	at    int64 // Number of the next hash.
	batch []node
	bad   map[[2]int64]bool // Nodes that differ, by level and index.
}

// node is a hash of the tree: that over entries index<<level and after.
type node struct {
	number int64
	level  int
	index  int64
	hash   sijill.Hash
}

func (s *storedHashes) next(level int, index int64, h sijill.Hash) {
	if level > 0 {
		s.batch = append(s.batch, node{s.at, level, index, h})
	}
	s.at++
	if len(s.batch) == 2*batchSize {
		s.flush()
	}
}

func (s *storedHashes) flush() {
	if len(s.batch) > 0 && s.compare(s.batch) != nil {
		for i, n := range s.batch {
			if err := s.compare(s.batch[i : i+1]); err != nil {
				s.differs(n, err)
			}
		}
	}
	s.batch = s.batch[:0]
}

// differs reports a node, unless one below it was: then it differs for that
// reason.
func (s *storedHashes) differs(n node, err error) {
	if s.bad == nil {
		s.bad = map[[2]int64]bool{}
	}
	below := int64(n.level - 1)
	s.bad[[2]int64{int64(n.level), n.index}] = true
	if s.bad[[2]int64{below, 2 * n.index}] || s.bad[[2]int64{below, 2*n.index + 1}] {
		return
	}
	first := n.index << n.level
	s.a.report.find(fmt.Sprintf("entries %d to %d", first, first+1<<n.level-1), "the tree's hash %d over them: %v", n.number, err)
}

var errMissing = errors.New("it is missing")

// compare reads the stored hashes in the range of want and wants them to be
// just those.
func (s *storedHashes) compare(want []node) error {
	seen := 0
	err := s.a.opts.DB.Read(s.ctx, func(tx *db.Tx) error {
		return tx.Each("SELECT number, hash FROM hash WHERE number BETWEEN ? AND ? ORDER BY number",
			[]any{want[0].number, want[len(want)-1].number}, func(r db.Row) error {
				var number int64
				var b []byte
				if err := r.Scan(&number, &b); err != nil {
					return err
				}
				if number != want[seen].number {
					return errMissing
				}
				if string(b) != string(want[seen].hash[:]) {
					return errors.New("it is not what the entries give")
				}
				seen++
				return nil
			})
	})
	if err == nil && seen < len(want) {
		err = errMissing
	}
	return err
}
