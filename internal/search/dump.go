package search

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"sijill/internal/db"
)

// digest stands for everything that the index holds about one document. Words
// may be added in any order.
type digest struct {
	words uint64
	sum   uint64
}

// Dump emits what the index says about each entry, one line each in the order
// of entries: two indexes of the same entries give the same lines however they
// were built. A line has no word of the message, only a digest of all words and
// their places.
func (s *Search) Dump(_ context.Context, tx *db.Tx, emit func(line string) error) error {
	digests, err := digests(tx)
	if err != nil {
		return fmt.Errorf("dumping the index: %w", err)
	}
	err = tx.Each("SELECT entry, doc, row, size FROM search_doc ORDER BY entry", nil, func(r db.Row) error {
		var entry, doc, row, size int64
		if err := r.Scan(&entry, &doc, &row, &size); err != nil {
			return err
		}
		d := digests[doc]
		delete(digests, doc)
		early := ""
		if doc < dateOf(row) {
			early = " numbered before its date"
		}
		return emit(fmt.Sprintf("entry %d row %d size %d words %d digest %016x%s", entry, row, size, d.words, d.sum, early))
	})
	if err != nil {
		return fmt.Errorf("dumping the index: %w", err)
	}
	for _, doc := range slices.Sorted(maps.Keys(digests)) {
		if err := emit(fmt.Sprintf("document %d belongs to no entry", doc)); err != nil {
			return err
		}
	}
	return nil
}

func digests(tx *db.Tx) (map[int64]digest, error) {
	out := map[int64]digest{}
	var term, column string
	var doc, offset int64
	err := tx.Each("SELECT term, doc, col, offset FROM search_word", nil, func(r db.Row) error {
		if err := r.Scan(&term, &doc, &column, &offset); err != nil {
			return err
		}
		d := out[doc]
		d.words++
		d.sum += mix(term, column, uint64(offset))
		out[doc] = d
		return nil
	})
	return out, err
}

// mix is a hash of one word at one place (FNV-1a, then the finaliser of
// splitmix64, so that sums of hashes tell sets apart). It guards against
// damage and mistakes, not against people.
func mix(term, column string, offset uint64) uint64 {
	h := uint64(14695981039346656037)
	for _, s := range [2]string{column, term} {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 1099511628211
		}
		h = (h ^ 0xff) * 1099511628211
	}
	h += offset * 0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
