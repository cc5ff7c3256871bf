// Package certs has the server's TLS certificates ready: made by a certificate
// authority that speaks ACME (RFC 8555), taken from files that are read again
// when they change, or signed by itself for trying things out.
//
// It promises that a certificate that can't be renewed or read again doesn't
// take away the one that still works, and that a failure is said in the log.
package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
)

// Options choose one of three ways; the first that is given is taken.
type Options struct {
	// Cert and Key are PEM files.
	Cert, Key string
	// ACME asks a certificate authority.
	ACME *ACME
	// Names are those of the server, the first for clients that name none.
	Names []string
	// Dir keeps what ACME or self-signing makes; for its owner only.
	Dir string
	Log *slog.Logger
}

// Certs gives certificates. It is safe for concurrent use.
type Certs struct {
	get        func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	protocols  []string
	challenge  func(http.Handler) http.Handler
	SelfSigned bool // Nobody but who trusts this very certificate will believe it.
}

// New prepares the certificates. Files must be readable now; a certificate
// authority is asked in the background until ctx ends.
func New(ctx context.Context, o Options) (*Certs, error) {
	if len(o.Names) == 0 || o.Log == nil {
		return nil, errors.New("preparing TLS: the server's names and a log are needed")
	}
	switch {
	case o.Cert != "" || o.Key != "":
		f, err := openFiles(o.Cert, o.Key, o.Log)
		if err != nil {
			return nil, err
		}
		return &Certs{get: f.certificate}, nil
	case o.ACME != nil:
		return o.acme(ctx)
	}
	c, err := selfSigned(o.Dir, append(o.Names, "localhost", "127.0.0.1", "::1"))
	if err != nil {
		return nil, fmt.Errorf("making a certificate signed by itself: %w", err)
	}
	return &Certs{get: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c, nil }, SelfSigned: true}, nil
}

// Config gives a TLS configuration for a door that speaks the given protocols
// (ALPN); none for doors that need no negotiation.
func (c *Certs) Config(protocols ...string) *tls.Config {
	t := &tls.Config{GetCertificate: c.get, MinVersion: tls.VersionTLS12}
	if len(protocols) > 0 {
		t.NextProtos = append(protocols, c.protocols...)
	}
	return t
}

// Challenges answers a certificate authority's HTTP-01 challenges (RFC 8555,
// section 8.3) on the plain HTTP door, before next.
func (c *Certs) Challenges(next http.Handler) http.Handler {
	if c.challenge == nil {
		return next
	}
	return c.challenge(next)
}
