package outbox

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	"sijill/internal/resolve"
)

// failure says why no server of a destination could be talked to.
type failure struct {
	reply
	host string
	perm bool
	busy bool // Too many of our own connections: not the destination's fault.
}

func temporarily(status, text string) *failure {
	return &failure{reply: reply{status: status, text: text}}
}

func permanently(code int, status, text string) *failure {
	return &failure{reply: reply{code: code, status: status, text: text}, perm: true}
}

// hop is one server to try, in order.
type hop struct {
	host      string // Without the dot at the end; an address literal as it is.
	authentic bool   // DNSSEC proves that it serves the destination.
}

// maxHosts bounds how many servers of one destination are tried in one attempt.
const maxHosts = 10

// literal reads an address literal (RFC 5321 section 4.1.3).
func literal(domain string) netip.Addr {
	inner := strings.TrimSuffix(strings.TrimPrefix(domain, "["), "]")
	if len(inner) != len(domain)-2 {
		return netip.Addr{}
	}
	if len(inner) > 5 && strings.EqualFold(inner[:5], "ipv6:") {
		inner = inner[5:]
	}
	a, _ := netip.ParseAddr(inner)
	return a.WithZone("")
}

// route finds the servers of a destination (RFC 5321 section 5.1).
func (o *Outbox) route(ctx context.Context, domain string) ([]hop, *failure) {
	if strings.HasPrefix(domain, "[") {
		return []hop{{host: domain}}, nil
	}
	answer, err := o.opts.Resolver.MX(ctx, domain)
	var none *resolve.NotFound
	switch {
	case errors.As(err, &none):
		// Without MX the domain itself is the server. Absence counts as proven
		// where DNSSEC proves it.
		return []hop{{domain, none.Authentic}}, nil
	case errors.Is(err, fs.ErrNotExist):
		return []hop{{host: domain}}, nil
	case err != nil:
		return nil, temporarily("4.4.3", "the name server can't tell who takes mail for the domain")
	}
	return o.exchangers(answer)
}

func (o *Outbox) exchangers(answer resolve.Answer[resolve.MX]) ([]hop, *failure) {
	list := slices.Clone(answer.Records)
	if len(list) == 1 && strings.Trim(list[0].Host, ".") == "" {
		// RFC 7505 section 4.1.
		return nil, permanently(556, "5.1.10", "the domain takes no mail (null MX)")
	}
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	slices.SortStableFunc(list, func(a, b resolve.MX) int { return int(a.Preference) - int(b.Preference) })
	var hops []hop
	for i, mx := range list {
		host := strings.ToLower(strings.TrimSuffix(mx.Host, "."))
		if strings.EqualFold(host, strings.TrimSuffix(o.opts.Hostname, ".")) {
			// We are one of its servers: only better ones are tried, or mail
			// would go in circles.
			pref := mx.Preference
			kept := 0
			for kept < i && list[kept].Preference < pref {
				kept++
			}
			hops = hops[:min(kept, len(hops))]
			if len(hops) == 0 {
				return nil, permanently(554, "5.4.6", "mail for the domain leads back to this server")
			}
			break
		}
		if host != "" && len(hops) < maxHosts {
			hops = append(hops, hop{host, answer.Authentic})
		}
	}
	if len(hops) == 0 {
		return nil, permanently(550, "5.4.4", "the domain names no server that takes its mail")
	}
	return hops, nil
}

// maxAddrs bounds how many addresses of one server are tried in one attempt.
const maxAddrs = 6

// addresses finds those of a server, IPv6 and IPv4 by turns, so that a network
// that lacks one of them costs one attempt only.
func (o *Outbox) addresses(ctx context.Context, h hop) (addrs []netip.Addr, canonical string, authentic bool, f *failure) {
	if a := literal(h.host); a.IsValid() {
		return []netip.Addr{a}, "", false, nil
	}
	answer, err := o.opts.Resolver.Addrs(ctx, h.host)
	if errors.Is(err, fs.ErrNotExist) {
		f = permanently(550, "5.4.4", "the server that should take the domain's mail has no address")
		var none *resolve.NotFound
		if errors.As(err, &none) && none.Domain {
			f = permanently(550, "5.1.2", "there is no such domain, or no such server")
		}
		f.host = h.host
		return nil, "", false, f
	}
	if err != nil {
		f = temporarily("4.4.3", "the name server can't tell the address of the server")
		f.host = h.host
		return nil, "", false, f
	}
	var six, four []netip.Addr
	for _, a := range answer.Records {
		if a = a.Unmap(); a.Is4() {
			four = append(four, a)
		} else {
			six = append(six, a)
		}
	}
	for i := 0; len(addrs) < maxAddrs && (i < len(six) || i < len(four)); i++ {
		if i < len(six) {
			addrs = append(addrs, six[i])
		}
		if i < len(four) {
			addrs = append(addrs, four[i])
		}
	}
	return addrs, strings.TrimSuffix(answer.Name, "."), answer.Authentic, nil
}
