package message

import (
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// maxCanonical is how many bytes of a domain are brought into another form. A name
// of DNS has 253 octets as A-labels, which no script writes in more than this.
const maxCanonical = 1024

// canonicalNames maps labels as UTS 46 has it. Underscores do occur in domains
// that mail goes to.
var canonicalNames = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false))

// CanonicalAddress returns an address in the form in which its spellings are
// compared: without the quotes of its local part, in lower case and NFC, and its
// domain as CanonicalDomain has it. The domain is what follows the last @. It is
// for comparing only: where the local part needs quotes, the result can't be sent
// to. It never fails; what is no address is compared as it was written.
func CanonicalAddress(addr string) string {
	local, domain := splitAddress(strings.TrimSpace(addr))
	local = norm.NFC.String(strings.ToLower(norm.NFC.String(unquoteLocal(local))))
	if domain == "" {
		return local
	}
	return local + "@" + CanonicalDomain(domain)
}

// CanonicalDomain returns a domain in the form in which its spellings are
// compared: A-labels in lower case, without the dot of the root. A label that IDNA
// does not allow, and a name that is too long for DNS, are only put in lower case.
func CanonicalDomain(domain string) string {
	domain = strings.ToLower(strings.TrimSpace(domain))
	if len(domain) > maxCanonical || isASCII(domain) {
		return strings.TrimSuffix(domain, ".")
	}
	labels := strings.Split(dots.Replace(domain), ".")
	for i, label := range labels {
		// One by one: a bad label does not hide the domain that it is below.
		if ascii, err := canonicalNames.ToASCII(label); err == nil {
			labels[i] = strings.ToLower(ascii)
		}
	}
	return strings.TrimSuffix(strings.Join(labels, "."), ".")
}

// dots are the characters that UTS 46 section 4 takes for the dot between labels.
var dots = strings.NewReplacer("\u3002", ".", "\uff0e", ".", "\uff61", ".")

// unquoteLocal takes off the quotes of a local part, whole or of some of its words
// (RFC 5322 section 4.4): with and without them it names the same mailbox.
func unquoteLocal(local string) string {
	if !strings.ContainsAny(local, `"\`) {
		return local
	}
	var b strings.Builder
	for i := 0; i < len(local); i++ {
		switch {
		case local[i] == '"':
			continue
		case local[i] == '\\' && i+1 < len(local):
			i++
		}
		b.WriteByte(local[i])
	}
	return b.String()
}
