package audit

import (
	"context"
	"fmt"

	"sijill"
	"sijill/internal/db"
)

// storedHashes compares the hashes that the register stores with those that its
// entries give, in order, a batch at a time.
type storedHashes struct {
	a     *auditor
	ctx   context.Context
	at    int64 // Number of the next hash.
	batch []sijill.Hash
}

func (s *storedHashes) next(h sijill.Hash) {
	s.batch = append(s.batch, h)
	if len(s.batch) == 4*batchSize {
		s.flush()
	}
}

func (s *storedHashes) flush() {
	first := s.at
	err := s.compare(first, s.batch)
	for i := 0; err != nil && i < len(s.batch); i++ {
		if err := s.compare(first+int64(i), s.batch[i:i+1]); err != nil {
			s.a.report.find(fmt.Sprintf("tree hash %d", first+int64(i)), "%v", err)
		}
	}
	s.at += int64(len(s.batch))
	s.batch = s.batch[:0]
}

// compare reads the hashes from first on and wants them to be want.
func (s *storedHashes) compare(first int64, want []sijill.Hash) error {
	seen := 0
	err := s.a.opts.DB.Read(s.ctx, func(tx *db.Tx) error {
		return tx.Each("SELECT number, hash FROM hash WHERE number BETWEEN ? AND ? ORDER BY number",
			[]any{first, first + int64(len(want)) - 1}, func(r db.Row) error {
				var number int64
				var b []byte
				if err := r.Scan(&number, &b); err != nil {
					return err
				}
				if number != first+int64(seen) {
					return fmt.Errorf("it is missing")
				}
				if string(b) != string(want[seen][:]) {
					return fmt.Errorf("it is not what the entries give")
				}
				seen++
				return nil
			})
	})
	if err == nil && seen < len(want) {
		err = fmt.Errorf("it is missing")
	}
	return err
}

// end compares what is left and looks for hashes beyond the tree.
func (s *storedHashes) end() {
	s.flush()
	var beyond int64
	err := s.a.opts.DB.Read(s.ctx, func(tx *db.Tx) error {
		return tx.One("SELECT count(*) FROM hash WHERE number >= ?", []any{s.at}, &beyond)
	})
	if err != nil {
		s.a.report.find("tree hashes", "they can't be counted: %v", err)
	}
	if beyond > 0 {
		s.a.report.find("tree hashes", "%d are stored beyond the register's end", beyond)
	}
}
