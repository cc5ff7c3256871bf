package people

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
)

// keys are those of the office, each for one purpose.
type keys struct {
	given    bool
	totp     [32]byte // seals second factors
	ceremony [32]byte // seals what a browser keeps for us during a ceremony
	app      [32]byte // keys the hashes of app passwords
	digest   [32]byte // keys the digests of names and networks
}

func newKeys(k [32]byte) keys {
	return keys{given: k != [32]byte{}, totp: expand(k[:], "totp"), ceremony: expand(k[:], "ceremony"),
		app: expand(k[:], "app password"), digest: expand(k[:], "digest")}
}

// expand derives a secret for one purpose from one that is random already.
func expand(secret []byte, purpose string) (out [32]byte) {
	b, err := hkdf.Expand(sha256.New, secret, "sijill/people/"+purpose, len(out))
	if err != nil {
		panic(err) // only for lengths over 8,160 bytes
	}
	copy(out[:], b)
	return out
}

func mac(key [32]byte, parts ...string) []byte {
	m := hmac.New(sha256.New, key[:])
	for _, s := range parts {
		m.Write(binary.BigEndian.AppendUint64(nil, uint64(len(s))))
		m.Write([]byte(s))
	}
	return m.Sum(nil)
}

var errSealed = errors.New("what was sealed is damaged, or the key is another")

// seal encrypts with AES-256-GCM, bound to what it is: nonce (12) ‖ box.
func seal(key [32]byte, what string, secret []byte) []byte {
	nonce := random(12)
	return gcm(key).Seal(nonce, nonce, secret, []byte(what))
}

func unseal(key [32]byte, what string, sealed []byte) ([]byte, error) {
	if len(sealed) < 12 {
		return nil, errSealed
	}
	b, err := gcm(key).Open(nil, sealed[:12], sealed[12:], []byte(what))
	if err != nil {
		return nil, errSealed
	}
	return b, nil
}

func gcm(key [32]byte) cipher.AEAD {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // only for keys of another length
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // only for block ciphers of another size
	}
	return aead
}
