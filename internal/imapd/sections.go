package imapd

import (
	"strings"

	"sijill/internal/message"

	"github.com/emersion/go-imap/v2"
)

// piece is an entity that a part number names, with the message whose bytes its
// offsets are into.
type piece struct {
	msg  *message.Message
	part *message.Part
}

// find walks down a part number (RFC 9051, section 6.4.5.1). The body of a
// message that is no multipart is its part 1.
func find(m *message.Message, number []int) (piece, bool) {
	at := piece{m, m.Root}
	inside := true // at is a message, whose parts are asked for
	for _, n := range number {
		if !inside && at.part.Nested != nil {
			at = piece{at.part.Nested, at.part.Nested.Root}
			inside = true
		}
		switch {
		case n > 0 && n <= len(at.part.Children):
			at.part = at.part.Children[n-1]
		case n == 1 && inside && len(at.part.Children) == 0:
		default:
			return piece{}, false
		}
		inside = false
	}
	return at, true
}

// section cuts out what BODY[...] names; nothing where there is no such thing.
func section(m *message.Message, raw []byte, s *imap.FetchItemBodySection) []byte {
	return within(wholeSection(m, raw, s), s.Partial)
}

func wholeSection(m *message.Message, raw []byte, s *imap.FetchItemBodySection) []byte {
	if len(s.Part) == 0 {
		switch s.Specifier {
		case imap.PartSpecifierNone:
			return raw
		case imap.PartSpecifierHeader:
			return header(m, s)
		case imap.PartSpecifierText:
			return raw[m.Root.BodyStart:]
		}
		return nil
	}
	p, ok := find(m, s.Part)
	if !ok {
		return nil
	}
	switch s.Specifier {
	case imap.PartSpecifierNone:
		return p.part.Body()
	case imap.PartSpecifierMIME:
		return p.msg.Raw()[p.part.HeaderStart:p.part.BodyStart]
	}
	inner := p.part.Nested
	switch {
	case inner == nil: // HEADER and TEXT are of messages only
		return nil
	case s.Specifier == imap.PartSpecifierHeader:
		return header(inner, s)
	}
	return inner.Raw()[inner.Root.BodyStart:inner.Root.End]
}

// header is the header of a message, or some of its fields as they stand, with
// the empty line that ends it.
func header(m *message.Message, s *imap.FetchItemBodySection) []byte {
	raw := m.Raw()
	names, only := s.HeaderFields, true
	if len(names) == 0 {
		names, only = s.HeaderFieldsNot, false
	}
	if len(names) == 0 {
		return raw[m.Root.HeaderStart:m.Root.BodyStart]
	}
	var out []byte
	for i := range m.Header.Fields {
		f := &m.Header.Fields[i]
		if f.Name == "" && only {
			continue
		}
		if named(f.Name, names) == only {
			out = append(out, raw[f.Start:f.End]...)
		}
	}
	if n := len(out); n > 0 && out[n-1] != '\n' {
		out = append(out, '\r', '\n')
	}
	return append(out, '\r', '\n')
}

func named(name string, names []string) bool {
	for _, n := range names {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

// within is the part of b that a client asks for.
func within(b []byte, p *imap.SectionPartial) []byte {
	if p == nil {
		return b
	}
	from := min(max(p.Offset, 0), int64(len(b)))
	return b[from : from+min(max(p.Size, 0), int64(len(b))-from)]
}

// decoded is what BINARY[...] names, its transfer encoding undone (RFC 9051,
// section 6.4.5.2).
func decoded(m *message.Message, raw []byte, number []int) ([]byte, error) {
	if len(number) == 0 {
		return raw, nil
	}
	p, ok := find(m, number)
	if !ok {
		return nil, nil
	}
	switch p.part.Encoding {
	case "7bit", "8bit", "binary", "base64", "quoted-printable":
		return p.part.Decoded(), nil
	}
	return nil, no(imap.ResponseCodeUnknownCTE, "The transfer encoding of this part is not known")
}
