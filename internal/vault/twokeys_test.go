package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"testing"

	"sijill"
)

// A ciphertext can be made that AES-GCM opens under two keys. Open takes it with
// the key that the entry's envelope commitment was made with, and no other.
func TestTwoKeysOpenOneCiphertext(t *testing.T) {
	id := sijill.ID{1, 2, 3}
	first, second := twins(t)
	ciphertext := twoFaced(first, second, id)
	var contents [2][]byte
	for i, key := range [][32]byte{first, second} {
		payload, err := sijill.Open(nil, key, id, ciphertext)
		if err != nil {
			t.Fatalf("key %d does not open what was made for both: %v", i+1, err)
		}
		if contents[i], _, err = sijill.ParsePayload(payload, 1<<20); err != nil {
			t.Fatalf("key %d: %v", i+1, err)
		}
	}
	salt, err := sijill.EnvelopeSalt(first)
	if err != nil {
		t.Fatal(err)
	}
	m := &sijill.Message{ID: id, Ciphertext: sha256.Sum256(ciphertext), Envelope: sijill.CommitEnvelope(salt, contents[0])}
	if _, err := open(first, m, ciphertext); err != nil {
		t.Fatalf("the key that it was sealed with: %v", err)
	}
	if o, err := open(second, m, ciphertext); !errors.Is(err, ErrDamaged) || o != nil {
		t.Fatalf("another key: %v, want ErrDamaged", err)
	}
}

// twins are two keys whose first two octets of keystream are the same, so that
// one ciphertext is a payload under both.
func twins(t *testing.T) (first, second [32]byte) {
	want := [2]byte(keystream(first, 2))
	for i := range uint64(1 << 22) {
		binary.BigEndian.PutUint64(second[:], i+1)
		if [2]byte(keystream(second, 2)) == want {
			return first, second
		}
	}
	t.Fatal("no twins")
	return
}

// keystream are the octets that GCM adds to a plaintext under our nonce.
func keystream(key [32]byte, n int) []byte {
	block, _ := aes.NewCipher(key[:])
	out := make([]byte, n)
	cipher.NewCTR(block, counter(2)).XORKeyStream(out, out)
	return out
}

func counter(n uint32) []byte { return binary.BigEndian.AppendUint32(make([]byte, 12, 16), n) }

// twoFaced makes a plain payload with an empty envelope under both keys: its
// second block is chosen so that both give the same tag.
func twoFaced(first, second [32]byte, id sijill.ID) []byte {
	ciphertext := make([]byte, 32, 48)
	copy(ciphertext, keystream(first, 2)) // 0x00, and a length of 0
	sum := xor(tagWithout(first, id, ciphertext), tagWithout(second, id, ciphertext))
	h, k := square(hashKey(first)), square(hashKey(second)) // What the second block is multiplied with.
	free := times(sum, inverse(xor(h, k)))
	copy(ciphertext[16:], element(free))
	tag := tagWithout(first, id, ciphertext)
	return append(ciphertext, element(tag)...)
}

// tagWithout is the tag of two blocks (NIST SP 800-38D, section 7.1).
func tagWithout(key [32]byte, id sijill.ID, ciphertext []byte) gf {
	block, _ := aes.NewCipher(key[:])
	lengths := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, 128), 256)
	h, y := hashKey(key), gf{}
	for _, b := range [][]byte{id[:], ciphertext[:16], ciphertext[16:32], lengths} {
		y = times(xor(y, number(b)), h)
	}
	mask := make([]byte, 16)
	block.Encrypt(mask, counter(1))
	return xor(y, number(mask))
}

func hashKey(key [32]byte) gf {
	block, _ := aes.NewCipher(key[:])
	h := make([]byte, 16)
	block.Encrypt(h, h)
	return number(h)
}

// gf is an element of GF(2^128) as GCM writes it: its first bit is that of x^0.
type gf [2]uint64

func number(b []byte) gf { return gf{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])} }

func element(a gf) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, a[0]), a[1])
}

func xor(a, b gf) gf { return gf{a[0] ^ b[0], a[1] ^ b[1]} }

// times multiplies (NIST SP 800-38D, section 6.3).
func times(a, b gf) (out gf) {
	for i := range 128 {
		if a[i/64]>>(63-i%64)&1 == 1 {
			out = xor(out, b)
		}
		odd := b[1] & 1
		b = gf{b[0] >> 1, b[1]>>1 | b[0]<<63}
		if odd == 1 {
			b[0] ^= 0xe1 << 56
		}
	}
	return out
}

func square(a gf) gf { return times(a, a) }

// inverse is a^(2^128-2).
func inverse(a gf) gf {
	out := gf{1 << 63}
	for range 127 {
		a = square(a)
		out = times(out, a)
	}
	return out
}
