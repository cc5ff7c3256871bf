package desk

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"sijill/internal/web"
)

// certificate writes a certificate that ends after a time.
func certificate(t *testing.T, path string, ends time.Duration) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(ends)}
	b, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err == nil {
		err = os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b}), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// The page of health says in time that a certificate ends, and nothing of one that
// there isn't.
func TestHealthOfCertificates(t *testing.T) {
	b := newBench(t)
	v := b.in("boss", password)
	vital := func() (web.Vital, bool) {
		list, err := b.Health(b.ctx, v)
		b.must(err)
		i := slices.IndexFunc(list, func(v web.Vital) bool { return v.Name == "tls" })
		if i < 0 {
			return web.Vital{}, false
		}
		return list[i], true
	}
	if got, ok := vital(); ok {
		t.Errorf("without a certificate: %+v", got)
	}
	path := filepath.Join(t.TempDir(), "cert.pem")
	b.o.Config.TLS.Cert, b.o.Config.TLS.Key = path, path
	const day = 24 * time.Hour
	for ends, want := range map[time.Duration]web.Vital{
		40*day + time.Hour: {Name: "tls", Good: true, Figures: []int64{40}},
		13*day + time.Hour: {Name: "tls", Figures: []int64{13}},
		-3 * day:           {Name: "tls", Figures: []int64{0}},
	} {
		certificate(t, path, ends)
		if got, _ := vital(); got.Good != want.Good || !slices.Equal(got.Figures, want.Figures) {
			t.Errorf("in %v: %+v", ends, got)
		}
	}
}
