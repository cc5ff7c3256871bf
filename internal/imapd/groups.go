package imapd

import (
	"mime"
	"regexp"
	"strings"

	"sijill/internal/message"

	"github.com/emersion/go-imap/v2"
)

// addressList reads an address list for an envelope. The members of a group stand
// between two addresses without a host: one with the name of the group, one with
// nothing (RFC 9051, section 7.5.2).
func addressList(v string) []imap.Address {
	var all []imap.Address
	for strings.IndexByte(v, ';') >= 0 && len(all) < message.MaxAddresses {
		g, ok := cutGroup(v)
		if !ok {
			break
		}
		all = append(all, addresses(message.ParseAddresses(g.before))...)
		all = append(all, imap.Address{Mailbox: mime.QEncoding.Encode("utf-8", g.name)})
		all = append(all, addresses(message.ParseAddresses(g.members))...)
		all = append(all, imap.Address{})
		v = g.after
	}
	return append(all, addresses(message.ParseAddresses(v))...)
}

// group is one in an address list, with what is around it.
type group struct{ before, name, members, after string }

// cutGroup finds the first group (RFC 5322, section 3.4). A list in which a quote,
// a comment or a bracket isn't closed is taken to have none.
func cutGroup(v string) (g group, ok bool) {
	start, named, address := 0, -1, false // of what is since the last comma
	for i := nextMark(v, 0); i < len(v); i = nextMark(v, i+1) {
		switch c := v[i]; {
		case c == ':' && named < 0 && !address:
			// One that has no name before it is of a link or an address.
			if g.name = groupName(v[start:i]); g.name == "" {
				address = true
				continue
			}
			named = i
		case c == ';' && named >= 0:
			g.before, g.members, g.after = v[:start], v[named+1:i], v[i+1:]
			return g, true
		case c != ':' && named < 0:
			start, address = i+1, false
		}
	}
	return group{}, false
}

// groupName reads what stands before a colon; it returns "" for what is no name.
func groupName(s string) string {
	list := message.ParseAddresses(s)
	if len(list) != 1 || list[0].Addr != "" || strings.EqualFold(list[0].Name, "mailto") {
		return ""
	}
	return list[0].Name
}

var encodedWord = regexp.MustCompile(`^=\?[^?\s]+\?[bBqQ]\?[^?\s]*\?=`)

// nextMark finds the next of ",;:" from i on that stands for itself. It returns
// len(v) where there is none, or what the marks are can't be told.
func nextMark(v string, i int) int {
	for i < len(v) {
		n := 1
		switch v[i] {
		case ',', ';', ':':
			return i
		case '"':
			n = closed(v[i:], '"', '"')
		case '(':
			n = closed(v[i:], '(', ')')
		case '<':
			n = strings.IndexByte(v[i:], '>') + 1
		case '=':
			n = max(1, len(encodedWord.FindString(v[i:])))
		}
		if n == 0 {
			return len(v)
		}
		i += n
	}
	return len(v)
}

// closed is the length of a quoted string or of a comment, which may have others
// in it; 0 where it isn't closed.
func closed(v string, begin, end byte) int {
	depth := 1
	for i := 1; i < len(v); i++ {
		switch v[i] {
		case '\\':
			i++
		case end:
			if depth--; depth == 0 {
				return i + 1
			}
		case begin:
			depth++
		}
	}
	return 0
}
