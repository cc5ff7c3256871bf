package message

import (
	"bytes"
	"slices"
	"strings"
)

// Parse reads the structure of a message. It never fails; m.Warnings tells
// what was broken. The message refers to b, which must not change afterwards.
func Parse(b []byte) *Message {
	s := &scanner{raw: b, budget: &budget{decoded: 4 * len(b)}}
	m := s.message(0)
	m.Warnings = s.budget.warnings
	return m
}

// budget is what all scanners of one Parse share.
type budget struct {
	parts, fields int
	decoded       int // bytes of encoded messages that may still be decoded: layers of base64 add up to four times the outermost
	scratch       []span
	warnings      []string
}

func (b *budget) warn(text string) {
	if !slices.Contains(b.warnings, text) {
		b.warnings = append(b.warnings, text)
	}
}

// scanner goes over the bytes once, from front to back. Whatever it looks at
// again is bounded by a constant: the boundaries that are open, one line.
type scanner struct {
	*budget
	raw  []byte
	pos  int
	msg  *Message
	open [][]byte  // boundaries of the multiparts around pos, outermost first
	last delimiter // the one that ended the part read last
}

// delimiter is a boundary line of the multipart open[level], or with level -1
// the end of input.
type delimiter struct {
	start, end int // the line, its line ending included
	level      int
	closing    bool
}

// message reads a message that starts at pos.
func (s *scanner) message(depth int) *Message {
	outer := s.msg
	m := &Message{raw: s.raw, Root: &Part{}}
	s.msg = m
	s.part(m.Root, depth, false)
	s.msg = outer
	m.Header = m.Root.Header
	return m
}

// part reads the part that starts at pos, up to a boundary of an open
// multipart, which it leaves in last.
func (s *scanner) part(p *Part, depth int, digest bool) {
	s.parts++
	p.msg = s.msg
	if s.parts >= MaxParts {
		s.warn("too many parts; the rest was read as text")
		s.open = nil
		p.HeaderStart, p.BodyStart = s.pos, s.pos
		p.Type, p.Subtype, p.Encoding = "text", "plain", "7bit"
		s.leaf(p)
		return
	}
	s.header(p)
	s.describe(p, digest)
	switch {
	case !p.isMultipart() && !p.isMessage():
		s.leaf(p)
	case depth >= MaxDepth:
		s.warn("parts nested too deeply; the rest was read as text")
		s.leaf(p)
	case p.isMultipart():
		s.multipart(p, depth)
	default:
		s.nested(p, depth)
	}
}

func (s *scanner) leaf(p *Part) {
	s.last = s.find(s.pos)
	s.finish(p)
}

// finish ends a part at the last delimiter.
func (s *scanner) finish(p *Part) {
	from := p.BodyStart
	if n := len(p.Children); n > 0 {
		from = p.Children[n-1].End // beyond the line break, if all of it is header
	} else if p.Nested != nil {
		from = p.Nested.Root.End
	}
	p.End = s.contentEnd(s.last, from)
	s.pos = s.last.end
}

// multipart reads the parts of p. A boundary of a multipart further out ends
// it as well as its own closing one.
func (s *scanner) multipart(p *Part, depth int) {
	boundary := s.boundary(p)
	if boundary == "" {
		s.warn("a multipart without a boundary was read as text")
		s.leaf(p)
		return
	}
	level := len(s.open)
	s.open = append(s.open, []byte(boundary))
	s.last = s.find(s.pos)
	for s.last.level == level && !s.last.closing {
		s.pos = s.last.end
		child := &Part{}
		s.part(child, depth+1, p.Subtype == "digest")
		p.Children = append(p.Children, child)
	}
	s.open = s.open[:min(level, len(s.open))]
	if s.last.level == level {
		s.last = s.find(s.last.end) // what follows is the epilogue
	} else {
		s.warn("a multipart is not closed")
	}
	s.finish(p)
}

// nested reads the message in p.
func (s *scanner) nested(p *Part, depth int) {
	if p.Encoding != "base64" && p.Encoding != "quoted-printable" {
		p.Nested = s.message(depth + 1)
		s.finish(p)
		return
	}
	// RFC 2046 section 5.2.1 forbids to encode a message; it is done all the same.
	s.leaf(p)
	if size := p.End - p.BodyStart; size <= s.decoded {
		s.warn("a message inside was encoded")
		s.decoded -= size
		inner := &scanner{raw: p.Decoded(), budget: s.budget}
		p.Nested = inner.message(depth + 1)
	}
}

