package certs

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
)

// ACME says which certificate authority to ask. Whoever sets it agrees to the
// authority's terms.
type ACME struct {
	// Email is told when something is wrong with a certificate; may be empty.
	Email string
	// Directory is the URL of the authority; Let's Encrypt's unless set.
	Directory string
	// Roots are trusted for the authority's own server; nil means the
	// system's.
	Roots *x509.CertPool
	// HTTP and TLS are the addresses, "host:port", of the doors to which
	// challenges come; empty for one that is closed. They must be open already.
	// With both closed, ports 80 and 443 are opened for each challenge.
	HTTP, TLS string
}

// acme asks the certificate authority, now and whenever a certificate is near
// its end.
func (o Options) acme(ctx context.Context) (*Certs, error) {
	var config *certmagic.Config
	cache := certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return config, nil },
		Logger:           zap.NewNop(), // What matters comes as an event.
	})
	config = certmagic.New(cache, certmagic.Config{
		Storage: &certmagic.FileStorage{Path: o.Dir}, DefaultServerName: o.Names[0], FallbackServerName: o.Names[0],
		OnEvent: o.event, Logger: zap.NewNop(),
	})
	templates, err := o.ACME.issuers()
	if err != nil {
		return nil, err
	}
	challenge := func(next http.Handler) http.Handler { return next }
	for _, t := range templates {
		issuer := certmagic.NewACMEIssuer(config, t)
		config.Issuers = append(config.Issuers, issuer)
		if !t.DisableHTTPChallenge {
			challenge = issuer.HTTPChallengeHandler
		}
	}
	if err := config.ManageAsync(ctx, o.Names); err != nil {
		return nil, fmt.Errorf("asking for certificates: %w", err)
	}
	context.AfterFunc(ctx, cache.Stop)
	return &Certs{get: config.GetCertificate, protocols: []string{"acme-tls/1"}, challenge: challenge}, nil
}

// issuers say how to ask the authority. Before a challenge the library looks
// whether somebody listens where it will come, at one host for both kinds; asked
// about another host than that of the door it would open a listener of its own, or
// fail to and complain. So doors at different hosts make two, asked by turns; and a
// kind of challenge whose door is closed isn't taken, since nobody would answer.
func (a *ACME) issuers() ([]certmagic.ACMEIssuer, error) {
	both := certmagic.ACMEIssuer{CA: a.Directory, Email: a.Email, Agreed: true, TrustedRoots: a.Roots, Logger: zap.NewNop()}
	if a.Directory == "" {
		both.CA = certmagic.LetsEncryptProductionCA
	}
	both.TestCA = both.CA
	webHost, webPort, err := split(a.HTTP)
	if err != nil {
		return nil, err
	}
	tlsHost, tlsPort, err := split(a.TLS)
	if err != nil {
		return nil, err
	}
	both.AltHTTPPort, both.AltTLSALPNPort = webPort, tlsPort
	web, tls := both, both
	web.ListenHost, web.DisableTLSALPNChallenge = webHost, true
	tls.ListenHost, tls.DisableHTTPChallenge = tlsHost, true
	switch {
	case a.HTTP == "" && a.TLS == "":
		return []certmagic.ACMEIssuer{both}, nil
	case a.TLS == "":
		return []certmagic.ACMEIssuer{web}, nil
	case a.HTTP == "":
		return []certmagic.ACMEIssuer{tls}, nil
	case webHost == tlsHost:
		both.ListenHost = webHost
		return []certmagic.ACMEIssuer{both}, nil
	}
	return []certmagic.ACMEIssuer{web, tls}, nil
}

func split(address string) (host string, port int, err error) {
	if address == "" {
		return "", 0, nil
	}
	host, text, err := net.SplitHostPort(address)
	if err == nil {
		port, err = net.LookupPort("tcp", text)
	}
	if err != nil {
		return "", 0, fmt.Errorf("reading where challenges come: %w", err)
	}
	return host, port, nil
}

// event tells an operator what became of a certificate.
func (o Options) event(_ context.Context, event string, data map[string]any) error {
	switch event {
	case "cert_obtained":
		o.Log.Info("a certificate was obtained", "name", data["identifier"])
	case "cert_failed":
		o.Log.Error("a certificate was refused; it is tried again", "name", data["identifier"], "error", data["error"])
	}
	return nil
}
