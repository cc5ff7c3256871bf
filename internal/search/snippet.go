package search

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"sijill/internal/text"
)

const (
	snippetRunes   = 160
	snippetBefore  = 40       // How much of a snippet stands before its first mark.
	snippetMarks   = 1000     // How many marks of one text are looked at.
	snippetBegin   = 64 << 10 // bytes
	snippetWorkers = 2
)

// snippets opens the messages of hits and shows the words in context.
func (s *Search) snippets(ctx context.Context, q *Query, hits []Hit) error {
	m := newMarker(q)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(snippetWorkers)
	for i := range hits {
		g.Go(func() (err error) {
			hits[i].Snippet, err = s.snippet(ctx, m, &hits[i])
			return err
		})
	}
	return g.Wait()
}

// snippet shows the best place of a hit's text. A hit of which no words are
// looked for, or that can't be opened any more, shows its first words, which
// the mailbox keeps.
func (s *Search) snippet(ctx context.Context, m *marker, h *Hit) ([]Span, error) {
	if len(m.needles) == 0 {
		return m.excerpt(h.Row.Snippet), nil
	}
	it, err := s.open(ctx, h.Entry)
	if err == nil {
		p, e := it.Parsed()
		if err = e; err == nil {
			return m.excerpt(p.Text()), nil
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return m.excerpt(h.Row.Snippet), nil
	}
	return nil, err
}

// excerpt is the best place of s: of its beginning, unless nothing is found
// there.
func (m *marker) excerpt(s string) []Span {
	buffer := tokenBuffers.Get().(*[]text.Token)
	defer tokenBuffers.Put(buffer)
	begin := s
	if len(s) > snippetBegin {
		begin = s[:snippetBegin+strings.IndexFunc(s[snippetBegin:], isBlank)+1]
	}
	*buffer = words().Tokens((*buffer)[:0], begin)
	marks := m.find(*buffer)
	if len(marks) == 0 && len(begin) < len(s) {
		*buffer = words().Tokens((*buffer)[:0], s)
		marks = m.find(*buffer)
	}
	return excerpt(s, *buffer, marks)
}

// excerpt is the part of s with the most different words that are looked for,
// or its beginning, on one line.
func excerpt(s string, tokens []text.Token, marks []mark) []Span {
	start := 0
	if len(marks) > 0 {
		marks = marks[:min(len(marks), snippetMarks)]
		start = lead(s, tokens, marks[bestWindow(s, marks)].start)
	}
	end := trail(s, tokens, start)
	var shown []mark
	for _, m := range marks {
		if m.start >= start && m.start < end {
			shown = append(shown, mark{m.start - start, min(m.end, end) - start, m.needle})
		}
	}
	var line oneLine
	if start > 0 {
		line.add("… ", false)
	}
	for _, span := range spans(s[start:end], shown) {
		line.add(span.Text, span.Hit)
	}
	if end < len(s) {
		line.add(" …", false)
	}
	return line.spans
}

// bestWindow is the first mark of the stretch that has the most different
// needles and, among those, the most marks.
func bestWindow(s string, marks []mark) int {
	at := make([]int, len(marks)) // Where marks begin, in characters from the first.
	for i := 1; i < len(marks); i++ {
		at[i] = at[i-1] + utf8.RuneCountInString(s[marks[i-1].start:marks[i].start])
	}
	best, bestScore, from := 0, 0, 0
	inWindow := map[int]int{}
	for to := range marks {
		inWindow[marks[to].needle]++
		for at[to]-at[from] > snippetRunes-snippetBefore {
			if inWindow[marks[from].needle]--; inWindow[marks[from].needle] == 0 {
				delete(inWindow, marks[from].needle)
			}
			from++
		}
		if score := len(inWindow)<<16 + to - from; score > bestScore {
			best, bestScore = from, score
		}
	}
	return best
}

// lead is where an excerpt begins that has its first mark at start: a little
// before, at the beginning of a word.
func lead(s string, tokens []text.Token, start int) int {
	from := start
	for n := 0; from > 0 && n < snippetBefore; n++ {
		_, size := utf8.DecodeLastRuneInString(s[:from])
		from -= size
	}
	if from == 0 {
		return 0
	}
	for _, t := range tokens {
		if t.Start >= from {
			return min(t.Start, start)
		}
	}
	return start
}

// trail is where an excerpt ends that begins at start: at the end of a word
// unless the text ends first.
func trail(s string, tokens []text.Token, start int) int {
	end, blank := start, false
	for n := 0; end < len(s) && n < snippetRunes; {
		r, size := utf8.DecodeRuneInString(s[end:])
		if b := isBlank(r); !b || !blank { // White space will be one space.
			n++
			blank = b
		}
		end += size
	}
	if end == len(s) {
		return end
	}
	word := start
	for _, t := range tokens {
		if t.Start >= end {
			break
		}
		if t.End <= end {
			word = max(word, t.End)
		}
	}
	if word == start {
		return end
	}
	return word
}

// oneLine puts spans on one line: white space becomes one space, and control
// characters and marks of direction, which would reach beyond the excerpt, are
// left out.
type oneLine struct {
	spans []Span
	blank bool // The line ends with a space.
}

func (l *oneLine) add(s string, hit bool) {
	var b strings.Builder
	for _, r := range s {
		switch {
		case isBlank(r):
			if !l.blank && (len(l.spans) > 0 || b.Len() > 0) {
				b.WriteByte(' ')
			}
			l.blank = true
		case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r):
		default:
			b.WriteRune(r)
			l.blank = false
		}
	}
	if b.Len() > 0 {
		l.spans = append(l.spans, Span{Text: b.String(), Hit: hit})
	}
}

func isBlank(r rune) bool { return unicode.IsSpace(r) || r == '\ufeff' }
