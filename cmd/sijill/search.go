package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"sijill/internal/office"
	"sijill/internal/search"
)

// SearchCmd searches an account's mail.
type SearchCmd struct {
	Account string   `help:"Address of the account." required:"" placeholder:"ADDRESS"`
	Limit   int      `help:"How many messages at most." default:"50"`
	Rank    bool     `help:"Best first, instead of newest first."`
	Query   []string `arg:"" help:"Words, \"phrases\", from: to: cc: subject: has:attachment filename: before: after: on: larger: in:, OR, -not, parentheses."`
}

// Found is a message that search prints.
type Found struct {
	Entry   int64     `json:"entry"`
	Date    time.Time `json:"date"`
	From    string    `json:"from"`
	Subject string    `json:"subject"`
	Snippet string    `json:"snippet"`
}

// Run implements the command.
func (c *SearchCmd) Run(ctx context.Context, g *Globals, out Out) error {
	if c.Limit < 1 {
		return errors.New("--limit needs a number from 1")
	}
	return with(ctx, g, out, func(o *office.Office) error {
		a, err := account(ctx, o, c.Account)
		if err != nil {
			return err
		}
		if err := o.Follower.CatchUp(ctx); err != nil {
			return err
		}
		found, err := c.find(ctx, o, a.ID)
		if err != nil {
			return err
		}
		if g.JSON {
			return json.NewEncoder(out).Encode(found)
		}
		return printFound(out, found)
	})
}

func (c *SearchCmd) find(ctx context.Context, o *office.Office, account int64) ([]Found, error) {
	q := strings.Join(c.Query, " ")
	found := []Found{}
	opts := search.Options{Limit: c.Limit, Rank: c.Rank, Snippets: true}
	for len(found) < c.Limit {
		r, err := o.Search.Query(ctx, account, q, opts)
		var wrong *search.QueryError
		if errors.As(err, &wrong) {
			return nil, explain(q, wrong)
		}
		if err != nil {
			return nil, err
		}
		for _, h := range r.Hits {
			found = append(found, Found{h.Entry, h.Date, h.From.String(), h.Subject, plain(h.Snippet)})
		}
		if r.Next == 0 || len(r.Hits) == 0 {
			break
		}
		opts.Before, opts.Limit = r.Next, c.Limit-len(found)
	}
	return found, nil
}

// advice says what to do about a wrong query, by the error's code.
var advice = map[string]string{
	search.CodeLong: "the query is too long", search.CodeDeep: "there are too many parentheses inside each other",
	search.CodeMany: "there are too many words", search.CodeEmpty: "a word is missing here",
	search.CodeQuote: "a quotation mark is not closed", search.CodeParen: "a parenthesis has no partner",
	search.CodeDate:   "not a date: write 2026, 2026-11, 2026-11-21, today, yesterday, 7d, 3m or 1y",
	search.CodeSize:   "not a size: write 500, 10k or 2M",
	search.CodeHas:    "only has:attachment is known",
	search.CodeFolder: "there is no such folder", search.CodePrefix: "at least two letters are needed before *",
}

// explain shows where a query is wrong, and what to do.
func explain(q string, e *search.QueryError) error {
	at := len([]rune(q[:min(e.Offset, len(q))]))
	what, ok := advice[e.Code]
	if !ok {
		what = "this is not understood"
	}
	return fmt.Errorf("%s\n  %s\n  %s^", what, q, strings.Repeat(" ", at))
}

func plain(spans []search.Span) string {
	var b strings.Builder
	for _, s := range spans {
		b.WriteString(s.Text)
	}
	return b.String()
}

func printFound(w io.Writer, found []Found) error {
	for _, f := range found {
		if _, err := fmt.Fprintf(w, "%8d  %s  %s\n          %s\n          %s\n", f.Entry, f.Date.Format("2006-01-02 15:04"), f.From, f.Subject, f.Snippet); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%d found\n", len(found))
	return err
}
