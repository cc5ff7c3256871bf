package mailauth

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"github.com/miekg/dns"
)

// state says how a question ended.
type state int

const (
	found state = iota
	absent
	nobody // the name itself doesn't exist
	unknown
)

// records asks for one type and follows the aliases in the answer.
func records[R dns.RR](ctx context.Context, from DNS, name string, qtype uint16) ([]R, state) {
	wire, _, _, err := from.Exchange(ctx, name, qtype)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nobody
	}
	var m dns.Msg
	if err != nil || m.Unpack(wire) != nil || m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
		return nil, unknown
	}
	owner := dns.Fqdn(name)
	if len(m.Question) == 1 {
		owner = m.Question[0].Name // what was asked for, as DNS writes it
	}
	var list []R
	for range len(m.Answer) + 1 {
		next := ""
		for _, rr := range m.Answer {
			if !strings.EqualFold(rr.Header().Name, owner) {
				continue
			}
			if r, ok := rr.(R); ok {
				list = append(list, r)
			} else if c, ok := rr.(*dns.CNAME); ok {
				next = c.Target
			}
		}
		if owner = next; owner == "" || len(list) > 0 {
			break
		}
	}
	switch {
	case len(list) > 0:
		return list, found
	case m.Rcode == dns.RcodeNameError:
		return nil, nobody
	}
	return nil, absent
}

// texts returns the TXT records, the strings of each joined.
func texts(ctx context.Context, from DNS, name string) ([]string, state) {
	rrs, st := records[*dns.TXT](ctx, from, name, dns.TypeTXT)
	list := make([]string, len(rrs))
	for i, rr := range rrs {
		list[i] = unescape(strings.Join(rr.Txt, ""))
	}
	return list, st
}

// unescape turns the presentation form of a string into its bytes.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '\\' && i+1 < len(s) {
			i++
			if c = s[i]; i+2 < len(s) && '0' <= c && c <= '2' {
				c = (c-'0')*100 + (s[i+1]-'0')*10 + s[i+2] - '0'
				i += 2
			}
		}
		out = append(out, c)
	}
	return string(out)
}
