package imapd

import (
	"errors"
	"slices"
	"strings"
	"unicode"

	"sijill/internal/mailbox"
	"sijill/internal/message"

	"github.com/emersion/go-imap/v2"
)

// maxPhrase is the longest text in octets that the index is asked for.
const maxPhrase = 1000

// worded applies TEXT and BODY. The index of words answers them, so a word is
// found by its stem and not by a piece of it. A hit of BODY that may be due to
// the header alone is opened and looked at.
func (h *hunt) worded(c *imap.SearchCriteria, list []hit) (_ []hit, err error) {
	for _, phrase := range c.Text {
		if list, err = h.containing(list, phrase, false); err != nil {
			return nil, err
		}
	}
	for _, phrase := range c.Body {
		if list, err = h.containing(list, phrase, true); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// inWords tells whether words are made of such characters. The index knows
// nothing of the others.
func inWords(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }

// askable tells whether the index answers a phrase.
func askable(phrase string) bool {
	return len(phrase) <= maxPhrase && strings.ContainsFunc(phrase, inWords)
}

func (h *hunt) containing(list []hit, phrase string, body bool) ([]hit, error) {
	switch {
	case phrase == "" || len(list) == 0: // RFC 9051, section 6.4.4: the empty string is in all
		return list, nil
	case !askable(phrase):
		return h.opening(list, func(m *message.Message) bool {
			return includes(m.Text(), phrase) || !body && headerIncludes(m, phrase)
		})
	}
	entries, err := h.index(phrase)
	if err != nil {
		return nil, err
	}
	in := lookup{list: entries}
	hits := keep(list, func(n hit) bool { return in.has(h.entry(n)) })
	if !body {
		return hits, nil
	}
	return h.inBody(hits, phrase)
}

// index asks the index, once for each phrase.
func (h *hunt) index(phrase string) ([]int64, error) {
	if entries, ok := h.found[phrase]; ok {
		return entries, nil
	}
	entries, err := h.user.Search(h.ctx, phrase)
	if err != nil {
		return nil, err
	}
	h.found[phrase] = entries
	return entries, nil
}

// lookup tells whether numbers are in an ascending list, quickly where they are
// asked for nearly in order, as the entries of a folder mostly are.
type lookup struct {
	list []int64
	at   int // where the last one was found, or would be
}

// near is how far a lookup walks before it leaps.
const near = 16

func (l *lookup) has(n int64) bool {
	for range near {
		switch {
		case l.at > 0 && l.list[l.at-1] >= n:
			l.at--
		case l.at < len(l.list) && l.list[l.at] < n:
			l.at++
		default:
			return l.at < len(l.list) && l.list[l.at] == n
		}
	}
	var found bool
	l.at, found = slices.BinarySearch(l.list, n)
	return found
}

// inBody leaves out the hits whose words are in the envelope and not in the body.
func (h *hunt) inBody(hits []hit, phrase string) ([]hit, error) {
	if err := h.summarise(hits); err != nil {
		return nil, err
	}
	doubtful := keep(hits, func(n hit) bool {
		s := h.summaries[h.entry(n)]
		return s == nil || mentions(s, phrase)
	})
	found, err := h.opening(doubtful, func(m *message.Message) bool { return includes(m.Text(), phrase) })
	if err != nil {
		return nil, err
	}
	return without(hits, without(doubtful, found)), nil
}

// headed applies the HEADER keys that summaries can't answer.
func (h *hunt) headed(c *imap.SearchCriteria, list []hit) (_ []hit, err error) {
	for _, f := range c.Header {
		if envelopeField(f.Key) {
			continue
		}
		list, err = h.opening(list, func(m *message.Message) bool {
			for _, field := range m.Header.All(f.Key) {
				if includes(field.Text(), f.Value) {
					return true
				}
			}
			return false
		})
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

// opening keeps the messages that ok accepts. One that can't be opened isn't
// found.
func (h *hunt) opening(list []hit, ok func(*message.Message) bool) ([]hit, error) {
	if len(list) == 0 {
		return nil, nil
	}
	entries := make([]int64, len(list))
	for i := range list {
		entries[i] = h.entry(list[i])
	}
	q, err := h.openEntries(entries)
	if err != nil {
		return nil, err
	}
	defer q.stop()
	var out []hit
	for i := range list {
		raw, err := q.next()
		if err != nil {
			if h.ctx.Err() != nil {
				return nil, errors.Join(err, h.ctx.Err())
			}
			continue
		}
		if ok(message.Parse(raw)) {
			out = append(out, list[i])
		}
		q.done()
	}
	return out, nil
}

func headerIncludes(m *message.Message, phrase string) bool {
	for i := range m.Header.Fields {
		if includes(m.Header.Fields[i].Text(), phrase) {
			return true
		}
	}
	return false
}

// fieldIn is the value of a field of the envelope.
func fieldIn(s *mailbox.Summary, key string) string {
	switch strings.ToLower(key) {
	case "from":
		return s.From
	case "to":
		return s.To
	case "cc":
		return s.Cc
	case "bcc":
		return s.Bcc
	case "subject":
		return s.Subject
	case "date":
		return s.Date
	case "sender":
		return s.Sender
	case "reply-to":
		return s.ReplyTo
	case "in-reply-to":
		return s.InReplyTo
	}
	return s.MessageID
}

// mentions tells whether a word of the phrase is in the envelope.
func mentions(s *mailbox.Summary, phrase string) bool {
	for _, word := range strings.Fields(phrase) {
		for _, v := range []string{s.Subject, s.From, s.To, s.Cc, s.Bcc, s.Sender, s.ReplyTo} {
			if includes(v, word) {
				return true
			}
		}
	}
	return false
}

// includes tells whether the decoded value has the piece in it, whatever the
// capitals and the Arabic marks.
func includes(value, piece string) bool {
	if value == "" {
		return false
	}
	return strings.Contains(fold(message.DecodeWords(value)), fold(piece))
}

// fold makes strings comparable that people take for the same.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r < 0x80:
			if 'A' <= r && r <= 'Z' {
				r += 'a' - 'A'
			}
			return r
		case r >= 0x64b && r <= 0x652 || r == 0x640 || r == 0x670: // tashkeel, tatweel
			return -1
		case r == 'أ' || r == 'إ' || r == 'آ' || r == 'ٱ':
			return 'ا'
		case r == 'ى':
			return 'ي'
		}
		return unicode.ToLower(r)
	}, s)
}
