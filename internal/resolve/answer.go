package resolve

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// Answer is what DNS has of one kind under one name; Records is never empty.
type Answer[T any] struct {
	Records []T
	// Name is where the records are: the name asked for, or the one at the end
	// of its aliases (CNAME), with a dot at the end.
	Name string
	// Authentic: DNSSEC proves every record, and the aliases to them, according
	// to a server whose word counts.
	Authentic bool
}

// MX is a mail exchanger (RFC 5321 section 5.1). Host "." means that the
// domain takes no mail (RFC 7505).
type MX struct {
	Preference uint16
	Host       string // with a dot at the end
}

// TLSA is an association of a certificate (RFC 6698 section 2.1).
type TLSA struct {
	Usage, Selector, Matching uint8
	Data                      string // hexadecimal, lower case
}

// SRV is the place of a service (RFC 2782).
type SRV struct {
	Priority, Weight, Port uint16
	Target                 string // with a dot at the end
}

// lookup asks for the records of one type and reads them.
func lookup[R dns.RR, T any](ctx context.Context, c *Client, name string, qtype uint16, read func(R) T) (Answer[T], error) {
	e, err := c.ask(ctx, name, qtype)
	if err != nil {
		return Answer[T]{}, err
	}
	a := Answer[T]{Name: alias(e.msg), Authentic: e.authentic}
	for _, rr := range e.msg.Answer {
		if r, ok := rr.(R); ok && strings.EqualFold(rr.Header().Name, a.Name) {
			a.Records = append(a.Records, read(r))
		}
	}
	if len(a.Records) == 0 {
		return Answer[T]{}, &NotFound{Domain: e.msg.Rcode == dns.RcodeNameError, Authentic: e.authentic}
	}
	return a, nil
}

// alias follows the aliases of an answer from its question to their end.
func alias(m *dns.Msg) string {
	name := m.Question[0].Name
	for range len(m.Answer) {
		next := ""
		for _, rr := range m.Answer {
			if c, ok := rr.(*dns.CNAME); ok && strings.EqualFold(c.Hdr.Name, name) {
				next = c.Target
			}
		}
		if next == "" {
			break
		}
		name = next
	}
	return strings.ToLower(name)
}

// MX returns the domain's mail exchangers, the preferred first, those of one
// preference in random order (RFC 5321 section 5.1).
func (c *Client) MX(ctx context.Context, domain string) (Answer[MX], error) {
	a, err := lookup(ctx, c, domain, dns.TypeMX, func(r *dns.MX) MX { return MX{r.Preference, strings.ToLower(r.Mx)} })
	rand.Shuffle(len(a.Records), func(i, j int) { a.Records[i], a.Records[j] = a.Records[j], a.Records[i] })
	slices.SortStableFunc(a.Records, func(x, y MX) int { return cmp.Compare(x.Preference, y.Preference) })
	return a, err
}

// TXT returns the texts under name, the strings of each joined.
func (c *Client) TXT(ctx context.Context, name string) (Answer[string], error) {
	return lookup(ctx, c, name, dns.TypeTXT, func(r *dns.TXT) string { return Text(r) })
}

// Addrs returns the host's IPv6 and IPv4 addresses. One kind is enough: where
// the servers can't tell about the other, what is known is returned.
func (c *Client) Addrs(ctx context.Context, host string) (Answer[netip.Addr], error) {
	var six Answer[netip.Addr]
	var err6 error
	var asked sync.WaitGroup
	asked.Go(func() {
		six, err6 = lookup(ctx, c, host, dns.TypeAAAA, func(r *dns.AAAA) netip.Addr { return addr(r.AAAA) })
	})
	four, err4 := lookup(ctx, c, host, dns.TypeA, func(r *dns.A) netip.Addr { return addr(r.A) })
	asked.Wait()
	switch {
	case err6 == nil && err4 == nil:
		six.Records = append(six.Records, four.Records...)
		six.Authentic = six.Authentic && four.Authentic
		return six, nil
	case err6 == nil:
		return six, nil
	case err4 == nil:
		return four, nil
	case !errors.Is(err6, fs.ErrNotExist):
		return six, err6 // "nobody knows" must not pass for "there is none"
	}
	return four, err4
}

func addr(b []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(b)
	return a.Unmap()
}

// TLSA returns the associations under name, such as _25._tcp.mail.example.
// Only an authentic answer may be used (RFC 7672 section 2.2).
func (c *Client) TLSA(ctx context.Context, name string) (Answer[TLSA], error) {
	return lookup(ctx, c, name, dns.TypeTLSA, func(r *dns.TLSA) TLSA {
		return TLSA{r.Usage, r.Selector, r.MatchingType, strings.ToLower(r.Certificate)}
	})
}

// PTR returns the names that the address's owner gives it. They prove nothing
// until their addresses are looked up.
func (c *Client) PTR(ctx context.Context, a netip.Addr) (Answer[string], error) {
	name, err := dns.ReverseAddr(a.Unmap().WithZone("").String())
	if err != nil {
		return Answer[string]{}, &NotFound{Domain: true}
	}
	return lookup(ctx, c, name, dns.TypePTR, func(r *dns.PTR) string { return strings.ToLower(r.Ptr) })
}

// SRV returns the places of a service under name, such as
// _submission._tcp.example.org, by priority and then by weight, the greater
// first; they are not drawn at random as RFC 2782 has it.
func (c *Client) SRV(ctx context.Context, name string) (Answer[SRV], error) {
	a, err := lookup(ctx, c, name, dns.TypeSRV, func(r *dns.SRV) SRV {
		return SRV{r.Priority, r.Weight, r.Port, strings.ToLower(r.Target)}
	})
	slices.SortStableFunc(a.Records, func(x, y SRV) int {
		return cmp.Or(cmp.Compare(x.Priority, y.Priority), cmp.Compare(y.Weight, x.Weight))
	})
	return a, err
}

// CNAME returns the name that name is an alias of; one record, not followed
// further. A name that is no alias is not found.
func (c *Client) CNAME(ctx context.Context, name string) (Answer[string], error) {
	e, err := c.ask(ctx, name, dns.TypeCNAME)
	if err != nil {
		return Answer[string]{}, err
	}
	for _, rr := range e.msg.Answer {
		if r, ok := rr.(*dns.CNAME); ok && strings.EqualFold(r.Hdr.Name, e.msg.Question[0].Name) {
			return Answer[string]{Records: []string{strings.ToLower(r.Target)}, Name: r.Hdr.Name, Authentic: e.authentic}, nil
		}
	}
	return Answer[string]{}, &NotFound{Domain: e.msg.Rcode == dns.RcodeNameError, Authentic: e.authentic}
}

// Text joins the strings of a TXT record without anything between them (RFC
// 7208 section 3.3, RFC 6376 section 3.6.2.2), as the bytes they stand for.
func Text(r *dns.TXT) string {
	joined := strings.Join(r.Txt, "")
	if !strings.ContainsRune(joined, '\\') {
		return joined
	}
	out := make([]byte, 0, len(joined))
	for i := 0; i < len(joined); i++ {
		if joined[i] != '\\' || i+1 == len(joined) {
			out = append(out, joined[i])
			continue
		}
		i++
		if i+2 < len(joined) && digit(joined[i]) && digit(joined[i+1]) && digit(joined[i+2]) {
			out = append(out, (joined[i]-'0')*100+(joined[i+1]-'0')*10+(joined[i+2]-'0'))
			i += 2
		} else {
			out = append(out, joined[i])
		}
	}
	return string(out)
}

func digit(c byte) bool { return '0' <= c && c <= '9' }
