// Package peopletest is a kit for tests: an authenticator that answers as a browser
// with a passkey does (WebAuthn level 3; ES256, no attestation, PRF).
package peopletest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
)

// Authenticator holds passkeys, all of them resident. It isn't safe for concurrent
// use.
type Authenticator struct {
	// Origin is the page that the browser shows, as "https://mail.diwan.example".
	Origin string
	// PRF says that passkeys made from now on have a pseudo-random function; Early,
	// that it is evaluated when they are made, as few authenticators do.
	PRF, Early bool
	// Counts says that signatures are counted; synced passkeys don't.
	Counts bool
	// Unverified leaves out that the user was verified.
	Unverified bool

	keys []*key
}

type key struct {
	id, handle, prf []byte
	site            string
	private         *ecdsa.PrivateKey
	count           uint32
}

// options is what of both kinds of options is of interest here.
type options struct {
	PublicKey struct {
		Challenge  string
		RPID       string `json:"rpId"`
		RP         struct{ ID string }
		User       struct{ ID string }
		Extensions struct {
			PRF *struct{ Eval struct{ First string } }
		}
		AllowCredentials   []struct{ ID string }
		ExcludeCredentials []struct{ ID string }
	} `json:"publicKey"`
}

func parse(b []byte) (o options, err error) {
	if err = json.Unmarshal(b, &o); err != nil {
		err = fmt.Errorf("reading options: %w", err)
	}
	return o, err
}

// Flags of authenticator data (WebAuthn, section 6.1).
const (
	userPresent  = 0x01
	userVerified = 0x04
	attested     = 0x40
)

func (a *Authenticator) data(site string, flags byte, count uint32) []byte {
	sum := sha256.Sum256([]byte(site))
	if !a.Unverified {
		flags |= userVerified
	}
	return binary.BigEndian.AppendUint32(append(sum[:], flags|userPresent), count)
}

func (a *Authenticator) client(kind, challenge string) []byte {
	b, err := json.Marshal(map[string]any{"type": kind, "challenge": challenge, "origin": a.Origin, "crossOrigin": false})
	if err != nil {
		panic(err)
	}
	return b
}

// Create makes a passkey and returns the browser's answer. An authenticator that has
// one of those to be excluded refuses.
func (a *Authenticator) Create(t testing.TB, opts []byte) []byte {
	t.Helper()
	o, err := parse(opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range o.PublicKey.ExcludeCredentials {
		if a.find(c.ID) != nil {
			t.Fatal("the authenticator has a passkey of this account already")
		}
	}
	k := &key{id: random(32), prf: random(32), site: o.PublicKey.RP.ID}
	if k.handle, err = decode(o.PublicKey.User.ID); err != nil {
		t.Fatal(err)
	}
	if k.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if !a.PRF {
		k.prf = nil
	}
	a.keys = append(a.keys, k)
	data := a.data(k.site, attested, k.count)
	data = append(data, make([]byte, 16)...) // no model
	data = binary.BigEndian.AppendUint16(data, uint16(len(k.id)))
	data = append(append(data, k.id...), k.cose()...)
	object := append([]byte{0xa3}, text("fmt")...)
	object = append(object, text("none")...)
	object = append(append(object, text("attStmt")...), 0xa0)
	object = append(append(object, text("authData")...), bytes(data)...)
	extensions := map[string]any{}
	if p := o.PublicKey.Extensions.PRF; p != nil {
		prf := map[string]any{"enabled": a.PRF}
		if a.PRF && a.Early {
			prf["results"] = k.evaluate(p.Eval.First)
		}
		extensions["prf"] = prf
	}
	return a.answer(t, k, extensions, map[string]any{
		"clientDataJSON": encode(a.client("webauthn.create", o.PublicKey.Challenge)), "attestationObject": encode(object), "transports": []string{"internal"}})
}

// Get answers with a passkey that the options allow, the newest; it fails the test
// when there is none.
func (a *Authenticator) Get(t testing.TB, opts []byte) []byte {
	t.Helper()
	o, err := parse(opts)
	if err != nil {
		t.Fatal(err)
	}
	k := a.choose(&o)
	if k == nil {
		t.Fatal("the authenticator has no passkey for this")
	}
	if a.Counts {
		k.count++
	}
	data, client := a.data(k.site, 0, k.count), a.client("webauthn.get", o.PublicKey.Challenge)
	sum := sha256.Sum256(client)
	digest := sha256.Sum256(append(data[:len(data):len(data)], sum[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, k.private, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	extensions := map[string]any{}
	if p := o.PublicKey.Extensions.PRF; p != nil && k.prf != nil {
		extensions["prf"] = map[string]any{"results": k.evaluate(p.Eval.First)}
	}
	return a.answer(t, k, extensions, map[string]any{
		"clientDataJSON": encode(client), "authenticatorData": encode(data), "signature": encode(signature), "userHandle": encode(k.handle)})
}

func (a *Authenticator) choose(o *options) *key {
	for i := len(a.keys) - 1; i >= 0; i-- {
		k := a.keys[i]
		if k.site != o.PublicKey.RPID {
			continue
		}
		if len(o.PublicKey.AllowCredentials) == 0 {
			return k
		}
		for _, c := range o.PublicKey.AllowCredentials {
			if a.find(c.ID) == k {
				return k
			}
		}
	}
	return nil
}

// Copy is another authenticator with the same passkeys, as a thief makes it.
func (a *Authenticator) Copy() *Authenticator {
	c := *a
	c.keys = nil
	for _, k := range a.keys {
		same := *k
		c.keys = append(c.keys, &same)
	}
	return &c
}

func (a *Authenticator) find(id string) *key {
	for _, k := range a.keys {
		if encode(k.id) == id {
			return k
		}
	}
	return nil
}

func (a *Authenticator) answer(t testing.TB, k *key, extensions, response map[string]any) []byte {
	t.Helper()
	b, err := json.Marshal(map[string]any{"id": encode(k.id), "rawId": encode(k.id), "type": "public-key",
		"authenticatorAttachment": "platform", "clientExtensionResults": extensions, "response": response})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// evaluate is the pseudo-random function at a salt (WebAuthn, section 10.1.4).
func (k *key) evaluate(salt string) map[string]any {
	b, err := decode(salt)
	if err != nil {
		panic(errors.New("a salt is not base64url"))
	}
	sum := sha256.Sum256(append([]byte("WebAuthn PRF\x00"), b...))
	m := hmac.New(sha256.New, k.prf)
	m.Write(sum[:])
	return map[string]any{"first": encode(m.Sum(nil))}
}

// cose is the public key (RFC 9053): {1: 2, 3: -7, -1: 1, -2: x, -3: y}.
func (k *key) cose() []byte {
	public, err := k.private.PublicKey.Bytes() // 4 ‖ x ‖ y
	if err != nil {
		panic(err) // not for this curve
	}
	out := []byte{0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21}
	out = append(append(out, bytes(public[1:33])...), 0x22)
	return append(out, bytes(public[33:])...)
}

// text and bytes are strings in CBOR (RFC 8949).
func text(s string) []byte { return append([]byte{0x60 | byte(len(s))}, s...) }

func bytes(b []byte) []byte {
	if len(b) < 256 {
		return append([]byte{0x58, byte(len(b))}, b...)
	}
	return append(binary.BigEndian.AppendUint16([]byte{0x59}, uint16(len(b))), b...)
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return b
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func decode(s string) ([]byte, error) { return base64.RawURLEncoding.DecodeString(s) }
