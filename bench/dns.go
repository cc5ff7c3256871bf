package main

import (
	"fmt"
	"net"
	"strings"
	"sync/atomic"

	"github.com/miekg/dns"
)

// zone is a DNS server on this machine.
type zone struct {
	address string
	asked   atomic.Int64
	records map[string][]dns.RR // By lower-case name and type.
}

func key(name string, kind uint16) string {
	return strings.ToLower(dns.Fqdn(name)) + " " + dns.TypeToString[kind]
}

// serveDNS answers with records, in zone file form.
func (b *bench) serveDNS(records []string) (*zone, error) {
	z := &zone{records: map[string][]dns.RR{}}
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			return nil, fmt.Errorf("a record: %w", err)
		}
		k := key(rr.Header().Name, rr.Header().Rrtype)
		z.records[k] = append(z.records[k], rr)
	}
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	z.address = packets.LocalAddr().String()
	l, err := net.Listen("tcp", z.address)
	if err != nil {
		return nil, err
	}
	for _, s := range []*dns.Server{{PacketConn: packets, Handler: z}, {Listener: l, Handler: z}} {
		go func() { _ = s.ActivateAndServe() }()
		b.atEnd(func() { _ = s.Shutdown() })
	}
	return z, nil
}

// ServeDNS implements dns.Handler.
func (z *zone) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	z.asked.Add(1)
	r := new(dns.Msg).SetReply(q)
	r.Authoritative, r.RecursionAvailable = true, true
	name := q.Question[0].Name
	r.Answer = z.records[key(name, q.Question[0].Qtype)]
	if len(r.Answer) == 0 {
		r.Rcode = dns.RcodeNameError
		for k := range z.records {
			if owner, _, _ := strings.Cut(k, " "); owner == strings.ToLower(name) {
				r.Rcode = dns.RcodeSuccess
			}
		}
		if soa, err := dns.NewRR("example. 300 IN SOA ns.example. admin.example. 1 7200 3600 86400 300"); err == nil {
			r.Ns = []dns.RR{soa}
		}
	}
	_ = w.WriteMsg(r)
}

// txt is a TXT record; long texts are cut into strings (RFC 7208 section 3.3).
func txt(name, text string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s. 3600 IN TXT", name)
	for len(text) > 0 {
		n := min(len(text), 250)
		fmt.Fprintf(&b, ` "%s"`, strings.ReplaceAll(text[:n], ";", `\;`))
		text = text[n:]
	}
	return b.String()
}
