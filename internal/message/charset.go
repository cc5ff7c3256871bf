package message

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
)

// decodeCharset turns bytes in the named charset into UTF-8; where the name is
// missing, unknown or plainly wrong, it guesses. It returns b itself where that
// is valid already. The caller cleans control characters away.
func decodeCharset(b []byte, label string) []byte {
	label = foldLabel(label)
	switch label {
	case "utf-8", "utf8", "us-ascii", "ascii", "":
		return decodeASCIIorUTF8(b, label)
	case "utf-7", "unicode-1-1-utf-7", "x-unicode-2-0-utf-7":
		return decodeUTF7(b)
	case "iso-2022-kr", "csiso2022kr":
		b = eucFromISO2022KR(b)
		label = "euc-kr"
	}
	if isASCII(b) && !usesASCIIBytes(label) && bytes.IndexByte(b, 0x1b) < 0 {
		return b
	}
	e := lookup(label)
	if e == nil {
		return guessBytes(b)
	}
	out, err := e.NewDecoder().Bytes(b)
	if err != nil {
		return guessBytes(b)
	}
	return out
}

// decodeASCIIorUTF8 believes the label utf-8 if any of the bytes bear it out.
func decodeASCIIorUTF8(b []byte, label string) []byte {
	if utf8.Valid(b) {
		return b
	}
	if strings.HasPrefix(label, "utf") && hasMultibyte(b) {
		return bytes.ToValidUTF8(b, []byte("\ufffd"))
	}
	return guessBytes(b)
}

// usesASCIIBytes tells whether the charset gives ASCII bytes other meanings.
func usesASCIIBytes(label string) bool {
	for _, prefix := range []string{"iso-2022", "csiso2022", "hz", "utf-16", "utf-32", "ucs", "iso-10646", "csucs", "csunicode", "unicode", "ibm", "cp0", "cp1047", "ebcdic"} {
		if strings.HasPrefix(label, prefix) {
			return true
		}
	}
	return false
}

func hasMultibyte(b []byte) bool {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if n > 1 && r != utf8.RuneError {
			return true
		}
		i += n
	}
	return false
}

// guess decodes raw 8-bit text of a header: as UTF-8 if it is that, else in
// the charset of the message's text, else by its looks.
func guess(s, charset string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string(bytes.ToValidUTF8(decodeCharset([]byte(s), charset), []byte("\ufffd")))
}

// guessBytes decodes text of unknown charset.
func guessBytes(b []byte) []byte {
	if utf8.Valid(b) {
		return b
	}
	e := charmap.Windows1252
	if looksArabic(b) {
		e = charmap.Windows1256
	}
	out, err := e.NewDecoder().Bytes(b)
	if err != nil {
		return bytes.ToValidUTF8(b, []byte("\ufffd"))
	}
	return out
}

// looksArabic tells whether text is Arabic in windows-1256: almost all 8-bit
// bytes are Arabic letters there, most stand beside another, and alef and lam,
// a fifth of Arabic text, are frequent. In Cyrillic and Greek charsets the byte
// of alef is a rare capital; in Latin ones letters with accents stand alone.
func looksArabic(b []byte) bool {
	b = b[:min(len(b), 8192)]
	var high, letters, runs, alef, lam int
	for i, c := range b {
		if c < 0x80 {
			continue
		}
		high++
		if isArabic1256(c) {
			letters++
		}
		if i > 0 && b[i-1] >= 0x80 {
			runs++
		}
		switch c {
		case 0xC7:
			alef++
		case 0xE1:
			lam++
		}
	}
	return high > 2 && letters*10 >= high*8 && runs*2 >= high && alef*20 >= high && (alef+lam)*10 >= high
}

func isArabic1256(c byte) bool {
	switch {
	case c >= 0xC1 && c <= 0xDF:
		return c != 0xD7
	case c == 0xE1, c >= 0xE3 && c <= 0xE6, c == 0xEC, c == 0xED:
		return true
	case c >= 0xF0 && c <= 0xF3, c == 0xF5, c == 0xF6, c == 0xF8, c == 0xFA: // vowel marks
		return true
	}
	return c == 0xA1 || c == 0xBA || c == 0xBF || c == 0xA0 // comma, semicolon, question mark, space
}

