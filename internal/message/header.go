package message

import (
	"bytes"
	"strings"
)

// span is a header field while it is being found; offsets into raw.
type span struct{ start, name, nameEnd, value, end int }

// header reads the header section at pos and leaves pos at the body.
func (s *scanner) header(p *Part) {
	p.HeaderStart = s.pos
	s.scratch = s.scratch[:0]
	at := s.pos
	for at < len(s.raw) {
		end := lineEnd(s.raw, at)
		if isBlankLine(s.raw[at:end]) {
			s.keep(p, at)
			p.BodyStart = end
			s.pos = end
			return
		}
		if !s.headerLine(at, end) {
			break
		}
		at = end
	}
	s.keep(p, at)
	p.BodyStart = at
	s.pos = at
	if at < len(s.raw) {
		s.warn("a header runs into its body")
	}
}

// headerLine takes the line at..end into the header; false where the header
// is over.
func (s *scanner) headerLine(at, end int) bool {
	if _, ok := s.delimiterAt(at); ok {
		return false
	}
	if c := s.raw[at]; (c == ' ' || c == '\t') && len(s.scratch) > 0 {
		s.scratch[len(s.scratch)-1].end = end
		return true
	}
	if s.fields+len(s.scratch) >= MaxFields {
		s.warn("too many header fields; the rest was read as text")
		return false
	}
	f := span{start: at, name: at, end: end}
	if at == 0 && bytes.HasPrefix(s.raw, []byte("\xef\xbb\xbf")) {
		f.name = 3
	}
	if n := fieldName(s.raw[f.name:end]); n > 0 {
		f.nameEnd = f.name + n
		f.value = f.nameEnd + bytes.IndexByte(s.raw[f.nameEnd:end], ':') + 1
	} else {
		if !s.junkAllowed(end) {
			return false
		}
		s.warn("a header line is no field")
		f.nameEnd, f.value = f.name, f.name
	}
	if s.scratch == nil {
		s.scratch = make([]span, 0, 32)
	}
	s.scratch = append(s.scratch, f)
	return true
}

// junkAllowed decides whether a line that is no field may stand in the header:
// yes if a field follows, or if the header ends after it. Two such lines in a
// row are a body whose empty line is missing.
func (s *scanner) junkAllowed(next int) bool {
	if next >= len(s.raw) {
		return false
	}
	line := s.raw[next:lineEnd(s.raw, next)]
	if isBlankLine(line) {
		return len(s.scratch) > 0
	}
	return fieldName(line) > 0
}

// keep makes the fields of p from the spans found, its header ending at end.
func (s *scanner) keep(p *Part, end int) {
	s.fields += len(s.scratch)
	if len(s.scratch) == 0 {
		return
	}
	text := string(s.raw[p.HeaderStart:end])
	cut := func(from, to int) string { return text[from-p.HeaderStart : to-p.HeaderStart] }
	p.Header.Fields = make([]Field, len(s.scratch))
	for i, f := range s.scratch {
		p.Header.Fields[i] = Field{
			Name:  cut(f.name, f.nameEnd),
			Start: f.start, Value: f.value, End: f.end,
			raw: strings.TrimRight(cut(f.value, f.end), "\r\n"),
			msg: s.msg,
		}
	}
}

func isBlankLine(line []byte) bool {
	return line[0] == '\n' || line[0] == '\r' && len(line) > 1 && line[1] == '\n'
}

// fieldName returns the length of the field name that the line begins with,
// or 0. Spaces before the colon are obsolete (RFC 5322 section 4.5) but met.
func fieldName(line []byte) int {
	n := 0
	for n < len(line) && line[n] > ' ' && line[n] < 0x7f && line[n] != ':' {
		n++
	}
	for _, c := range line[n:] {
		if c == ':' {
			return n
		}
		if c != ' ' && c != '\t' {
			break
		}
	}
	return 0
}

// Lookup returns the first field of that name, in any case of letters, or nil.
func (h *Header) Lookup(name string) *Field {
	for i := range h.Fields {
		if f := &h.Fields[i]; len(f.Name) == len(name) && strings.EqualFold(f.Name, name) {
			return f
		}
	}
	return nil
}

// All returns the fields of that name in order.
func (h *Header) All(name string) []*Field {
	var all []*Field
	for i := range h.Fields {
		if f := &h.Fields[i]; len(f.Name) == len(name) && strings.EqualFold(f.Name, name) {
			all = append(all, f)
		}
	}
	return all
}

// Get returns the decoded text of the first field of that name, or "".
func (h *Header) Get(name string) string {
	if f := h.Lookup(name); f != nil {
		return f.Text()
	}
	return ""
}

// Values returns the decoded texts of all fields of that name.
func (h *Header) Values(name string) []string {
	var all []string
	for _, f := range h.All(name) {
		all = append(all, f.Text())
	}
	return all
}

// Raw returns the value as it was written, folds included, without the last
// line ending. It may hold any bytes.
func (f *Field) Raw() string { return f.raw }

// Text returns the value unfolded and decoded: encoded words (RFC 2047) and
// raw 8-bit bytes become UTF-8, control characters are dropped.
func (f *Field) Text() string {
	return DecodeWords(f.unfolded())
}

// unfolded is the value on one line, in UTF-8, encoded words left as they are.
func (f *Field) unfolded() string {
	v := strings.Trim(f.raw, " \t\r\n")
	if strings.IndexByte(v, '\n') >= 0 {
		v = unfold(v)
	}
	if !isASCII(v) {
		v = guess(v, f.msg.charset)
	}
	return v
}

// unfold joins folded lines (RFC 5322 section 2.2.3).
func unfold(v string) string {
	out := make([]byte, 0, len(v))
	for i := range len(v) {
		if c := v[i]; c != '\r' && c != '\n' {
			out = append(out, c)
		} else if c == '\n' && i+1 < len(v) && v[i+1] != ' ' && v[i+1] != '\t' {
			out = append(out, ' ') // a line that should have been folded
		}
	}
	return string(out)
}

func isASCII[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// clean makes any text fit to be shown on one line: valid UTF-8 without
// control characters.
func clean(s string) string {
	i := 0
	for i < len(s) && s[i] >= ' ' && s[i] < 0x7f {
		i++
	}
	if i == len(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			return ' '
		case r < ' ' || r >= 0x7f && r < 0xa0:
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
}
