package message

import (
	"bytes"
	"strings"
)

// DetectJournal tells whether raw is a journal report: a message in whose first
// part a server lists the envelope of the message in its second, as Exchange,
// Exchange Online and Google Workspace send to an archive. Anyone can write
// one: whether to believe it is for the caller to decide by where it came from.
func DetectJournal(raw []byte) (*Journal, bool) {
	if !mayBeMultipart(raw) {
		return nil, false
	}
	m := Parse(raw)
	inner := journalled(m)
	if inner == nil {
		return nil, false
	}
	j := readReport(m.Root.Children[0], m.Header.Lookup("X-MS-Journal-Report") != nil)
	if j == nil {
		return nil, false
	}
	if &inner.raw[0] == &raw[0] {
		j.Start, j.End = int64(inner.Root.HeaderStart), int64(inner.Root.End)
	}
	return j, true
}

// journalled returns the message inside a report, or nil.
func journalled(m *Message) *Message {
	if !m.Root.isMultipart() || len(m.Root.Children) < 2 {
		return nil
	}
	for _, p := range m.Root.Children[1:] {
		if p.Nested != nil && len(p.Nested.Bytes()) > 0 {
			return p.Nested
		}
	}
	return nil
}

// readReport reads the text of a report. Without the header that marks one, it
// has to begin with the sender and name a Message-ID, as every form does.
func readReport(p *Part, marked bool) *Journal {
	if p.Type != "text" || p.Subtype != "plain" {
		return nil
	}
	w := textWriter{limit: MaxText}
	w.leaf(p)
	r := report{have: map[string]bool{}}
	for line := range strings.Lines(string(w.out)) {
		r.line(strings.TrimSpace(line))
	}
	if !r.hasSender || len(r.Recipients) == 0 || !marked && !(r.senderFirst && r.hasID) {
		return nil
	}
	return &r.Journal
}

type report struct {
	Journal
	hasSender, senderFirst, hasID bool
	anyLine                       bool
	have                          map[string]bool
	inList                        bool // below "Recipients:", where each line is a list
}

func (r *report) line(line string) {
	name, value, ok := strings.Cut(line, ":")
	value = strings.TrimSpace(value)
	switch name = strings.ToLower(strings.TrimSpace(name)); {
	case line == "":
		return
	case ok && name == "sender" && !r.hasSender:
		r.hasSender, r.senderFirst = true, !r.anyLine
		if from := ParseAddresses(value); len(from) > 0 {
			r.Sender = from[0].Addr
		}
	case ok && (name == "message-id" || name == "messageid"):
		r.hasID, r.inList = true, false
	case ok && (name == "recipient" || name == "to" || name == "cc" || name == "bcc"):
		// "a@b, Expanded: list@b" or "a@b, Forwarded: c@b": who got it stands first.
		first, _, _ := strings.Cut(value, ", Expanded:")
		first, _, _ = strings.Cut(first, ", Forwarded:")
		r.add(first)
	case ok && name == "recipients":
		r.inList = true
		r.add(value)
	case r.inList:
		r.add(line)
	}
	r.anyLine = true
}

func (r *report) add(list string) {
	for _, a := range ParseAddresses(list) {
		key := strings.ToLower(a.Addr)
		if strings.IndexByte(key, '@') > 0 && len(r.Recipients) < MaxAddresses && !r.have[key] {
			r.have[key] = true
			r.Recipients = append(r.Recipients, a.Addr)
		}
	}
}

// mayBeMultipart spares most mail the parsing: its header has no multipart.
func mayBeMultipart(raw []byte) bool {
	for at := 0; at < len(raw); {
		end := lineEnd(raw, at)
		line := raw[at:end]
		if isBlankLine(line) {
			return false
		}
		if bytes.Contains(bytes.ToLower(line), []byte("multipart/")) {
			return true
		}
		at = end
	}
	return false
}
