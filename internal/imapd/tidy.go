package imapd

// tidy takes out the spaces that the library puts between the addresses of a
// list in an envelope: RFC 9051, section 9, has none there, and some clients
// read by the letter. It follows the responses of one FETCH, however they are
// cut into pieces; literals go through untouched.
type tidy struct {
	depth    int    // of parentheses
	left     int64  // octets of a literal to come
	size     int64  // of a literal whose head is being read
	head     bool   // of a literal
	quoted   bool   // within a quoted string
	escaped  bool   // after a backslash in one
	envelope bool   // within an envelope
	held     bool   // a space that may have to go
	last     byte   // the octet before
	word     string // the item before, at depth 1
	name     []byte // the item being read
}

func (t *tidy) filter(p []byte) []byte {
	out := make([]byte, 0, len(p)+1)
	for i := 0; i < len(p); i++ {
		if t.left > 0 {
			n := int(min(t.left, int64(len(p)-i)))
			out = append(out, p[i:i+n]...)
			t.left -= int64(n)
			i += n - 1
			continue
		}
		c := p[i]
		if t.quoted && !t.escaped && c != '"' && c != '\\' { // Most octets are of this kind.
			n := 1
			for i+n < len(p) && p[i+n] != '"' && p[i+n] != '\\' {
				n++
			}
			out = append(out, p[i:i+n]...)
			i += n - 1
			t.last = p[i]
			continue
		}
		if t.held && c != '(' {
			out = append(out, ' ')
		}
		t.held = c == ' ' && t.last == ')' && t.envelope && t.depth == 3 && !t.quoted
		t.step(c)
		t.last = c
		if !t.held {
			out = append(out, c)
		}
	}
	return out
}

// step notes one octet that is no literal's.
func (t *tidy) step(c byte) {
	switch {
	case t.quoted:
		t.quoted = t.escaped || c != '"'
		t.escaped = !t.escaped && c == '\\'
	case c == '"':
		t.quoted = true
	case c == '{':
		t.head, t.size = true, 0
	case t.head && c >= '0' && c <= '9':
		t.size = t.size*10 + int64(c-'0')
	case c == '\n' && t.head:
		t.head, t.left = false, t.size
	case c == '\n':
		*t = tidy{name: t.name[:0]}
	case c == '(':
		t.depth++
		t.envelope = t.envelope || t.depth == 2 && t.word == "ENVELOPE"
	case c == ')':
		t.depth--
		t.envelope = t.envelope && t.depth > 1
	case t.depth != 1:
	case c == ' ':
		t.word, t.name = string(t.name), t.name[:0]
	case len(t.name) < 16:
		t.name = append(t.name, c)
	}
}
