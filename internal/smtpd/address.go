package smtpd

import (
	"net/netip"
	"strings"
)

// maxAddress is the longest local part and domain together (RFC 5321 section
// 4.5.3.1), with some room for UTF-8.
const maxAddress = 512

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// plausible reports whether an address as go-smtp gives it, its local part
// unquoted, has a domain or address literal that can stand in a trace field.
// The guard has already refused control characters.
func plausible(address string) bool {
	at := strings.LastIndexByte(address, '@')
	return at > 0 && len(address) <= maxAddress && plausibleDomain(address[at+1:])
}

// plausibleDomain reports whether s has only what a domain or an address
// literal is made of (RFC 5321 section 4.1.2); underscores do occur, and a dot at
// the end. What is refused here is refused by name; the outbox would refuse the
// whole letter.
func plausibleDomain(s string) bool {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		s, ok = strings.CutSuffix(inner, "]")
		return ok && s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r != ':' && !domainRune(r) })
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		if label == "" || strings.ContainsFunc(label, func(r rune) bool { return !domainRune(r) }) {
			return false
		}
	}
	return true
}

func domainRune(r rune) bool {
	return r >= 0x80 || alphanumeric(r) || r == '-' || r == '.' || r == '_'
}

func alphanumeric(r rune) bool {
	return '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}

// reserved reports whether an address is one at which the server itself is written
// to: postmaster (RFC 5321 section 4.5.1), abuse (RFC 2142), or the sender of its
// notices, at its name or at an address of its.
func reserved(address, hostname string, local netip.Addr) bool {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return false
	}
	switch strings.ToLower(address[:at]) {
	case "postmaster", "abuse", "mailer-daemon":
	default:
		return false
	}
	domain := address[at+1:]
	if strings.HasPrefix(domain, "[") {
		return ourLiteral(domain, local)
	}
	return strings.EqualFold(strings.TrimSuffix(domain, "."), hostname)
}

// ourLiteral reports whether an address literal can be ours: that to which the peer
// connected, or any where that is private, since who translates it is not known.
func ourLiteral(literal string, local netip.Addr) bool {
	s := strings.TrimSuffix(strings.TrimPrefix(literal, "["), "]")
	if len(s) > 5 && strings.EqualFold(s[:5], "IPv6:") {
		s = s[5:]
	}
	a, err := netip.ParseAddr(s)
	return err == nil && (!local.IsValid() || local.IsLoopback() || local.IsPrivate() || a.Unmap() == local)
}

// quote gives the local part back the quotes that go-smtp took off, where it
// needs them (RFC 5321 section 4.1.2).
func quote(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at < 0 || dotString(address[:at]) {
		return address
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range address[:at] {
		if r == '"' || r == '\\' {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	b.WriteByte('"')
	b.WriteString(address[at:])
	return b.String()
}

func dotString(local string) bool {
	for atom := range strings.SplitSeq(local, ".") {
		if atom == "" || strings.ContainsFunc(atom, func(r rune) bool {
			return r < 0x80 && !alphanumeric(r) && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r)
		}) {
			return false
		}
	}
	return true
}