// foldLabel brings a charset's name to lower case without quotes and spaces.
func foldLabel(label string) string {
	switch label { // most mail, without an allocation
	case "UTF-8", "utf-8":
		return "utf-8"
	case "US-ASCII", "us-ascii":
		return "us-ascii"
	}
	label = strings.ToLower(strings.Trim(label, "\"' \t"))
	return strings.ReplaceAll(label, "_", "-")
}

// lookup returns the encoding of that name, or nil.
func lookup(label string) encoding.Encoding {
	label = foldLabel(label)
	if label == "" || len(label) > 40 {
		return nil
	}
	if e := special(label); e != nil {
		return e
	}
	if e, err := htmlindex.Get(label); err == nil && e != encoding.Replacement {
		return e
	}
	if e, err := ianaindex.MIME.Encoding(label); err == nil && e != nil {
		return e
	}
	if e, err := ianaindex.IANA.Encoding(label); err == nil && e != nil {
		return e
	}
	if name := alias(label); name != "" {
		if e, err := htmlindex.Get(name); err == nil {
			return e
		}
	}
	return nil
}

// special are the names for which the indexes have another answer than mail
// needs, or none. Korean and Chinese names mean their supersets in practice.
func special(label string) encoding.Encoding {
	switch label {
	case "utf8", "utf-8":
		return unicode.UTF8
	case "gb2312", "gb-2312", "gbk", "x-gbk", "cp936", "gb2312-80", "euc-cn", "csgb2312":
		return simplifiedchinese.GB18030
	case "hz-gb-2312", "hz":
		return simplifiedchinese.HZGB2312
	case "ks-c-5601", "ks-c-5601-1987", "ksc-5601", "ksc5601", "cp949", "ms949", "uhc", "x-windows-949", "cp51949":
		return korean.EUCKR
	case "utf-16":
		return unicode.UTF16(unicode.BigEndian, unicode.UseBOM)
	case "utf-32":
		return utf32.UTF32(utf32.BigEndian, utf32.UseBOM)
	case "iso-8859-1-windows-3.1-latin-1", "latin-1", "cp819", "unicode-1-1", "x-user-defined":
		return charmap.Windows1252
	}
	return nil
}

// alias finds the standard name in the many spellings that carry a number:
// cp-1256, ms1256, x-windows-1256, win1256, iso8859_6, iso-8859-6-i, 8859-6.
func alias(label string) string {
	if i := strings.Index(label, "8859"); i >= 0 {
		if n := number(label[i+4:]); n != "" {
			return "iso-8859-" + n
		}
		return "windows-1252"
	}
	for _, prefix := range []string{"x-windows-", "windows-", "windows", "x-win-", "win-", "win", "x-cp-", "x-cp", "cp-", "cp", "ms-", "ms", "ansi-", "ibm-", ""} {
		rest, ok := strings.CutPrefix(label, prefix)
		if n := number(rest); ok && n != "" {
			switch {
			case n == "874" || len(n) == 4 && strings.HasPrefix(n, "125"):
				return "windows-" + n
			case n == "932":
				return "shift_jis"
			case n == "950":
				return "big5"
			case n == "65001":
				return "utf-8"
			case n == "28606" || n == "708":
				return "iso-8859-6"
			case strings.HasPrefix(n, "5022"):
				return "iso-2022-jp"
			}
		}
	}
	if strings.HasPrefix(label, "iso-2022-jp") {
		return "iso-2022-jp"
	}
	return ""
}

// number returns the digits that s begins with after dashes.
func number(s string) string {
	s = strings.TrimLeft(s, "-:")
	end := 0
	for end < len(s) && '0' <= s[end] && s[end] <= '9' {
		end++
	}
	return s[:end]
}

// eucFromISO2022KR turns ISO-2022-KR (RFC 1557) into EUC-KR: between SO and SI
// the high bits are missing.
func eucFromISO2022KR(b []byte) []byte {
	b = bytes.ReplaceAll(b, []byte("\x1b$)C"), nil)
	out := make([]byte, 0, len(b))
	shifted := false
	for _, c := range b {
		switch {
		case c == 0x0e:
			shifted = true
		case c == 0x0f || c == '\n':
			shifted = false
			if c == '\n' {
				out = append(out, c)
			}
		case shifted && c > ' ' && c < 0x7f:
			out = append(out, c|0x80)
		default:
			out = append(out, c)
		}
	}
	return out
}
