package text

import (
	"unicode"
	"unicode/utf8"
)

// kind says how a word becomes a term.
type kind uint8

const (
	plain   kind = iota // ASCII letters only.
	number              // ASCII letters and digits, or digits.
	foreign             // Anything else.
	address             // A whole address: its lower case is its term.
)

// maxWord bounds a word that isn't ASCII, in bytes before normalisation. What
// follows is a word of its own: no language has such words.
const maxWord = 256

// lower maps the bytes of ASCII words to lower case, other ASCII to 0 and
// bytes beyond ASCII to beyond.
var lower = makeLower()

const beyond = 0xff

func makeLower() (t [256]byte) {
	for c := range 256 {
		switch b := byte(c); {
		case b >= utf8.RuneSelf:
			t[c] = beyond
		case '0' <= b && b <= '9', 'a' <= b && b <= 'z':
			t[c] = b
		case 'A' <= b && b <= 'Z':
			t[c] = b + 'a' - 'A'
		}
	}
	return t
}

// scanner walks over the words of a text. Its zero value with text set is
// ready.
type scanner struct {
	text string
	pos  int

	start, end int // The word found.
	kind       kind
	hash       uint32
	n          int // How many bytes of buf are the word.
	buf        [MaxTerm]byte

	joined int  // Start of the compound (a.b-c) that the word belongs to, plus one; 0 = none.
	at     bool // The compound has an "@".
	whole  bool // The compound is an address, to be given next.
}

// word is the word found: ASCII in lower case and cut to MaxTerm, others as
// they stand in the text.
func (sc *scanner) word() []byte { return sc.buf[:sc.n] }

// next finds the next word and tells whether there was one.
func (sc *scanner) next() bool {
	if sc.whole {
		sc.giveWhole()
		return true
	}
	for sc.pos < len(sc.text) {
		switch c := lower[sc.text[sc.pos]]; {
		case c == 0:
			sc.pos++
			continue
		case c == beyond:
			sc.joined, sc.at = 0, false
			if sc.foreign(sc.pos) {
				return true
			}
		default:
			if sc.ascii() {
				return true
			}
		}
	}
	return false
}

// ascii takes the word at pos, which begins with an ASCII letter or digit. It
// hands over to foreign when the word goes on with other letters.
func (sc *scanner) ascii() bool {
	s, i, n, h := sc.text, sc.pos, 0, uint32(2166136261)
	sc.start, sc.kind = i, plain
	for {
		for i < len(s) {
			c := lower[s[i]]
			if c == 0 || c == beyond {
				break
			}
			if n < MaxTerm {
				sc.buf[n] = c
				n++
				h = (h ^ uint32(c)) * 16777619 // FNV-1a
			}
			if c <= '9' {
				sc.kind = number
			}
			i++
		}
		if i == len(s) || s[i] != '\'' && s[i] < utf8.RuneSelf {
			break
		}
		skip, possessive := apostrophe(s[i:])
		if possessive {
			sc.end, sc.pos = i, i+skip+1
			sc.n, sc.hash, sc.joined, sc.at = n, h, 0, false
			return true
		}
		if skip > 0 {
			i += skip
			continue
		}
		if s[i] >= utf8.RuneSelf && goesOn(s[i:]) {
			sc.joined, sc.at = 0, false
			return sc.foreign(sc.start)
		}
		break
	}
	sc.end, sc.pos, sc.n, sc.hash = i, i, n, h
	if sc.joined != 0 || i < len(s) && connects[s[i]] {
		sc.join()
	}
	return true
}

// connects has the characters that join the parts of an address.
var connects = [256]bool{'.': true, '@': true, '_': true, '+': true, '-': true}

// join keeps track of the compound around the word just taken, so that an
// address is also given whole once all its parts were.
func (sc *scanner) join() {
	s, i := sc.text, sc.end
	if sc.joined == 0 {
		sc.joined = sc.start + 1
	}
	if i+1 < len(s) && connects[s[i]] && lower[s[i+1]] != 0 && lower[s[i+1]] != beyond && !(sc.at && s[i] == '@') {
		sc.at = sc.at || s[i] == '@'
		return
	}
	if sc.at {
		sc.whole = true
		return
	}
	sc.joined = 0
}

