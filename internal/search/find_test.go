package search

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sijill/internal/db"
	"sijill/internal/record"
)

// archive is what most tests search: entries in another order than dates.
func archive(t *testing.T) *office {
	o := newOffice(t)
	o.file(
		letter{entry: 0, date: "2015-03-10 09:00:00", from: "Ahmad Said <ahmad.said@diwan.example>", to: "huma@diwan.example",
			subject: "Quarterly budget", txt: "The meetings were about running costs. See you."},
		letter{entry: 1, date: "2016-01-01 00:00:00", from: "Sara <sara@other.example>", to: "ahmad.said@diwan.example", cc: "Huma <huma@diwan.example>",
			subject: "Re: budget", txt: "New year, new costs; the meeting moved."},
		letter{entry: 2, date: "2014-12-31 23:59:59", from: "هيلارى <h@diwan.example>", to: "sara@other.example",
			subject: "الكتاب والميزانية", txt: "كتبت هيلارى رسالة عن المدرسة", attach: "تقرير 2014.pdf"},
		letter{entry: 3, date: "2015-03-11", from: "ahmad.said@diwan.example", to: "sara@other.example", folder: "Old mail",
			subject: "Large one", txt: strings.Repeat("filler words here\r\n", 8000) + "needle"},
		letter{entry: 4, date: "2026-03-15 08:00:00", from: "bot@other.example", to: "huma@diwan.example",
			subject: "today", txt: "costs of today; john.doe@enron.example wrote"},
		letter{entry: 5, date: "2015-03-10 10:00:00", from: "secret@other.example", to: "other@diwan.example", holders: []int64{2},
			subject: "budget of another", txt: "costs that account one must not see", attach: "secret.pdf"},
		letter{entry: 6, date: "2015-06-01", from: "both@other.example", to: "all@diwan.example", holders: []int64{1, 2},
			subject: "shared", txt: "costs for both"},
	)
	return o
}

func TestQueries(t *testing.T) {
	o := archive(t)
	for q, want := range map[string]string{
		"costs":                               "4 1 6 0",
		"COST":                                "4 1 6 0",
		"meeting cost":                        "1 0",
		"meeting AND moved":                   "1",
		`"running costs"`:                     "0",
		`"costs running"`:                     "",
		"budget OR shared":                    "1 6 0",
		"costs budget OR shared":              "1 6 0",
		"costs AND today OR shared":           "4 6",
		"costs -budget":                       "4 6",
		"costs NOT budget":                    "4 6",
		"-costs":                              "3 2",
		"costs -(budget OR today)":            "6",
		"from:ahmad":                          "3 0",
		"from:ahmad.said":                     "3 0",
		"from:AHMAD.SAID@diwan.example costs": "0",
		"to:huma":                             "4 1 0",
		"cc:huma":                             "1",
		"subject:budget":                      "1 0",
		"Subject: budget":                     "1 0",
		"subject:(budget OR shared)":          "1 6 0",
		"from:(ahmad large)":                  "",
		"has:attachment":                      "2",
		"filename:2014":                       "2",
		"filename:تقرير":                      "2",
		"larger:100k":                         "3",
		"-larger:100k costs":                  "4 1 6 0",
		"larger:1k smaller:64k":               "",
		"before:2015":                         "2",
		"after:2015-06 before:2026":           "1 6",
		"on:2015-03-10":                       "0",
		"on:٢٠١٥-٠٣":                          "3 0",
		"on:today":                            "4",
		"بعد:7d":                              "4",
		"-after:2015-03-11":                   "0 2",
		"-before:2016":                        "4 1",
		"before:2015 OR subject:shared":       "6 2",
		"-on:2015-03-10 budget":               "1",
		"costs (on:2016 OR larger:100k)":      "1",
		"in:Inbox costs":                      "4 1 6 0",
		`in:"old mail"`:                       "3",
		"in:الوارد today":                     "4",
		"in:Inbox -in:Inbox":                  "",
		"in:inbox":                            "4 1 6 0 2",
		`-in:"old mail" costs`:                "4 1 6 0",
		`in:"old mail" OR today`:              "4 3",
		"is:unread":                           "4 1 6 3 0 2",
		"is:read":                             "",
		"حالة:غير-مقروءة costs":               "4 1 6 0",
		"is:flagged costs":                    "",
		"body:budget":                         "",
		"body:meeting":                        "1 0",
		"هيلاري":                              "2",
		"هِيلارى":                             "2",
		"من:هيلاري":                           "2",
		"إلى:sara":                            "3 2",
		"موضوع:كتاب":                          "2",
		"فيها:مرفق":                           "2",
		"meet*":                               "1 0",
		"runni*":                              "0",
		"running*":                            "0",
		`"new co*"`:                           "", // A star in a phrase is just punctuation.
		"john.doe@enron.example":              "4",
		"john.do*":                            "4",
		"john.doe@enr*":                       "4",
		"doe@enron.example":                   "",
		"enron.example":                       "4",
		"Re: budget":                          "1",
		"=a2":                                 "",
		`"=attachment"`:                       "",
		"before:2015 after:2016":              "",
		"«running costs»":                     "0",
		"secret":                              "",
		"filename:secret":                     "",
		"- costs ؟":                           "4 1 6 0",
	} {
		if got := o.find(q); got != want {
			t.Errorf("%s: found %q, want %q", q, got, want)
		}
	}
}

