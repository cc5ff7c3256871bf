package people

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// The limits of RFC 5321 sections 4.5.3.1.1 and 4.5.3.1.2, in octets.
const (
	maxLocal  = 64
	maxDomain = 255

	// maxGiven bounds the work on what strangers send; a subaddress may make a
	// local part longer than the standard has it.
	maxGiven = 1024
)

// normalise returns the parts of an address in the form in which they are stored
// and compared: the local part in lower case and NFC, the domain as A-labels. A
// malformed address is ErrInvalid.
func normalise(address string) (local, domain string, err error) {
	local, domain = cutAddress(address)
	if domain, err = domainLabels(domain); err != nil {
		return "", "", err
	}
	local, err = localForm(local)
	return local, domain, err
}

func cutAddress(address string) (local, domain string) {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return address, ""
	}
	return address[:at], address[at+1:]
}

// localForm returns a local part as it is compared, or ErrInvalid. RFC 5321
// section 2.4 lets a host tell local parts apart by case; we are the host, and
// don't.
func localForm(local string) (string, error) {
	if local == "" || len(local) > maxGiven || !utf8.ValidString(local) {
		return "", fmt.Errorf("local part: %w", ErrInvalid)
	}
	return norm.NFC.String(strings.ToLower(norm.NFC.String(local))), nil
}

// lookupProfile maps and checks domains as UTS 46 has it, and their lengths too.
var lookupProfile = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.VerifyDNSLength(true))

// domainLabels returns a domain as A-labels in lower case, or ErrInvalid.
func domainLabels(name string) (string, error) {
	if name == "" || len(name) > maxDomain || !utf8.ValidString(name) {
		return "", fmt.Errorf("domain: %w", ErrInvalid)
	}
	labels, err := lookupProfile.ToASCII(name)
	labels = strings.TrimSuffix(labels, ".") // the root's, however it was written
	if err != nil || labels == "" || strings.HasSuffix(labels, ".") {
		return "", fmt.Errorf("domain: %w", ErrInvalid) // idna's error would name it
	}
	return labels, nil
}

// SameDomain tells whether two names are of one domain, in whatever case and script
// they are written.
func SameDomain(a, b string) bool {
	one, err := domainLabels(a)
	other, err2 := domainLabels(b)
	return err == nil && err2 == nil && one == other
}

// shown is the address as people read it. A domain that can't be shown in its own
// script stays as it is.
func shown(local, domain string) string {
	if own, err := idna.Display.ToUnicode(domain); err == nil {
		domain = own
	}
	return local + "@" + domain
}

// refusedInLocal says what an address of ours never contains: what would need
// quotes (RFC 5321 section 4.1.2), what is invisible, and the sign that begins a
// subaddress.
func refusedInLocal(r rune) bool {
	return strings.ContainsRune(`"(),:;<>@[\]+`, r) || unicode.IsSpace(r) || !unicode.IsGraphic(r)
}
