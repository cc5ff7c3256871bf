package message

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

const (
	foldAt  = 78  // RFC 5322 section 2.1.1 asks for it
	lineMax = 998 // and demands this
	wordMax = 75  // RFC 2047 section 2
)

// fold writes one header field and breaks its line between words.
type fold struct {
	b     strings.Builder
	width int // of the line so far
}

// String is the field without its last line end.
func (f *fold) String() string { return f.b.String() }

// add writes s as it is.
func (f *fold) add(s string) {
	f.b.WriteString(s)
	f.width += len(s)
}

// word writes a space and s, on a new line where the space begins one.
func (f *fold) word(s string) {
	if f.width+1+len(s) > foldAt && f.width > 1 {
		f.b.WriteString("\r\n")
		f.width = 0
	}
	f.add(" " + s)
}

// unstructured writes text as it is where every program reads it back so, else
// as encoded words.
func (f *fold) unstructured(s string) {
	if !plainHeader(s) {
		f.encoded(s)
		return
	}
	for w := range strings.SplitSeq(s, " ") {
		f.word(w)
	}
}

// plainHeader tells whether text survives a header unencoded: printable ASCII
// in single spaces, of words that lines can hold and that are no encoded words.
func plainHeader(s string) bool {
	run := 0
	for i := range len(s) {
		c := s[i]
		if c < ' ' || c >= 0x7f {
			return false
		}
		if run++; c == ' ' {
			if run == 1 {
				return false
			}
			run = 0
		}
		if run > lineMax-100 {
			return false
		}
	}
	return !strings.HasSuffix(s, " ") && !strings.Contains(s, "=?")
}

// phrase writes a display name: as atoms, quoted, or as encoded words.
func (f *fold) phrase(s string) {
	switch {
	case !plainHeader(s) || len(s) > 200:
		f.encoded(s)
	case strings.Trim(s, atoms+" ") == "":
		f.unstructured(s)
	default:
		f.word(quoteText(s))
	}
}

// atoms are the characters of words that need no quotes (RFC 5322 section 3.2.3).
const atoms = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-/=?^_`{|}~"

// quoteText writes a quoted string (RFC 5322 section 3.2.4).
func quoteText(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// encoded writes encoded words in UTF-8, in Q or B by which is shorter. Each
// holds whole characters (RFC 2047 section 5).
func (f *fold) encoded(s string) {
	const start = "=?utf-8?"
	const frame = len(start) + len("q?") + len("?=")
	// The first word begins on the line of the field's name: some programs take
	// a line break there for part of the text.
	room := min(wordMax, foldAt-1-f.width) - frame
	if room < 16 {
		room = wordMax - frame
	}
	base64Shorter := (len(s)+2)/3*4 < qLength(s)
	for s != "" {
		n, width := 0, 0
		for n < len(s) {
			_, size := utf8.DecodeRuneInString(s[n:])
			grown := (n + size + 2) / 3 * 4
			if !base64Shorter {
				grown = width + qLength(s[n:n+size])
			}
			if grown > room {
				break
			}
			n, width = n+size, grown
		}
		if base64Shorter {
			f.word(start + "b?" + base64.StdEncoding.EncodeToString([]byte(s[:n])) + "?=")
		} else {
			f.word(start + "q?" + qText(s[:n]) + "?=")
		}
		s = s[n:]
		room = wordMax - frame
	}
}

// qSafe tells whether a byte stands for itself in the Q encoding, in phrases
// too (RFC 2047 section 5).
func qSafe(c byte) bool {
	return isDigit(c) || isLetter(c) && c < 0x80 || strings.IndexByte("!*+-/", c) >= 0
}

func qLength(s string) (n int) {
	for i := range len(s) {
		if n++; !qSafe(s[i]) && s[i] != ' ' {
			n += 2
		}
	}
	return n
}

func qText(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c == ' ':
			b.WriteByte('_')
		case qSafe(c):
			b.WriteByte(c)
		default:
			b.WriteString("=" + hexByte(c))
		}
	}
	return b.String()
}

func hexByte(c byte) string {
	const digits = "0123456789ABCDEF"
	return string([]byte{digits[c>>4], digits[c&15]})
}

// splitAddress cuts an address at its last @.
func splitAddress(addr string) (local, domain string) {
	at := strings.LastIndexByte(addr, '@')
	if at < 0 {
		return addr, ""
	}
	return addr[:at], addr[at+1:]
}

// asciiDomain writes a domain in ASCII where that can be done.
func asciiDomain(domain string) (string, bool) {
	if isASCII(domain) {
		return domain, true
	}
	ascii, err := idna.Lookup.ToASCII(domain)
	if err != nil {
		return domain, false
	}
	return ascii, true
}

// writableAddress returns an address as it stands in a header; false where a
// header can't carry it, so that it would be read as another one.
func writableAddress(addr string) (string, bool) {
	local, domain := splitAddress(addr)
	if isASCII(local) {
		var ok bool
		if domain, ok = asciiDomain(domain); !ok {
			return "", false
		}
	}
	if local == "" || domain == "" || len(addr) > 500 || strings.ContainsAny(addr, "\r\n\x00") {
		return "", false
	}
	out := local + "@" + domain
	for _, form := range []string{out, "x <" + out + ">"} {
		read := ParseAddresses(form)
		if len(read) != 1 || read[0].Addr != out {
			return "", false
		}
	}
	return out, true
}

// param appends a parameter of Content-Type or Content-Disposition: a token,
// quoted, or by RFC 2231 in pieces that lines can hold.
func (f *fold) param(name, value string) {
	f.add(";")
	switch {
	case plainHeader(value) && len(value) <= 60 && value != "" && strings.Trim(value, tokens) == "":
		f.word(name + "=" + value)
	case plainHeader(value) && len(value) <= 60:
		f.word(name + "=" + quoteText(value))
	default:
		f.extended(name, value)
	}
}

// tokens are the characters of parameters that need no quotes (RFC 2045 section
// 5.1), fewer by those of RFC 2231.
const tokens = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$&+-.^_`{|}~"

// extended appends a parameter by RFC 2231 sections 3 and 4.
func (f *fold) extended(name, value string) {
	var pieces []string
	piece := "utf-8''"
	for i := range len(value) {
		c := value[i]
		one := string([]byte{c})
		if !isDigit(c) && !(isLetter(c) && c < 0x80) && c != '-' && c != '.' && c != '_' {
			one = "%" + hexByte(c)
		}
		if len(piece)+len(one) > 56 {
			pieces = append(pieces, piece)
			piece = ""
		}
		piece += one
	}
	pieces = append(pieces, piece)
	if len(pieces) == 1 {
		f.word(name + "*=" + pieces[0])
		return
	}
	for i, p := range pieces {
		if i > 0 {
			f.add(";")
		}
		f.word(name + "*" + itoa(i) + "*=" + p)
	}
}
