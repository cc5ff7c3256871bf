package certs

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// lookEvery is how often files are looked at, at most.
const lookEvery = 5 * time.Second

// files is a certificate in two files.
type files struct {
	cert, key string
	log       *slog.Logger

	mu      sync.Mutex // Guards what follows.
	loaded  *tls.Certificate
	changed [2]time.Time // Of the files that were loaded, or found wanting.
	looked  time.Time
}

func openFiles(cert, key string, log *slog.Logger) (*files, error) {
	if cert == "" || key == "" {
		return nil, errors.New("a certificate and its key go together: set both files")
	}
	f := &files{cert: cert, key: key, log: log}
	var err error
	if f.changed, err = f.times(); err != nil {
		return nil, fmt.Errorf("loading the certificate: %w", err)
	}
	if f.loaded, err = f.load(); err != nil {
		return nil, err
	}
	f.looked = time.Now()
	return f, nil
}

func (f *files) load() (*tls.Certificate, error) {
	c, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return nil, fmt.Errorf("loading the certificate: %w", err)
	}
	return &c, nil
}

func (f *files) times() (t [2]time.Time, err error) {
	for i, path := range []string{f.cert, f.key} {
		info, err := os.Stat(path)
		if err != nil {
			return t, err
		}
		t[i] = info.ModTime()
	}
	return t, nil
}

// certificate gives the certificate, read again when a file has changed. One
// that can't be read leaves the old one in use.
func (f *files) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.looked) < lookEvery {
		return f.loaded, nil
	}
	f.looked = time.Now()
	now, err := f.times()
	if err == nil && now == f.changed {
		return f.loaded, nil
	}
	if err == nil {
		// Tools write one file after the other: until both fit, ask again.
		var c *tls.Certificate
		if c, err = f.load(); err == nil {
			f.loaded, f.changed = c, now
			f.log.Info("the certificate was read again")
			return f.loaded, nil
		}
	}
	f.log.Error("the new certificate can't be read; the old one stays in use", "error", err)
	return f.loaded, nil
}
