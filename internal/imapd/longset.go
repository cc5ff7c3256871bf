package imapd

import (
	"bytes"
	"math"
	"strconv"
	"strings"

	"github.com/emersion/go-imap/v2"
)

// maxSetLine is the longest command line of somebody signed in. What the
// library can't take of it must be one set of numbers.
const maxSetLine = 1 << 20

// shorten takes a long set of numbers out of a command that is longer than the
// library takes, puts "$" in its place and keeps the set for the session.
func (g *guard) shorten(cmd []byte, args int) ([]byte, bool) {
	out := append([]byte{}, cmd[:args]...)
	name := g.current()
	byUID := strings.HasPrefix(name, "UID ") && name != "UID SEARCH"
	key := ""
	for rest := cmd[args:]; len(rest) > 0; {
		word := firstWord(rest)
		rest = rest[len(word):]
		if set, ok := parseSet(word); ok && len(word) > 1000 {
			g.keepSet(set, byUID || key == "UID")
			out = append(append(out, '$'), rest...)
			return out, len(out) <= maxLine
		}
		if string(word) != " " {
			key = strings.ToUpper(string(word))
		}
		out = append(out, word...)
	}
	return nil, false
}

// parseSet reads a sequence set (RFC 9051, section 9). Its ranges stay as they
// are, however many there are: "*" is 0.
func parseSet(word []byte) ([]imap.UIDRange, bool) {
	var set []imap.UIDRange
	for part := range bytes.SplitSeq(word, []byte(",")) {
		first, last, ranged := bytes.Cut(part, []byte(":"))
		a, ok := parseNumber(first)
		b, also := a, true
		if ranged {
			b, also = parseNumber(last)
		}
		if !ok || !also {
			return nil, false
		}
		if b != 0 && b < a || a == 0 {
			a, b = b, a
		}
		set = append(set, imap.UIDRange{Start: imap.UID(a), Stop: imap.UID(b)})
	}
	return set, true
}

func parseNumber(b []byte) (uint32, bool) {
	if string(b) == "*" {
		return 0, true
	}
	n, err := strconv.ParseUint(string(b), 10, 64)
	return uint32(n), err == nil && n > 0 && n <= math.MaxUint32 && b[0] != '0'
}

func (g *guard) keepSet(set []imap.UIDRange, byUID bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.set, g.byUID = set, byUID
}

// longSet is the set for which "$" stands in the command under way; nil where
// it stands for the result of a search.
func (g *guard) longSet() imap.NumSet {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.set == nil:
		return nil
	case g.byUID:
		return imap.UIDSet(g.set)
	}
	seqs := make(imap.SeqSet, len(g.set))
	for i, r := range g.set {
		seqs[i] = imap.SeqRange{Start: uint32(r.Start), Stop: uint32(r.Stop)}
	}
	return seqs
}
