package certs

import (
	"context"
	"crypto/x509"
	"fmt"
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
	// HTTPPort and TLSPort are where challenges come in when a proxy passes
	// them on; 80 and 443 unless set.
	HTTPPort, TLSPort int
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
	directory := o.ACME.Directory
	if directory == "" {
		directory = certmagic.LetsEncryptProductionCA
	}
	issuer := certmagic.NewACMEIssuer(config, certmagic.ACMEIssuer{
		CA: directory, TestCA: directory, Email: o.ACME.Email, Agreed: true, TrustedRoots: o.ACME.Roots,
		AltHTTPPort: o.ACME.HTTPPort, AltTLSALPNPort: o.ACME.TLSPort, Logger: zap.NewNop(),
	})
	config.Issuers = []certmagic.Issuer{issuer}
	if err := config.ManageAsync(ctx, o.Names); err != nil {
		return nil, fmt.Errorf("asking for certificates: %w", err)
	}
	context.AfterFunc(ctx, cache.Stop)
	return &Certs{
		get: config.GetCertificate, protocols: []string{"acme-tls/1"},
		challenge: func(next http.Handler) http.Handler { return issuer.HTTPChallengeHandler(next) },
	}, nil
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
