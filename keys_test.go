package sijill

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// The example of C2SP signed-note.
const (
	foreignKey  = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
	foreignName = "example.com/foo"
)

func TestParseKeys(t *testing.T) {
	r := newRegister(t)
	for _, separator := range []string{" ", "\n", ",", " ,\r\n\t"} {
		text := strings.ReplaceAll(r.keys, "\n", separator) + separator + foreignKey
		k, err := ParseKeys(separator + text)
		if err != nil || k.String() != r.keys+"\n"+foreignKey+"\n" {
			t.Errorf("separated by %q: %v", separator, err)
		}
	}
	for name, bad := range map[string]string{
		"none":            " \n",
		"twice":           foreignKey + " " + foreignKey,
		"name only":       foreignName,
		"other name":      strings.Replace(foreignKey, "foo", "fox", 1),
		"id in capitals":  strings.Replace(foreignKey, "903a", "903A", 1),
		"control in name": strings.Replace(foreignKey, "foo", "fo\u0085o", 1),
		"other id":        strings.Replace(foreignKey, "530d", "530e", 1),
		"other key":       strings.Replace(foreignKey, "AekY", "AekZ", 1) + "=",
		"nameless":        "+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
		"unknown type":    vkeyOf(t, 0x02, make([]byte, 32)),
		"short Ed25519":   vkeyOf(t, Ed25519, make([]byte, 31)),
		"short ML-DSA-44": vkeyOf(t, MLDSA44, make([]byte, 32)),
		"too many":        strings.Repeat(foreignKey+" ", MaxKeys+1),
	} {
		if _, err := ParseKeys(bad); !errors.Is(err, ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func vkeyOf(t testing.TB, a Algorithm, key []byte) string {
	t.Helper()
	k, err := newPublicKey(foreignName, a, key)
	if err != nil {
		t.Fatal(err)
	}
	return k.String()
}

func TestSignerNames(t *testing.T) {
	for _, name := range []string{"", "a b", "a+b", "a,b", "a\nb", "a\x00", "a\xff", strings.Repeat("a", 256)} {
		if _, err := NewEd25519Signer(name, [32]byte{}); !errors.Is(err, ErrKeyName) {
			t.Errorf("%q: %v", name, err)
		}
		if _, err := NewMLDSASigner(name, [32]byte{}, time.Now); !errors.Is(err, ErrKeyName) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// x/mod's own verifier is a second opinion on Ed25519.
func TestCheckpointForeignVerifier(t *testing.T) {
	r := newRegister(t)
	r.fill(t, 3)
	vkey, _, _ := strings.Cut(r.keys, "\n")
	v, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open(r.checkpoint(t), note.VerifierList(v))
	if err != nil || len(n.Sigs) != 1 || len(n.UnverifiedSigs) != 1 {
		t.Errorf("%+v, %v", n, err)
	}
}

func TestOpenCheckpoint(t *testing.T) {
	r := newRegister(t)
	r.fill(t, 3)
	signed, keys := r.checkpoint(t), mustKeys(t, r.keys)
	c, signatures, err := keys.OpenCheckpoint(signed)
	if err != nil || c.Origin != testOrigin || c.Size != 3 || c.Root != r.root(t, 3) {
		t.Fatalf("%+v, %v", c, err)
	}
	if signatures[0].Algorithm != Ed25519 || !signatures[0].Time.IsZero() ||
		signatures[1].Algorithm != MLDSA44 || !signatures[1].Time.Equal(signedAt) {
		t.Errorf("%+v", signatures)
	}
	lines := bytes.SplitAfter(signed, []byte("\n"))
	withoutML := bytes.Join(lines[:5], nil)
	if _, _, err := keys.OpenCheckpoint(withoutML); !errors.Is(err, ErrSignature) {
		t.Errorf("one signature of two: %v", err)
	}
	stranger, err := NewEd25519Signer("witness.example", [32]byte{3})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := mustKeys(t, stranger.VerifierKey()).OpenCheckpoint(signed); !errors.Is(err, ErrSignature) {
		t.Errorf("a witness alone: %v", err)
	}
	r.signers = append(r.signers, stranger)
	more := r.checkpoint(t)
	if _, _, err := keys.OpenCheckpoint(more); err != nil {
		t.Errorf("a signature of an unknown key: %v", err)
	}
	if _, list, err := mustKeys(t, r.keys+","+stranger.VerifierKey()).OpenCheckpoint(more); err != nil || len(list) != 3 {
		t.Errorf("with a witness: %v", err)
	}
	for i := range signed {
		if i > len(signed)/2 && i < len(signed)-8 && i%9 > 0 {
			continue // inside the long signature one byte is like another
		}
		bad := bytes.Clone(signed)
		bad[i] ^= 1
		if _, _, err := keys.OpenCheckpoint(bad); err == nil {
			t.Errorf("byte %d changed: %q for %q", i, bad[i], signed[i])
		}
	}
}

func TestParseCheckpoint(t *testing.T) {
	root := Hash{1}.String()
	good := "a\n5\n" + root + "\n"
	for _, text := range []string{good, good + "extension\nanother\n"} {
		if c, err := ParseCheckpoint(text); err != nil || c.Text() != text {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"", "a\n5\n", "\n5\n" + root + "\n", "a\n05\n" + root + "\n", "a\n-5\n" + root + "\n", "a\n+5\n" + root + "\n",
		"a\n5\n" + root, "a\n5\nAAAA\n", good + "\n", good + "x", good + "x\n\n", "a\n9223372036854775808\n" + root + "\n"} {
		if _, err := ParseCheckpoint(text); !errors.Is(err, ErrCheckpoint) {
			t.Errorf("accepted %q: %v", text, err)
		}
	}
	if _, err := (Checkpoint{Origin: "two\nlines"}).Sign(); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("signed an origin of two lines: %v", err)
	}
}

func BenchmarkSignCheckpoint(b *testing.B) {
	r := newRegister(b)
	for name, signers := range map[string][]note.Signer{"Ed25519": r.signers[:1], "both": r.signers} {
		b.Run(name, func(b *testing.B) {
			for i := int64(0); b.Loop(); i++ {
				if _, err := (Checkpoint{Origin: testOrigin, Size: i}).Sign(signers...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
