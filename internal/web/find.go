package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"sijill/internal/search"
	"sijill/internal/view"
)

// Found is what stands above the rows that a search found.
type Found struct {
	Ran          bool // Whether there was a query that could be understood.
	Total        int64
	Floor        bool // Total is only how far was counted.
	Rank         bool
	Newest, Best string // Links to the two orders.
	First, More  string // Links to the first and the next window; empty where there's none.
	Error        *QueryError
	Help         []QueryHelp
}

// QueryError shows a query with the place where it's wrong.
type QueryError struct {
	Text                 string
	Before, Wrong, After string
}

// QueryHelp explains one thing that a query can say.
type QueryHelp struct{ Example, Text string }

// search is what a query finds: q, rank, before.
func (s *site) search(w http.ResponseWriter, r *request) error {
	d := Desk{Open: -1}
	var err error
	if d.Frame, _, err = s.framed(r, "search", 0); err != nil {
		return err
	}
	if err := s.find(r, &d); err != nil {
		return err
	}
	if d.Title, err = r.locale.Plain("search.title"); err != nil {
		return err
	}
	if d.Query != "" {
		d.Title = "\u2068" + d.Query + "\u2069 · " + d.Title
	}
	d.Scripts = deskScripts
	return s.render(w, http.StatusOK, "desk", d)
}

// find runs the query of a request and puts what it found into d.
func (s *site) find(r *request, d *Desk) error {
	values := r.URL.Query()
	q := strings.TrimSpace(values.Get("q"))
	before, err := r.number("before", 0)
	if err != nil {
		return err
	}
	rank := values.Get("rank") != ""
	d.Query, d.Search = q, &Found{Rank: rank, Newest: searchLink(q, false, 0), Best: searchLink(q, true, 0)}
	if d.Search.Help, err = queryHelp(r.locale); err != nil || q == "" {
		return err
	}
	res, err := s.Search.Query(r.Context(), r.viewer, q, search.Options{Limit: window, Before: before, Rank: rank, Snippets: true})
	var wrong *search.QueryError
	if errors.As(err, &wrong) {
		return s.wrongQuery(r, d, q, wrong)
	}
	if err != nil {
		return fmt.Errorf("searching: %w", err)
	}
	s.show(d, res, before)
	return nil
}

func (s *site) show(d *Desk, res *Findings, before int64) {
	f := d.Search
	f.Ran, f.Total, f.Floor = true, res.Total, res.TotalIsFloor
	where := url.Values{"q": {d.Query}}
	if f.Rank {
		where.Set("rank", "1")
	}
	if before > 0 {
		where.Set("before", strconv.FormatInt(before, 10))
		f.First = searchLink(d.Query, f.Rank, 0)
	}
	if res.Next > 0 {
		f.More = searchLink(d.Query, f.Rank, res.Next)
	}
	for _, h := range res.Hits {
		row := s.row(h.Line, -1, where, "")
		row.Spans = h.Spans
		d.List.Rows = append(d.List.Rows, row)
	}
}

func searchLink(q string, rank bool, before int64) string {
	v := url.Values{"q": {q}}
	if rank {
		v.Set("rank", "1")
	}
	if before > 0 {
		v.Set("before", strconv.FormatInt(before, 10))
	}
	return "/search?" + v.Encode()
}

// wrongQuery says what is wrong with a query, and where.
func (s *site) wrongQuery(r *request, d *Desk, q string, e *search.QueryError) error {
	key := "query." + e.Code
	if !r.locale.Has(key) {
		key = "query.wrong"
	}
	text, err := r.locale.Plain(key, e.Arg)
	if err != nil {
		return err
	}
	from := max(0, min(e.Offset, len(q)))
	to := max(from, min(from+e.Length, len(q)))
	for from > 0 && from < len(q) && !utf8.RuneStart(q[from]) {
		from--
	}
	for to < len(q) && !utf8.RuneStart(q[to]) {
		to++
	}
	d.Search.Error = &QueryError{Text: text, Before: q[:from], Wrong: q[from:to], After: q[to:]}
	return nil
}

// queryHelp is what a query can say, with an example for each.
func queryHelp(l *view.Locale) ([]QueryHelp, error) {
	var out []QueryHelp
	for _, name := range []string{"words", "phrase", "from", "to", "subject", "attachment", "filename", "dates", "larger", "in", "or", "not"} {
		example, err := l.Pattern("syntax." + name + ".example")
		if err != nil {
			return nil, err
		}
		text, err := l.Pattern("syntax." + name)
		if err != nil {
			return nil, err
		}
		out = append(out, QueryHelp{example, text})
	}
	return out, nil
}

// highlighter marks what was searched for. It marks nothing when the query is
// empty or wrong.
func (s *site) highlighter(_ context.Context, q string) func(string) []search.Span {
	plain := func(t string) []search.Span { return []search.Span{{Text: t}} }
	if q == "" {
		return plain
	}
	parsed, err := search.Parse(q)
	if err != nil {
		return plain
	}
	return parsed.Highlight
}
