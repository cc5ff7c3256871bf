package mailbox

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// threadsOf gives the entries of an account by thread, threads in the order of
// their first messages.
func (w *world) threadsOf(account int64) (out [][]int64) {
	w.t.Helper()
	index := map[int64]int{}
	for i := range int64(len(w.items)) {
		if !slices.Contains(w.items[i].Holders, account) {
			continue
		}
		thread := w.get(account, i).Thread
		n, ok := index[thread]
		if !ok {
			n, index[thread] = len(out), len(out)
			out = append(out, nil)
		}
		out[n] = append(out[n], i)
	}
	return out
}

func day(n int) time.Time { return day0.AddDate(0, 0, n-400) }

func TestThreads(t *testing.T) {
	for _, c := range []struct {
		name  string
		mails []mail
		want  string
	}{
		{"references", []mail{{id: "a"}, {id: "b", refs: "a"}, {id: "c", refs: "a b"}, {id: "d"}}, "[[0 1 2] [3]]"},
		{"out of order", []mail{{id: "c", refs: "a b"}, {id: "b", refs: "a"}, {id: "a"}}, "[[0 1 2]]"},
		{"missing parent", []mail{{id: "b", refs: "lost"}, {id: "c", refs: "lost"}}, "[[0 1]]"},
		{"merged", []mail{{id: "a"}, {id: "b"}, {id: "x", refs: "b"}, {id: "c", refs: "a b"}, {id: "d", refs: "a"}}, "[[0 1 2 3 4]]"},
		{"the same Message-ID twice", []mail{{id: "a"}, {id: "a", body: "other"}}, "[[0 1]]"},
		{"same subject, no reply", []mail{{subject: "Daily report"}, {subject: "Daily report"}}, "[[0] [1]]"},
		{"reply by subject", []mail{{subject: "Budget"}, {subject: "Re: budget"}, {subject: "RE: Fwd:  Budget"}}, "[[0 1 2]]"},
		{"Arabic reply", []mail{{subject: "الميزانية"}, {subject: "رد: الميزانية"}}, "[[0 1]]"},
		{"unmarked reply to a lost one", []mail{{subject: "Budget"}, {subject: "Budget", refs: "lost"}}, "[[0 1]]"},
		{"reply before its original", []mail{{subject: "Re: Budget", date: day(9)}, {subject: "Budget", date: day(8)}}, "[[0 1]]"},
		{"original after the reply", []mail{{subject: "Re: Budget", date: day(8)}, {subject: "Budget", date: day(9)}}, "[[0] [1]]"},
		{"second original", []mail{{subject: "Re: B", date: day(9)}, {subject: "B", date: day(8)}, {subject: "B", date: day(7)}}, "[[0 1] [2]]"},
		{"too late", []mail{{subject: "Budget", date: day(1)}, {subject: "Re: Budget", date: day(32)}}, "[[0] [1]]"},
		{"too early", []mail{{subject: "Budget", date: day(59)}, {subject: "Re: Budget", date: day(1)}}, "[[0] [1]]"},
		{"latest by date, not by arrival", []mail{{subject: "B", date: day(5)}, {subject: "B", date: day(1)}, {subject: "Re: B", date: day(6)}}, "[[0 2] [1]]"},
		{"window moves on", []mail{{subject: "Budget", date: day(1)}, {subject: "Re: Budget", date: day(30)}, {subject: "Re: Budget", date: day(59)}}, "[[0 1 2]]"},
		{"newest first", []mail{{subject: "Re: Budget", date: day(59)}, {subject: "Re: Budget", date: day(30)}, {subject: "Budget", date: day(1)}}, "[[0 1 2]]"},
		{"latest of two", []mail{{subject: "B", date: day(1)}, {subject: "B", date: day(5)}, {subject: "Re: B", date: day(6)}}, "[[0] [1 2]]"},
		{"no subject", []mail{{subject: ""}, {subject: "Re:"}, {subject: "Re: "}}, "[[0] [1] [2]]"},
		{"references before subject", []mail{{id: "a", subject: "A"}, {id: "b", subject: "B"}, {refs: "a", subject: "Re: B"}}, "[[0 2] [1]]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.capture(c.mails...)
			if got := fmt.Sprint(w.threadsOf(1)); got != c.want {
				t.Errorf("in one batch: %s, want %s", got, c.want)
			}
			w.rebuild(1)
			if got := fmt.Sprint(w.threadsOf(1)); got != c.want {
				t.Errorf("one by one: %s, want %s", got, c.want)
			}
		})
	}
}

