package mailauth

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
	"golang.org/x/net/idna"
)

// SPF is what the sender's domain says about the peer (RFC 7208).
type SPF struct {
	// Result is none, neutral, pass, fail, softfail, temperror or permerror.
	Result Verdict `json:"result"`
	// Domain is what was checked: of MAIL FROM or, where that is empty, HELO.
	Domain string `json:"domain,omitempty"`
	// Helo says that it was HELO's.
	Helo bool `json:"helo,omitempty"`
}

// checkSPF checks MAIL FROM, or HELO for the null sender (RFC 7208 section 2.4).
func checkSPF(ctx context.Context, from DNS, p Peer) SPF {
	local, domain, _ := cutLast(strings.Trim(p.MailFrom, "<>"), '@')
	s := SPF{Result: None, Domain: domain}
	if domain == "" {
		s.Domain, s.Helo, local = p.Helo, true, ""
	}
	s.Domain = toASCII(s.Domain)
	ip := p.IP.Unmap().WithZone("")
	// RFC 7208 section 4.3: what is no name of several labels has no policy.
	if !ip.IsValid() || !isName(s.Domain) || !strings.Contains(s.Domain, ".") {
		return s
	}
	if local == "" {
		local = "postmaster"
	}
	c := spfCheck{from: from, ip: ip, helo: p.Helo, local: local, sender: s.Domain}
	s.Result = c.host(ctx, s.Domain)
	return s
}

// Limits of RFC 7208 section 4.6.4.
const (
	maxSPFTerms = 10 // that ask DNS
	maxSPFVoids = 2  // answers without records
	maxSPFNames = 10 // of one mx or ptr
)

// spfCheck is one check_host (section 4), its includes and redirects included.
type spfCheck struct {
	from          DNS
	ip            netip.Addr
	helo          string
	local, sender string // the address checked, and its domain
	asked, voids  int
	names         []string // of the peer, validated
	namesAsked    bool
}

// host evaluates the domain's record.
func (c *spfCheck) host(ctx context.Context, domain string) Verdict {
	list, st := texts(ctx, c.from, domain)
	if st == unknown {
		return TempError
	}
	var one string
	n := 0
	for _, txt := range list {
		if isSPF(txt) {
			one = txt
			n++
		}
	}
	switch n {
	case 0:
		return None
	case 1:
	default:
		return PermError
	}
	r, err := parseSPF(one)
	if err != nil {
		return PermError
	}
	for i := range r.terms {
		if v, matched := c.term(ctx, &r.terms[i], domain); matched {
			return v
		}
	}
	return c.redirect(ctx, r, domain)
}

func (c *spfCheck) redirect(ctx context.Context, r *spfRecord, domain string) Verdict {
	if r.redirect == nil {
		return Neutral // section 4.7
	}
	v := PermError
	if target := c.expand(ctx, r.redirect, domain); c.count() {
		v = c.host(ctx, target)
	}
	if v == None {
		return PermError // section 6.1
	}
	return v
}

// count tells whether one more term may ask DNS.
func (c *spfCheck) count() bool {
	c.asked++
	return c.asked <= maxSPFTerms
}

// term evaluates a mechanism: its result counts only where it matched.
func (c *spfCheck) term(ctx context.Context, t *spfTerm, domain string) (v Verdict, matched bool) {
	switch t.name {
	case "all":
		return t.result, true
	case "ip4", "ip6":
		return t.result, t.net.Contains(c.ip)
	}
	if !c.count() {
		return PermError, true
	}
	target := domain
	if t.domain != nil {
		target = c.expand(ctx, t.domain, domain)
	}
	var st state
	switch t.name {
	case "include":
		return c.include(ctx, t, target)
	case "a":
		matched, st = c.at(ctx, t, target)
	case "mx":
		matched, st = c.exchangers(ctx, t, target)
		if st == tooMany {
			return PermError, true
		}
	case "exists":
		var rrs []*dns.A
		rrs, st = records[*dns.A](ctx, c.from, target, dns.TypeA)
		matched = len(rrs) > 0
	case "ptr":
		matched, st = c.named(ctx, target)
	}
	if st == unknown {
		return TempError, true
	}
	if st != found {
		if c.voids++; c.voids > maxSPFVoids {
			return PermError, true
		}
	}
	return t.result, matched
}

// include follows the table of section 5.2.
func (c *spfCheck) include(ctx context.Context, t *spfTerm, target string) (Verdict, bool) {
	switch v := c.host(ctx, target); v {
	case Pass:
		return t.result, true
	case TempError:
		return TempError, true
	case None, PermError:
		return PermError, true
	}
	return "", false
}

// at tells whether the host has the peer's address, or one in its network.
func (c *spfCheck) at(ctx context.Context, t *spfTerm, host string) (bool, state) {
	addrs, st := c.addresses(ctx, host)
	bits := t.six
	if c.ip.Is4() {
		bits = t.four
	}
	for _, a := range addrs {
		if netip.PrefixFrom(a, bits).Contains(c.ip) {
			return true, st
		}
	}
	return false, st
}

