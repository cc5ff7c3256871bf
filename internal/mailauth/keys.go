package mailauth

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// State is where a signing key stands in its life.
type State string

// The states. A key is published before it signs, since receivers may keep
// "there is none" for a while, and after it has signed, since mail may be
// underway for days.
const (
	Coming   State = "coming"   // published, doesn't sign yet
	Active   State = "active"   // signs
	Retiring State = "retiring" // published, signs no longer
)

// Kind is a signature algorithm's key.
type Kind string

// The kinds. Receivers that don't know Ed25519 (RFC 8463) take RSA: mail is
// signed with both.
const (
	RSA     Kind = "rsa" // 2048 bits
	Ed25519 Kind = "ed25519"
)

// Key is a private signing key under its selector. It is safe for concurrent use.
type Key struct {
	Selector string
	Kind     Kind
	State    State
	Since    time.Time // when it came into its state

	private crypto.Signer
}

// GenerateKey makes a key.
func GenerateKey(kind Kind, selector string) (*Key, error) {
	k := &Key{Selector: selector, Kind: kind, State: Coming}
	var err error
	switch kind {
	case RSA:
		k.private, err = rsa.GenerateKey(rand.Reader, goodRSA)
	case Ed25519:
		_, k.private, err = ed25519.GenerateKey(rand.Reader)
	default:
		err = errors.New("the kind is unknown")
	}
	if err != nil {
		return nil, fmt.Errorf("mailauth: making a signing key: %w", err)
	}
	return k, nil
}

// ParseKey reads a key that PKCS8 wrote. RSA keys have at least 1024 bits (RFC
// 8301 section 3.2). Its State and Since are for the caller to set.
func ParseKey(selector string, pkcs8 []byte) (*Key, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		return nil, fmt.Errorf("mailauth: reading a signing key: %w", err)
	}
	k := &Key{Selector: selector, State: Coming}
	switch p := parsed.(type) {
	case *rsa.PrivateKey:
		if p.N.BitLen() < minRSA {
			return nil, errors.New("mailauth: reading a signing key: it is too short")
		}
		k.Kind, k.private = RSA, p
	case ed25519.PrivateKey:
		k.Kind, k.private = Ed25519, p
	default:
		return nil, errors.New("mailauth: reading a signing key: it is of another kind")
	}
	return k, nil
}

// PKCS8 returns the private key for the caller to store, sealed.
func (k *Key) PKCS8() ([]byte, error) {
	b, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return nil, fmt.Errorf("mailauth: writing a signing key: %w", err)
	}
	return b, nil
}

// sign signs data as DKIM has it: the SHA-256 of it.
func (k *Key) sign(sum []byte) ([]byte, error) {
	opts := crypto.SignerOpts(crypto.SHA256)
	if k.Kind == Ed25519 {
		opts = crypto.Hash(0) // RFC 8463 section 3: pure Ed25519 over the hash
	}
	b, err := k.private.Sign(rand.Reader, sum, opts)
	if err != nil {
		return nil, fmt.Errorf("mailauth: signing: %w", err)
	}
	return b, nil
}

// Record is a TXT record to be published.
type Record struct {
	Name string // with a dot at the end
	Text string
}

// Zone returns the record as a line of a zone file, the text cut into strings
// of at most 255 bytes.
func (r Record) Zone() string {
	var b strings.Builder
	b.WriteString(r.Name + " IN TXT (")
	for part := range slices.Chunk([]byte(r.Text), 255) {
		b.WriteString(` "` + string(part) + `"`)
	}
	b.WriteString(" )")
	return b.String()
}

// Record returns what is published for the key (RFC 6376 section 3.6.1).
func (k *Key) Record(domain string) (Record, error) {
	r := Record{Name: k.Selector + "._domainkey." + toASCII(domain) + "."}
	var public []byte
	switch p := k.private.Public().(type) {
	case ed25519.PublicKey:
		public = p
	default:
		der, err := x509.MarshalPKIXPublicKey(p)
		if err != nil {
			return r, fmt.Errorf("mailauth: writing a public key: %w", err)
		}
		public = der
	}
	r.Text = "v=DKIM1; k=" + string(k.Kind) + "; p=" + base64.StdEncoding.EncodeToString(public)
	return r, nil
}

// Keys are a domain's signing keys. The caller stores them and guards them
// against concurrent changes; a Signer made of them doesn't change with them.
type Keys struct {
	Domain string
	All    []*Key
}

// Selector names a month's key of a kind, such as 202611r. A second pair of
// one month gets a letter more.
func (ks *Keys) selector(kind Kind, month time.Time) string {
	base := month.UTC().Format("200601") + string(kind[0])
	for suffix := ""; ; suffix += "x" {
		if !slices.ContainsFunc(ks.All, func(k *Key) bool { return k.Selector == base+suffix }) {
			return base + suffix
		}
	}
}

// Generate adds a pair, one of each kind, and returns it. It is coming, or
// active where there was none before.
func (ks *Keys) Generate(now time.Time) ([]*Key, error) {
	state := Coming
	if !slices.ContainsFunc(ks.All, func(k *Key) bool { return k.State == Active }) {
		state = Active
	}
	var pair []*Key
	for _, kind := range []Kind{RSA, Ed25519} {
		k, err := GenerateKey(kind, ks.selector(kind, now))
		if err != nil {
			return nil, err
		}
		k.State, k.Since = state, now
		pair = append(pair, k)
	}
	ks.All = append(ks.All, pair...)
	return pair, nil
}

// Activate lets the coming keys sign and the active ones retire. Without
// coming keys it does nothing. It tells whether anything changed.
func (ks *Keys) Activate(now time.Time) bool {
	if !slices.ContainsFunc(ks.All, func(k *Key) bool { return k.State == Coming }) {
		return false
	}
	for _, k := range ks.All {
		switch k.State {
		case Coming:
			k.State, k.Since = Active, now
		case Active:
			k.State, k.Since = Retiring, now
		}
	}
	return true
}

// Expire takes out the keys that have been retiring since before then, and
// returns them: their records may leave DNS.
func (ks *Keys) Expire(before time.Time) (gone []*Key) {
	ks.All = slices.DeleteFunc(ks.All, func(k *Key) bool {
		old := k.State == Retiring && k.Since.Before(before)
		if old {
			gone = append(gone, k)
		}
		return old
	})
	return gone
}

// Records returns what is to be published, for keys in every state.
func (ks *Keys) Records() ([]Record, error) {
	var list []Record
	for _, k := range ks.All {
		r, err := k.Record(ks.Domain)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, nil
}

// Signer returns a signer with the active keys.
func (ks *Keys) Signer() *Signer {
	s := &Signer{domain: toASCII(ks.Domain)}
	for _, k := range ks.All {
		if k.State == Active {
			s.keys = append(s.keys, k)
		}
	}
	return s
}