func TestAccountsSeeTheirOwn(t *testing.T) {
	o := archive(t)
	for _, q := range []string{"costs", "-nothing", "costs OR budget", "-costs", "before:2030", "larger:1 OR costs", "cost*"} {
		for _, rank := range []bool{false, true} {
			for _, c := range []struct {
				account int64
				allowed []int64
			}{{1, []int64{0, 1, 2, 3, 4, 6}}, {2, []int64{5, 6}}, {3, nil}, {12, nil}} {
				r, err := o.Query(t.Context(), c.account, q, Options{Rank: rank})
				if err != nil {
					t.Fatal(err)
				}
				if int(r.Total) != len(r.Hits) {
					t.Errorf("%s as %d: %d hits, total %d", q, c.account, len(r.Hits), r.Total)
				}
				for _, h := range r.Hits {
					if !slices.Contains(c.allowed, h.Entry) {
						t.Errorf("%s as %d finds entry %d", q, c.account, h.Entry)
					}
				}
			}
		}
	}
	if got := o.findAs(2, "costs", Options{}); got != "6 5" {
		t.Errorf("account 2 finds %q", got)
	}
}

// While one account holds everything, queries don't ask for it; that must end
// with the first document of another.
func TestAloneAndThenNot(t *testing.T) {
	o := newOffice(t)
	if got := o.findAs(2, "costs", Options{}); got != "" {
		t.Errorf("an empty index gives %q", got)
	}
	o.file(letter{entry: 0, date: "2015-01-01", subject: "mine", txt: "costs"})
	if a, b := o.find("costs"), o.findAs(2, "costs", Options{}); a != "0" || b != "" {
		t.Errorf("alone: %q, the other %q", a, b)
	}
	o.file(letter{entry: 1, date: "2015-01-02", subject: "theirs", txt: "costs", holders: []int64{2}})
	if a, b := o.find("costs"), o.findAs(2, "costs", Options{Rank: true}); a != "0" || b != "1" {
		t.Errorf("not alone: %q, the other %q", a, b)
	}
	r, err := o.Query(t.Context(), 1, "-mine", Options{})
	if err != nil || r.Total != 0 {
		t.Errorf("total %d, %v", r.Total, err)
	}
}

func TestOneAccountsFolderIsUnknownToOthers(t *testing.T) {
	o := archive(t)
	_, err := o.Query(t.Context(), 2, `costs in:"Old mail"`, Options{})
	var q *QueryError
	if !errors.As(err, &q) || q.Code != CodeFolder || q.Offset != 9 || q.Length != 10 {
		t.Errorf("got %v", err)
	}
}

func TestRankPutsSubjectsFirst(t *testing.T) {
	o := newOffice(t)
	o.file(
		letter{entry: 0, date: "2010-01-01", subject: "treaty", txt: "short"},
		letter{entry: 1, date: "2012-01-01", subject: "other", txt: "a treaty among " + strings.Repeat("many more words ", 50)},
		letter{entry: 2, date: "2011-01-01", subject: "x", txt: "nothing"},
	)
	if got := o.findAs(1, "treaty", Options{}); got != "1 0" {
		t.Errorf("newest first: %s", got)
	}
	if got := o.findAs(1, "treaty", Options{Rank: true}); got != "0 1" {
		t.Errorf("best first: %s", got)
	}
}

