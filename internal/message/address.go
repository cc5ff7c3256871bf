package message

import (
	"slices"
	"strings"
)

// String returns the address for people to read: Name <local@domain>.
func (a Address) String() string {
	switch {
	case a.Name == "":
		return a.Addr
	case a.Addr == "":
		return a.Name
	}
	return a.Name + " <" + a.Addr + ">"
}

// ParseAddresses reads an address list (RFC 5322 section 3.4 with its obsolete
// forms) as far as it can be told apart: groups give their members, comments
// stand in for missing names, "Doe, John <j@example>" is one address though
// its comma should be quoted, and a name alone gives an Address without Addr.
// It gives at most MaxAddresses.
func ParseAddresses(s string) []Address {
	if !isASCII(s) {
		s = guess(s, "")
	}
	p := addresses{words: words{s: s}}
	p.list()
	return p.out
}

// addresses reads one list. The phrase, the comment and the angle are of the
// address being read.
type addresses struct {
	words        // finds encoded words, in which commas and quotes mean nothing
	out          []Address
	phrase       []byte
	at           bool // the phrase has an @
	quoted       bool // the phrase has a quoted part
	comment      string
	angle        string
	hasAngle     bool
	angleAt      int    // how long the phrase was then
	held         string // a name without address before a comma, perhaps half of one
	angleEnd     int    // where the next > was found
	commentsOpen bool   // no comment closes any more
	quotesOpen   bool   // no quote closes any more
	inner        bool   // already inside of an encoded list
}

func (p *addresses) list() {
	for p.pos < len(p.s) && len(p.out) < MaxAddresses {
		switch c := p.s[p.pos]; c {
		case '"':
			p.quotedString()
		case '(':
			p.readComment()
		case '<':
			p.readAngle()
		case ',', ';':
			p.pos++
			p.finish(c == ',')
		case ':':
			p.pos++
			p.colon()
		case '=':
			p.word()
		default:
			end := p.pos + 1
			for end < len(p.s) && !strings.ContainsRune("\"(<,;:=", rune(p.s[end])) {
				end++
			}
			p.add(p.s[p.pos:end])
			p.pos = end
		}
	}
	p.finish(false)
}

// word copies an encoded word whole.
func (p *addresses) word() {
	end := p.pos + 1
	if strings.HasPrefix(p.s[p.pos:], "=?") {
		if w, ok := p.words.word(p.pos); ok {
			end = w.end
		}
	}
	p.add(p.s[p.pos:end])
	p.pos = end
}

// colon ends the name of a group, which is dropped, or the mailto: of a link.
// Elsewhere it is part of a name or address.
func (p *addresses) colon() {
	if p.hasAngle || p.at {
		p.add(":")
		return
	}
	p.phrase = p.phrase[:0]
	p.release()
}

func (p *addresses) add(s string) {
	p.phrase = append(p.phrase, s...)
	p.at = p.at || strings.IndexByte(s, '@') >= 0
}

func (p *addresses) quotedString() {
	if !p.quotesOpen {
		for i := p.pos + 1; i < len(p.s); i++ {
			switch p.s[i] {
			case '\\':
				i++
			case '"':
				p.takeQuoted(p.s[p.pos:i+1], strings.HasPrefix(p.s[i+1:], "@"))
				p.pos = i + 1
				return
			}
		}
		p.quotesOpen = true
	}
	p.pos++ // a quote that nothing closes
}

// takeQuoted takes a quoted string: as it is in a local part, else its text.
func (p *addresses) takeQuoted(q string, local bool) {
	if local {
		p.add(q)
		return
	}
	p.quoted = true
	for i := 1; i < len(q)-1; i++ {
		if q[i] == '\\' && i+1 < len(q)-1 {
			i++
		}
		p.add(q[i : i+1])
	}
}

func (p *addresses) readComment() {
	depth := 0
	for i := p.pos; i < len(p.s) && !p.commentsOpen; i++ {
		switch p.s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				p.comment = p.s[p.pos+1 : i]
				p.add(" ")
				p.pos = i + 1
				return
			}
		}
	}
	p.commentsOpen = true
	p.add("(")
	p.pos++
}

// readAngle reads <address>. Where the bracket is not closed before the next
// opens, the address ends at a comma or there.
func (p *addresses) readAngle() {
	from := p.pos + 1
	if p.angleEnd < from {
		p.angleEnd = len(p.s)
		if i := strings.IndexByte(p.s[from:], '>'); i >= 0 {
			p.angleEnd = from + i
		}
	}
	switch {
	case !p.hasAngle:
	case strings.IndexByte(p.angle, '@') < 0:
		p.phrase = slices.Insert(p.phrase, p.angleAt, []byte(p.angle)...) // John <the boss> Doe <john@example>
	default: // the comma is missing
		rest := string(p.phrase[p.angleAt:])
		p.phrase = p.phrase[:p.angleAt]
		p.finish(true)
		p.add(rest)
	}
	for from < p.angleEnd && p.s[from] == '<' {
		from++
	}
	inside := p.s[from:p.angleEnd]
	end := p.angleEnd
	if next := strings.IndexByte(inside, '<'); next >= 0 || end == len(p.s) {
		if next >= 0 {
			inside = inside[:next]
		}
		if i := strings.IndexAny(inside, ",;"); i >= 0 {
			inside = inside[:i]
		}
		end = from + len(inside)
	}
	p.angle, p.hasAngle, p.angleAt = inside, true, len(p.phrase)
	p.pos = end
	for p.pos < len(p.s) && p.s[p.pos] == '>' {
		p.pos++
	}
}

