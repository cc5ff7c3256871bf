package search

import (
	"fmt"
	"slices"
	"strings"

	"sijill/internal/text"
)

// Bounds on a query. They keep what one person asks from slowing the others.
const (
	maxQuery    = 4 << 10 // bytes
	maxDepth    = 50      // parentheses and negations within each other
	maxWords    = 200
	maxPrefixes = 8 // Each walks over all terms that begin so.
	minPrefix   = 2 // characters
)

// What can be wrong with a query: the codes of QueryError.
const (
	CodeLong   = "long"   // more than 4 KiB
	CodeDeep   = "deep"   // more than 50 parentheses or negations within each other
	CodeMany   = "many"   // more than 200 words, or 8 words that end in *
	CodeEmpty  = "empty"  // nothing to look for: after a field, an operator, in parentheses or at all
	CodeQuote  = "quote"  // a quotation mark without its partner
	CodeParen  = "paren"  // a parenthesis without its partner
	CodeDate   = "date"   // not a date
	CodeSize   = "size"   // not a size
	CodeHas    = "has"    // has: knows attachment only
	CodeIs     = "is"     // is: knows unread, read, flagged, answered and draft only
	CodeFolder = "folder" // in: names no folder of the account
	CodePrefix = "prefix" // a word that ends in * begins with fewer than 2 characters
)

// QueryError says where and how a query is wrong.
type QueryError struct {
	Offset, Length int    // The bytes of the query that are wrong.
	Code           string // One of the Code constants.
	Arg            string // The part of the query that is wrong, where it is a value.
}

// Error names the place and the code, not the words.
func (e *QueryError) Error() string {
	return fmt.Sprintf("the query is wrong at byte %d (%s)", e.Offset, e.Code)
}

// Query is a parsed query. It is safe for concurrent use.
type Query struct {
	root *node
	text string
}

// op is what a node does.
type op uint8

const (
	opAnd op = iota
	opOr
	opNot
	opWords
	opAttachment
	opFolder
	opFlag
	opDate
	opSize
)

// node is a part of a query.
type node struct {
	op   op
	kids []*node // opAnd, opOr; opNot has one, a leaf

	field   field    // opWords
	needles []needle // opWords: any of them will do.

	name           string // opFolder
	offset, length int    // opFolder: where the name is.
	folders        []any  // opFolder: the ids of those that are meant, none where it is one of another class.

	flag flag // opFlag

	dates dateRange // opDate
	size  sizeRange // opSize
}

// push moves negation down to the leaves (De Morgan), so that opNot is only
// ever around one.
func (n *node) push(negated bool) *node {
	switch {
	case n.op == opNot:
		return n.kids[0].push(!negated)
	case len(n.kids) == 0:
		if negated {
			return &node{op: opNot, kids: []*node{n}}
		}
		return n
	}
	out := &node{op: n.op}
	if negated {
		out.op = opAnd + opOr - n.op
	}
	for _, kid := range n.kids {
		out.kids = append(out.kids, kid.push(negated))
	}
	return out
}

// depth is how many levels are below n.
func (n *node) depth() (levels int) {
	for _, kid := range n.kids {
		levels = max(levels, 1+kid.depth())
	}
	return levels
}

// needle is a sequence of terms. Where prefix is set, the last is only how a
// term begins.
type needle struct {
	terms  []string
	prefix bool
}

// field is what a word is looked for in.
type field uint8

const (
	fieldAny field = iota
	fieldFrom
	fieldTo
	fieldCc
	fieldSubject
	fieldFilename
	fieldBody
	// The fields below don't take words.
	fieldHas
	fieldIs
	fieldIn
	fieldBefore
	fieldAfter
	fieldOn
	fieldLarger
	fieldSmaller
)

// fieldNames has the names of fields in both languages, as text.Prefix folds
// them: alef is bare and ya has its dots.
var fieldNames = map[string]field{
	"from": fieldFrom, "من": fieldFrom,
	"to": fieldTo, "الي": fieldTo,
	"cc": fieldCc, "نسخه": fieldCc,
	"subject": fieldSubject, "موضوع": fieldSubject, "الموضوع": fieldSubject,
	"filename": fieldFilename, "ملف": fieldFilename,
	"body": fieldBody, "نص": fieldBody,
	"is": fieldIs, "حاله": fieldIs, "حالتها": fieldIs,
	"has": fieldHas, "فيها": fieldHas, "فيه": fieldHas,
	"in": fieldIn, "مجلد": fieldIn,
	"before": fieldBefore, "قبل": fieldBefore,
	"after": fieldAfter, "بعد": fieldAfter,
	"on": fieldOn, "يوم": fieldOn,
	"larger": fieldLarger, "اكبر": fieldLarger,
	"smaller": fieldSmaller, "اصغر": fieldSmaller,
}

func takesWords(f field) bool { return f < fieldHas }

// wordNode makes the node of one word as it was typed, or nil when there is
// nothing in it to look for. A word that the index has as several (a.b-c) is a
// phrase.
func wordNode(f field, word string) *node {
	tokens := words().Tokens(nil, word)
	if len(tokens) == 0 {
		return nil
	}
	n := &node{op: opWords, field: f}
	last := tokens[len(tokens)-1]
	switch {
	case len(tokens) > 1 && strings.Contains(last.Term, "@") && last.Start == tokens[0].Start:
		n.needles = []needle{{terms: []string{last.Term}}} // The whole address says it all.
	default:
		n.needles = []needle{{terms: termList(tokens)}}
	}
	return n
}

// prefixNode is wordNode for a word that was typed with a * at its end.
func prefixNode(f field, word string) *node {
	n := wordNode(f, word)
	if n == nil {
		return nil
	}
	exact := n.needles[0]
	tokens := words().Tokens(nil, word)
	last := tokens[len(tokens)-1]
	begin := words().Prefix(word[last.Start:last.End])
	if len(exact.terms) == 1 && len(tokens) > 1 {
		begin = last.Term // A whole address isn't stemmed.
	}
	if begin == "" {
		return n
	}
	terms := append(append([]string{}, exact.terms[:len(exact.terms)-1]...), begin)
	n.needles = []needle{{terms: terms, prefix: true}}
	for _, stem := range shorterStems(begin) {
		terms := append(append([]string{}, exact.terms[:len(exact.terms)-1]...), stem)
		n.needles = append(n.needles, needle{terms: terms})
	}
	return n
}

// endings complete the beginning of an English word so that it can be stemmed.
var endings = []string{"", "d", "e", "g", "n", "s", "y", "ed", "er", "es", "ng", "on", "ly", "ing", "ion", "ment"}

// shorterStems are stems of words that begin with begin and don't themselves:
// runni* must find run, which is how the index has running.
func shorterStems(begin string) (stems []string) {
	for _, ending := range endings {
		stem := words().Terms(begin + ending)
		if !strings.HasPrefix(stem, begin) && !strings.Contains(stem, " ") && !slices.Contains(stems, stem) {
			stems = append(stems, stem)
		}
	}
	return stems
}

func phraseNode(f field, phrase string) *node {
	tokens := words().Tokens(nil, phrase)
	if len(tokens) == 0 {
		return nil
	}
	return &node{op: opWords, field: f, needles: []needle{{terms: termList(tokens)}}}
}

func termList(tokens []text.Token) []string {
	out := make([]string, len(tokens))
	for i, t := range tokens {
		out[i] = t.Term
	}
	return out
}
