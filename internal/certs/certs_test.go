package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// leaf does a handshake and returns the certificate that was shown.
func leaf(t *testing.T, c *Certs, name string, roots *x509.CertPool) *x509.Certificate {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	go tls.Server(b, c.Config()).Handshake()
	client := tls.Client(a, &tls.Config{ServerName: name, RootCAs: roots, InsecureSkipVerify: roots == nil})
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	return client.ConnectionState().PeerCertificates[0]
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func TestSelfSigned(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	o := Options{Names: []string{"mail.diwan.example", "127.0.0.1"}, Dir: dir, Log: quiet()}
	c, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	first := leaf(t, c, "mail.diwan.example", nil)
	roots := x509.NewCertPool()
	roots.AddCert(first)
	if leaf(t, c, "127.0.0.1", roots); !c.SelfSigned {
		t.Error("it doesn't say that it is self-signed")
	}
	again, err := New(t.Context(), o)
	if err != nil || !leaf(t, again, "mail.diwan.example", roots).Equal(first) {
		t.Errorf("a second start makes another certificate (%v)", err)
	}
	o.Names = append(o.Names, "mta-sts.diwan.example")
	other, err := New(t.Context(), o)
	if err != nil || leaf(t, other, "mta-sts.diwan.example", nil).Equal(first) {
		t.Errorf("a new name got the old certificate (%v)", err)
	}
	info, err := os.Stat(filepath.Join(dir, selfName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v, %v", info, err)
	}
}

// write puts a new certificate for name into the two files.
func write(t *testing.T, cert, key, name string, at time.Time) {
	t.Helper()
	b, err := makeSelf([]string{name})
	if err != nil {
		t.Fatal(err)
	}
	i := bytes.Index(b, []byte("-----BEGIN PRIVATE"))
	for path, part := range map[string][]byte{cert: b[:i], key: b[i:]} {
		if err := os.WriteFile(path, part, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFilesAreReadAgain(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	now := time.Now()
	write(t, cert, key, "one.example", now)
	var said bytes.Buffer
	f, err := openFiles(cert, key, slog.New(slog.NewTextHandler(&said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	c := &Certs{get: f.certificate}
	name := func() string {
		f.looked = time.Time{}
		return leaf(t, c, "any.example", nil).Subject.CommonName
	}
	if name() != "one.example" {
		t.Error("the first certificate isn't used")
	}
	if err := os.WriteFile(cert, []byte("half a fi"), 0o600); err != nil {
		t.Fatal(err)
	}
	if name() != "one.example" || !strings.Contains(said.String(), "can't be read") {
		t.Errorf("a damaged file must leave the old one in use, and be said: %s", said.String())
	}
	write(t, cert, key, "two.example", now.Add(time.Minute))
	if got := name(); got != "two.example" {
		t.Errorf("the new certificate isn't used: %s", got)
	}
}

func TestFilesMustBeThere(t *testing.T) {
	for _, o := range []Options{{Cert: "/nonexistent"}, {Cert: "/nonexistent", Key: "/nonexistent"}} {
		o.Names, o.Log = []string{"a"}, quiet()
		if _, err := New(t.Context(), o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}

// Each kind of challenge is looked for at the door where it comes, and none where
// there is no door.
func TestWhereChallengesCome(t *testing.T) {
	for _, test := range []struct {
		web, tls string
		want     []string
	}{
		{"", "", []string{"http :0 tls :0"}},
		{"192.0.2.1:80", "", []string{"http 192.0.2.1:80"}},
		{"", "[2001:db8::1]:443", []string{"tls 2001:db8::1:443"}},
		{"[::]:80", "[::]:443", []string{"http :::80 tls :::443"}},
		{"127.0.0.1:8080", "127.0.0.1:8443", []string{"http 127.0.0.1:8080 tls 127.0.0.1:8443"}},
		{"127.0.0.1:8080", "192.0.2.1:443", []string{"http 127.0.0.1:8080", "tls 192.0.2.1:443"}},
	} {
		list, err := (&ACME{HTTP: test.web, TLS: test.tls}).issuers()
		var got []string
		for _, i := range list {
			var kinds []string
			if !i.DisableHTTPChallenge {
				kinds = append(kinds, fmt.Sprintf("http %s:%d", i.ListenHost, i.AltHTTPPort))
			}
			if !i.DisableTLSALPNChallenge {
				kinds = append(kinds, fmt.Sprintf("tls %s:%d", i.ListenHost, i.AltTLSALPNPort))
			}
			got = append(got, strings.Join(kinds, " "))
		}
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%q and %q: %q %v, want %q", test.web, test.tls, got, err, test.want)
		}
	}
	if _, err := (&ACME{HTTP: "nowhere"}).issuers(); err == nil {
		t.Error("an address without a port was taken")
	}
}
