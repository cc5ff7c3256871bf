package message

import (
	"bytes"
	"cmp"
	"path"
	"slices"
	"strconv"
	"strings"
)

// maxPieces bounds the parameters of one field, continuations counted singly.
const maxPieces = 300

// Get returns the first parameter of that lower-case name, or "".
func (ps Params) Get(name string) string {
	for i := range ps {
		if ps[i].Name == name {
			return ps[i].Value
		}
	}
	return ""
}

// piece is one parameter as written: with RFC 2231, a part of one.
type piece struct {
	name     string
	section  int // -1 where it is not numbered
	extended bool
	value    string
}

// cutValue splits a structured field into its value, in lower case, and what
// its parameters are to be read from.
func cutValue(v string) (value, rest string) {
	end := strings.IndexByte(v, ';')
	if end < 0 {
		end = len(v)
	}
	value, rest = strings.TrimSpace(v[:end]), v[end:]
	if strings.IndexByte(value, '(') >= 0 {
		value = strings.TrimSpace(stripComments(value))
	}
	// "text/plain charset=utf-8": the semicolon is missing.
	if gap := strings.IndexAny(value, " \t"); gap >= 0 && strings.IndexByte(value[gap:], '=') > 0 {
		value, rest = value[:gap], value[gap:]+rest
	}
	return clean(strings.ToLower(strings.Trim(value, "\" \t"))), rest
}

// parseParams reads a structured field such as Content-Type, unfolded: its
// value in lower case and its parameters (RFC 2045 section 5.1, RFC 2231),
// with the breaches of them that are common.
func parseParams(v string) (string, Params) {
	value, rest := cutValue(v)
	r := paramReader{s: rest}
	var buf [4]piece
	pieces, plain := buf[:0], true
	for len(pieces) < maxPieces {
		p, ok := r.next()
		if !ok {
			break
		}
		if star := strings.IndexByte(p.name, '*'); star >= 0 {
			plain = false
			p.split(star)
		}
		pieces = append(pieces, p)
	}
	if len(pieces) == 0 {
		return value, nil
	}
	if !plain {
		return value, joinPieces(pieces)
	}
	params := make(Params, len(pieces))
	for i, p := range pieces {
		params[i] = Param{clean(p.name), DecodeWords(p.value)}
	}
	return value, params
}

// paramReader takes parameters off the front of s.
type paramReader struct {
	s        string
	unclosed bool // no quote closes a string any more, so none need be sought
}

// next takes one name=value.
func (r *paramReader) next() (p piece, ok bool) {
	for {
		r.s = strings.TrimLeft(r.s, "; \t")
		end := strings.IndexAny(r.s, "=;")
		if end < 0 {
			return p, false
		}
		if r.s[end] == ';' {
			r.s = r.s[end:]
			continue
		}
		p.section = -1
		p.name = strings.ToLower(strings.TrimRight(r.s[:end], " \t"))
		r.s = strings.TrimLeft(r.s[end+1:], " \t")
		p.value = r.value(strings.HasPrefix(p.name, "name") || strings.HasPrefix(p.name, "filename"))
		return p, true
	}
}

// value takes a parameter's value. Only file names may hold spaces without
// quotes.
func (r *paramReader) value(spaces bool) string {
	if strings.HasPrefix(r.s, `"`) {
		r.s = r.s[1:]
		return r.quoted()
	}
	end := strings.IndexByte(r.s, ';')
	if end < 0 {
		end = len(r.s)
	}
	value := r.s[:end]
	gap := -1
	if !spaces {
		gap = strings.IndexAny(value, " \t(")
	}
	switch {
	case gap < 0:
		r.s = r.s[end:]
		return strings.TrimRight(value, " \t")
	case value[gap] != '(' && strings.IndexByte(value[gap:], '=') > 0:
		r.s = r.s[gap:] // the semicolon is missing
	default:
		r.s = r.s[end:]
	}
	return value[:gap]
}

// quoted takes a quoted string, its opening quote already gone. A quote in the
// middle of the value, which should have been escaped, is kept; a string that
// is never closed ends at the semicolon.
func (r *paramReader) quoted() string {
	s := r.s
	var out []byte
	for i := 0; i < len(s) && !r.unclosed; i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\'):
			if out == nil {
				out = append(make([]byte, 0, 64), s[:i]...)
			}
			i++
			out = append(out, s[i])
		case c == '"' && closesQuote(s[i+1:]):
			r.s = s[i+1:]
			if out == nil {
				return s[:i]
			}
			return string(out)
		case out != nil:
			out = append(out, c)
		}
	}
	r.unclosed = true
	value, rest, _ := strings.Cut(s, ";")
	r.s = rest
	return strings.Trim(value, "\" \t")
}

// closesQuote tells whether a quote before s ended the value: then comes the
// end, a semicolon, a comment or, after a space, another parameter.
func closesQuote(s string) bool {
	t := strings.TrimLeft(s, " \t")
	if t == "" || t[0] == ';' || t[0] == '(' {
		return true
	}
	for i := range len(t) {
		switch c := t[i]; {
		case c == '=':
			return len(t) < len(s) && i > 0
		case c <= ' ' || c == '"' || c == ';' || c >= 0x7f:
			return false
		}
	}
	return false
}

