package search

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/mailbox"
	"sijill/internal/message"
	"sijill/internal/record"
)

// now is when all tests happen.
var now = time.Date(2026, 3, 15, 12, 0, 0, 0, time.UTC)

// office is a search over items in memory.
type office struct {
	*Search
	tb    testing.TB
	db    *db.DB
	items map[int64]*record.Item
}

func newOffice(tb testing.TB) *office {
	tb.Helper()
	d, err := db.OpenSQLite(tb.Context(), filepath.Join(tb.TempDir(), "mail.db"), db.Options{Key: [32]byte{1}, Relaxed: true})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { d.Close() })
	o := &office{tb: tb, db: d, items: map[int64]*record.Item{}}
	m := mailbox.New(d)
	o.Search = New(d, m, func(_ context.Context, entry int64) (*record.Item, error) {
		if it, ok := o.items[entry]; ok {
			return it, nil
		}
		return nil, fs.ErrNotExist
	})
	o.clock = func() time.Time { return now }
	for _, p := range []record.Projection{m, o.Search} {
		if err := d.Migrate(tb.Context(), p.Name(), p.Migrations()); err != nil {
			tb.Fatal(err)
		}
	}
	return o
}

// letter is a message in brief.
type letter struct {
	entry                      int64
	date                       string // 2015-03-10 or with a time
	from, to, cc, subject, txt string
	holders                    []int64 // default 1
	folder, attach             string
}

func (l letter) item() *record.Item {
	layout := "2006-01-02 15:04:05"
	when, err := time.Parse(layout[:len(l.date)], l.date)
	if err != nil {
		panic(err)
	}
	var b strings.Builder
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\r\n", name, value)
		}
	}
	field("From", l.from)
	field("To", l.to)
	field("Cc", l.cc)
	field("Subject", l.subject)
	field("Date", when.Format(time.RFC1123Z))
	field("Content-Type", "text/plain; charset=utf-8")
	if l.attach != "" {
		s := strings.Replace(b.String(), "text/plain; charset=utf-8", "multipart/mixed; boundary=x", 1)
		b.Reset()
		fmt.Fprintf(&b, "%s\r\n--x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n%s\r\n--x\r\n"+
			"Content-Type: application/pdf\r\nContent-Disposition: attachment; filename=%q\r\n\r\npdf\r\n--x--\r\n", s, l.txt, l.attach)
	} else {
		fmt.Fprintf(&b, "\r\n%s\r\n", l.txt)
	}
	holders := l.holders
	if holders == nil {
		holders = []int64{1}
	}
	env := message.Envelope{Door: "import", Time: now, Folder: l.folder}
	return makeItem(l.entry, env, []byte(b.String()), holders)
}

func makeItem(entry int64, env message.Envelope, raw []byte, holders []int64) *record.Item {
	return record.NewItem(entry, &sijill.Entry{Kind: sijill.Captured, Time: now}, holders,
		func() (*record.Content, error) { return &record.Content{Envelope: env, Message: raw}, nil })
}

// file applies letters in one batch, as a follower does.
func (o *office) file(letters ...letter) {
	o.tb.Helper()
	var items []*record.Item
	for _, l := range letters {
		it := l.item()
		items = append(items, it)
		o.items[l.entry] = it
	}
	o.apply(items)
}

func (o *office) apply(items []*record.Item) {
	o.tb.Helper()
	projections := []record.Projection{o.mail, o.Search}
	prepared := make([][]any, len(projections))
	for i, p := range projections {
		for _, it := range items {
			v, err := p.Prepare(it)
			if err != nil {
				o.tb.Fatal(err)
			}
			prepared[i] = append(prepared[i], v)
		}
	}
	err := o.db.Write(o.tb.Context(), func(tx *db.Tx) error {
		for i, p := range projections {
			if err := p.Apply(o.tb.Context(), tx, items, prepared[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		o.tb.Fatal(err)
	}
}

// find returns the entries that account 1 finds, as "3 1 2".
func (o *office) find(query string) string { return o.findAs(1, query, Options{}) }

func (o *office) findAs(account int64, query string, opts Options) string {
	o.tb.Helper()
	r, err := o.Query(o.tb.Context(), account, query, opts)
	if err != nil {
		o.tb.Fatalf("%s: %v", query, err)
	}
	return entries(r)
}

func entries(r *Result) string {
	var out []string
	for _, h := range r.Hits {
		out = append(out, fmt.Sprint(h.Entry))
	}
	return strings.Join(out, " ")
}

func (o *office) dump() string {
	o.tb.Helper()
	var lines []string
	err := o.db.Read(o.tb.Context(), func(tx *db.Tx) error {
		return o.Dump(o.tb.Context(), tx, func(line string) error {
			lines = append(lines, line)
			return nil
		})
	})
	if err != nil {
		o.tb.Fatal(err)
	}
	return strings.Join(lines, "\n")
}
