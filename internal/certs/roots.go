package certs

import (
	"crypto/x509"
	"fmt"
	"os"
)

// Roots is the system's certificate authorities with those of a PEM file; nil, which
// means the system's alone, where path is empty. A file without any is an error.
func Roots(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading certificate authorities: %w", err)
	}
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("reading certificate authorities: %s has none", path)
	}
	return pool, nil
}
