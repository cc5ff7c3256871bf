package imapd

// tidy takes out the spaces that the library puts between the addresses of a
// list, in an envelope and in those of a body structure: RFC 9051, section 9
// (env-to), has none there, and some clients read by the letter. Such a list
// begins with a list, and nothing else that does has spaces between its first
// ones. It follows the responses of one FETCH, however they are cut into pieces;
// literals go through untouched.
type tidy struct {
	lists   []bool // of each parenthesis that is open: nothing but lists came in it yet
	left    int64  // octets of a literal to come
	size    int64  // of a literal whose head is being read
	head    bool   // of a literal
	quoted  bool   // within a quoted string
	escaped bool   // after a backslash in one
	held    bool   // a space that may have to go
	last    byte   // the octet before
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
		t.held = c == ' ' && t.last == ')' && !t.quoted && t.ofLists()
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
	case t.head && c >= '0' && c <= '9':
		t.size = t.size*10 + int64(c-'0')
	case c == '\n' && t.head:
		t.head, t.left = false, t.size
	case c == '\n':
		*t = tidy{lists: t.lists[:0]}
	case c == '(':
		t.lists = append(t.lists, true)
	case c == ')' && len(t.lists) > 0:
		t.lists = t.lists[:len(t.lists)-1]
	case c != ' ':
		t.item(c)
	}
}

// item notes that something came that is no list.
func (t *tidy) item(c byte) {
	if n := len(t.lists); n > 0 {
		t.lists[n-1] = false
	}
	t.quoted = c == '"'
	if c == '{' {
		t.head, t.size = true, 0
	}
}

// ofLists tells whether the list that is open has had nothing but lists yet.
func (t *tidy) ofLists() bool {
	n := len(t.lists)
	return n > 0 && t.lists[n-1]
}