// Whole seconds hold many messages, and batches come in any order: pages must
// still show each message once, by date.
func TestPagesAndCrowdedSeconds(t *testing.T) {
	o := newOffice(t)
	var letters []letter
	for i := range int64(60) {
		date := "2015-03-10 10:00:00" // forty in one second
		if i%3 == 0 {
			date = fmt.Sprintf("2015-03-10 10:00:%02d", i)
		}
		letters = append(letters, letter{entry: i, date: date, subject: "page", txt: "word"})
	}
	for part := range slices.Chunk(letters, 7) {
		slices.Reverse(part)
		o.file(part...)
	}
	for _, rank := range []bool{false, true} {
		seen := map[int64]bool{}
		var before int64
		for {
			r, err := o.Query(t.Context(), 1, "word", Options{Limit: 9, Before: before, Rank: rank})
			if err != nil {
				t.Fatal(err)
			}
			for _, h := range r.Hits {
				if seen[h.Entry] {
					t.Fatalf("entry %d came twice", h.Entry)
				}
				seen[h.Entry] = true
			}
			if before = r.Next; before == 0 {
				break
			}
		}
		if len(seen) != 60 {
			t.Errorf("rank %v: pages have %d of 60", rank, len(seen))
		}
	}
	// Numbers lie after their dates here; ranges must be exact all the same.
	for _, c := range []struct {
		field string
		at    time.Time
		want  int
	}{
		{"before", now, 60}, {"after", now, 0},
	} {
		r, err := o.Query(t.Context(), 1, c.field+":"+c.at.Format(time.DateOnly)+" word", Options{Limit: 100})
		if err != nil || len(r.Hits) != c.want {
			t.Errorf("%s %v: %d hits, %v", c.field, c.at, len(r.Hits), err)
		}
	}
}

func TestRangesAreExactWhereNumbersSpill(t *testing.T) {
	o := newOffice(t)
	var letters []letter
	for i := range int64(30) { // The last second of the 10th spills into the 11th.
		letters = append(letters, letter{entry: i, date: "2015-03-10 23:59:59", subject: "late", txt: "word"})
	}
	letters = append(letters,
		letter{entry: 30, date: "2015-03-11 00:00:05", subject: "early", txt: "word"},
		letter{entry: 31, date: "2015-03-11 05:00:00", subject: "early", txt: "word"})
	o.file(letters...)
	for q, want := range map[string]int{
		"on:2015-03-10 word": 30, "on:2015-03-11 word": 2, "before:2015-03-11": 30, "after:2015-03-11": 2,
		"-before:2015-03-11": 2, "-after:2015-03-11": 30, "before:2015-03-10": 0, "after:2015-03-10": 32,
	} {
		r, err := o.Query(t.Context(), 1, q, Options{Limit: 100})
		if err != nil || len(r.Hits) != want || int(r.Total) != want {
			t.Errorf("%s: %d hits of %d, want %d (%v)", q, len(r.Hits), r.Total, want, err)
		}
	}
}

func TestRemoveTakesRowsOut(t *testing.T) {
	o := archive(t)
	r, err := o.Query(t.Context(), 1, "subject:shared", Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = o.db.Write(t.Context(), func(tx *db.Tx) error {
		if err := o.Remove(t.Context(), tx, []int64{r.Hits[0].ID, 12345}); err != nil {
			return err
		}
		return o.Purge(t.Context(), tx)
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := o.find("costs"); got != "4 1 0" {
		t.Errorf("found %q", got)
	}
	if d := o.dump(); strings.Contains(d, "entry 6 ") || strings.Contains(d, "no entry") {
		t.Errorf("the dump still has it:\n%s", d)
	}
}

func TestDumpTellsIndexesApart(t *testing.T) {
	a, b := archive(t), newOffice(t)
	var items []int64
	for n := range a.items {
		items = append(items, n)
	}
	slices.Sort(items)
	for _, n := range items { // One by one instead of all at once.
		b.apply([]*record.Item{a.items[n]})
	}
	if a.dump() != b.dump() {
		t.Fatalf("the same entries give\n%s\nand\n%s", a.dump(), b.dump())
	}
	if len(strings.Split(a.dump(), "\n")) != 7 {
		t.Errorf("dump:\n%s", a.dump())
	}
	err := b.db.Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec("INSERT INTO search_text (rowid, body) SELECT doc, 'planted' FROM search_doc WHERE entry = 99 UNION SELECT 7, 'planted'")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.dump(), "document 7 belongs to no entry") {
		t.Errorf("a planted document isn't in the dump:\n%s", b.dump())
	}
	if err := b.db.Write(t.Context(), func(tx *db.Tx) error { return b.Reset(t.Context(), tx) }); err != nil {
		t.Fatal(err)
	}
	if b.dump() != "" || b.find("costs") != "" {
		t.Error("something is left after a reset")
	}
}
