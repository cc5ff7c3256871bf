package search

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestWrongQueries(t *testing.T) {
	for _, c := range []struct {
		query, code    string
		offset, length int
	}{
		{"", CodeEmpty, 0, 0},
		{" ؟ --- ", CodeEmpty, 0, 8},
		{`a "b c`, CodeQuote, 2, 1},
		{`a “b c`, CodeQuote, 2, 3},
		{`from:"b`, CodeQuote, 5, 1},
		{"(a b", CodeParen, 0, 1},
		{"a) b", CodeParen, 1, 1},
		{"a (b (c) d", CodeParen, 2, 1},
		{"a ()", CodeEmpty, 2, 2},
		{"OR a", CodeEmpty, 0, 2},
		{"a OR", CodeEmpty, 2, 2},
		{"a AND OR b", CodeEmpty, 2, 3},
		{"(a OR) b", CodeEmpty, 3, 2},
		{"a NOT", CodeEmpty, 2, 3},
		{"from:", CodeEmpty, 0, 5},
		{"a from: OR b", CodeEmpty, 2, 5},
		{"from:--- b", CodeEmpty, 0, 8},
		{"on:20155", CodeDate, 3, 5},
		{"on:2015-13", CodeDate, 3, 7},
		{"after:2015-02-30", CodeDate, 6, 10},
		{"on:7d", CodeDate, 3, 2},
		{"before:10/03/2015", CodeDate, 7, 10},
		{"before:", CodeEmpty, 0, 7},
		{"قبل:غدا", CodeDate, 7, 6},
		{"larger:big", CodeSize, 7, 3},
		{"larger:-1", CodeSize, 7, 2},
		{"smaller:99999999999999999999g", CodeSize, 8, 21},
		{"has:wings", CodeHas, 4, 5},
		{"in:\" \"", CodeEmpty, 3, 3},
		{"a*", CodePrefix, 0, 2},
		{strings.Repeat("(", 51) + "a" + strings.Repeat(")", 51), CodeDeep, 50, 1},
		{strings.Repeat("NOT ", 60) + "a", CodeDeep, 200, 3},
		{strings.Repeat("ab ", 201), CodeMany, 600, 2},
		{strings.Repeat("ab* ", 9), CodeMany, 32, 3},
		{strings.Repeat("a", 5000), CodeLong, 4096, 904},
	} {
		_, err := Parse(c.query)
		var q *QueryError
		if !errors.As(err, &q) {
			t.Errorf("%.40q: %v, want a QueryError", c.query, err)
			continue
		}
		if q.Code != c.code || q.Offset != c.offset || q.Length != c.length {
			t.Errorf("%.40q: %s at %d+%d, want %s at %d+%d", c.query, q.Code, q.Offset, q.Length, c.code, c.offset, c.length)
		}
	}
}

// What looks a little like the language but isn't is just words.
func TestJustWords(t *testing.T) {
	for _, q := range []string{
		"http://www.example.com/a?b=c", "Re: budget", "12:30", `C:\temp`, "foo:bar", "or and not", "a-b -- c", "5'10",
		"-5", "x:(y)", "ORDER NOTE ANDROID", strings.Repeat("(", 50) + "a" + strings.Repeat(")", 50),
	} {
		if _, err := Parse(q); err != nil {
			t.Errorf("%.40q: %v", q, err)
		}
	}
}

