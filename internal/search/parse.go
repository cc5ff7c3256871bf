package search

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// parser reads a query from left to right, once.
//
//	all    = any { any }              one beside the other: both must hold
//	any    = both { "OR" both }
//	both   = one { "AND" one }
//	one    = ["-" | "NOT"] operand
//	operand = "(" all ")" | FIELD ":" operand | "PHRASE" | WORD | WORD*
type parser struct {
	query           string
	pos             int
	depth           int
	words, prefixes int
}

// Parse reads a query. Its error is a *QueryError.
func Parse(q string) (*Query, error) {
	if len(q) > maxQuery {
		return nil, &QueryError{Offset: maxQuery, Length: len(q) - maxQuery, Code: CodeLong}
	}
	p := &parser{query: q}
	root, err := p.all(fieldAny)
	if err == nil && p.pos < len(q) { // Only a parenthesis stops the outermost.
		err = p.wrong(p.pos, 1, CodeParen)
	}
	if err == nil && root == nil {
		err = p.wrong(0, len(q), CodeEmpty)
	}
	if err != nil {
		return nil, err
	}
	return &Query{root: root.push(false), text: q}, nil
}

// wrong returns an error, typed as one so that nil stays nil.
func (p *parser) wrong(offset, length int, code string) error {
	e := &QueryError{Offset: offset, Length: length, Code: code}
	switch code {
	case CodeDate, CodeSize, CodeHas, CodeIs, CodePrefix:
		e.Arg = p.query[offset : offset+length]
	}
	return e
}

// all reads up to the end or a closing parenthesis. It returns nil when there
// was nothing but punctuation.
func (p *parser) all(f field) (*node, error) {
	var kids []*node
	for {
		p.space()
		if p.pos == len(p.query) || p.query[p.pos] == ')' {
			return join(opAnd, kids), nil
		}
		n, err := p.any(f)
		if err != nil {
			return nil, err
		}
		if n != nil {
			kids = append(kids, n)
		}
	}
}

func (p *parser) any(f field) (*node, error)  { return p.chain(opOr, "OR", f, p.both) }
func (p *parser) both(f field) (*node, error) { return p.chain(opAnd, "AND", f, p.one) }

// chain reads operands with an operator between them.
func (p *parser) chain(o op, operator string, f field, operand func(field) (*node, error)) (*node, error) {
	var kids []*node
	for {
		n, err := operand(f)
		if err != nil {
			return nil, err
		}
		if n != nil {
			kids = append(kids, n)
		}
		if p.space(); !p.keyword(operator) {
			return join(o, kids), nil
		}
		at := p.pos
		p.pos += len(operator)
		if p.nothing() {
			return nil, p.wrong(at, len(operator), CodeEmpty)
		}
	}
}

func join(o op, kids []*node) *node {
	switch len(kids) {
	case 0:
		return nil
	case 1:
		return kids[0]
	}
	return &node{op: o, kids: kids}
}

// one reads an operand and what negates it.
func (p *parser) one(f field) (*node, error) {
	p.space()
	start, length := p.pos, 0
	switch rest := p.query[p.pos:]; {
	case p.keyword("NOT"):
		length = len("NOT")
	case len(rest) > 1 && rest[0] == '-' && !isSpace(rest[1:]) && rest[1] != '-':
		length = 1
	case p.keyword("OR"), p.keyword("AND"):
		return nil, p.wrong(start, len(p.word()), CodeEmpty)
	default:
		return p.operand(f)
	}
	p.pos += length
	if p.nothing() {
		return nil, p.wrong(start, length, CodeEmpty)
	}
	n, err := p.deeper(start, length, func() (*node, error) { return p.one(f) })
	if n == nil || err != nil {
		return nil, err
	}
	return &node{op: opNot, kids: []*node{n}}, nil
}

// deeper calls read one level deeper.
func (p *parser) deeper(offset, length int, read func() (*node, error)) (*node, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, p.wrong(offset, length, CodeDeep)
	}
	defer func() { p.depth-- }()
	return read()
}

func (p *parser) operand(f field) (*node, error) {
	start := p.pos
	if p.query[start] == '(' {
		return p.deeper(start, 1, func() (*node, error) { return p.group(f) })
	}
	if p.query[start] == ')' {
		return nil, p.wrong(start, 1, CodeParen)
	}
	if open, closing := quoteAt(p.query[start:]); open > 0 {
		phrase, err := p.quoted(open, closing)
		if err != nil {
			return nil, err
		}
		return p.counted(start, phraseNode(f, phrase))
	}
	if name, length := p.fieldName(); length > 0 {
		p.pos += length
		return p.deeper(start, length, func() (*node, error) { return p.inField(name, start, length) })
	}
	word := p.word()
	p.pos += len(word)
	if begin, ok := strings.CutSuffix(word, "*"); ok && !strings.HasSuffix(begin, "*") {
		return p.prefix(f, start, begin)
	}
	return p.counted(start, wordNode(f, word))
}

