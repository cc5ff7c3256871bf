package smtpd

import (
	"bytes"
	"crypto/rand"
	"slices"
	"strings"
	"time"

	"sijill/internal/message"
)

// outgoing is what the header of a submitted message says that matters here.
type outgoing struct {
	from string
	// others are the addresses of Sender, Resent-From and Resent-Sender, each
	// once and without from: they too say who sends it.
	others   []string
	date, id bool // the fields are there
}

// maxOthers is how many addresses Resent-From and Resent-Sender may hold: each is
// looked for.
const maxOthers = 10

// readHeader reads the header of a submitted message. What another program
// might read otherwise is refused: several From fields or addresses (RFC 5322
// section 3.6 allows one field), or lines that are no fields, behind which our
// reading and another's could part.
func readHeader(raw []byte) (outgoing, reply) {
	head := headerOf(raw)
	m := message.Parse(head)
	fields := &m.Header
	if m.Root.BodyStart != len(head) || len(fields.Fields) >= message.MaxFields || !strict(head, fields) {
		return outgoing{}, replyBadHeader
	}
	from, sender := m.From(), m.Sender()
	switch {
	case len(fields.All("From")) != 1 || len(from) != 1 || !plausible(from[0].Addr):
		return outgoing{}, replyOneFrom
	case len(fields.All("Sender")) > 1 || len(sender) > 1:
		return outgoing{}, replyOneSender
	}
	h := outgoing{from: from[0].Addr, date: fields.Lookup("Date") != nil, id: fields.Lookup("Message-ID") != nil}
	if len(sender) == 1 {
		h.add(sender[0].Addr)
	}
	// Each time it is sent again adds fields above those of the time before (RFC
	// 5322 section 3.6.6). Other programs show any of them.
	resent := m.Resent()
	if len(resent) > maxOthers {
		return outgoing{}, replyResent
	}
	for _, a := range resent {
		if !plausible(a.Addr) {
			return outgoing{}, replyResent
		}
		h.add(a.Addr)
	}
	return h, nil
}

func (h *outgoing) add(address string) {
	same := func(other string) bool { return strings.EqualFold(address, other) }
	if !same(h.from) && !slices.ContainsFunc(h.others, same) {
		h.others = append(h.others, address)
	}
}

// strict tells whether every field has its name and colon without a space
// between (RFC 5322 section 2.2).
func strict(head []byte, h *message.Header) bool {
	for i := range h.Fields {
		f := &h.Fields[i]
		if f.Name == "" || !bytes.HasPrefix(head[f.Start:], []byte(f.Name+":")) {
			return false
		}
	}
	return true
}

// headerOf returns the header section with the empty line that ends it.
func headerOf(raw []byte) []byte {
	if bytes.HasPrefix(raw, []byte("\r\n")) {
		return raw[:2:2]
	}
	if i := bytes.Index(raw, []byte("\r\n\r\n")); i >= 0 {
		return raw[: i+4 : i+4]
	}
	return raw
}

// sent composes the fields that are put before a message that leaves: a trace
// that says which identity sent it and not from where (RFC 5321 section 7.6),
// and the fields that RFC 6409 sections 8.2 and 8.3 have us add.
func (s *session) sent(now time.Time, h outgoing) string {
	var b strings.Builder
	host := s.g.srv.opt.Hostname
	b.WriteString("Received: by " + host)
	if class := s.g.sender.Class(h.from); class != "" {
		b.WriteString(" (" + string(class) + ")")
	}
	b.WriteString(" with " + s.protocol() + " id " + rand.Text() + ";\r\n\t" + now.Format(time.RFC1123Z) + "\r\n")
	if !h.date {
		b.WriteString("Date: " + now.Format(time.RFC1123Z) + "\r\n")
	}
	if !h.id {
		b.WriteString("Message-ID: <" + rand.Text() + "@" + host + ">\r\n")
	}
	return b.String()
}

// hops counts the Received fields of a message: one that goes in a circle has
// more at each turn (RFC 5321 section 6.3).
func hops(raw []byte) (n int) {
	for len(raw) > 0 {
		if raw[0] == '\r' { // the empty line
			return n
		}
		if (raw[0] == 'R' || raw[0] == 'r') && len(raw) > len(received) && strings.EqualFold(string(raw[:len(received)]), received) {
			n++
		}
		end := bytes.IndexByte(raw, '\n')
		if end < 0 {
			return n
		}
		raw = raw[end+1:]
	}
	return n
}

const received = "Received:"
