package message

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

const (
	qpWidth   = 76 // RFC 2045 section 6.7, rule 5
	flowWidth = 72
)

// transferText chooses how a text travels: as it is where nothing on the way
// can change it, else in quoted-printable or base64, whichever is shorter.
func transferText(text []byte, flowed bool) (encoding string, body []byte) {
	if sturdy(text, flowed) {
		return "7bit", text
	}
	qp := quotedPrintable(text)
	if lines := (len(text) + 56) / 57; (len(text)+2)/3*4+2*lines < len(qp) {
		var w bytes.Buffer
		writeBase64(&w, text)
		return "base64", w.Bytes()
	}
	return "quoted-printable", qp
}

// sturdy tells whether text with CR LF lines survives as it is: printable ASCII
// in short lines, none of which ends in a space that could be trimmed (unless
// it is flowed) or begins with what an mbox or SMTP would mark.
func sturdy(text []byte, flowed bool) bool {
	if !mailSafe(text) {
		return false
	}
	for line := range bytes.Lines(text) {
		line = bytes.TrimSuffix(line, []byte("\r\n"))
		if len(line) > foldAt+2 || bytes.HasPrefix(line, []byte("From ")) || bytes.HasPrefix(line, []byte(".")) {
			return false
		}
		if end := len(line) - 1; end >= 0 && (line[end] == '\t' || line[end] == ' ' && !flowed) {
			return false
		}
	}
	return true
}

// mailSafe tells whether bytes are ASCII without control characters, in lines
// that end with CR LF and that SMTP carries.
func mailSafe(b []byte) bool {
	width := 0
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c == '\r' && i+1 < len(b) && b[i+1] == '\n' {
			width = 0
			i++
			continue
		}
		if width++; width > lineMax || c < ' ' && c != '\t' || c >= 0x7f {
			return false
		}
	}
	return true
}

// quotedPrintable encodes text with CR LF lines (RFC 2045 section 6.7).
func quotedPrintable(text []byte) []byte {
	out := make([]byte, 0, len(text)+len(text)/4)
	for line := range bytes.Lines(text) {
		body, ended := bytes.CutSuffix(line, []byte("\r\n"))
		width := 0
		for i, c := range body {
			safe := c == ' ' || c == '\t' || c > ' ' && c < 0x7f && c != '='
			if i == len(body)-1 && c <= ' ' || width == 0 && (c == '.' || c == 'F' && bytes.HasPrefix(body[i:], []byte("From "))) {
				safe = false
			}
			n := 1
			if !safe {
				n = 3
			}
			if last := i == len(body)-1; width+n > qpWidth-1 && !(last && width+n <= qpWidth) {
				out = append(out, "=\r\n"...)
				width = 0
				if c == '.' || c == 'F' && bytes.HasPrefix(body[i:], []byte("From ")) {
					safe, n = false, 3
				}
			}
			if safe {
				out = append(out, c)
			} else {
				out = append(out, '=')
				out = append(out, hexByte(c)...)
			}
			width += n
		}
		if ended {
			out = append(out, "\r\n"...)
		}
	}
	return out
}

// flow wraps paragraphs so that a reader can join them again (RFC 3676 section
// 4.2): a broken line ends in a space, an own line break does not.
func flow(text string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")) {
		line = strings.TrimSuffix(line, "\n")
		quotes := line[:len(line)-len(strings.TrimLeft(line, ">"))]
		rest := line[len(quotes):]
		if quotes != "" {
			rest = strings.TrimPrefix(rest, " ")
		}
		if line != "-- " {
			rest = strings.TrimRight(rest, " ")
			flowLine(&b, quotes, rest)
		} else {
			b.WriteString("-- \n")
		}
	}
	return b.String()
}

// flowLine writes one paragraph of one quote depth.
func flowLine(b *strings.Builder, quotes, rest string) {
	for {
		head, tail := rest, ""
		if utf8.RuneCountInString(rest) > flowWidth {
			if cut := breakAt(rest, flowWidth); cut > 0 {
				head, tail = rest[:cut], rest[cut:]
			}
		}
		b.WriteString(quotes)
		if quotes != "" || head != "" && (head[0] == ' ' || head[0] == '>') || strings.HasPrefix(head, "From ") {
			b.WriteByte(' ') // stuffed (section 4.4)
		}
		b.WriteString(head + "\n")
		if tail == "" {
			return
		}
		rest = tail
	}
}

// breakAt returns the offset behind the last space within the first n characters
// that has a word after it, or behind the first space there is; 0 without any.
func breakAt(s string, n int) int {
	cut, runes := 0, 0
	for i, r := range s {
		if runes++; runes > n && cut > 0 {
			break
		}
		if r == ' ' && i > 0 && i+1 < len(s) && s[i+1] != ' ' && strings.TrimLeft(s[:i], " ") != "" {
			cut = i + 1
		}
	}
	return cut
}
