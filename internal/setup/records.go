package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Purpose says what a record is for.
type Purpose string

// The purposes.
const (
	PurposeMX           Purpose = "mx"           // mail is brought here
	PurposeAddress      Purpose = "address"      // where the server is
	PurposeReverse      Purpose = "reverse"      // others ask for it before they take mail
	PurposeSPF          Purpose = "spf"          // who may send (RFC 7208)
	PurposeDKIM         Purpose = "dkim"         // the keys that sign (RFC 6376)
	PurposeDMARC        Purpose = "dmarc"        // what to do with forgeries (RFC 7489)
	PurposeSTS          Purpose = "mta-sts"      // that TLS is needed (RFC 8461)
	PurposeTLSReport    Purpose = "tls-rpt"      // where to report failures of TLS (RFC 8460)
	PurposeServices     Purpose = "services"     // finding IMAP and submission (RFC 6186, RFC 8314)
	PurposeAutoconfig   Purpose = "autoconfig"   // finding the settings of mail programs
	PurposeAutodiscover Purpose = "autodiscover" // the same for Outlook
)

// Record is one DNS record that a domain should have.
type Record struct {
	Purpose Purpose
	Name    string // owner name, without the dot at the end
	Type    string // "MX", "TXT", …
	Value   string // as in a zone file; a TXT is one string without quotes
}

// DKIMKey is a public key that signs, will sign, or has signed of late.
type DKIMKey struct{ Selector, Record string }

// RecordOptions are what the records of a domain are made of.
type RecordOptions struct {
	Domain    string
	Host      Host
	Addresses []netip.Addr // Public addresses of the server; none leaves those records out.
	DKIM      []DKIMKey
	STS       STSMode
	STSID     string // Changes with the policy (RFC 8461, section 3.1).
	Reports   string // Where DMARC and TLS reports go, an address of the domain.
}

// Records lists the records that a domain should have, in the order in which to
// set them.
func Records(o RecordOptions) []Record {
	var list []Record
	add := func(p Purpose, name, kind, value string) { list = append(list, Record{p, name, kind, value}) }
	for _, a := range o.Addresses {
		kind := "A"
		if a.Is6() {
			kind = "AAAA"
		}
		add(PurposeAddress, o.Host.Name, kind, a.String())
	}
	for _, a := range o.Addresses {
		add(PurposeReverse, reverse(a), "PTR", o.Host.Name+".")
	}
	add(PurposeMX, o.Domain, "MX", "10 "+o.Host.Name+".")
	add(PurposeSPF, o.Domain, "TXT", "v=spf1 mx -all")
	for _, k := range o.DKIM {
		add(PurposeDKIM, k.Selector+"._domainkey."+o.Domain, "TXT", k.Record)
	}
	add(PurposeDMARC, "_dmarc."+o.Domain, "TXT", "v=DMARC1; p=reject; rua=mailto:"+o.Reports)
	if o.STS != STSNone {
		add(PurposeSTS, "_mta-sts."+o.Domain, "TXT", "v=STSv1; id="+o.STSID)
		add(PurposeSTS, "mta-sts."+o.Domain, "CNAME", o.Host.Name+".")
	}
	add(PurposeTLSReport, "_smtp._tls."+o.Domain, "TXT", "v=TLSRPTv1; rua=mailto:"+o.Reports)
	return append(list, o.services()...)
}

// services are the SRV records; one that is not offered has the target "."
// (RFC 6186, section 3.4).
func (o RecordOptions) services() (list []Record) {
	for _, s := range []struct {
		name string
		port int
	}{{"_imaps._tcp", o.Host.IMAPS}, {"_submissions._tcp", o.Host.Submissions}, {"_imap._tcp", o.Host.IMAP}, {"_submission._tcp", o.Host.Submission}} {
		value := "0 0 0 ."
		if s.port != 0 {
			value = "0 1 " + strconv.Itoa(s.port) + " " + o.Host.Name + "."
		}
		list = append(list, Record{PurposeServices, s.name + "." + o.Domain, "SRV", value})
	}
	if o.Host.Web != "" {
		list = append(list,
			Record{PurposeAutoconfig, "autoconfig." + o.Domain, "CNAME", o.Host.Name + "."},
			Record{PurposeAutodiscover, "_autodiscover._tcp." + o.Domain, "SRV", "0 1 443 " + o.Host.Name + "."})
	}
	return list
}

