package text

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/blevesearch/snowballstem"
	snowball "github.com/blevesearch/snowballstem/english"
	"golang.org/x/text/unicode/norm"
)

const tatweel = '\u0640'

// english stems a word of ASCII letters in lower case. Short words have no
// endings worth taking off, and very long ones are not words.
func english(w string) string {
	if len(w) < 3 || len(w) > 32 {
		return w
	}
	env := snowballstem.NewEnv(w)
	snowball.Stem(env)
	return env.Current()
}

// foreignTerms normalises and stems a word that isn't plain ASCII. Some
// ligatures become several words.
func foreignTerms(w string) string {
	n := normalise(w)
	if !strings.Contains(n, " ") {
		return foreignTerm(n)
	}
	words := strings.Fields(n)
	for i, w := range words {
		words[i] = foreignTerm(w)
	}
	return strings.Join(words, " ")
}

func foreignTerm(w string) string {
	switch {
	case isArabic(w):
		return stripSuffixes(stripPrefix(w))
	case isPlain(w): // Full-width letters, or accents that were taken off.
		return english(w)
	}
	return w
}

func isPlain(w string) bool {
	for i := range len(w) {
		if w[i] < 'a' || w[i] > 'z' {
			return false
		}
	}
	return true
}

func isArabic(w string) bool {
	r, _ := utf8.DecodeRuneInString(w)
	return unicode.Is(unicode.Arabic, r)
}

// normalise brings the spellings of a word that isn't plain ASCII together.
func normalise(w string) string {
	form := norm.NFKD
	if strings.IndexFunc(w, isArabicRune) >= 0 {
		// Composed, so that the hamza of ؤ and ئ is kept: without it
		// different words (سئل, سيل) would meet.
		form = norm.NFKC
	}
	var b strings.Builder
	for _, r := range form.String(w) {
		if r = fold(r); r >= 0 {
			b.WriteRune(r)
		}
	}
	return norm.NFC.String(strings.TrimSpace(b.String()))
}

func isArabicRune(r rune) bool { return unicode.Is(unicode.Arabic, r) }

// fold maps a character to the one that stands for all its variants, or to -1
// when it is to be left out.
func fold(r rune) rune {
	switch {
	case r == 'آ' || r == 'أ' || r == 'إ' || r == 'ٱ':
		return 'ا'
	case r == 'ى' || r == 'ی':
		return 'ي'
	case r == 'ة' || r == 'ۀ' || r == 'ہ' || r == 'ە' || r == 'ھ':
		return 'ه'
	case r == 'ک' || r == 'ڪ':
		return 'ك'
	case r >= '٠' && r <= '٩':
		return r - '٠' + '0'
	case r >= '۰' && r <= '۹':
		return r - '۰' + '0'
	case r == tatweel, r >= 0x0300 && r <= 0x036f, r >= 0x0610 && r <= 0x061a,
		r >= 0x064b && r <= 0x065f, r == 0x0670, r >= 0x06d6 && r <= 0x06ed && unicode.Is(unicode.Mn, r):
		return -1
	case unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r):
		return unicode.ToLower(r)
	case unicode.IsSpace(r):
		return ' '
	}
	return -1 // Punctuation that NFKC took out of a compatibility letter.
}

// The light stemmer for Arabic takes off the article with its particles, and
// the commonest endings, as long as enough of the word is left. It is the
// algorithm "light10" of Larkey, Ballesteros and Connell (2007).
var (
	arabicPrefixes = []string{"ال", "وال", "بال", "كال", "فال", "لل", "و"}
	arabicSuffixes = []string{"ها", "ان", "ات", "ون", "ين", "يه", "ه", "ي"}
)

func stripPrefix(w string) string {
	n := utf8.RuneCountInString(w)
	for _, p := range arabicPrefixes {
		least := max(utf8.RuneCountInString(p)+2, 4)
		if n >= least && strings.HasPrefix(w, p) {
			return w[len(p):]
		}
	}
	return w
}

func stripSuffixes(w string) string {
	n := utf8.RuneCountInString(w)
	for _, s := range arabicSuffixes {
		if c := utf8.RuneCountInString(s); n >= c+2 && strings.HasSuffix(w, s) {
			w, n = w[:len(w)-len(s)], n-c
		}
	}
	return w
}

// cut shortens each term to MaxTerm.
func cut(s string) string {
	if len(s) <= MaxTerm {
		return s
	}
	words := strings.Fields(s)
	for i, w := range words {
		if len(w) > MaxTerm {
			words[i] = w[:wholeRunes([]byte(w[:MaxTerm]))]
		}
	}
	return strings.Join(words, " ")
}
