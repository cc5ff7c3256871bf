package message

import "strings"

// DecodeWords decodes the encoded words in a header value (RFC 2047), broken
// ones too: with spaces inside, without padding or end, glued to other text,
// or with a character split between two. It gives valid UTF-8 without control
// characters.
func DecodeWords(s string) string {
	if !strings.Contains(s, "=?") {
		return clean(s)
	}
	d := words{s: s, out: make([]byte, 0, len(s))}
	for d.pos < len(s) {
		start := strings.Index(s[d.pos:], "=?")
		if start < 0 {
			break
		}
		d.literal(s[d.pos : d.pos+start])
		d.pos += start
		w, ok := d.word(d.pos)
		if !ok {
			d.literal("=?")
			d.pos += 2
			continue
		}
		d.pending = d.join(w)
		d.pos = w.end
	}
	d.literal(s[d.pos:])
	d.flush()
	return clean(string(d.out))
}

// words decodes one header value.
type words struct {
	s       string
	pos     int
	out     []byte
	charset string
	pending []byte // bytes of the words just read, all in charset
	wordEnd int    // where the next "?=" was found, so that none is sought twice
}

// encodedWord is an encoded word in a header value.
type encodedWord struct {
	charset string
	base64  bool
	text    string
	end     int // offset after it
}

// word reads the encoded word at this offset.
func (d *words) word(at int) (w encodedWord, ok bool) {
	s := d.s[at+2:]
	mark := strings.IndexByte(s[:min(len(s), 64)], '?')
	if mark <= 0 || mark+2 >= len(s) || s[mark+2] != '?' {
		return w, false
	}
	w.charset, _, _ = strings.Cut(strings.TrimSpace(s[:mark]), "*") // RFC 2231 section 5
	if w.charset == "" || strings.ContainsAny(w.charset, " \t=<>\"(),") {
		return w, false
	}
	switch s[mark+1] {
	case 'b', 'B':
		w.base64 = true
	case 'q', 'Q':
	default:
		return w, false
	}
	from := at + 2 + mark + 3
	w.text, w.end = d.wordText(from)
	return w, true
}

// wordText finds where the text of an encoded word ends. One without an end is
// taken up to the next space.
func (d *words) wordText(from int) (text string, end int) {
	if d.wordEnd < from {
		d.wordEnd = len(d.s)
		if i := strings.Index(d.s[from:], "?="); i >= 0 {
			d.wordEnd = from + i
		}
	}
	text = d.s[from:d.wordEnd]
	next := strings.Index(text, "=?")
	if d.wordEnd < len(d.s) && next < 0 {
		return text, d.wordEnd + 2
	}
	if next >= 0 {
		text = text[:next]
	}
	if gap := strings.IndexAny(text, " \t"); gap >= 0 {
		text = text[:gap]
	}
	return strings.TrimSuffix(text, "?"), from + len(text)
}

// join decodes the word's bytes behind those pending. Adjacent words in one
// charset are decoded together, since some senders split characters.
func (d *words) join(w encodedWord) []byte {
	if len(d.pending) > 0 && !strings.EqualFold(d.charset, w.charset) {
		d.flush()
	}
	if !w.base64 && !isASCII(w.text) {
		w.charset = "utf-8" // raw bytes, which have been decoded already
		d.flush()
	}
	d.charset = w.charset
	if w.base64 {
		return appendBase64(d.pending, w.text)
	}
	return appendQ(d.pending, w.text)
}

// literal writes text outside of words; spaces between two words are dropped
// (RFC 2047 section 6.2).
func (d *words) literal(s string) {
	if s == "" || len(d.pending) > 0 && d.pos < len(d.s) && strings.Trim(s, " \t\r\n") == "" && d.moreWords(len(s)) {
		return
	}
	d.flush()
	d.out = append(d.out, s...)
}

// moreWords tells whether a word starts after the n bytes at pos.
func (d *words) moreWords(n int) bool {
	if !strings.HasPrefix(d.s[d.pos+n:], "=?") {
		return false
	}
	_, ok := d.word(d.pos + n)
	return ok
}

func (d *words) flush() {
	if len(d.pending) > 0 {
		d.out = append(d.out, decodeCharset(d.pending, d.charset)...)
		d.pending = d.pending[:0]
	}
}

// appendQ decodes the Q encoding (RFC 2047 section 4.2).
func appendQ(out []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '_':
			out = append(out, ' ')
		case c == '=' && i+2 < len(s):
			if v, ok := unhex(s[i+1], s[i+2]); ok {
				out = append(out, v)
				i += 2
				continue
			}
			fallthrough
		default:
			out = append(out, c)
		}
	}
	return out
}

func unhex(hi, lo byte) (byte, bool) {
	h, l := hexDigit(hi), hexDigit(lo)
	return h<<4 | l, h < 16 && l < 16
}

// hexDigit returns the digit's value, or 255.
func hexDigit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}
