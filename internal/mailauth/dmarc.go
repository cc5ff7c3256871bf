package mailauth

import (
	"context"
	"net"
	"strings"

	"github.com/miekg/dns"
	"golang.org/x/net/publicsuffix"
)

// DMARC is what the author's domain wants done, and whether there is reason to
// (RFC 9989).
type DMARC struct {
	// Result is pass; fail; none, where the domain has no policy; temperror,
	// where nobody can tell now; or permerror, where there is no author's domain.
	Result Verdict `json:"result"`
	Domain string  `json:"domain,omitempty"` // the author's, in ASCII
	// PolicyDomain is where the policy was found: Domain or the organisational one.
	PolicyDomain string `json:"policy_domain,omitempty"`
	// Policy is what applies to Domain, of p, sp and np: none, quarantine or reject.
	Policy string `json:"policy,omitempty"`
	// Testing says that the domain only tries its policy out (t=y or pct=0).
	Testing bool `json:"testing,omitempty"`
	// SPF and DKIM tell which of them is aligned and passed.
	SPF  bool `json:"spf,omitempty"`
	DKIM bool `json:"dkim,omitempty"`
}

// policyRecord is a DMARC record as far as it matters to a receiver.
type policyRecord struct {
	p, sp, np             string
	strictDKIM, strictSPF bool
	testing               bool
}

// parsePolicy reads a record (RFC 9989 section 4.7). Tags that are unknown or
// broken are passed over; ok is false for what is no DMARC record.
func parsePolicy(txt string) (r policyRecord, ok bool) {
	first, rest, _ := strings.Cut(txt, ";")
	name, value, _ := strings.Cut(first, "=")
	if strings.Trim(name, spaces) != "v" || strings.Trim(value, spaces) != "DMARC1" {
		return r, false
	}
	reports := false
	for spec := range strings.SplitSeq(rest, ";") {
		name, value, _ := strings.Cut(spec, "=")
		name, value = strings.ToLower(strings.Trim(name, spaces)), strings.ToLower(strings.Trim(value, spaces))
		policy := value == "none" || value == "quarantine" || value == "reject"
		switch {
		case name == "p" && policy:
			r.p = value
		case name == "sp" && policy:
			r.sp = value
		case name == "np" && policy:
			r.np = value
		case name == "adkim":
			r.strictDKIM = value == "s"
		case name == "aspf":
			r.strictSPF = value == "s"
		case name == "t" && value == "y", name == "pct" && value == "0":
			r.testing = true
		case name == "rua":
			reports = value != ""
		}
	}
	if r.p == "" {
		// A broken policy of somebody who wants reports counts as none; else
		// there is no policy (RFC 7489 section 6.6.3).
		r.p, r.sp, r.np = "none", "", ""
		return r, reports
	}
	return r, true
}

// policy returns what applies: to the domain itself, or to one below it that
// exists or doesn't (RFC 9989 section 4.7).
func (r *policyRecord) policy(sub, exists bool) string {
	switch {
	case sub && !exists && r.np != "":
		return r.np
	case sub && r.sp != "":
		return r.sp
	}
	return r.p
}

// findPolicy asks for the one record under a name.
func findPolicy(ctx context.Context, from DNS, domain string) (policyRecord, state) {
	list, st := texts(ctx, from, "_dmarc."+domain)
	if st != found {
		return policyRecord{}, st
	}
	var r policyRecord
	n := 0
	for _, txt := range list {
		if got, ok := parsePolicy(txt); ok {
			r = got
			n++
		}
	}
	if n != 1 { // several count as none
		return r, absent
	}
	return r, found
}

// organisation returns the organisational domain: a public suffix and one
// label, or the domain itself where it is a suffix.
func organisation(domain string) string {
	if net.ParseIP(domain) != nil {
		return domain
	}
	org, err := publicsuffix.EffectiveTLDPlusOne(domain)
	if err != nil {
		return domain
	}
	return org
}

// aligned compares a domain that passed with the author's (RFC 9989 section 4.4).
func aligned(passed, author string, strict bool) bool {
	passed = toASCII(passed)
	return passed == author || !strict && passed != "" && organisation(passed) == organisation(author)
}

// checkDMARC judges for one author's domain.
func checkDMARC(ctx context.Context, from DNS, domain string, spf SPF, signatures []*Signature) DMARC {
	d := DMARC{Domain: toASCII(domain), Result: None}
	if !isName(d.Domain) || !strings.Contains(d.Domain, ".") {
		d.Result = PermError
		return d
	}
	d.PolicyDomain = d.Domain
	record, st := findPolicy(ctx, from, d.Domain)
	if org := organisation(d.Domain); st != found && st != unknown && org != d.Domain {
		d.PolicyDomain = org
		record, st = findPolicy(ctx, from, org)
	}
	if st != found {
		d.PolicyDomain = ""
		if st == unknown {
			d.Result = TempError
		}
		return d
	}
	d.apply(ctx, from, &record)
	undecided := d.align(&record, spf, signatures)
	switch {
	case d.SPF || d.DKIM:
		d.Result = Pass
	case undecided:
		d.Result = TempError
	default:
		d.Result = Fail
	}
	return d
}

// apply takes the policy for the domain. Whether it exists is asked only where
// that makes a difference.
func (d *DMARC) apply(ctx context.Context, from DNS, r *policyRecord) {
	sub, exists := d.PolicyDomain != d.Domain, true
	if sub && r.np != "" {
		_, st := records[*dns.A](ctx, from, d.Domain, dns.TypeA)
		exists = st != nobody
	}
	d.Policy, d.Testing = r.policy(sub, exists), r.testing
}

// align sets SPF and DKIM; undecided tells that one of them might have passed
// if DNS had answered.
func (d *DMARC) align(r *policyRecord, spf SPF, signatures []*Signature) (undecided bool) {
	if aligned(spf.Domain, d.Domain, r.strictSPF) {
		d.SPF = spf.Result == Pass
		undecided = spf.Result == TempError
	}
	for _, s := range signatures {
		if (s.Result == Pass || s.Result == TempError) && aligned(s.Domain, d.Domain, r.strictDKIM) {
			d.DKIM = d.DKIM || s.Result == Pass
			undecided = undecided || s.Result == TempError
		}
	}
	return undecided
}

// stricter tells which of two outcomes asks for more.
func (d DMARC) stricter(than DMARC) bool { return d.weight() > than.weight() }

func (d DMARC) weight() int {
	switch {
	case d.Result == Fail && d.Policy == "reject":
		return 6
	case d.Result == Fail && d.Policy == "quarantine":
		return 5
	case d.Result == TempError:
		return 4
	case d.Result == PermError:
		return 3
	case d.Result == Fail:
		return 2
	case d.Result == None:
		return 1
	}
	return 0
}
