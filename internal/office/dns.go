package office

import (
	"context"
	"fmt"
	"strings"

	"github.com/miekg/dns"

	"sijill/internal/config"
	"sijill/internal/resolve"
	"sijill/internal/setup"
)

// newResolver asks DNS as the settings say.
func newResolver(c config.Config) (*resolve.Client, error) {
	return resolve.New(resolve.Options{Servers: c.DNS.Servers, Trusted: c.DNS.Validating})
}

// Lookup asks DNS, as the settings say, for the values of a name and type as they
// stand in a zone file. There being none is an error that wraps fs.ErrNotExist.
func (o *Office) Lookup() setup.Lookup {
	return func(ctx context.Context, name, kind string) ([]string, error) {
		qtype, ok := dns.StringToType[kind]
		if !ok {
			return nil, fmt.Errorf("asking DNS: there is no type %s", kind)
		}
		wire, _, _, err := o.resolver.Exchange(ctx, name, qtype)
		if err != nil {
			return nil, err
		}
		var m dns.Msg
		if err := m.Unpack(wire); err != nil {
			return nil, fmt.Errorf("reading an answer of DNS: %w", err)
		}
		var list []string
		for _, rr := range m.Answer {
			if rr.Header().Rrtype != qtype {
				continue
			}
			if t, ok := rr.(*dns.TXT); ok {
				list = append(list, resolve.Text(t))
				continue
			}
			list = append(list, strings.TrimPrefix(rr.String(), rr.Header().String()))
		}
		if len(list) == 0 {
			return nil, &resolve.NotFound{}
		}
		return list, nil
	}
}

// Host is how mail programs and other servers reach this one: ports of doors that are
// closed are 0.
func (o *Office) Host() setup.Host {
	c := o.Config
	h := setup.Host{Name: c.ServerName(), IMAPS: config.Port(c.IMAP.TLSListen), IMAP: config.Port(c.IMAP.Listen),
		Submissions: config.Port(c.Submission.TLSListen), Submission: config.Port(c.Submission.Listen)}
	h.Web = c.URL()
	return h
}

// DNSRecords are those that a domain of the office should have, besides those of
// the server, which all domains share. Its signing keys are made if there are none.
func (o *Office) DNSRecords(ctx context.Context, domain string) ([]setup.Record, error) {
	keys, err := o.EnsureDKIM(ctx, domain)
	if err != nil {
		return nil, err
	}
	opts := setup.RecordOptions{Domain: domain, Host: o.Host(),
		STS: setup.STSMode(o.Config.Delivery.STS), Reports: ReportsAt(domain)}
	if opts.STS != setup.STSNone {
		opts.STSID = stsID(o.Config)
	}
	for _, k := range keys.All {
		r, err := k.Record(domain)
		if err != nil {
			return nil, err
		}
		// One that retires stays: mail that it signed may still be underway.
		opts.DKIM = append(opts.DKIM, setup.DKIMKey{Selector: k.Selector, Record: r.Text})
	}
	return setup.Records(opts), nil
}

// stsID changes whenever the policy does (RFC 8461, section 3.1): it is made of
// what the policy says.
func stsID(c config.Config) string {
	var n uint32
	for _, b := range []byte(c.Delivery.STS + " " + c.ServerName()) {
		n = n*16777619 ^ uint32(b)
	}
	return fmt.Sprintf("%08x", n)
}

// ReportsAt is the address that the records of a domain ask reports to be sent to
// (rua of DMARC, RFC 7489 section 6.3, and of TLS-RPT, RFC 8460 section 3).
func ReportsAt(domain string) string { return "postmaster@" + domain }
