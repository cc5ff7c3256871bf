package people

import (
	"encoding/base64"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// alphabet writes five bits as a letter or digit that can be read out, copied by
// hand and typed: Crockford's, without i, l, o and u.
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// groups writes the low five bits of each byte, in groups of four.
func groups(symbols []byte) string {
	var s strings.Builder
	for i, c := range symbols {
		if i > 0 && i%4 == 0 {
			s.WriteByte('-')
		}
		s.WriteByte(alphabet[c%32])
	}
	return s.String()
}

// symbols reads what groups wrote, however it was typed: in capitals, in other
// groups, in full width or with Arabic digits, with O for 0 and I or L for 1. It
// returns nil unless there are n.
func symbols(typed string, n int) []byte {
	if len(typed) > maxGiven {
		return nil
	}
	var out []byte
	for _, r := range norm.NFKC.String(typed) {
		if r == '-' || unicode.IsSpace(r) || unicode.Is(unicode.Dash, r) {
			continue
		}
		v := strings.IndexRune(alphabet, readable(r))
		if v < 0 || len(out) == n {
			return nil
		}
		out = append(out, byte(v))
	}
	if len(out) != n {
		return nil
	}
	return out
}

func readable(r rune) rune {
	switch r = latinDigit(unicode.ToLower(r)); r {
	case 'i', 'l':
		return '1'
	case 'o':
		return '0'
	}
	return r
}

// latinDigit turns Arabic-Indic and Persian digits into those of the codes.
func latinDigit(r rune) rune {
	switch {
	case '٠' <= r && r <= '٩':
		return r - '٠' + '0'
	case '۰' <= r && r <= '۹':
		return r - '۰' + '0'
	}
	return r
}

// pack makes bytes of symbols of five bits, the first bit first; bits that fill
// no byte are left over.
func pack(symbols []byte) (out []byte) {
	var acc, bits uint
	for _, s := range symbols {
		acc, bits = acc<<5|uint(s), bits+5
		if bits >= 8 {
			bits -= 8
			out = append(out, byte(acc>>bits))
		}
	}
	return out
}

// unpack makes n symbols of bytes.
func unpack(b []byte, n int) []byte {
	out := make([]byte, n)
	for i := range n * 5 {
		if i/8 < len(b) && b[i/8]>>(7-i%8)&1 == 1 {
			out[i/5] |= 1 << (4 - i%5)
		}
	}
	return out
}

func encode64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func decode64(s string) ([]byte, error) { return base64.RawURLEncoding.DecodeString(s) }
