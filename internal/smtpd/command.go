package smtpd

import (
	"bytes"
	"math"
	"regexp"
	"strconv"
	"unicode/utf8"
)

// offerSecure is what submission offers besides within TLS. go-smtp would only
// do so if it knew of the TLS.
const offerSecure = "250-AUTH PLAIN LOGIN\r\n250-REQUIRETLS\r\n"

// What go-smtp reads when the guard has the message already, and when it is to
// forget one.
var (
	lineData  = []byte("DATA\r\n")
	endOfData = []byte(".\r\n")
	lineReset = []byte("RSET\r\n")
)

// command looks at a command line and hands it to go-smtp, or answers it.
func (g *guard) command(line []byte) {
	if !clean(line) {
		g.answer(replyBadLine)
		return
	}
	text := bytes.TrimSpace(line)
	switch verb(text) {
	case "BDAT":
		g.chunk(text)
	case "STAR": // go-smtp takes all that begins with STARTTLS for it
		g.startTLS(text)
	case "AUTH":
		g.auth(text, line)
	case "EHLO", "LHLO", "HELO":
		g.greet(text, line)
	case "MAIL", "RCPT", "DATA":
		if g.chunks {
			g.answer(replyInChunks)
			return
		}
		g.feed = withinNumbers(g.postmaster(text, line))
	default:
		g.idle++
		g.feed = line
	}
}

// postmaster gives RCPT TO:<postmaster>, which every server must take (RFC 5321
// section 4.5.1) and go-smtp does not, the address set for it.
func (g *guard) postmaster(text, line []byte) []byte {
	a := g.srv.opt.Postmaster
	if a == "" || !bytes.EqualFold(text, []byte("RCPT TO:<postmaster>")) {
		return line
	}
	return []byte("RCPT TO:<" + a + ">\r\n")
}

var sizeParameter = regexp.MustCompile(`(?i)\sSIZE=([0-9]{10,20})\s`)

// withinNumbers makes the SIZE of a MAIL command one that go-smtp reads, and finds
// too large: it may have 20 digits (RFC 1870 section 3), there it has 32 bits.
func withinNumbers(line []byte) []byte {
	from := pathEnd(line)
	at := sizeParameter.FindSubmatchIndex(line[from:])
	if verb(line) != "MAIL" || at == nil {
		return line
	}
	digits := line[from+at[2] : from+at[3]]
	if _, err := strconv.ParseUint(string(digits), 10, 32); err == nil {
		return line
	}
	out := strconv.AppendUint(bytes.Clone(line[:from+at[2]]), math.MaxUint32, 10)
	return append(out, line[from+at[3]:]...)
}

// pathEnd is where the path of a MAIL command ends, in whose quoted local part
// anything may stand.
func pathEnd(line []byte) int {
	quoted := false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == '>' && !quoted:
			return i + 1
		}
	}
	return len(line)
}

// verb returns the first four letters of a command in upper case.
func verb(text []byte) string {
	var v [4]byte
	if copy(v[:], text) < len(v) {
		return ""
	}
	for i, c := range v {
		if 'a' <= c && c <= 'z' {
			v[i] = c - 'a' + 'A'
		}
	}
	return string(v[:])
}

// clean reports whether a line is UTF-8 without control characters but for the
// CR LF at its end: anything else might be read as other lines elsewhere.
func clean(line []byte) bool {
	text, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok || !utf8.Valid(text) {
		return false
	}
	for _, c := range text {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// greet passes EHLO, HELO or LHLO on. All of them reset (RFC 5321 section
// 4.1.4).
func (g *guard) greet(text, line []byte) {
	if len(text) > len("EHLO ")+maxName {
		g.answer(replyLongName)
		return
	}
	g.idle++
	g.extended = verb(text) != "HELO"
	g.offer = ""
	if g.role.submits && g.extended && g.tls != "" {
		g.offer = offerSecure
	}
	g.feed = line
}

// parseChunk reads "BDAT size [LAST]" (RFC 3030 section 2) to the letter.
func parseChunk(text []byte) (size int64, last, ok bool) {
	args, ok := bytes.CutPrefix(text[len("BDAT"):], []byte(" "))
	if !ok {
		return 0, false, false
	}
	digits, word, more := bytes.Cut(args, []byte(" "))
	if more && !bytes.EqualFold(word, []byte("LAST")) {
		return 0, false, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false, false
		}
	}
	size, err := strconv.ParseInt(string(digits), 10, 64)
	return size, more, err == nil
}

// chunk takes a BDAT command with the octets that follow it. go-smtp sees
// nothing of it until the message is whole, and then DATA with the message
// already there. After a malformed command nobody knows which octets are the
// chunk and which the next command, so that the connection ends.
func (g *guard) chunk(text []byte) {
	size, last, ok := parseChunk(text)
	switch s := g.session; {
	case !ok:
		g.end(replyBadChunk)
	case size > 2*g.srv.opt.MaxSize:
		g.end(replyHugeChunk)
	case s == nil || len(s.to) == 0:
		if err := g.skip(size); err != nil {
			g.end(err)
			return
		}
		g.answer(replyNoMail)
	default:
		g.takeChunk(size, last)
	}
}

func (g *guard) takeChunk(size int64, last bool) {
	if !g.chunks {
		g.chunks = true
		g.letter.begin(0)
	}
	if err := g.receiveChunk(size); err != nil {
		g.end(err)
		return
	}
	g.muted = true // what go-smtp says to the lines below is not for the peer
	switch {
	case last:
		g.feed = lineData
	case g.letter.refusal != nil:
		// RFC 3030 section 2: the message has failed; what follows of it is
		// discarded with 503, as no recipients are left.
		g.answer(g.letter.refusal)
		g.feed = lineReset
	default:
		g.answer(replyChunk)
		g.muted = false
	}
}