func (sc *scanner) giveWhole() {
	sc.start, sc.kind, sc.n = sc.joined-1, address, 0
	for i := sc.start; i < sc.end && sc.n < MaxTerm; i++ {
		c := sc.text[i]
		if l := lower[c]; l != 0 {
			c = l
		}
		sc.buf[sc.n] = c
		sc.n++
	}
	sc.joined, sc.at, sc.whole = 0, false, false
}

// apostrophe looks at what may be an apostrophe between letters. It returns
// the length of the apostrophe, 0 when it is none, and whether it begins the
// English possessive 's, which belongs to no term.
func apostrophe(s string) (skip int, possessive bool) {
	switch {
	case s[0] == '\'':
		skip = 1
	case len(s) >= 3 && s[:3] == "\u2019":
		skip = 3
	default:
		return 0, false
	}
	if len(s) == skip || lower[s[skip]] < 'a' || lower[s[skip]] == beyond {
		return 0, false
	}
	if lower[s[skip]] != 's' {
		return skip, false
	}
	rest := s[skip+1:]
	return skip, rest == "" || lower[rest[0]] == 0 || lower[rest[0]] == beyond && !goesOn(rest)
}

// goesOn tells whether a word of ASCII letters goes on with the first
// character of s, which is beyond ASCII.
func goesOn(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	c := classOf(r)
	return c == letter || c == mark
}

// foreign takes the word that begins at from and has characters beyond ASCII.
// It returns false, and moves on by one character, when there is none.
func (sc *scanner) foreign(from int) bool {
	s, i, h := sc.text, from, uint32(84696351)
	sc.start, sc.n, sc.kind = from, 0, foreign
	var script class
	for i < len(s) {
		r, size := utf8.DecodeRuneInString(s[i:])
		c := classOf(r)
		if c == separator || c == alone && i > from || script != 0 && c != mark && c != script {
			break
		}
		if c != mark && script == 0 {
			script = c
		}
		for j := i; j < i+size && sc.n < MaxTerm; j++ {
			sc.buf[sc.n] = s[j]
			sc.n++
			h = (h ^ uint32(s[j])) * 16777619
		}
		i += size
		if c == alone || i-from >= maxWord {
			break
		}
	}
	sc.n = wholeRunes(sc.buf[:sc.n])
	sc.end, sc.pos, sc.hash = i, i, h
	if i == from {
		_, size := utf8.DecodeRuneInString(s[i:])
		sc.pos += size
	}
	return script != 0
}

// wholeRunes is the length of b without a character cut in two at its end.
func wholeRunes(b []byte) int {
	for i := len(b) - 1; i >= 0 && i >= len(b)-utf8.UTFMax; i-- {
		if utf8.RuneStart(b[i]) {
			if !utf8.FullRune(b[i:]) {
				return i
			}
			break
		}
	}
	return len(b)
}

// class is what a character does to words.
type class uint8

const (
	separator class = iota
	letter          // Letters and digits of most scripts.
	arabic          // Arabic letters: they make no word with others.
	alone           // Ideographs and kana: each is a word, and a query for several is a phrase.
	mark            // Belongs to whatever stands before.
)

func classOf(r rune) class {
	switch {
	case r < utf8.RuneSelf:
		if c := lower[r]; c != 0 {
			return letter
		}
		return separator
	case r >= 0x0600 && r <= 0x06ff:
		return arabicClass[r-0x0600]
	case r == utf8.RuneError:
		return separator
	}
	return slowClass(r)
}

var arabicClass = makeArabicClass()

func makeArabicClass() (t [256]class) {
	for i := range t {
		switch r := rune(0x600 + i); {
		case unicode.IsDigit(r):
			t[i] = letter
		case r == tatweel || unicode.Is(unicode.Mn, r):
			t[i] = mark
		case unicode.IsLetter(r):
			t[i] = arabic
		}
	}
	return t
}

func slowClass(r rune) class {
	switch {
	case r == 0x00ad || r == 0x200d: // Soft hyphen and zero-width joiner.
		return mark
	case unicode.Is(unicode.Arabic, r):
		if unicode.IsLetter(r) {
			return arabic
		}
		return separator
	case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana):
		return alone
	case unicode.IsLetter(r), unicode.IsDigit(r):
		return letter
	case unicode.IsMark(r):
		return mark
	}
	return separator
}
