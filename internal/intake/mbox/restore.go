package mbox

import "bytes"

// Ends says what line ends a message had in its container.
type Ends uint8

const (
	CRLF  Ends = iota // CRLF throughout, or none at all: nothing to do
	LF                // LF is the container's line end: each became CRLF
	Mixed             // both, and which is meant is not known: left as they were
)

// String is the name used in reports: crlf, lf or mixed.
func (e Ends) String() string { return [...]string{"crlf", "lf", "mixed"}[e%3] }

// Form says what was undone to get from the container's bytes to the message.
type Form struct {
	Ends     Ends
	Unquoted int  // lines that lost one ">"
	AsIs     bool // quoting was left since the message has an unquoted "From " line
}

// Message returns the message in a slice of its own, with what the container
// did to it undone.
//
// Line ends: where LF is the container's line end, each LF becomes CRLF, the
// form in which mail travels (RFC 5322, section 2.1) and is signed. A CR before
// the LF was part of the line and stays, so that turning each CRLF back into LF
// gives the container's bytes. LF is taken to be the container's line end when
// no header line ends in CRLF and most body lines do not. Messages with CRLF
// alone, or with no clear rule, keep their bytes.
//
// Quoting: see the package comment.
func (s *Span) Message() ([]byte, Form) {
	f := Form{Ends: endsOf(s.Raw)}
	quoted := quotedO
	if s.variant == RD {
		quoted = quotedRD
		f.AsIs = s.Loose > 0
	}
	if s.ByLength || s.variant == CL2 || f.AsIs || !bytes.Contains(s.Raw, []byte(">From ")) {
		quoted = nil
	}
	f.AsIs = f.AsIs && bytes.Contains(s.Raw, []byte(">From "))
	if f.Ends != LF && quoted == nil {
		return bytes.Clone(s.Raw), f
	}
	room := len(s.Raw)
	if f.Ends == LF {
		room += bytes.Count(s.Raw, []byte{'\n'})
	}
	msg, n := restore(make([]byte, 0, room), s.Raw, f.Ends == LF, quoted)
	f.Unquoted = n
	return msg, f
}

// restore appends raw to dst with quoting and line ends undone, and returns how
// many lines were unquoted.
func restore(dst, raw []byte, addCR bool, quoted func([]byte) bool) ([]byte, int) {
	unquoted := 0
	for len(raw) > 0 {
		if quoted != nil && raw[0] == '>' && quoted(raw) {
			raw = raw[1:]
			unquoted++
		}
		i := bytes.IndexByte(raw, '\n')
		if i < 0 {
			return append(dst, raw...), unquoted
		}
		dst = append(dst, raw[:i]...)
		if addCR {
			dst = append(dst, '\r')
		}
		dst = append(dst, '\n')
		raw = raw[i+1:]
	}
	return dst, unquoted
}

// quotedRD says whether the line is "From " after one or more ">". It looks no
// further than the run of ">", so a file of them stays linear.
func quotedRD(line []byte) bool {
	i := 0
	for i < len(line) && line[i] == '>' {
		i++
	}
	return bytes.HasPrefix(line[i:], []byte("From "))
}

func quotedO(line []byte) bool { return bytes.HasPrefix(line, []byte(">From ")) }

// endsOf finds what line ends a message has, see Span.Message.
func endsOf(raw []byte) Ends {
	if bytes.IndexByte(raw, '\r') < 0 {
		if bytes.IndexByte(raw, '\n') < 0 {
			return CRLF
		}
		return LF
	}
	all, crlf := bytes.Count(raw, []byte{'\n'}), bytes.Count(raw, []byte("\r\n"))
	if all == crlf {
		return CRLF
	}
	header := raw
	if h := headerLength(raw); h > 0 {
		header = raw[:h]
	}
	if crlf <= all-crlf && !bytes.Contains(header, []byte("\r\n")) {
		return LF
	}
	return Mixed
}
