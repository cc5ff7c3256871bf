package smtpd

import "bytes"

// maxLine is the longest line of a message, its CR LF included.
const maxLine = 128 << 10

// framing finds where a message ends after DATA and takes out the dots that
// were put before lines beginning with one (RFC 5321 section 4.5.2). Only CR LF
// begins and ends a line here; the other octets pass through.
type framing struct {
	at position
}

// position is what the octets before tell about the next one.
type position uint8

const (
	atStart    position = iota // begins a line
	afterDot                   // follows a dot that begins a line
	afterDotCR                 // follows dot and CR that begin a line
	inLine                     // within a line
	afterCR                    // follows a CR within a line
)

// feed appends to dst what src holds of the message, at most one octet more
// than len(src), and returns dst and how much of src it used: all of it unless
// the message is done.
func (f *framing) feed(dst, src []byte) (out []byte, used int, done bool) {
	for used < len(src) {
		c := src[used]
		switch {
		case f.at == atStart && c == '.':
			f.at = afterDot
			used++
		case f.at == afterDot && c == '\r':
			f.at = afterDotCR
			used++
		case f.at == afterDotCR && c == '\n':
			return dst, used + 1, true
		case f.at == afterDotCR:
			dst = append(dst, '\r') // it was not the end after all
			f.at = afterCR
		case f.at == afterCR && c == '\n':
			dst = append(dst, c)
			f.at = atStart
			used++
		default:
			n := f.line(src[used:])
			dst = append(dst, src[used:used+n]...)
			used += n
		}
	}
	return dst, used, false
}

// line returns how much of src is surely in the line that src is in or begins:
// up to its CR LF, to the first other CR, or all.
func (f *framing) line(src []byte) int {
	n := bytes.IndexByte(src, '\r') + 1
	switch {
	case n == 0:
		f.at = inLine
		return len(src)
	case n < len(src) && src[n] == '\n':
		f.at = atStart
		return n + 1
	}
	f.at = afterCR
	return n
}

// inspect returns what is wrong with the lines of a message, nil if nothing is.
// A message need not end with CR LF: one that came by BDAT may not.
func inspect(msg []byte) reply {
	if bytes.IndexByte(msg, 0) >= 0 {
		return replyNUL
	}
	lines, rest := 0, msg
	for {
		cr := bytes.IndexByte(rest, '\r')
		switch {
		case cr+2 > maxLine, cr < 0 && len(rest) > maxLine:
			return replyLongData
		case cr < 0 && bytes.Count(msg, []byte{'\n'}) != lines:
			return replyBareLF
		case cr < 0:
			return nil
		case cr+1 == len(rest) || rest[cr+1] != '\n':
			return replyBareCR
		}
		lines++
		rest = rest[cr+2:]
	}
}
