// Package search finds mail by its words: the projection that builds a
// full-text index of what the server may read, and the queries over it.
//
// It promises that a person is never given a hit of mail that they don't hold;
// that hits are in the order of their dates, newest first, unless ranking was
// asked for; that a query goes to the index made of this package's own terms
// only, so that nobody writes the index's own language; and that a query that
// is wrong is refused with the place where it is wrong.
//
// The query language is described in docs/search.md.
package search

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/mailbox"
	"sijill/internal/message"
	"sijill/internal/record"
	"sijill/internal/text"
)

//go:embed sqlite/*.sql
var migrations embed.FS

// rules changes whenever the same entry gives other rows for a reason of this
// package; text.Version counts for the other reasons.
const rules = 2

// words makes the terms of documents and queries alike. What it remembers
// changes how fast it is, not what it gives, so all share it.
var words = sync.OnceValue(text.New)

// Search is the projection named "search" and the finder. It is safe for
// concurrent use.
type Search struct {
	db    *db.DB
	mail  *mailbox.Mailbox
	open  func(ctx context.Context, entry int64) (*record.Item, error)
	class sijill.Class // Of what is in it; "" for both.
	clock func() time.Time
	taken run // Used by Apply alone, which has the database's writer to itself.
}

// New makes the search of office mail whose tables are in d, beside those of m.
// open gives the items of entries for snippets.
func New(d *db.DB, m *mailbox.Mailbox, open func(ctx context.Context, entry int64) (*record.Item, error)) *Search {
	return &Search{db: d, mail: m, open: open, class: sijill.Office, clock: time.Now}
}

// NewPrivate makes a search of mail that only its owner opens, while the owner is
// there: d is in memory, and m is the mailbox in it, which Mirror keeps up to
// date. open opens with the owner's keys. It takes in whatever it is given, of
// both classes.
func NewPrivate(d *db.DB, m *mailbox.Mailbox, open func(ctx context.Context, entry int64) (*record.Item, error)) *Search {
	s := New(d, m, open)
	s.class = ""
	return s
}

// Name is "search".
func (s *Search) Name() string { return "search" }

// Version is raised whenever the same entries give other rows.
func (s *Search) Version() int { return rules<<16 | text.Version }

// Migrations has the tables.
func (s *Search) Migrations() fs.FS { return migrations }

// The columns of the index, in the order of the table; the tags follow.
const (
	colBody = iota
	colSubject
	colSender
	colRcpt
	colCc
	colFilename
	columns
)

// maxColumn is where a column stops, in bytes of terms.
const maxColumn = 1 << 20

// draft is what a message's row in the index is made from.
type draft struct {
	terms       [columns]string
	size        int64
	attachments bool
}

// Prepare makes the terms of a message of a class that is searched, or nil where there
// is nothing to find: another kind of entry, or content that can't be opened.
func (s *Search) Prepare(it *record.Item) (any, error) {
	class := it.Class
	if class == "" {
		class = sijill.Office
	}
	if !mailbox.HasMessage(it) || s.class != "" && class != s.class {
		return nil, nil
	}
	c, err := it.Content()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("opening entry %d for the index: %w", it.Index, err)
	}
	m, err := it.Parsed()
	if err != nil {
		return nil, fmt.Errorf("parsing entry %d for the index: %w", it.Index, err)
	}
	return newDraft(m, int64(len(c.Message))), nil
}

func newDraft(m *message.Message, size int64) *draft {
	files := m.Attachments()
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = f.Name
	}
	return &draft{
		terms: [columns]string{
			colBody:     termsOf(m.Text()),
			colSubject:  termsOf(m.Subject()),
			colSender:   termsOf(people(m.From(), m.Sender())...),
			colRcpt:     termsOf(people(m.To(), m.Bcc())...),
			colCc:       termsOf(people(m.Cc())...),
			colFilename: termsOf(names...),
		},
		size:        size,
		attachments: len(files) > 0,
	}
}

func people(lists ...[]message.Address) (out []string) {
	for _, list := range lists {
		for _, a := range list {
			out = append(out, a.Name, a.Addr)
		}
	}
	return out
}

// buffers are where columns are put together: most are small, a few are large.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

func termsOf(texts ...string) string {
	b := buffers.Get().(*[]byte)
	defer buffers.Put(b)
	out := (*b)[:0]
	for _, t := range texts {
		if out = words().Append(out, t); len(out) > maxColumn {
			out = out[:bytes.LastIndexByte(out[:maxColumn], ' ')+1]
			break
		}
	}
	*b = out
	return string(out)
}
