package setup

import (
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

// HostRecords lists the records of the server itself, which all its domains share:
// its public addresses, the way back from each, and who may send under its name.
func HostRecords(name string, addresses []netip.Addr) (list []Record) {
	for _, a := range addresses {
		kind := "A"
		if a.Unmap().Is6() {
			kind = "AAAA"
		}
		list = append(list, Record{PurposeAddress, name, kind, a.Unmap().String()})
	}
	for _, a := range addresses {
		list = append(list, Record{PurposeReverse, reverse(a.Unmap()), "PTR", name + "."})
	}
	return list
}

// HelloRecord lets the server greet, and send notices, under its own name (RFC
// 7208, section 2.3). A name that is also a mail domain has that domain's record.
func HelloRecord(name string) Record { return Record{PurposeSPF, name, "TXT", "v=spf1 a -all"} }

// RecordOptions are what the records of a domain are made of.
type RecordOptions struct {
	Domain  string
	Host    Host
	DKIM    []DKIMKey
	STS     STSMode
	STSID   string // Changes with the policy (RFC 8461, section 3.1).
	Reports string // Where DMARC and TLS reports go, an address of the domain.
}

// Records lists the records that a domain should have, in the order in which to
// set them, besides those of the server.
func Records(o RecordOptions) []Record {
	var list []Record
	add := func(p Purpose, name, kind, value string) { list = append(list, Record{p, name, kind, value}) }
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