func (p *parser) prefix(f field, start int, begin string) (*node, error) {
	n := prefixNode(f, begin)
	if n == nil {
		return nil, nil
	}
	terms := n.needles[0].terms
	if utf8.RuneCountInString(terms[len(terms)-1]) < minPrefix {
		return nil, p.wrong(start, p.pos-start, CodePrefix)
	}
	if p.prefixes++; p.prefixes > maxPrefixes {
		return nil, p.wrong(start, p.pos-start, CodeMany)
	}
	return p.counted(start, n)
}

// counted returns n, which was read from start, unless it is a word too many.
func (p *parser) counted(start int, n *node) (*node, error) {
	if n == nil {
		return nil, nil
	}
	for _, needle := range n.needles {
		p.words += len(needle.terms)
	}
	if p.words > maxWords {
		return nil, p.wrong(start, p.pos-start, CodeMany)
	}
	return n, nil
}

func (p *parser) group(f field) (*node, error) {
	start := p.pos
	p.pos++
	n, err := p.all(f)
	if err != nil {
		return nil, err
	}
	if p.pos == len(p.query) {
		return nil, p.wrong(start, 1, CodeParen)
	}
	p.pos++
	if n == nil {
		return nil, p.wrong(start, p.pos-start, CodeEmpty)
	}
	return n, nil
}

// inField reads what stands after the name of a field, which is at start.
func (p *parser) inField(f field, start, length int) (*node, error) {
	if p.nothing() {
		return nil, p.wrong(start, length, CodeEmpty)
	}
	at := p.pos
	var n *node
	var err error
	if takesWords(f) {
		n, err = p.operand(f)
	} else {
		n, err = p.value(f)
	}
	if err == nil && n == nil {
		return nil, p.wrong(start, max(p.pos, at)-start, CodeEmpty)
	}
	return n, err
}

// fieldName reads the name of a field with its colon, without moving.
func (p *parser) fieldName() (field, int) {
	rest := p.query[p.pos:]
	colon := strings.IndexByte(rest[:min(len(rest), 32)], ':')
	if colon <= 0 {
		return 0, 0
	}
	f, ok := fieldNames[foldName(rest[:colon])]
	if !ok {
		return 0, 0
	}
	return f, colon + 1
}

// quoted reads a phrase between quotation marks.
func (p *parser) quoted(open int, closing string) (string, error) {
	start := p.pos
	rest := p.query[start+open:]
	end := strings.Index(rest, closing)
	if end < 0 {
		return "", p.wrong(start, open, CodeQuote)
	}
	p.pos = start + open + end + len(closing)
	return rest[:end], nil
}

// quoteAt returns the length of the quotation mark that s begins with, 0 if
// none, and the one that closes it.
func quoteAt(s string) (open int, closing string) {
	for _, q := range [...][2]string{{`"`, `"`}, {"“", "”"}, {"«", "»"}} {
		if strings.HasPrefix(s, q[0]) {
			return len(q[0]), q[1]
		}
	}
	return 0, ""
}

// word is what stands at pos up to a space, parenthesis or quotation mark. It
// is never empty, so that the parser always moves on.
func (p *parser) word() string {
	rest := p.query[p.pos:]
	for i, r := range rest {
		if i == 0 {
			continue
		}
		if open, _ := quoteAt(rest[i:]); open > 0 || r == '(' || r == ')' || unicode.IsSpace(r) {
			return rest[:i]
		}
	}
	return rest
}

// keyword tells whether the operator stands at pos as a word of its own.
func (p *parser) keyword(operator string) bool {
	rest, ok := strings.CutPrefix(p.query[p.pos:], operator)
	return ok && (rest == "" || rest[0] == '(' || rest[0] == ')' || isSpace(rest))
}

// nothing skips space and tells whether no operand can follow.
func (p *parser) nothing() bool {
	p.space()
	return p.pos == len(p.query) || p.query[p.pos] == ')' || p.keyword("OR") || p.keyword("AND")
}

func (p *parser) space() {
	p.pos = len(p.query) - len(strings.TrimLeftFunc(p.query[p.pos:], unicode.IsSpace))
}

func isSpace(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return unicode.IsSpace(r)
}
