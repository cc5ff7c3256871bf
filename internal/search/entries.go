package search

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sijill/internal/db"
)

// Entries finds all entries that a query matches, ascending, those among them
// that lie nowhere for the account any more: for IMAP, which asks for one folder
// and knows what is in it. Days begin in UTC. A query that is wrong is a
// *QueryError.
func (s *Search) Entries(ctx context.Context, account int64, query string) ([]int64, error) {
	q, err := Parse(query)
	if err != nil {
		return nil, err
	}
	folders, err := s.mail.Folders(ctx, account)
	if err != nil {
		return nil, fmt.Errorf("searching: %w", err)
	}
	var list []int64
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		planner, err := s.newPlanner(tx, account, folders, s.clock().In(time.UTC))
		if err != nil {
			return err
		}
		planner.hidden = false
		p, err := planner.make(q)
		if err != nil || p.alwaysEmpty {
			return err
		}
		list, err = p.entries(tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("searching: %w", err)
	}
	return list, nil
}

// entries walks over all documents. They come as one text, since a row of an
// answer costs more than finding it.
func (p *plan) entries(tx *db.Tx) ([]int64, error) {
	where, args := p.where(p.first, p.end)
	q := "SELECT coalesce(group_concat(d.entry), '') FROM search_text AS t CROSS JOIN search_doc AS d ON d.doc = t.rowid WHERE " + where
	var joined string
	if err := tx.One(q, args, &joined); err != nil || joined == "" {
		return nil, err
	}
	list := make([]int64, 0, strings.Count(joined, ",")+1)
	for s := range strings.SplitSeq(joined, ",") {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("reading entries: %w", err)
		}
		list = append(list, n)
	}
	slices.Sort(list)
	return list, nil
}

// Quote makes a phrase of any text, to be put into a query: what a client of
// IMAP looks for. A text without words gives "".
func Quote(s string) string {
	if phraseNode(fieldAny, s) == nil {
		return ""
	}
	return `"` + strings.ReplaceAll(s, `"`, " ") + `"`
}

// Both finds in several searches at once, in office mail and in the personal
// mail of who is there, newest first; ranked hits are in the order of their
// ranks, and have one page. Where a query names a folder, one of the searches
// must know it.
func Both(ctx context.Context, account int64, query string, o Options, searches ...*Search) (*Result, error) {
	if o.Limit <= 0 {
		o.Limit = defaultLimit
	}
	o.Limit = min(o.Limit, maxLimit)
	var results []*Result
	var unknown error
	for _, s := range searches {
		r, err := s.Query(ctx, account, query, o)
		var wrong *QueryError
		if errors.As(err, &wrong) && wrong.Code == CodeFolder {
			unknown = err
			continue
		}
		if err != nil {
			return nil, err
		}
		results = append(results, r)
	}
	if len(results) == 0 && unknown != nil {
		return nil, unknown
	}
	return merge(results, o), nil
}

// merge puts the hits of results together, each list in its own order.
func merge(results []*Result, o Options) *Result {
	out := &Result{}
	at := make([]int, len(results))
	more := false
	for _, r := range results {
		out.Total += r.Total
		out.TotalIsFloor = out.TotalIsFloor || r.TotalIsFloor
		more = more || r.Next != 0
	}
	for {
		best := -1
		for i, r := range results {
			if at[i] < len(r.Hits) && (best < 0 || ahead(&r.Hits[at[i]], &results[best].Hits[at[best]], o.Rank)) {
				best = i
			}
		}
		if best < 0 {
			break
		}
		if len(out.Hits) == o.Limit {
			more = true
			break
		}
		out.Hits = append(out.Hits, results[best].Hits[at[best]])
		at[best]++
	}
	switch {
	case len(results) == 1:
		out.Next = results[0].Next
	case more && !o.Rank && len(out.Hits) > 0:
		out.Next = out.Hits[len(out.Hits)-1].ID
	}
	return out
}

func ahead(a, b *Hit, rank bool) bool {
	if rank {
		return a.Rank > b.Rank
	}
	return a.ID > b.ID
}
