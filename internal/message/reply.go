package message

import (
	"slices"
	"strings"
)

// ReplyKind says whom a reply goes to.
type ReplyKind int

// The kinds of replies.
const (
	ReplySender ReplyKind = iota // whoever wrote
	ReplyAll                     // and all others who got it
	ReplyList                    // the mailing list alone
)

// maxReferences is how many ids a reply refers to: the first and the newest.
const maxReferences = 50

// Reply begins an answer to m: To, Cc, Subject with mark before it (such as
// "Re:"), InReplyTo and References are set, and From to the address at which m
// came, where own knows one. own tells whether an address is the author's;
// those are not answered, but for an answer to one's own message, which goes to
// whom that went. Reply-To, Mail-Followup-To and, for a list, List-Post are
// heeded. Kinds that find nobody leave To empty.
func Reply(m *Message, kind ReplyKind, own func(addr string) bool, mark string) *Draft {
	d := &Draft{Subject: replySubject(m.Subject(), mark)}
	d.From = ownAddress(m, own)
	if id := m.MessageID(); id != "" {
		d.InReplyTo = []string{id}
		d.References = references(m, id)
	}
	switch kind {
	case ReplyList:
		d.To = listAddress(m)
	case ReplyAll:
		replyToAll(d, m, own)
	default:
		d.To = authors(m, own)
	}
	return d
}

// authors are who a reply goes to (RFC 5322 section 3.6.3).
func authors(m *Message, own func(string) bool) []Address {
	from := m.From()
	if len(from) > 0 && own(from[0].Addr) {
		return reachable(m.To(), nil)
	}
	to := m.ReplyTo()
	if !slices.ContainsFunc(to, func(a Address) bool { return a.Addr != "" }) {
		to = from
	}
	return reachable(to, nil)
}

func replyToAll(d *Draft, m *Message, own func(string) bool) {
	if f := m.Header.Lookup("Mail-Followup-To"); f != nil {
		if to := reachable(ParseAddresses(f.unfolded()), nil); len(to) > 0 {
			d.To = to
			return
		}
	}
	d.To = authors(m, own)
	author := map[string]bool{}
	for _, a := range d.To {
		author[strings.ToLower(a.Addr)] = true
	}
	seen := func(a Address) bool { return own(a.Addr) || author[strings.ToLower(a.Addr)] }
	if others := reachable(slices.Concat(m.To(), m.Cc()), seen); len(d.To) > 0 {
		d.Cc = others
	} else {
		d.To = others
	}
}

// reachable returns the addresses of a list, none twice and none that skip
// names.
func reachable(list []Address, skip func(Address) bool) []Address {
	var out []Address
	have := map[string]bool{}
	for _, a := range list {
		key := strings.ToLower(a.Addr)
		if _, ok := writableAddress(a.Addr); ok && !have[key] && (skip == nil || !skip(a)) {
			have[key] = true
			out = append(out, a)
		}
	}
	return out
}

// ownAddress is the address of the author's to which m was sent or, if it was
// theirs, from which.
func ownAddress(m *Message, own func(string) bool) Address {
	for _, list := range [][]Address{m.To(), m.Cc(), m.From()} {
		for _, a := range list {
			if a.Addr != "" && own(a.Addr) {
				return a
			}
		}
	}
	return Address{}
}

// listAddress is where the list that m came over takes mail (RFC 2369 section
// 3.4).
func listAddress(m *Message) []Address {
	post := m.Header.Get("List-Post")
	for rest := post; ; {
		_, after, ok := strings.Cut(rest, "<")
		if !ok {
			return nil
		}
		url, tail, _ := strings.Cut(after, ">")
		if len(url) > 7 && strings.EqualFold(url[:7], "mailto:") {
			addr, _, _ := strings.Cut(url[7:], "?")
			return reachable([]Address{{Addr: string(appendPercent(nil, addr))}}, nil)
		}
		rest = tail
	}
}

// references are those of m and m itself (RFC 5322 section 3.6.4).
func references(m *Message, id string) []string {
	refs := append(slices.Clone(m.References()), id)
	if len(refs) > maxReferences {
		refs = slices.Delete(refs, 1, len(refs)-maxReferences+1)
	}
	return refs
}

// forwardMarks are those of replyMarks that say that a message was passed on.
var forwardMarks = map[string]bool{
	"fw": true, "fwd": true, "wg": true, "tr": true, "rv": true, "enc": true, "pd": true, "ilt": true, "i̇lt": true,
	"vb": true, "vl": true, "továbbítás": true, "doorst": true, "转发": true, "轉寄": true, "转": true,
	"توجيه": true, "إعادة توجيه": true, "اعادة توجيه": true, "إعادة إرسال": true, "اعادة ارسال": true,
	"محول": true, "تحويل": true, "هدایت": true,
}

// replySubject puts mark before a subject, unless one of its meaning is there
// already, be it in another language or behind the tag of a list.
func replySubject(subject, mark string) string {
	subject = strings.TrimSpace(subject)
	for s, tags := subject, ""; ; {
		if rest, ok := cutMark(s); ok {
			if isForward(s) == isForward(mark) {
				if tags == "" {
					return join(mark, trimMarks(rest, isForward(mark)))
				}
				return subject
			}
			return join(mark, subject)
		}
		rest, ok := cutTag(s)
		if !ok {
			return join(mark, subject)
		}
		s, tags = rest, "seen"
	}
}

func join(mark, subject string) string { return strings.TrimSpace(mark + " " + subject) }

// trimMarks takes further marks of one meaning off the front.
func trimMarks(s string, forward bool) string {
	for {
		rest, ok := cutMark(s)
		if !ok || isForward(s) != forward {
			return s
		}
		s = rest
	}
}

// isForward tells whether the mark that s begins with is one of forwarding.
func isForward(s string) bool { return forwardMarks[markOf(s)] }
