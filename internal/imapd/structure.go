package imapd

import (
	"cmp"
	"mime"
	"net/url"
	"strings"
	"time"

	"sijill/internal/message"

	"github.com/emersion/go-imap/v2"
)

// structureOf makes the BODYSTRUCTURE of a message (RFC 9051, section 7.5.2).
func structureOf(m *message.Message) imap.BodyStructure { return partStructure(m.Root) }

func partStructure(p *message.Part) imap.BodyStructure {
	if len(p.Children) > 0 {
		return multipart(p)
	}
	s := &imap.BodyStructureSinglePart{
		Type: p.Type, Subtype: p.Subtype, Params: params(p.Params),
		ID: fieldOf(p, "Content-ID"), Description: fieldOf(p, "Content-Description"),
		Encoding: p.Encoding, Size: uint32(len(p.Body())),
		Extended: &imap.BodyStructureSinglePartExt{
			Disposition: disposition(p), Language: languages(p), Location: fieldOf(p, "Content-Location"),
		},
	}
	switch {
	case p.Type == "multipart": // no part was found in it: it is read as text
		s.Type, s.Subtype, s.Params = "text", "plain", nil
		s.Text = &imap.BodyStructureText{NumLines: int64(p.Lines())}
	case p.Type == "text":
		s.Text = &imap.BodyStructureText{NumLines: int64(p.Lines())}
	case p.Type == "message" && (p.Subtype == "rfc822" || p.Subtype == "global"):
		enclosed(s, p)
	}
	return s
}

// enclosed describes a message inside. One that lies too deep to be read is
// told as octets, since clients would expect more of a message.
func enclosed(s *imap.BodyStructureSinglePart, p *message.Part) {
	if p.Nested == nil {
		s.Type, s.Subtype = "application", "octet-stream"
		return
	}
	s.MessageRFC822 = &imap.BodyStructureMessageRFC822{
		Envelope: envelopeIn(p.Nested), BodyStructure: structureOf(p.Nested), NumLines: int64(p.Lines()),
	}
}

func multipart(p *message.Part) imap.BodyStructure {
	s := &imap.BodyStructureMultiPart{
		Subtype: p.Subtype,
		Extended: &imap.BodyStructureMultiPartExt{
			Params: params(p.Params), Disposition: disposition(p), Language: languages(p), Location: fieldOf(p, "Content-Location"),
		},
	}
	for _, c := range p.Children {
		s.Children = append(s.Children, partStructure(c))
	}
	return s
}

// fieldOf is the value of a field as it was written, on one line and in ASCII.
func fieldOf(p *message.Part, name string) string {
	f := p.Header.Lookup(name)
	if f == nil {
		return ""
	}
	v := oneLine(f)
	if !ascii(v) {
		v = mime.BEncoding.Encode("utf-8", f.Text())
	}
	return v
}

func oneLine(f *message.Field) string { return strings.Join(strings.Fields(f.Raw()), " ") }

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 || s[i] < ' ' {
			return false
		}
	}
	return true
}

// params writes parameters; those that are not ASCII as RFC 2231 has them.
func params(ps message.Params) map[string]string {
	if len(ps) == 0 {
		return nil
	}
	all := make(map[string]string, len(ps))
	for _, p := range ps {
		name, value := p.Name, p.Value
		if !ascii(value) {
			name, value = name+"*", "utf-8''"+url.PathEscape(value)
		}
		if _, twice := all[name]; !twice && name != "" {
			all[name] = value
		}
	}
	return all
}

func disposition(p *message.Part) *imap.BodyStructureDisposition {
	if p.Disposition == "" {
		return nil
	}
	return &imap.BodyStructureDisposition{Value: p.Disposition, Params: params(p.DispositionParams())}
}

func languages(p *message.Part) []string {
	var all []string
	for _, l := range strings.Split(fieldOf(p, "Content-Language"), ",") {
		if l = strings.TrimSpace(l); l != "" {
			all = append(all, l)
		}
	}
	return all
}

// envelopeIn is the envelope of a message inside another.
func envelopeIn(m *message.Message) *imap.Envelope {
	date, _ := m.Date()
	first := func(name string) []imap.Address {
		if f := m.Header.Lookup(name); f != nil {
			return addressList(oneLine(f))
		}
		return nil
	}
	all := func(name string) []imap.Address {
		var list []string
		for _, f := range m.Header.All(name) {
			list = append(list, oneLine(f))
		}
		return addressList(strings.Join(list, ", "))
	}
	return &imap.Envelope{
		Date: dateWithin(date), Subject: m.Subject(),
		From: first("From"), Sender: first("Sender"), ReplyTo: first("Reply-To"), To: all("To"), Cc: all("Cc"), Bcc: all("Bcc"),
		InReplyTo: m.InReplyTo(), MessageID: m.MessageID(),
	}
}

func addresses(list []message.Address) []imap.Address {
	if len(list) == 0 {
		return nil
	}
	all := make([]imap.Address, 0, len(list))
	for _, a := range list {
		local, host := a.Addr, ""
		if i := strings.LastIndexByte(local, '@'); i >= 0 {
			local, host = unquoted(local[:i]), local[i+1:]
		}
		// One of them that is NIL would begin or end a group.
		all = append(all, imap.Address{Name: a.Name, Mailbox: cmp.Or(local, "unknown"), Host: cmp.Or(host, "invalid")})
	}
	return all
}

// unquoted takes the quotes off a local part (RFC 9051, section 9, addr-mailbox).
func unquoted(local string) string {
	if len(local) < 2 || local[0] != '"' || local[len(local)-1] != '"' {
		return local
	}
	var b strings.Builder
	for i := 1; i < len(local)-1; i++ {
		if local[i] == '\\' && i+1 < len(local)-1 {
			i++
		}
		b.WriteByte(local[i])
	}
	return b.String()
}

// dateWithin keeps a date in what clients can read: four digits of a year.
func dateWithin(t time.Time) time.Time {
	if !t.IsZero() && (t.Year() < 1 || t.Year() > 9999) {
		return time.Unix(0, 0).UTC()
	}
	return t
}
