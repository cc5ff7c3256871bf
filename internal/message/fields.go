package message

import (
	"slices"
	"strings"
	"time"
)

// Subject returns the decoded subject, or "".
func (m *Message) Subject() string { return m.Header.Get("Subject") }

// From returns the addresses of the first From field. A message with several
// has been forged or broken; see Header.All.
func (m *Message) From() []Address { return m.first("From") }

// Sender returns the addresses of the first Sender field.
func (m *Message) Sender() []Address { return m.first("Sender") }

// ReplyTo returns the addresses of the first Reply-To field.
func (m *Message) ReplyTo() []Address { return m.first("Reply-To") }

// To returns the addresses of all To fields. The list is the caller's to read,
// not to change.
func (m *Message) To() []Address {
	m.memo.toOnce.Do(func() { m.memo.to = m.all("To") })
	return m.memo.to
}

// Cc returns the addresses of all Cc fields.
func (m *Message) Cc() []Address { return m.all("Cc") }

// Bcc returns the addresses of all Bcc fields.
func (m *Message) Bcc() []Address { return m.all("Bcc") }

// Resent returns the addresses of all Resent-From and Resent-Sender fields: of who
// sent the message again, each time that somebody did.
func (m *Message) Resent() []Address { return append(m.all("Resent-From"), m.all("Resent-Sender")...) }

func (m *Message) first(name string) []Address {
	if f := m.Header.Lookup(name); f != nil {
		return ParseAddresses(f.unfolded())
	}
	return nil
}

func (m *Message) all(name string) []Address {
	var all []Address
	for _, f := range m.Header.All(name) {
		all = append(all, ParseAddresses(f.unfolded())...)
		if len(all) > MaxAddresses {
			return all[:MaxAddresses]
		}
	}
	return all
}

// MessageID returns the Message-ID without angle brackets, or "". It names no
// message uniquely: real messages share theirs.
func (m *Message) MessageID() string {
	if f := m.Header.Lookup("Message-ID"); f != nil {
		return firstID(f.unfolded())
	}
	return ""
}

// InReplyTo returns the ids of In-Reply-To without angle brackets.
func (m *Message) InReplyTo() []string {
	if f := m.Header.Lookup("In-Reply-To"); f != nil {
		return ids(f.unfolded(), 10, false)
	}
	return nil
}

// References returns the ids of References, oldest first, then those of
// In-Reply-To that are not among them; without angle brackets, at most 1,010.
func (m *Message) References() []string {
	var refs []string
	if f := m.Header.Lookup("References"); f != nil {
		refs = ids(f.unfolded(), 1000, true)
	}
next:
	for _, id := range m.InReplyTo() {
		for _, ref := range refs {
			if ref == id {
				continue next
			}
		}
		refs = append(refs, id)
	}
	return refs
}

// maxNamed is how many ids Answers returns, and maxNaming how many bytes of a field
// it reads for them: headers come as long as messages.
const (
	maxNamed  = 1000
	maxNaming = 128 << 10
)

// Answers returns the ids of every References field and then of every In-Reply-To
// field, without angle brackets, for who asks what a message answers and must not
// be got round by a second field or a long one: the first of them and the last,
// at most 1,000 together.
func (m *Message) Answers() (named []string) {
	for _, name := range []string{"References", "In-Reply-To"} {
		for _, f := range m.Header.All(name) {
			v := f.unfolded()
			if len(v) > maxNaming {
				if id := firstID(v); id != "" {
					named = append(named, id)
				}
				v = v[len(v)-maxNaming:]
			}
			if named = append(named, ids(v, len(v), true)...); len(named) > maxNamed {
				named = slices.Concat(named[:1], named[len(named)-maxNamed+1:])
			}
		}
	}
	return named
}

// Date returns what the Date header says, wherever it may lie in time; false
// where there is none that can be read.
func (m *Message) Date() (time.Time, bool) {
	if f := m.Header.Lookup("Date"); f != nil {
		return ParseDate(f.unfolded())
	}
	return time.Time{}, false
}

// Received returns the date of the topmost Received field that has one: each
// server puts its own on top, so it is the newest (RFC 5321 section 4.4).
func (m *Message) Received() (time.Time, bool) {
	for i := range m.Header.Fields {
		f := &m.Header.Fields[i]
		if len(f.Name) != len("Received") || !strings.EqualFold(f.Name, "Received") {
			continue
		}
		v := f.raw
		v = v[strings.LastIndexByte(v, ';')+1:]
		if t, ok := ParseDate(unfold(v)); ok && len(v) < len(f.raw) {
			return t, true
		}
	}
	return time.Time{}, false
}

// firstID returns the first message id in v, which may lack its brackets.
func firstID(v string) string {
	if all := ids(v, 1, false); len(all) > 0 {
		return all[0]
	}
	return ""
}

// ids finds message ids (RFC 5322 section 3.6.4) between whatever else is
// there. Without any angle bracket, a value of one word is an id, and in a
// list every word with an @.
func ids(v string, limit int, list bool) []string {
	var found []string
	for rest := v; len(found) < limit; {
		open := strings.IndexByte(rest, '<')
		if open < 0 {
			break
		}
		rest = rest[open+1:]
		end := strings.IndexAny(rest, "<>")
		if end < 0 {
			end = len(rest)
		}
		if id := tidyID(rest[:end]); id != "" {
			found = append(found, id)
		}
		rest = rest[end:]
	}
	if len(found) > 0 || strings.IndexByte(v, '<') >= 0 {
		return found
	}
	words := strings.Fields(v)
	for _, w := range words {
		if w = tidyID(strings.Trim(w, ">,;\"")); w != "" && len(found) < limit &&
			(len(words) == 1 || list && strings.IndexByte(w, '@') > 0) {
			found = append(found, w)
		}
	}
	return found
}

// tidyID removes the spaces that folding put into an id.
func tidyID(id string) string {
	if strings.ContainsAny(id, " \t") {
		id = strings.Join(strings.Fields(id), "")
	}
	return clean(id)
}