// split reads the marks that RFC 2231 puts after a parameter's name.
func (p *piece) split(star int) {
	marks := p.name[star+1:]
	p.name = p.name[:star]
	number, extended := strings.CutSuffix(marks, "*")
	p.extended = extended || marks == ""
	if n, err := strconv.Atoi(number); err == nil && n >= 0 {
		p.section = n
	}
}

// joinPieces puts continuations together (RFC 2231 sections 3 and 4). Where a
// parameter is given in both ways, the plain one is left out (RFC 6266
// section 4.3).
func joinPieces(pieces []piece) Params {
	var params Params
	var done []string
	for _, p := range pieces {
		if slices.Contains(done, p.name) {
			continue
		}
		var group []piece
		for _, q := range pieces {
			if q.name == p.name && (q.extended || q.section >= 0) {
				group = append(group, q)
			}
		}
		if group == nil {
			params = append(params, Param{clean(p.name), DecodeWords(p.value)})
			continue
		}
		done = append(done, p.name)
		slices.SortStableFunc(group, func(a, b piece) int { return cmp.Compare(a.section, b.section) })
		params = append(params, Param{clean(p.name), joinGroup(group)})
	}
	return params
}

func joinGroup(group []piece) string {
	if group[0].extended && group[0].section < 0 {
		group = group[:1] // one given whole beats one in pieces
	}
	var out []byte
	charset, encoded := "", false
	for i, p := range group {
		value := p.value
		if !p.extended {
			out = append(out, value...)
			continue
		}
		encoded = true
		if i == 0 {
			if label, tail, ok := strings.Cut(value, "'"); ok {
				if _, text, ok := strings.Cut(tail, "'"); ok {
					charset, value = label, text
				}
			}
		}
		out = appendPercent(out, value)
	}
	if !encoded {
		return DecodeWords(string(out))
	}
	return clean(string(decodeCharset(out, charset)))
}

// appendPercent appends s with its %XX decoded.
func appendPercent(out []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, ok := unhex(s[i+1], s[i+2]); ok {
				out = append(out, c)
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return out
}

// stripComments removes comments in parentheses (RFC 5322 section 3.2.2),
// nested ones too; one that is never closed stays.
func stripComments(s string) string {
	out := make([]byte, 0, len(s))
	depth, mark := 0, 0
	quoted := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && i+1 < len(s):
			if depth == 0 {
				out = append(out, c, s[i+1])
			}
			i++
			continue
		case c == '"' && depth == 0:
			quoted = !quoted
		case c == '(' && !quoted:
			if depth == 0 {
				mark = i
			}
			depth++
			continue
		case c == ')' && !quoted && depth > 0:
			depth--
			if depth == 0 {
				out = append(out, ' ')
			}
			continue
		}
		if depth == 0 {
			out = append(out, c)
		}
	}
	if depth > 0 {
		out = append(out, s[mark:]...)
	}
	return string(out)
}

// MediaType returns type/subtype in lower case.
func (p *Part) MediaType() string { return p.Type + "/" + p.Subtype }

func (p *Part) isMultipart() bool { return p.Type == "multipart" }

func (p *Part) isMessage() bool {
	return p.Type == "message" && (p.Subtype == "rfc822" || p.Subtype == "global" || p.Subtype == "news")
}

// Charset returns the charset parameter as written, or "".
func (p *Part) Charset() string { return p.Params.Get("charset") }

// DispositionParams returns the parameters of Content-Disposition, decoded.
func (p *Part) DispositionParams() Params { return p.params("Content-Disposition") }

func (p *Part) params(name string) Params {
	f := p.Header.Lookup(name)
	if f == nil {
		return nil
	}
	_, params := parseParams(f.unfolded())
	return params
}

// Filename returns the name under which the part was sent, without folders and
// control characters, or "".
func (p *Part) Filename() string {
	name := ""
	if p.Disposition != "" {
		name = p.DispositionParams().Get("filename")
	}
	if name == "" {
		if name = p.Params.Get("name"); !isASCII(name) {
			name = p.params("Content-Type").Get("name") // now the charset is known
		}
	}
	if name == "" {
		return ""
	}
	name = path.Base(strings.ReplaceAll(strings.TrimSpace(name), `\`, "/"))
	if name == "." || name == ".." || name == "/" {
		return ""
	}
	return name
}

// ContentID returns the Content-ID without its angle brackets, or "".
func (p *Part) ContentID() string {
	if f := p.Header.Lookup("Content-ID"); f != nil {
		return firstID(f.unfolded())
	}
	return ""
}

// Body returns the body as it was sent.
func (p *Part) Body() []byte { return p.msg.raw[p.BodyStart:p.End:p.End] }

// Lines returns the number of lines of the body as it was sent, as IMAP counts
// them (RFC 3501 section 7.4.2).
func (p *Part) Lines() int {
	body := p.Body()
	n := bytes.Count(body, []byte("\n"))
	if len(body) > 0 && body[len(body)-1] != '\n' {
		n++
	}
	return n
}
