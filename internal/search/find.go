package search

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"sijill/internal/db"
	"sijill/internal/mailbox"
)

// Options says how hits are wanted.
type Options struct {
	Limit    int            // How many hits at most; 0 means 50.
	Before   int64          // Next of the page before; 0 is the first page.
	Rank     bool           // The best of the newest 2,000 first, instead of the newest.
	Snippets bool           // Open the messages and show the words in context.
	CountTo  int64          // Where counting all hits stops; 0 means 250.
	Location *time.Location // Where a day begins; nil is UTC.
}

// Hit is a message that was found.
type Hit struct {
	mailbox.Row
	Rank    float64 // With Options.Rank: the higher the better.
	Snippet []Span  // With Options.Snippets: at most some 160 characters.
}

// Result is a page of hits.
type Result struct {
	Hits         []Hit
	Total        int64 // How many there are in all,
	TotalIsFloor bool  // or more: counting has an end.
	Next         int64 // Options.Before for the next page; 0 when this is the last.
}

const (
	defaultLimit = 50
	maxLimit     = 1000
	defaultCount = 250
	// rankWindow is how many of the newest hits are ranked: ranking all
	// 30,000 hits of a common word takes fifteen times as long.
	rankWindow = 2000
)

// Query finds what an account holds. A query that is wrong is a *QueryError.
func (s *Search) Query(ctx context.Context, account int64, query string, o Options) (*Result, error) {
	q, err := Parse(query)
	if err != nil {
		return nil, err
	}
	if o.Limit <= 0 {
		o.Limit = defaultLimit
	}
	o.Limit = min(o.Limit, maxLimit)
	if o.CountTo <= 0 {
		o.CountTo = defaultCount
	}
	if o.Location == nil {
		o.Location = time.UTC
	}
	result, found, err := s.find(ctx, account, q, o)
	if err != nil {
		return nil, err
	}
	if err := s.fill(ctx, account, result, found); err != nil {
		return nil, fmt.Errorf("reading hits: %w", err)
	}
	if o.Snippets {
		if err := s.snippets(ctx, q, result.Hits); err != nil {
			return nil, fmt.Errorf("showing hits: %w", err)
		}
	}
	return result, nil
}

// found is a document that was found.
type found struct {
	doc, row int64
	rank     float64
}

// find runs the query in one read transaction, so that hits and counts agree.
func (s *Search) find(ctx context.Context, account int64, q *Query, o Options) (*Result, []found, error) {
	folders, err := s.mail.Folders(ctx, account)
	if err != nil {
		return nil, nil, fmt.Errorf("searching: %w", err)
	}
	result := &Result{}
	var list []found
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		planner, err := s.newPlanner(tx, account, folders, s.clock().In(o.Location))
		if err != nil {
			return err
		}
		p, err := planner.make(q)
		if err != nil || p.alwaysEmpty {
			return err
		}
		list, err = p.run(tx, o, result)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("searching: %w", err)
	}
	return result, list, nil
}

// run finds a page of documents and notes in result how many there are and
// where the next page begins.
func (p *plan) run(tx *db.Tx, o Options, result *Result) (list []found, err error) {
	if o.Rank && p.ranked {
		list, err = p.best(tx, o, result)
	} else {
		list, err = p.newest(tx, o, result)
	}
	if len(list) > o.Limit {
		list = list[:o.Limit]
		result.Next = p.next(list, o)
	}
	return list, err
}

// next is where the page after list begins: behind its last message or, among
// ranked ones, how many to pass over.
func (p *plan) next(list []found, o Options) int64 {
	if o.Rank && p.ranked {
		return o.Before + int64(len(list))
	}
	return list[len(list)-1].row
}

// tables joins documents only where conditions need it, in the order that lets
// the engine walk the index and stop early.
func (p *plan) tables() string {
	if len(p.conditions) == 0 {
		return "search_text AS t"
	}
	return "search_text AS t CROSS JOIN search_doc AS d ON d.doc = t.rowid"
}

// where is the condition on documents from first to before end, with its
// arguments.
func (p *plan) where(first, end int64) (string, []any) {
	conditions, args := p.gathered()
	conditions = slices.Concat([]string{"t.search_text MATCH ?", "t.rowid >= ?", "t.rowid < ?"}, conditions)
	return strings.Join(conditions, " AND "), slices.Concat([]any{p.match, first, end}, args)
}

// walk is the beginning of a statement that walks over the newest documents of
// the plan, from end down, as a table h; the walk's length is a further
// argument. Materialized, since it is read twice: walking costs more.
func (p *plan) walk(end int64) (string, []any) {
	where, args := p.where(p.first, end)
	return `WITH h AS MATERIALIZED (SELECT t.rowid AS doc FROM ` + p.tables() + ` WHERE ` + where +
		` ORDER BY t.rowid DESC LIMIT ?) `, args
}

