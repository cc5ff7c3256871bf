package certs

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Ends tells when the first of the certificates ends that o leads to, as the files
// have it: of a certificate authority's those that it has given for Names, which are
// kept in Dir. Zero means that there is none yet. It asks nobody and makes nothing.
func (o Options) Ends() (first time.Time, err error) {
	paths := []string{filepath.Join(o.Dir, selfName)}
	switch {
	case o.Cert != "":
		paths = []string{o.Cert}
	case o.ACME != nil:
		paths, err = obtained(o.Dir)
	}
	for _, path := range paths {
		c, bad := read(path)
		if bad != nil {
			return first, fmt.Errorf("reading when a certificate ends: %w", bad)
		}
		if c == nil || o.ACME != nil && !o.asks(c) {
			continue
		}
		if first.IsZero() || c.NotAfter.Before(first) {
			first = c.NotAfter
		}
	}
	return first, err
}

// asks tells whether a certificate is for a name of the server; of names that it has
// no more, old ones stay in Dir.
func (o Options) asks(c *x509.Certificate) bool {
	return slices.ContainsFunc(o.Names, func(name string) bool { return c.VerifyHostname(name) == nil })
}

// obtained are the files of certificates that an authority has given.
func obtained(dir string) (paths []string, err error) {
	err = filepath.WalkDir(filepath.Join(dir, "certificates"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && filepath.Ext(path) == ".crt" {
			paths = append(paths, path)
		}
		return err
	})
	if os.IsNotExist(err) {
		return nil, nil
	}
	return paths, err
}

// read gives the certificate in a PEM file, the first where it is a chain; nil where
// there is no file.
func read(path string) (*x509.Certificate, error) {
	b, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			return nil, fmt.Errorf("%s holds no certificate", path)
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return c, nil
	}
}
