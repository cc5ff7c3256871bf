// Package text makes the words of Arabic and English text, for an index and
// for queries alike.
//
// It promises that spellings people don't tell apart give the same term
// (هيلارى and هيلاري, CAFÉ and cafe, ١٢٣ and 123, tashkeel or none), that forms
// of a word usually do (stemming), that a term is at most MaxTerm bytes of
// valid UTF-8 made of letters, digits and, in addresses, ".@_+-", and that the
// work is linear in the text. Documents and queries must go through the same
// Version, or they don't meet.
package text

import (
	"strings"
)

// Version changes whenever the same text gives other terms: an index that was
// built with another version must be rebuilt.
const Version = 1

// MaxTerm is the length of the longest term in bytes; longer words are cut.
const MaxTerm = 64

// Token is one term and where it came from.
type Token struct {
	Term       string
	Start, End int // Byte offsets of the word in the text.
}

// Analyzer turns text into terms. It remembers words it has met, up to a fixed
// number, and is safe for concurrent use.
type Analyzer struct {
	memory memory
}

// New makes an Analyzer; it holds some 10 MB once it has met many words.
func New() *Analyzer { return &Analyzer{memory: newMemory()} }

// Tokens appends the terms of s to dst, in order. An address gives its parts
// and then the whole of it, which overlaps them.
func (a *Analyzer) Tokens(dst []Token, s string) []Token {
	sc := scanner{text: s}
	for sc.next() {
		term := a.term(&sc)
		for term != "" { // A ligature such as ﷺ stands for several words.
			var one string
			one, term, _ = strings.Cut(term, " ")
			dst = append(dst, Token{Term: one, Start: sc.start, End: sc.end})
		}
	}
	return dst
}

// Append appends the terms of s to dst, each followed by a space.
func (a *Analyzer) Append(dst []byte, s string) []byte {
	sc := scanner{text: s}
	for sc.next() {
		if sc.kind == address {
			dst = append(append(dst, sc.word()...), ' ')
		} else if e := a.entry(&sc); e.term != "" {
			dst = append(e.append(dst), ' ')
		}
	}
	return dst
}

// Terms returns the terms of s, separated by spaces.
func (a *Analyzer) Terms(s string) string {
	return strings.TrimSuffix(string(a.Append(nil, s)), " ")
}

// Prefix returns what the terms of words that begin with s begin with: s
// normalised but not stemmed. It is empty unless s is one word.
func (a *Analyzer) Prefix(s string) string {
	sc := scanner{text: s}
	if !sc.next() {
		return ""
	}
	p := string(sc.word())
	if sc.kind == foreign {
		p = normalise(p)
		if isArabic(p) {
			p = stripPrefix(p)
		}
	}
	if sc.next() || strings.Contains(p, " ") {
		return ""
	}
	return cut(p)
}

// term is the term of the word the scanner stands at. It may be empty, or
// several terms separated by spaces.
func (a *Analyzer) term(sc *scanner) string {
	if sc.kind == address {
		return string(sc.word())
	}
	return a.entry(sc).term
}

// entry is the word the scanner stands at, which isn't an address.
func (a *Analyzer) entry(sc *scanner) *entry {
	slot := a.memory.slot(sc.hash)
	if e := slot.Load(); e != nil && e.is(sc.word()) {
		return e
	}
	e := newEntry(sc.word(), sc.kind)
	slot.Store(e)
	return e
}

func stem(w string, k kind) string {
	switch k {
	case plain:
		return english(w)
	case foreign:
		return cut(foreignTerms(w))
	}
	return w
}
