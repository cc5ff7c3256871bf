package smtpd

import (
	"crypto/rand"
	"net/netip"
	"strings"
	"time"

	"sijill/internal/message"
)

// trace composes the fields that are put before the message when it is
// presented: Return-Path and Received (RFC 5321 section 4.4). The recipient is
// named only where there is one, so that none learns of the others.
func (s *session) trace(e *message.Envelope) string {
	var b strings.Builder
	b.WriteString("Return-Path: <" + e.From + ">\r\n")
	b.WriteString("Received: from " + s.client(e.Hello) + "\r\n")
	b.WriteString("\tby " + s.g.srv.opt.Hostname + " with " + s.protocol() + " id " + rand.Text())
	if len(e.To) == 1 {
		b.WriteString("\r\n\tfor <" + e.To[0] + ">")
	}
	if _, suite, ok := strings.Cut(e.TLS, " "); ok {
		b.WriteString("\r\n\ttls " + suite) // RFC 8314 section 4.3
	}
	b.WriteString(";\r\n\t" + e.Time.Format(time.RFC1123Z) + "\r\n")
	return b.String()
}

// client names the peer: as it did itself, and its address.
func (s *session) client(hello string) string {
	name := hello
	if !ascii(name) || !plausibleDomain(name) {
		name = "unknown"
	}
	if s.g.peer.IsValid() {
		name += " (" + literal(s.g.peer) + ")"
	}
	return name
}

// literal writes an address literal (RFC 5321 section 4.1.3).
func literal(a netip.Addr) string {
	if a.Is6() {
		return "[IPv6:" + a.String() + "]"
	}
	return "[" + a.String() + "]"
}

// protocol is the word of RFC 3848 and RFC 6531 section 4.3 for how it came.
func (s *session) protocol() string {
	var p string
	switch lmtp := s.g.role.plain.LMTP; {
	case !s.g.extended:
		return "SMTP"
	case lmtp && s.utf8:
		p = "UTF8LMTP"
	case lmtp:
		p = "LMTP"
	case s.utf8:
		p = "UTF8SMTP"
	default:
		p = "ESMTP"
	}
	if s.g.tls != "" {
		p += "S"
	}
	if s.g.sender != nil {
		p += "A"
	}
	return p
}