// What another account holds must not show in the shape of one's own threads.
func TestThreadsAreOnesOwn(t *testing.T) {
	w := newWorld(t)
	both := []int64{1, 2}
	w.capture(mail{id: "a", holders: both}, mail{id: "b", holders: both}, mail{id: "c", refs: "a b", holders: []int64{2}},
		mail{id: "d", refs: "c", holders: both})
	if got := fmt.Sprint(w.threadsOf(1)); got != "[[0] [1] [3]]" {
		t.Errorf("account 1: %s", got)
	}
	if got := fmt.Sprint(w.threadsOf(2)); got != "[[0 1 2 3]]" {
		t.Errorf("account 2: %s", got)
	}
}

func TestThreadReadsOldestFirst(t *testing.T) {
	w := newWorld(t)
	w.capture(mail{id: "c", refs: "a b", date: day(3)}, mail{id: "z", date: day(9)}, mail{id: "b", date: day(2)}, mail{id: "a", date: day(1)})
	w.capture(mail{refs: "z a", date: day(4)})
	for _, thread := range []int64{0, 1} { // 1 has become part of 0.
		rows, err := w.Thread(t.Context(), 1, thread)
		if err != nil {
			t.Fatal(err)
		}
		var got []int64
		for _, r := range rows {
			got = append(got, r.Entry)
		}
		if !slices.Equal(got, []int64{3, 2, 0, 4, 1}) {
			t.Errorf("thread %d: %v", thread, got)
		}
	}
}

func TestTheSmallerThreadMoves(t *testing.T) {
	w := newWorld(t)
	w.capture(mail{id: "a"}, mail{id: "b"}, mail{refs: "b"})
	w.capture(mail{refs: "a b"})
	for entry := range int64(4) {
		if got := w.get(1, entry).Thread; got != 1 {
			t.Errorf("entry %d is in thread %d, want 1", entry, got)
		}
	}
}

// A sender can't fill the table of Message-IDs.
func TestReferencesAreBounded(t *testing.T) {
	w := newWorld(t)
	var refs []string
	for i := range 500 {
		refs = append(refs, fmt.Sprint(i))
	}
	w.capture(mail{id: "own", refs: strings.Join(refs, " ")}, mail{refs: "0"}, mail{refs: "499"}, mail{refs: "250"})
	if got := fmt.Sprint(w.threadsOf(1)); got != "[[0 1 2] [3]]" {
		t.Errorf("threads %s", got)
	}
	n := 0
	for _, s := range w.dump() {
		if strings.HasPrefix(s, "reference ") {
			n++
		}
	}
	if n > maxReferences+2 {
		t.Errorf("%d references kept", n)
	}
}

// One message can't make us rewrite two huge threads.
func TestHugeThreadsStayApart(t *testing.T) {
	w := newWorld(t)
	var a, b []mail
	for range maxMove + 1 {
		a, b = append(a, mail{refs: "a"}), append(b, mail{refs: "b"})
	}
	w.capture(a...)
	w.capture(b...)
	w.capture(mail{refs: "b a"}, mail{id: "c"}, mail{refs: "c b"})
	got := w.threadsOf(1)
	if len(got) != 2 || len(got[0]) != maxMove+2 || len(got[1]) != maxMove+3 {
		t.Errorf("%d threads", len(got))
	}
	rows, err := w.Thread(t.Context(), 1, 0)
	if err != nil || len(rows) != maxThread {
		t.Errorf("shows %d messages, %v", len(rows), err)
	}
}

// Merging the smaller into the larger keeps the way to the root short.
func TestChainOfMerges(t *testing.T) {
	w := newWorld(t)
	var mails []mail
	for i := range 100 {
		mails = append(mails, mail{id: fmt.Sprint(i)})
	}
	for i := 99; i > 0; i-- {
		mails = append(mails, mail{refs: fmt.Sprintf("%d %d", i, i-1)})
	}
	w.capture(mails...)
	if got := w.threadsOf(1); len(got) != 1 {
		t.Fatalf("%d threads", len(got))
	}
	first := w.dump()
	w.rebuild(7)
	same(t, w.dump(), first)
}
