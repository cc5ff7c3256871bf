// Package setup helps mail programs and other servers find this one: the
// settings that a mail program fetches with nothing but an address (autoconfig
// of Thunderbird and others, autodiscover of Outlook, a profile for Apple's
// devices), the MTA-STS policy (RFC 8461), and the DNS records of a domain.
//
// It promises to say the same to everybody: what it answers depends on the domain
// of an address only, never on whether the address exists.
package setup

import (
	"context"
	"net/http"
	"strings"
)

// Host is how mail programs reach the server. A port of 0 is closed and is not
// spoken of.
type Host struct {
	Name string // "mail.example.org"
	// IMAPS and Submissions are TLS from the first octet (RFC 8314); IMAP and
	// Submission are STARTTLS.
	IMAPS, Submissions, IMAP, Submission int
	// Web is the address of the pages, "https://mail.example.org", or empty.
	Web string
}

// Options are what the answers are made of.
type Options struct {
	// Office is the name of the office, as people read it.
	Office string
	Host   Host
	// Domains lists the domains of the office, as A-labels.
	Domains func(context.Context) ([]string, error)
	// STS is the MTA-STS policy that is published; empty publishes none.
	STS STSMode
}

// STSMode is the mode of an MTA-STS policy (RFC 8461, section 3.2).
type STSMode string

// The modes.
const (
	STSNone    STSMode = ""
	STSTesting STSMode = "testing"
	STSEnforce STSMode = "enforce"
)

// New makes the handler of all the paths that programs ask for. They are asked
// without a sign-in.
func New(o Options) http.Handler {
	s := &server{o}
	m := http.NewServeMux()
	m.HandleFunc("GET /mail/config-v1.1.xml", s.autoconfig)
	m.HandleFunc("GET /.well-known/autoconfig/mail/config-v1.1.xml", s.autoconfig)
	for _, path := range []string{"/autodiscover/autodiscover.xml", "/Autodiscover/Autodiscover.xml", "/AutoDiscover/AutoDiscover.xml"} {
		m.HandleFunc("POST "+path, s.autodiscover)
	}
	m.HandleFunc("GET /autodiscover/autodiscover.json", s.autodiscoverJSON)
	m.HandleFunc("GET /apple.mobileconfig", s.profile)
	m.HandleFunc("GET /.well-known/mta-sts.txt", s.sts)
	return m
}

// Paths are the prefixes of the paths that New answers, for whoever shares a
// listener with it.
var Paths = []string{"/mail/config-v1.1.xml", "/.well-known/autoconfig/", "/autodiscover/", "/Autodiscover/", "/AutoDiscover/",
	"/apple.mobileconfig", "/.well-known/mta-sts.txt"}

type server struct{ Options }

// maxAddress is the longest address that is looked at (RFC 5321, section 4.5.3.1
// allows 254 octets in a path).
const maxAddress = 320

// domainOf gives the domain of an address if it is the office's, else "".
func (s *server) domainOf(ctx context.Context, address string) (string, error) {
	if len(address) > maxAddress {
		return "", nil
	}
	list, err := s.Domains(ctx)
	if err != nil {
		return "", err
	}
	_, domain, _ := strings.Cut(strings.ToLower(strings.TrimSpace(address)), "@")
	for _, d := range list {
		if d == domain {
			return d, nil
		}
	}
	return "", nil
}

// hostDomain gives the domain that a request's Host stands under: for
// "autoconfig.example.org" it is "example.org".
func (s *server) hostDomain(r *http.Request) (string, error) {
	host, _, _ := strings.Cut(strings.ToLower(r.Host), ":")
	list, err := s.Domains(r.Context())
	if err != nil {
		return "", err
	}
	best := ""
	for _, d := range list {
		if (host == d || strings.HasSuffix(host, "."+d)) && len(d) > len(best) {
			best = d
		}
	}
	if best == "" && len(list) > 0 {
		best = list[0]
	}
	return best, nil
}
