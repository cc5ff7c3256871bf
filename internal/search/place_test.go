package search

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/mailbox"
	"sijill/internal/record"
)

// register stands in for the real one.
type register struct{}

func (register) Append(context.Context, record.Draft) (record.Receipt, error) {
	return record.Receipt{}, nil
}

func (register) Destroy(context.Context, int64, string, []int64) (record.Receipt, error) {
	return record.Receipt{}, nil
}

// attach lets an office move mail.
func (o *office) attach() {
	o.tb.Helper()
	books := openDB(o.tb)
	if err := mailbox.MigrateArrivals(context.Background(), books); err != nil {
		o.tb.Fatal(err)
	}
	o.mail.Attach(books, register{})
}

func (o *office) folder(name string) mailbox.Folder {
	o.tb.Helper()
	list, err := o.mail.Folders(context.Background(), 1)
	if err != nil {
		o.tb.Fatal(err)
	}
	for _, f := range list {
		if f.Name == name {
			return f
		}
	}
	o.tb.Fatal("no folder ", name)
	return mailbox.Folder{}
}

// at gives where entries lie in a folder.
func (o *office) at(f mailbox.Folder, entries ...int64) (uids []int64) {
	o.tb.Helper()
	list, err := o.mail.Places(context.Background(), f.Account, f.ID, 0, math.MaxInt64)
	if err != nil {
		o.tb.Fatal(err)
	}
	for _, p := range list {
		if slices.Contains(entries, p.Entry) {
			uids = append(uids, p.UID)
		}
	}
	return uids
}