// find looks for the next delimiter at from, where a line starts, or after.
func (s *scanner) find(from int) delimiter {
	if len(s.open) > 0 {
		for at := from; ; {
			if d, ok := s.delimiterAt(at); ok {
				return d
			}
			next := bytes.Index(s.raw[at:], []byte("\n--"))
			if next < 0 {
				break
			}
			at += next + 1
		}
	}
	return delimiter{start: len(s.raw), end: len(s.raw), level: -1}
}

// delimiterAt tells whether the line at this offset is a delimiter. Inner
// multiparts come first; only whole boundaries count, since one boundary is
// often the beginning of another.
func (s *scanner) delimiterAt(at int) (delimiter, bool) {
	if !bytes.HasPrefix(s.raw[at:], []byte("--")) || len(s.open) == 0 {
		return delimiter{}, false
	}
	end := lineEnd(s.raw, at)
	line := bytes.TrimRight(s.raw[at+2:end], " \t\r\n")
	for level, boundary := range slices.Backward(s.open) {
		rest, ok := bytes.CutPrefix(line, boundary)
		closing := bytes.HasPrefix(rest, []byte("--"))
		if ok && (len(rest) == 0 || closing) {
			return delimiter{start: at, end: end, level: level, closing: closing}, true
		}
	}
	return delimiter{}, false
}

// contentEnd is where content ends before d: the line break before a
// delimiter belongs to the delimiter.
func (s *scanner) contentEnd(d delimiter, from int) int {
	end := max(d.start, from)
	if d.level < 0 {
		return end
	}
	if end > from && s.raw[end-1] == '\n' {
		end--
		if end > from && s.raw[end-1] == '\r' {
			end--
		}
	}
	return end
}

// describe fills in what the header says about the body.
func (s *scanner) describe(p *Part, digest bool) {
	p.Type, p.Subtype, p.Encoding = "text", "plain", "7bit"
	if digest {
		p.Type, p.Subtype = "message", "rfc822" // RFC 2046 section 5.1.5
	}
	if f := p.Header.Lookup("Content-Type"); f != nil {
		s.contentType(p, f)
	}
	if f := p.Header.Lookup("Content-Transfer-Encoding"); f != nil {
		s.encoding(p, f)
	}
	if f := p.Header.Lookup("Content-Disposition"); f != nil {
		p.Disposition, _ = cutValue(f.unfolded())
	}
	if s.msg.charset == "" && p.Type == "text" {
		if charset := foldLabel(p.Charset()); charset != "us-ascii" && lookup(charset) != nil {
			s.msg.charset = charset
		}
	}
}

func (s *scanner) contentType(p *Part, f *Field) {
	value, params := parseParams(f.unfolded())
	p.Params = params
	kind, subtype, _ := strings.Cut(value, "/")
	kind, subtype = strings.TrimSpace(kind), strings.TrimSpace(subtype)
	switch {
	case kind != "" && subtype != "":
		p.Type, p.Subtype = kind, subtype
	case kind == "multipart":
		p.Type, p.Subtype = kind, "mixed"
	case kind != "" && kind != "text":
		// RFC 2045 section 5.2 would have text, which shows binaries as text.
		p.Type, p.Subtype = "application", "octet-stream"
		s.warn("a content type is broken")
	}
}

func (s *scanner) encoding(p *Part, f *Field) {
	value := f.raw
	if strings.ContainsRune(value, '(') {
		value = stripComments(value)
	}
	value = strings.Trim(value, " \t\r\n\";")
	if cut := strings.IndexAny(value, " \t\r\n;,\""); cut >= 0 {
		value = value[:cut]
	}
	if value == "" {
		return
	}
	p.Encoding = clean(strings.ToLower(value))
	switch p.Encoding {
	case "7bit", "8bit", "binary", "base64", "quoted-printable":
	default:
		s.warn("a transfer encoding is unknown")
	}
}

// boundary returns the multipart's boundary. Where the parameter is missing
// it is taken from the body, if that begins with a boundary line that a part's
// header follows.
func (s *scanner) boundary(p *Part) string {
	if b := strings.TrimRight(p.Params.Get("boundary"), " \t"); b != "" {
		return b
	}
	body := bytes.TrimLeft(s.raw[p.BodyStart:min(len(s.raw), p.BodyStart+4096)], "\r\n")
	first, rest, _ := bytes.Cut(body, []byte("\n"))
	first = bytes.TrimRight(first, " \t\r")
	if len(first) > 2 && bytes.HasPrefix(first, []byte("--")) &&
		len(rest) >= 8 && strings.EqualFold(string(rest[:8]), "content-") {
		return string(first[2:])
	}
	return ""
}

// lineEnd returns the offset after the line that starts at this offset.
func lineEnd(b []byte, at int) int {
	if i := bytes.IndexByte(b[at:], '\n'); i >= 0 {
		return at + i + 1
	}
	return len(b)
}