// finish makes an address of what was read since the last comma.
func (p *addresses) finish(comma bool) {
	phrase := strings.TrimSpace(string(p.phrase))
	switch {
	case p.hasAngle:
		p.finishAngle(phrase)
	case p.finishEncoded(phrase):
	case p.at:
		p.release()
		p.finishBare(phrase)
	case phrase != "":
		p.finishName(phrase, comma)
	}
	if !comma {
		p.release()
	}
	p.phrase, p.at, p.quoted, p.comment = p.phrase[:0], false, false, ""
	p.angle, p.hasAngle = "", false
}

func (p *addresses) finishAngle(phrase string) {
	if p.held != "" && !p.quoted && phrase != "" {
		phrase = p.held + ", " + phrase
		p.held = ""
	}
	p.release()
	if phrase == "" {
		phrase = p.comment
	}
	p.emit(tidyName(phrase), tidyAddr(p.angle))
}

// finishBare reads addresses without brackets, with a name beside if there is
// just one.
func (p *addresses) finishBare(phrase string) {
	if strings.HasPrefix(phrase, `"`) {
		p.emit(tidyName(p.comment), tidyAddr(phrase)) // a quoted local part may hold spaces
		return
	}
	phrase = spacedMarks.Replace(collapse(phrase))
	var name, addrs []string
	for w := range strings.FieldsSeq(phrase) {
		if strings.IndexByte(w, '@') >= 0 {
			addrs = append(addrs, w)
		} else {
			name = append(name, w)
		}
	}
	label := strings.Join(name, " ")
	if label == "" {
		label = p.comment
	}
	for _, a := range addrs {
		p.emit(tidyName(label), tidyAddr(a))
		label = ""
	}
}

// spacedMarks closes the gaps that RFC 5322 section 4.4 allowed in addresses.
var spacedMarks = strings.NewReplacer(" @ ", "@", " @", "@", "@ ", "@", " . ", ".")

// finishEncoded reads addresses that were put into encoded words, against RFC
// 2047 section 5, brackets and all.
func (p *addresses) finishEncoded(phrase string) bool {
	if p.inner || !strings.Contains(phrase, "=?") {
		return false
	}
	text := DecodeWords(phrase)
	if strings.IndexByte(text, '@') < 0 {
		return false
	}
	p.release()
	inner := addresses{words: words{s: text}, inner: true}
	inner.list()
	for _, a := range inner.out {
		p.emit(a.Name, a.Addr)
	}
	return true
}

// finishName handles a name without an address. Before a comma it may be half
// of a name.
func (p *addresses) finishName(phrase string, comma bool) {
	p.release()
	name := tidyName(phrase)
	if comma && !p.quoted {
		p.held = name
		return
	}
	p.emit(name, "")
}

// release gives up waiting for the other half of a name.
func (p *addresses) release() {
	if p.held != "" {
		p.emit(p.held, "")
		p.held = ""
	}
}

func (p *addresses) emit(name, addr string) {
	if name != "" || addr != "" {
		p.out = append(p.out, Address{Name: name, Addr: addr})
	}
}

// tidyName decodes a display name and takes off the quotes around all of it.
func tidyName(s string) string {
	s = DecodeWords(s)
	s = collapse(s)
	for len(s) >= 2 && (s[0] == '\'' || s[0] == '"') && s[len(s)-1] == s[0] {
		s = strings.TrimSpace(s[1 : len(s)-1])
	}
	return s
}

// tidyAddr takes off what is not address: a source route (RFC 5322 section
// 4.4), comments, mailto:, spaces and stray quotes.
func tidyAddr(s string) string {
	s = strings.TrimSpace(s)
	if strings.IndexByte(s, '(') >= 0 {
		s = stripComments(s)
	}
	if strings.HasPrefix(s, "@") {
		s = s[strings.LastIndexByte(s, ':')+1:]
	}
	if len(s) > 7 && strings.EqualFold(s[:7], "mailto:") {
		s = s[7:]
	}
	if strings.HasPrefix(s, "=?") {
		s = DecodeWords(s)
	}
	if !strings.HasPrefix(s, `"`) && strings.ContainsAny(s, " \t") {
		s = strings.Join(strings.Fields(s), "")
	}
	if !strings.Contains(s, `"@`) {
		s = strings.Trim(s, `"'<>`)
	}
	return clean(strings.TrimSpace(s))
}

// collapse turns every run of spaces into one and trims the ends.
func collapse(s string) string {
	if s == "" || s[0] != ' ' && s[len(s)-1] != ' ' && !strings.Contains(s, "  ") && !strings.Contains(s, "\u00a0") {
		return s
	}
	return strings.Join(strings.Fields(s), " ")
}
