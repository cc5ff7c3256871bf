package mailauth

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"slices"
	"strings"
)

// publicKey is a key record (RFC 6376 section 3.6.1).
type publicKey struct {
	key     crypto.PublicKey // *rsa.PublicKey or ed25519.PublicKey
	kind    string           // rsa or ed25519
	bits    int
	hashes  []string // nil: all
	testing bool     // t=y
	strict  bool     // t=s: i= must be at d= itself
}

// Bounds on RSA keys, in bits. Verification takes time by the square of it.
const (
	minRSA  = 1024
	goodRSA = 2048
	maxRSA  = 8192
)

// Reasons for which a signature doesn't pass.
const (
	reasonTags        = "the signature can't be read"
	reasonVersion     = "the version is unknown"
	reasonMissing     = "a tag is missing"
	reasonIdentity    = "i= is not below d="
	reasonFrom        = "From is not signed"
	reasonTime        = "t= or x= can't be read"
	reasonExpired     = "expired on arrival"
	reasonFuture      = "signed in the future"
	reasonQuery       = "the way to its key is unknown"
	reasonAlgorithm   = "the algorithm is unknown"
	reasonSHA1        = "SHA-1 is too weak"
	reasonCanon       = "the canonicalisation is unknown"
	reasonLength      = "l= can't be read or exceeds the body"
	reasonPartial     = "only a part of the body is signed"
	reasonAdded       = "a field stands beside the one signed"
	reasonHeader      = "the header is too long"
	reasonNoKey       = "there is no key"
	reasonKeyTemp     = "the key can't be looked up now"
	reasonKeyBroken   = "the key can't be read"
	reasonRevoked     = "the key is revoked"
	reasonKeyMismatch = "the key is not for this"
	reasonShort       = "the key is too short"
	reasonBody        = "the body was changed"
	reasonSignature   = "the signature doesn't match"
)

// parseKey reads a key record. Its reason is empty where it can be used.
func parseKey(record string) (k publicKey, reason string) {
	tags, err := parseTags(record)
	if err != nil {
		return k, reasonKeyBroken
	}
	if v, ok := tags.lookup("v"); ok && (v != "DKIM1" || tags[0].name != "v") {
		return k, reasonKeyBroken
	}
	k.kind = "rsa"
	if v, ok := tags.lookup("k"); ok {
		k.kind = v
	}
	k.hashes = tags.names("h")
	if s := tags.names("s"); s != nil && !slices.Contains(s, "*") && !slices.Contains(s, "email") {
		return k, reasonKeyMismatch
	}
	flags := tags.names("t")
	k.testing, k.strict = slices.Contains(flags, "y"), slices.Contains(flags, "s")
	p, ok := tags.lookup("p")
	if !ok {
		return k, reasonKeyBroken
	}
	if dropSpaces(p) == "" {
		return k, reasonRevoked
	}
	der, ok := tags.base64("p")
	if !ok {
		return k, reasonKeyBroken
	}
	return k, k.setKey(der)
}

func (k *publicKey) setKey(der []byte) (reason string) {
	switch k.kind {
	case "rsa":
		key := parseRSA(der)
		if key == nil || key.N.BitLen() > maxRSA {
			return reasonKeyBroken
		}
		k.key, k.bits = key, key.N.BitLen()
		if k.bits < minRSA {
			return reasonShort // RFC 8301 section 3.2
		}
	case "ed25519":
		if len(der) != ed25519.PublicKeySize { // RFC 8463 section 4.2
			return reasonKeyBroken
		}
		k.key, k.bits = ed25519.PublicKey(der), 256
	default:
		return reasonKeyMismatch
	}
	return ""
}

// parseRSA reads a SubjectPublicKeyInfo, which everybody publishes, or an
// RSAPublicKey, which RFC 6376 section 3.6.1 says.
func parseRSA(der []byte) *rsa.PublicKey {
	if key, err := x509.ParsePKIXPublicKey(der); err == nil {
		r, _ := key.(*rsa.PublicKey)
		return r
	}
	r, err := x509.ParsePKCS1PublicKey(der)
	if err != nil {
		return nil
	}
	return r
}

// verify checks a signature over data. RFC 8463 section 3: Ed25519 signs the
// SHA-256 of it.
func (k *publicKey) verify(data, signature []byte) bool {
	sum := sha256.Sum256(data)
	switch key := k.key.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) == nil
	case ed25519.PublicKey:
		return ed25519.Verify(key, sum[:], signature)
	}
	return false
}

// fits tells whether the key may be used with the algorithm, such as rsa-sha256.
func (k *publicKey) fits(algorithm string) bool {
	kind, hash, _ := strings.Cut(algorithm, "-")
	return k.kind == kind && (k.hashes == nil || slices.Contains(k.hashes, hash))
}