// addresses returns those of the peer's own kind (section 5.3).
func (c *spfCheck) addresses(ctx context.Context, host string) (list []netip.Addr, st state) {
	if c.ip.Is4() {
		rrs, st := records[*dns.A](ctx, c.from, host, dns.TypeA)
		for _, rr := range rrs {
			a, _ := netip.AddrFromSlice(rr.A)
			list = append(list, a.Unmap())
		}
		return list, st
	}
	rrs, st := records[*dns.AAAA](ctx, c.from, host, dns.TypeAAAA)
	for _, rr := range rrs {
		a, _ := netip.AddrFromSlice(rr.AAAA)
		list = append(list, a)
	}
	return list, st
}

// tooMany is the state of an mx with more names than may be asked for.
const tooMany state = -1

func (c *spfCheck) exchangers(ctx context.Context, t *spfTerm, domain string) (bool, state) {
	rrs, st := records[*dns.MX](ctx, c.from, domain, dns.TypeMX)
	if len(rrs) > maxSPFNames {
		return false, tooMany
	}
	for _, rr := range rrs {
		matched, st := c.at(ctx, t, rr.Mx)
		if matched || st == unknown {
			return matched, st
		}
	}
	return false, st
}

// named tells whether a validated name of the peer is the domain or below it.
// Errors are no match: the peer's own zone must not decide (section 5.5).
func (c *spfCheck) named(ctx context.Context, domain string) (bool, state) {
	st := c.validate(ctx)
	domain = strings.ToLower(strings.TrimSuffix(domain, "."))
	for _, n := range c.names {
		if n == domain || strings.HasSuffix(n, "."+domain) {
			return true, st
		}
	}
	if st == unknown {
		st = found
	}
	return false, st
}

// validate looks up the peer's names and keeps those that lead back to it.
func (c *spfCheck) validate(ctx context.Context) state {
	if c.namesAsked {
		return found
	}
	c.namesAsked = true
	reverse, err := dns.ReverseAddr(c.ip.String())
	if err != nil {
		return absent
	}
	rrs, st := records[*dns.PTR](ctx, c.from, reverse, dns.TypePTR)
	for _, rr := range rrs[:min(len(rrs), maxSPFNames)] {
		addrs, _ := c.addresses(ctx, rr.Ptr)
		if slices.Contains(addrs, c.ip) {
			c.names = append(c.names, strings.ToLower(strings.TrimSuffix(rr.Ptr, ".")))
		}
	}
	return st
}

// expand writes a macro string out (section 7.3). A name that would be too
// long loses labels at its start.
func (c *spfCheck) expand(ctx context.Context, list macros, domain string) string {
	var b strings.Builder
	for _, m := range list {
		if m.letter == 0 {
			b.WriteString(m.literal)
		} else {
			b.WriteString(m.apply(c.value(ctx, m.letter, domain)))
		}
	}
	name := strings.TrimSuffix(b.String(), ".")
	for len(name) > 253 {
		_, rest, ok := strings.Cut(name, ".")
		if !ok {
			break
		}
		name = rest
	}
	return name
}

func (c *spfCheck) value(ctx context.Context, letter byte, domain string) string {
	switch letter {
	case 's':
		return c.local + "@" + c.sender
	case 'l':
		return c.local
	case 'o':
		return c.sender
	case 'd':
		return domain
	case 'i':
		return c.dotted()
	case 'h':
		return c.helo
	case 'p':
		return c.peerName(ctx, domain)
	}
	if c.ip.Is4() { // v
		return "in-addr"
	}
	return "ip6"
}

// dotted is the address by bytes or, for IPv6, by nibbles.
func (c *spfCheck) dotted() string {
	if c.ip.Is4() {
		return c.ip.String()
	}
	b := c.ip.As16()
	return strings.Join(strings.Split(hex.EncodeToString(b[:]), ""), ".")
}

// peerName prefers the domain, then a name below it, then any.
func (c *spfCheck) peerName(ctx context.Context, domain string) string {
	c.validate(ctx)
	best, domain := "unknown", strings.ToLower(domain)
	for _, n := range c.names {
		switch {
		case n == domain:
			return n
		case strings.HasSuffix(n, "."+domain):
			best = n
		case best == "unknown":
			best = n
		}
	}
	return best
}

// apply takes a macro's value apart, turns it around, cuts and escapes it.
func (m *macro) apply(value string) string {
	parts := strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(m.delimiters, r) })
	if m.reverse {
		slices.Reverse(parts)
	}
	if m.digits > 0 && m.digits < len(parts) {
		parts = parts[len(parts)-m.digits:]
	}
	value = strings.Join(parts, ".")
	if !m.escape {
		return value
	}
	var b strings.Builder
	for i := range len(value) {
		c := value[i]
		if 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

var ascii = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false))

// toASCII returns a domain as DNS has it, in lower case without a dot at its
// end; one that can't be there is returned as it is.
func toASCII(domain string) string {
	domain = strings.ToLower(strings.TrimSuffix(domain, "."))
	for i := range len(domain) {
		if domain[i] >= 0x80 {
			if a, err := ascii.ToASCII(domain); err == nil {
				return a
			}
			break
		}
	}
	return domain
}

// Peer is who hands a message over.
type Peer struct {
	IP       netip.Addr
	Helo     string // EHLO or HELO name as given
	MailFrom string // empty for the null sender
}