// reverse is the name under which the PTR of an address stands.
func reverse(a netip.Addr) string {
	var labels []string
	if a.Is4() {
		for _, b := range a.As4() {
			labels = append(labels, strconv.Itoa(int(b)))
		}
		slices.Reverse(labels)
		return strings.Join(labels, ".") + ".in-addr.arpa"
	}
	for _, b := range a.As16() {
		labels = append(labels, strconv.FormatInt(int64(b>>4), 16), strconv.FormatInt(int64(b&15), 16))
	}
	slices.Reverse(labels)
	return strings.Join(labels, ".") + ".ip6.arpa"
}

// State is what DNS says of a record.
type State string

// The states.
const (
	StateRight     State = "right"
	StateMissing   State = "missing"
	StateDifferent State = "different" // something else stands there
	StateUnknown   State = "unknown"   // DNS couldn't be asked
)

// Checked is a record with what DNS has in its place.
type Checked struct {
	Record
	State State
	Found []string // Values of that name and type, as in a zone file.
}

// Lookup asks DNS for the values of a name and type, as in a zone file. Nothing
// there is an error that wraps fs.ErrNotExist.
type Lookup func(ctx context.Context, name, kind string) ([]string, error)

// Check compares records with what DNS says. It fails only when ctx ends.
func Check(ctx context.Context, records []Record, ask Lookup) ([]Checked, error) {
	var out []Checked
	for _, r := range records {
		c := Checked{Record: r, State: StateUnknown}
		found, err := ask(ctx, r.Name, r.Type)
		switch {
		case ctx.Err() != nil:
			return nil, fmt.Errorf("checking DNS: %w", ctx.Err())
		case errors.Is(err, fs.ErrNotExist):
			c.State = StateMissing
		case err == nil:
			c.Found, c.State = compare(r, found)
		}
		if r.Type == "SRV" && strings.HasSuffix(r.Value, " .") && c.State == StateMissing {
			c.State = StateRight // Saying that there is none is a courtesy.
		}
		out = append(out, c)
	}
	return out, nil
}

// compare looks for a record among the values found. Of TXT values only those
// of the same kind count: other uses of the same name are none of ours.
func compare(r Record, found []string) ([]string, State) {
	if r.Type == "TXT" {
		word, _, _ := strings.Cut(r.Value, ";")
		word, _, _ = strings.Cut(word, " ")
		found = slices.DeleteFunc(slices.Clone(found), func(s string) bool { return !strings.HasPrefix(strings.ToLower(s), strings.ToLower(word)) })
	}
	switch {
	case len(found) == 0:
		return nil, StateMissing
	case slices.ContainsFunc(found, func(s string) bool { return r.satisfied(s) }):
		return found, StateRight
	}
	return found, StateDifferent
}

// satisfied tells whether a value does what the record is for: another policy
// than the one proposed may be somebody's choice.
func (r Record) satisfied(value string) bool {
	plain := func(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), " ")) }
	switch r.Purpose {
	case PurposeSPF:
		return strings.Contains(plain(value), " mx") || strings.Contains(plain(value), " ip4:") || strings.Contains(plain(value), " ip6:") || strings.Contains(plain(value), " include:")
	case PurposeDMARC:
		return strings.Contains(strings.ReplaceAll(plain(value), " ", ""), ";p=")
	case PurposeTLSReport:
		return strings.Contains(plain(value), "rua=")
	case PurposeMX:
		_, want, _ := strings.Cut(plain(r.Value), " ")
		_, have, _ := strings.Cut(plain(value), " ")
		return want == have
	case PurposeDKIM, PurposeSTS:
		return strings.ReplaceAll(value, " ", "") == strings.ReplaceAll(r.Value, " ", "") || r.Type == "CNAME" && plain(value) == plain(r.Value)
	}
	return plain(value) == plain(r.Value)
}
