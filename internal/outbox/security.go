package outbox

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"sijill/internal/resolve"
)

// security is what a connection to one server has to keep to.
type security struct {
	policy string // As in TLS.Policy.
	must   bool   // No plain text.
	pkix   bool   // The certificate must be valid for the host.
	tlsa   []resolve.TLSA
	names  []string // What a certificate may be for, besides the host (RFC 7672 section 3.2.2).
	sni    string   // The TLSA base domain where it isn't the host.
}

// proves tells whether the policy, kept, makes sure of whom we talk to.
func (s *security) proves() bool { return s.pkix || len(s.tlsa) > 0 }

// key tells connections apart that are made under different policies.
func (s *security) key() string {
	h := sha256.New()
	fmt.Fprintf(h, "%s %t %t %v %v %s", s.policy, s.must, s.pkix, s.tlsa, s.names, s.sni)
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// secure decides how a server has to be talked to: DANE where DNSSEC proves its
// records, else MTA-STS, else whatever it offers.
func (o *Outbox) secure(ctx context.Context, domain string, h hop, canonical string, authentic bool, sts *policy) (security, *failure) {
	if h.authentic && authentic {
		s, found, f := o.dane(ctx, domain, h.host, canonical)
		if found || f != nil {
			return s, f
		}
	}
	switch {
	case sts == nil:
		return security{policy: "opportunistic"}, nil
	case sts.mode == "testing":
		return security{policy: "mta-sts-testing"}, nil
	}
	return security{policy: "mta-sts", must: true, pkix: true}, nil
}

// dane looks for the TLSA records of a server (RFC 7672 section 2.2), at the
// end of its aliases first.
func (o *Outbox) dane(ctx context.Context, domain, host, canonical string) (s security, found bool, f *failure) {
	bases := []string{host}
	if canonical != "" && !strings.EqualFold(canonical, host) {
		bases = []string{canonical, host}
	}
	for _, base := range bases {
		answer, err := o.opts.Resolver.TLSA(ctx, fmt.Sprintf("_%d._tcp.%s", o.opts.Port, base))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			// Section 2.1.2: what can't be looked up might have been there.
			f = temporarily("4.7.5", "the name server can't tell how the server proves itself (DANE)")
			f.host = host
			return s, false, f
		}
		if !answer.Authentic {
			continue
		}
		s = security{policy: "dane-unusable", must: true, names: []string{host, domain}, sni: base}
		for _, t := range answer.Records {
			if usable(t) {
				s.policy, s.tlsa = "dane", append(s.tlsa, t)
			}
		}
		return s, true, nil
	}
	return s, false, nil
}

// usable tells whether a record is one that mail uses (RFC 7672 section 3.1).
func usable(t resolve.TLSA) bool {
	if t.Usage != 2 && t.Usage != 3 || t.Selector > 1 {
		return false
	}
	switch t.Matching {
	case 0:
		return len(t.Data) > 0
	case 1:
		return len(t.Data) == 2*sha256.Size
	case 2:
		return len(t.Data) == 2*sha512.Size
	}
	return false
}

// matches compares a certificate with a record (RFC 6698 section 2.1).
func matches(t resolve.TLSA, c *x509.Certificate) bool {
	b := c.Raw
	if t.Selector == 1 {
		b = c.RawSubjectPublicKeyInfo
	}
	switch t.Matching {
	case 1:
		sum := sha256.Sum256(b)
		b = sum[:]
	case 2:
		sum := sha512.Sum512(b)
		b = sum[:]
	}
	want, err := hex.DecodeString(t.Data)
	return err == nil && bytes.Equal(b, want)
}

var errUnproven = errors.New("the certificate does not prove the server")

// config is how to shake hands with host under the policy. verified is set when
// that succeeds.
func (o *Outbox) config(s *security, host string, verified *bool) *tls.Config {
	c := &tls.Config{
		ServerName: host, MinVersion: tls.VersionTLS12, RootCAs: o.opts.Roots,
		// The certificate is looked at below: most servers have none that
		// proves anything, and are better talked to in secret than not.
		InsecureSkipVerify: true,
	}
	if s.sni != "" {
		c.ServerName = s.sni
	}
	if !s.must {
		c.MinVersion = tls.VersionTLS10 // Better than plain text.
	}
	if a := literal(host); a.IsValid() {
		c.ServerName = a.String()
	}
	c.VerifyConnection = func(state tls.ConnectionState) error {
		*verified = o.verify(s, host, state.PeerCertificates) == nil
		if s.proves() && !*verified {
			return errUnproven
		}
		return nil
	}
	return c
}

// verify proves a chain of certificates as the policy has it.
func (o *Outbox) verify(s *security, host string, chain []*x509.Certificate) error {
	if len(chain) == 0 {
		return errUnproven
	}
	if len(s.tlsa) == 0 {
		return verifyFor([]string{host}, chain, o.opts.Roots, o.now())
	}
	anchors := x509.NewCertPool()
	for _, t := range s.tlsa {
		if t.Usage == 3 && matches(t, chain[0]) {
			return nil // Names and dates don't count (RFC 7672 section 3.1.1).
		}
		if t.Usage == 2 {
			for _, c := range chain {
				if matches(t, c) {
					anchors.AddCert(c)
				}
			}
			addFull(anchors, t)
		}
	}
	names := append([]string{s.sni}, s.names...)
	return verifyFor(names, chain, anchors, o.now())
}

// addFull adds an anchor that stands in DNS itself, and not in the chain.
func addFull(anchors *x509.CertPool, t resolve.TLSA) {
	if t.Selector != 0 || t.Matching != 0 {
		return
	}
	if der, err := hex.DecodeString(t.Data); err == nil {
		if c, err := x509.ParseCertificate(der); err == nil {
			anchors.AddCert(c)
		}
	}
}

func verifyFor(names []string, chain []*x509.Certificate, roots *x509.CertPool, now time.Time) error {
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	err := errUnproven
	for _, name := range names {
		if name == "" {
			continue
		}
		if _, err = chain[0].Verify(x509.VerifyOptions{DNSName: name, Roots: roots, Intermediates: between, CurrentTime: now}); err == nil {
			return nil
		}
	}
	return err
}