// Moving, flagging and expunging change what is found at once, and the index not
// at all.
func TestPlacesAreSearched(t *testing.T) {
	o := archive(t)
	o.attach()
	before := o.dump()
	ctx := t.Context()
	if _, err := o.mail.EnsureFolders(ctx, 1, sijill.Office); err != nil {
		t.Fatal(err)
	}
	inbox, trash := o.folder("Inbox"), o.folder("Trash")
	if _, err := o.mail.Flag(ctx, 1, inbox.ID, o.at(inbox, 0, 1), mailbox.Add, mailbox.FlagSeen|mailbox.FlagFlagged, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := o.mail.Copy(ctx, 1, inbox.ID, o.at(inbox, 1), inbox.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := o.mail.Move(ctx, 1, inbox.ID, o.at(inbox, 6, 4), trash.ID); err != nil {
		t.Fatal(err)
	}
	for q, want := range map[string]string{
		"in:trash": "4 6", "in:المهملات costs": "4 6", "in:inbox costs": "1 0", "is:read": "1 0", "is:flagged": "1 0", "is:unread costs": "4 6",
		"is:starred -is:read": "", "in:trash is:unread shared": "6", "in:drafts": "", "is:answered costs": "", "larger:100k in:\"old mail\"": "3",
	} {
		if got := o.find(q); got != want {
			t.Errorf("%s: found %q, want %q", q, got, want)
		}
	}
	if err := o.mail.Expunge(ctx, 1, trash.ID, o.at(trash, 6)); err != nil {
		t.Fatal(err)
	}
	for q, want := range map[string]string{"costs": "4 1 0", "-nothing": "4 1 3 0 2", "in:trash": "4", "shared": ""} {
		r, err := o.Query(ctx, 1, q, Options{})
		if err != nil || entries(r) != want || int(r.Total) != len(r.Hits) {
			t.Errorf("%s: found %q of %d, want %q (%v)", q, entries(r), r.Total, want, err)
		}
	}
	if got := o.findAs(2, "shared", Options{}); got != "6" {
		t.Errorf("the other holder finds %q", got)
	}
	if o.dump() != before {
		t.Error("the index was written")
	}
}

// Pages of a walk over places and of a walk over the index show each once.
func TestPagesOfPlaces(t *testing.T) {
	o := newOffice(t)
	var letters []letter
	for i := range int64(60) {
		folder := []string{"", "Few"}[i%5/4]
		letters = append(letters, letter{entry: i, date: fmt.Sprintf("2015-03-10 10:00:%02d", i/3), subject: "page", txt: "word", folder: folder})
	}
	o.file(letters...)
	for q, want := range map[string]int{"in:inbox": 48, "in:inbox word": 48, "in:few": 12, "in:few word": 12, "is:unread": 60, "in:few is:unread word": 12} {
		seen := map[int64]bool{}
		var before int64
		for {
			r, err := o.Query(t.Context(), 1, q, Options{Limit: 7, Before: before})
			if err != nil || int(r.Total) != want {
				t.Fatalf("%s: total %d, want %d (%v)", q, r.Total, want, err)
			}
			for _, h := range r.Hits {
				if seen[h.Entry] {
					t.Fatalf("%s: entry %d came twice", q, h.Entry)
				}
				seen[h.Entry] = true
			}
			if before = r.Next; before == 0 {
				break
			}
		}
		if len(seen) != want {
			t.Errorf("%s: pages have %d of %d", q, len(seen), want)
		}
	}
}

func TestIsKnowsItsWords(t *testing.T) {
	for _, q := range []string{"is:unread", "is:Read", `is:"unread"`, "حالة:مقروءة", `حالة:"غير مقروءة"`, "حالة:مميزة", "is:draft", "is:replied"} {
		if _, err := Parse(q); err != nil {
			t.Errorf("%s: %v", q, err)
		}
	}
	_, err := Parse("word is:purple")
	var wrong *QueryError
	if !errors.As(err, &wrong) || wrong.Code != CodeIs || wrong.Offset != 8 || wrong.Arg != "purple" {
		t.Errorf("got %v", err)
	}
}

func TestEntries(t *testing.T) {
	o := archive(t)
	for q, want := range map[string][]int64{"costs": {0, 1, 4, 6}, "nothing": nil, "on:2015-03-10 costs": {0}, "is:unread costs": {0, 1, 4, 6},
		Quote("running \"costs\""): {0}, "before:2015": {2}, "in:Inbox needle": nil} {
		got, err := o.Entries(t.Context(), 1, q)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v (%v)", q, got, want, err)
		}
	}
	if got, err := o.Entries(t.Context(), 2, "costs"); err != nil || !slices.Equal(got, []int64{5, 6}) {
		t.Errorf("account 2: %v, %v", got, err)
	}
	if Quote(" \" ؟ ") != "" {
		t.Error("nothing is quoted")
	}
}

// Personal mail is found in memory while it is open, and beside office mail.
func TestPrivate(t *testing.T) {
	o := archive(t)
	o.attach()
	ctx := t.Context()
	var items []*record.Item
	for i, l := range []letter{{entry: 7, date: "2015-04-01", subject: "garden", txt: "costs of roses"}, {entry: 8, date: "2016-02-01", subject: "holiday", txt: "costs of sun"}} {
		it := l.item()
		it.Class = sijill.Personal
		it.Entry.Message = &sijill.Message{ID: sijill.ID{byte(i + 1)}}
		items = append(items, it)
	}
	o.apply(items)
	if got := o.find("garden OR holiday"); got != "" {
		t.Fatalf("personal mail is in the office's index: %s", got)
	}
	private := o.unlock(items)
	for q, want := range map[string]string{"roses": "7", "costs": "8 7", "is:unread": "8 7", "in:Inbox costs": "8 7"} {
		r, err := private.Query(ctx, 1, q, Options{Snippets: true})
		if err != nil || entries(r) != want {
			t.Errorf("%s: found %q, want %q (%v)", q, entries(r), want, err)
		}
	}
	if r, err := private.Query(ctx, 2, "costs", Options{}); err != nil || len(r.Hits) != 0 {
		t.Errorf("another account finds %q, %v", entries(r), err)
	}
	for limit := 1; limit < 8; limit++ {
		found, before := "", int64(0)
		for {
			r, err := Both(ctx, 1, "costs", Options{Limit: limit, Before: before}, o.Search, private)
			if err != nil || r.Total != 6 || len(r.Hits) > limit {
				t.Fatalf("total %d, %v", r.Total, err)
			}
			if found += entries(r) + " "; r.Next == 0 {
				break
			}
			before = r.Next
		}
		// Dates on the clock: sorted by capture where a message is closed.
		if len(found) != len("4 8 1 6 7 0 ") {
			t.Errorf("%d a page: %q", limit, found)
		}
	}
	_, err := Both(ctx, 1, "in:nowhere costs", Options{}, o.Search, private)
	if r, e := Both(ctx, 1, `in:"old mail"`, Options{}, o.Search, private); e != nil || entries(r) != "3" || err == nil {
		t.Errorf("a folder of one class: %v; of none: %v", e, err)
	}
}

// unlock opens items into memory.
func (o *office) unlock(items []*record.Item) *Search {
	ctx := context.Background()
	must := func(err error) {
		o.tb.Helper()
		if err != nil {
			o.tb.Fatal(err)
		}
	}
	d, err := db.OpenMemory(ctx)
	must(err)
	o.tb.Cleanup(func() { d.Close() })
	m := mailbox.New(d)
	s := NewPrivate(d, m, func(_ context.Context, entry int64) (*record.Item, error) { return items[entry-7], nil })
	s.clock = o.clock
	must(d.Migrate(ctx, m.Name(), m.Migrations()))
	must(d.Migrate(ctx, s.Name(), s.Migrations()))
	held, err := o.mail.Held(ctx, 1, sijill.Personal)
	must(err)
	var facts []mailbox.Fact
	var prepared []any
	for _, it := range items {
		at := slices.IndexFunc(held, func(h mailbox.Held) bool { return h.Entry == it.Index })
		draft, err := m.Facts().Prepare(it)
		must(err)
		words, err := s.Prepare(it)
		must(err)
		facts, prepared = append(facts, mailbox.Fact{Entry: it.Index, Account: 1, Row: held[at].Row, Draft: draft}), append(prepared, words)
	}
	must(d.Write(ctx, func(tx *db.Tx) error {
		if err := m.Facts().Apply(ctx, tx, facts); err != nil {
			return err
		}
		return s.Apply(ctx, tx, items, prepared)
	}))
	must(m.Mirror(ctx, o.mail, 1, sijill.Personal))
	return s
}
