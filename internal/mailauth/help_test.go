package mailauth

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"net/netip"
	"testing"
)

func mustAddr(t testing.TB, s string) netip.Addr {
	t.Helper()
	a, err := netip.ParseAddr(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func rsaKey(t testing.TB, bits int, selector string) *Key {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return &Key{Selector: selector, Kind: RSA, State: Active, private: k}
}

// bodyHash64 is bh= of a body in relaxed canonicalisation.
func bodyHash64(body string) string {
	w := newBodyWriter(-1)
	w.relaxed([]byte(body))
	h := w.sum()
	return base64.StdEncoding.EncodeToString(h.sum[:])
}