func TestDates(t *testing.T) {
	riyadh := time.FixedZone("", 3*3600)
	at := time.Date(2026, 3, 15, 1, 0, 0, 0, riyadh)
	for in, want := range map[string]string{
		"2015": "2015-01-01 2016-01-01", "2015-12": "2015-12-01 2016-01-01", "2015-3-1": "2015-03-01 2015-03-02",
		"٢٠١٥-٠٣-١٠": "2015-03-10 2015-03-11", "today": "2026-03-15 2026-03-16", "أمس": "2026-03-14 2026-03-15",
		"7d": "2026-03-08 2026-03-09", "2w": "2026-03-01 2026-03-02", "3m": "2025-12-15 2025-12-16", "1y": "2025-03-15 2025-03-16",
	} {
		d, ok := parseDate(in)
		if !ok {
			t.Errorf("%s is no date", in)
			continue
		}
		from, to := d.span(at)
		if got := from.Format(time.DateOnly) + " " + to.Format(time.DateOnly); got != want || from.Location() != riyadh {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestSizes(t *testing.T) {
	for in, want := range map[string]int64{"0": 0, "500": 500, "10k": 10240, "1.5M": 3 << 19, "2GB": 2 << 30, "١٠k": 10240} {
		if n, ok := parseSize(in); !ok || n != want {
			t.Errorf("%s: %d %v, want %d", in, n, ok, want)
		}
	}
}

// Every expression the planner can make must be one that the engine accepts.
func TestDeepQueriesRun(t *testing.T) {
	o := archive(t)
	deep := strings.Repeat("(costs OR -(", 16) + "budget" + strings.Repeat("))", 16)
	mixed := strings.Repeat("(costs OR (before:2016 ", 24) + "budget" + strings.Repeat("))", 24)
	var wide []string
	for i := range 150 {
		wide = append(wide, fmt.Sprintf("w%d", i))
	}
	for _, q := range []string{deep, mixed, strings.Join(wide, " OR "), "costs " + strings.Join(wide, " -")} {
		o.find(q)
	}
}

func FuzzQuery(f *testing.F) {
	for _, q := range []string{
		`from:"a b" OR -(subject:x* larger:10k) in:Inbox`, "هيلاري «من هنا» قبل:٢٠١٥", "a AND (b OR NOT c)", `"`, "((", "has:attachment -on:today",
		"x@y.z* \xff\xfe “", `"a""b"`, "a* OR b'c’s", "=a1 NEAR(a b) {x} : ^a",
	} {
		f.Add(q)
	}
	o := newOffice(f)
	o.file(letter{entry: 0, date: "2015-03-10", from: "a@b.example", subject: "a b c", txt: "some words", holders: []int64{2}})
	f.Fuzz(func(t *testing.T, q string) {
		parsed, err := Parse(q)
		var wrong *QueryError
		if err != nil && !errors.As(err, &wrong) {
			t.Fatalf("%v is no QueryError", err)
		}
		if wrong != nil {
			if wrong.Offset < 0 || wrong.Length < 0 || wrong.Offset+wrong.Length > len(q) {
				t.Fatalf("the error is at %d+%d of %d", wrong.Offset, wrong.Length, len(q))
			}
			return
		}
		var b strings.Builder
		for _, s := range parsed.Highlight(q) {
			b.WriteString(s.Text)
		}
		if b.String() != q {
			t.Fatalf("spans of %q are %q", q, b.String())
		}
		r, err := o.Query(t.Context(), 1, q, Options{Rank: len(q)%2 == 0})
		if err != nil && !errors.As(err, &wrong) {
			t.Fatalf("the engine refuses %q: %v", q, err)
		}
		if r != nil && (len(r.Hits) > 0 || r.Total > 0) {
			t.Fatalf("%q finds what another account holds", q)
		}
	})
}

func FuzzExcerpt(f *testing.F) {
	f.Add("budget", "The  budget\n\nof "+strings.Repeat("many words ", 40))
	f.Add("هيلاري", strings.Repeat("كلمات ", 60)+"هيلارى\u200f budget "+strings.Repeat("x", 400))
	f.Fuzz(func(t *testing.T, query, s string) {
		q, err := Parse(query)
		if err != nil || !utf8.ValidString(s) {
			return
		}
		n := 0
		for _, span := range newMarker(q).excerpt(s) {
			n += utf8.RuneCountInString(span.Text)
			if span.Text == "" || !utf8.ValidString(span.Text) {
				t.Fatalf("span %q", span.Text)
			}
		}
		if n > snippetRunes+4 {
			t.Fatalf("%d characters", n)
		}
	})
}

// What the guide for people shows must work.
func TestGuide(t *testing.T) {
	b, err := os.ReadFile("../../docs/search.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := 0
	for line := range strings.Lines(string(b)) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 {
			continue
		}
		for i, example := range strings.Split(cells[1], "`") {
			if i%2 == 0 {
				continue
			}
			examples++
			if _, err := Parse(example); err != nil {
				t.Errorf("%s: %v", example, err)
			}
		}
	}
	if examples < 30 {
		t.Errorf("only %d examples", examples)
	}
}
