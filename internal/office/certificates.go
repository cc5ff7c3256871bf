package office

import (
	"path/filepath"

	"sijill/internal/certs"
)

// certsDir is where certificates are kept in the data directory.
const certsDir = "tls"

// Certificates say where certificates are kept, and whether an authority is asked,
// but not how.
func (o *Office) Certificates() certs.Options {
	c := o.Config.TLS
	opts := certs.Options{Cert: c.Cert, Key: c.Key, Names: append([]string{o.Config.ServerName()}, c.Names...),
		Dir: filepath.Join(o.Dir, certsDir), Log: o.Log}
	if c.ACME {
		opts.ACME = &certs.ACME{}
	}
	return opts
}
