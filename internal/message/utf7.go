package message

import (
	"unicode/utf16"
	"unicode/utf8"
)

// decodeUTF7 decodes UTF-7 (RFC 2152): runs of base64 between + and -, of
// UTF-16 without padding. What is broken in a run is left out.
func decodeUTF7(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] != '+' {
			if b[i] < utf8.RuneSelf {
				out = append(out, b[i])
			} else {
				out = utf8.AppendRune(out, utf8.RuneError)
			}
			continue
		}
		end := i + 1
		for end < len(b) && base64Value[b[end]] < 64 {
			end++
		}
		if end == i+1 {
			out = append(out, '+')
		} else {
			out = appendUTF16(out, b[i+1:end])
		}
		if end < len(b) && b[end] == '-' {
			end++
		}
		i = end - 1
	}
	return out
}

func appendUTF16(out, run []byte) []byte {
	raw := appendBase64(nil, string(run))
	units := make([]uint16, len(raw)/2)
	for i := range units {
		units[i] = uint16(raw[2*i])<<8 | uint16(raw[2*i+1])
	}
	for _, r := range utf16.Decode(units) {
		out = utf8.AppendRune(out, r)
	}
	return out
}