// walkFrom is a walk over the documents after those of earlier pages, which end
// with the message that has the given row; 0 for the first page.
func (p *plan) walkFrom(tx *db.Tx, row int64) (string, []any, error) {
	switch {
	case p.driven() && row > 0:
		q, args := p.walkPlaces(row)
		return q, args, nil
	case p.driven():
		q, args := p.walkPlaces(math.MaxInt64)
		return q, args, nil
	case row > 0:
		doc, err := p.before(tx, row)
		q, args := p.walk(min(p.end, doc))
		return q, args, err
	}
	q, args := p.walk(p.end)
	return q, args, nil
}

// newest finds one document more than o.Limit, newest first, and counts.
func (p *plan) newest(tx *db.Tx, o Options, result *Result) ([]found, error) {
	walk, args, err := p.walkFrom(tx, 0)
	length := max(o.CountTo, int64(o.Limit)) + 1
	if o.Before > 0 { // Only the first page needs to see them all at once.
		if err := p.count(tx, o, result); err != nil {
			return nil, err
		}
		walk, args, err = p.walkFrom(tx, o.Before)
		length = int64(o.Limit) + 1
	}
	if err != nil {
		return nil, err
	}
	query := walk + `SELECT f.doc, r.row, (SELECT count(*) FROM h) FROM (SELECT doc FROM h LIMIT ?) AS f
		CROSS JOIN search_doc AS r ON r.doc = f.doc`
	var list []found
	var walked int64
	err = tx.Each(query, append(args, length, o.Limit+1), func(r db.Row) error {
		var f found
		err := r.Scan(&f.doc, &f.row, &walked)
		list = append(list, f)
		return err
	})
	if o.Before == 0 {
		result.counted(walked, o.CountTo)
	}
	return list, err
}

// counted notes how many documents a walk has found that stops after limit.
func (r *Result) counted(walked, limit int64) {
	r.Total, r.TotalIsFloor = min(walked, limit), walked > limit
}

// best finds one document more than o.Limit, the best of the newest first, and
// counts. Words of the subject and of names weigh more than those of the body.
func (p *plan) best(tx *db.Tx, o Options, result *Result) ([]found, error) {
	walk, args := p.walk(p.end)
	limit := max(o.CountTo, rankWindow)
	var walked int64
	var oldest *int64
	err := tx.One(walk+"SELECT (SELECT count(*) FROM h), (SELECT doc FROM h LIMIT 1 OFFSET ?)",
		append(args, limit+1, rankWindow-1), &walked, &oldest)
	if err != nil {
		return nil, err
	}
	result.counted(walked, limit)
	first := p.first
	if oldest != nil {
		first = max(first, *oldest)
	}
	where, args := p.where(first, p.end)
	query := `SELECT f.doc, r.row, f.score FROM (SELECT t.rowid AS doc,
		-bm25(search_text, 1, 4, 3, 2, 1, 2, 0) AS score FROM ` + p.tables() + ` WHERE ` + where +
		` ORDER BY score DESC, t.rowid DESC LIMIT ? OFFSET ?) AS f CROSS JOIN search_doc AS r ON r.doc = f.doc
		ORDER BY f.score DESC, f.doc DESC`
	var list []found
	err = tx.Each(query, append(args, o.Limit+1, max(o.Before, 0)), func(r db.Row) error {
		var f found
		err := r.Scan(&f.doc, &f.row, &f.rank)
		list = append(list, f)
		return err
	})
	return list, err
}

// count counts all documents of the query.
func (p *plan) count(tx *db.Tx, o Options, result *Result) error {
	walk, args, err := p.walkFrom(tx, 0)
	if err != nil {
		return err
	}
	var walked int64
	if err := tx.One(walk+"SELECT count(*) FROM h", append(args, o.CountTo+1), &walked); err != nil {
		return err
	}
	result.counted(walked, o.CountTo)
	return nil
}

// fill reads the rows of what was found. The mailbox gives only those that the
// account holds.
func (s *Search) fill(ctx context.Context, account int64, result *Result, list []found) error {
	ids := make([]int64, len(list))
	for i, f := range list {
		ids[i] = f.row
	}
	rows, err := s.mail.Rows(ctx, account, ids)
	if err != nil {
		return err
	}
	i := 0
	for _, f := range list {
		if i < len(rows) && rows[i].ID == f.row {
			result.Hits = append(result.Hits, Hit{Row: rows[i], Rank: f.rank})
			i++
		}
	}
	return nil
}
