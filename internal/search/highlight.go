package search

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"sijill/internal/text"
)

// Span is a piece of text; Hit says that the query looks for it.
type Span struct {
	Text string
	Hit  bool
}

// mark is a place that the query looks for, with the needle that found it.
type mark struct{ start, end, needle int }

// marker finds the places in texts that a query looks for.
type marker struct {
	needles  []needle
	byFirst  map[string][]int // Needles by their first term,
	prefixes []int            // but those of one term that is a prefix.
}

// newMarker takes the words that q wants anywhere or in the subject: those of
// other fields are seen elsewhere.
func newMarker(q *Query) *marker {
	m := &marker{byFirst: map[string][]int{}}
	m.add(q.root)
	for i, n := range m.needles {
		if n.prefix && len(n.terms) == 1 {
			m.prefixes = append(m.prefixes, i)
		} else {
			m.byFirst[n.terms[0]] = append(m.byFirst[n.terms[0]], i)
		}
	}
	return m
}

func (m *marker) add(n *node) {
	switch n.op {
	case opWords:
		if n.field == fieldAny || n.field == fieldSubject {
			m.needles = append(m.needles, n.needles...)
		}
	case opAnd, opOr:
		for _, kid := range n.kids {
			m.add(kid)
		}
	}
}

// find returns the marks in tokens by their start.
func (m *marker) find(tokens []text.Token) []mark {
	var marks []mark
	for i, t := range tokens {
		for _, n := range m.byFirst[t.Term] {
			if count := len(m.needles[n].terms); i+count <= len(tokens) && m.needles[n].matches(tokens[i:i+count]) {
				marks = append(marks, mark{t.Start, reach(tokens[i : i+count]), n})
			}
		}
		for _, n := range m.prefixes {
			if strings.HasPrefix(t.Term, m.needles[n].terms[0]) {
				marks = append(marks, mark{t.Start, t.End, n})
			}
		}
	}
	// A whole address comes after its parts, and begins before them.
	slices.SortFunc(marks, func(a, b mark) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(b.end, a.end))
	})
	return marks
}

func reach(tokens []text.Token) (end int) {
	for _, t := range tokens {
		end = max(end, t.End)
	}
	return end
}

// matches tells whether tokens, as many as n has terms, are what n looks for.
func (n *needle) matches(tokens []text.Token) bool {
	last := len(tokens) - 1
	for i, t := range tokens {
		if t.Term != n.terms[i] && !(n.prefix && i == last && strings.HasPrefix(t.Term, n.terms[i])) {
			return false
		}
	}
	return true
}

// spans cuts s at its marks, each byte once.
func spans(s string, marks []mark) []Span {
	var out []Span
	at := 0
	for _, m := range marks {
		start := max(m.start, at)
		if start >= m.end {
			continue
		}
		if start > at {
			out = append(out, Span{Text: s[at:start]})
		}
		if n := len(out); n > 0 && out[n-1].Hit { // Overlapping marks are one.
			out[n-1].Text += s[start:m.end]
		} else {
			out = append(out, Span{Text: s[start:m.end], Hit: true})
		}
		at = m.end
	}
	if at < len(s) {
		out = append(out, Span{Text: s[at:]})
	}
	return out
}

// tokenBuffers keep the words of long texts from being allocated anew.
var tokenBuffers = sync.Pool{New: func() any { return new([]text.Token) }}

// Highlight cuts s into spans that together are s, and says which of them the
// query looks for. Marks are around whole words, so that no letters that join
// are torn apart.
func (q *Query) Highlight(s string) []Span {
	buffer := tokenBuffers.Get().(*[]text.Token)
	defer tokenBuffers.Put(buffer)
	*buffer = words().Tokens((*buffer)[:0], s)
	return spans(s, newMarker(q).find(*buffer))
}
