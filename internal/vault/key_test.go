package vault

import (
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func say(passphrase string) func() (string, error) {
	return func() (string, error) { return passphrase, nil }
}

func TestPlainKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	k := NewServerKey()
	if err := WriteKeyFile(path, k, ""); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v: %v", info.Mode(), err)
	}
	asked := func() (string, error) {
		t.Error("a passphrase was asked for")
		return "", nil
	}
	if got, err := ReadKeyFile(path, asked); err != nil || got != k {
		t.Fatalf("another key came back: %v", err)
	}
	if err := WriteKeyFile(path, NewServerKey(), ""); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("a key was overwritten: %v", err)
	}
	if got, err := ReadKeyFile(path, nil); err != nil || got != k {
		t.Fatalf("the key was changed: %v", err)
	}
}

func TestLockedKeyFile(t *testing.T) {
	if testing.Short() {
		t.Skip("each opening takes half a second and 256 MiB")
	}
	path := filepath.Join(t.TempDir(), "key")
	k := NewServerKey()
	if err := WriteKeyFile(path, k, "باب مفتوح"); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(b), base64.StdEncoding.EncodeToString(k[:])) {
		t.Fatalf("the key stands in the file: %v", err)
	}
	if got, err := ReadKeyFile(path, say("باب مفتوح")); err != nil || got != k {
		t.Fatalf("right passphrase: %v", err)
	}
	if _, err := ReadKeyFile(path, say("باب مغلق")); !errors.Is(err, ErrPassphrase) {
		t.Fatalf("wrong passphrase: %v", err)
	}
	if _, err := ReadKeyFile(path, nil); !errors.Is(err, ErrPassphraseNeeded) {
		t.Fatalf("nobody to ask: %v", err)
	}
	mute := errors.New("no terminal")
	if _, err := ReadKeyFile(path, func() (string, error) { return "", mute }); !errors.Is(err, mute) {
		t.Fatalf("asking failed: %v", err)
	}
	// Any bit of the locked key.
	kind, text, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)-1] ^= 1
	flipped := kind + " " + base64.StdEncoding.EncodeToString(raw)
	if err := os.WriteFile(path, []byte(flipped), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadKeyFile(path, say("باب مفتوح")); !errors.Is(err, ErrPassphrase) {
		t.Fatalf("damaged: %v", err)
	}
}

func TestDamagedKeyFile(t *testing.T) {
	key := base64.StdEncoding.EncodeToString(make([]byte, 32))
	short := base64.StdEncoding.EncodeToString(make([]byte, 31))
	for name, text := range map[string]string{
		"empty":         "",
		"key alone":     key,
		"another kind":  "sijill-server-key-v9 " + key,
		"too short":     plainKey + " " + short,
		"not base64":    plainKey + " " + strings.Repeat("*", 44),
		"two keys":      plainKey + " " + key + " " + key,
		"huge":          plainKey + " " + strings.Repeat("A", 1<<16),
		"locked, short": passphraseKey + " " + key,
	} {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadKeyFile(path, say("x")); !errors.Is(err, ErrKeyFile) {
			t.Errorf("%s: %v, want ErrKeyFile", name, err)
		}
	}
	if _, err := ReadKeyFile(filepath.Join(t.TempDir(), "none"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
}

func TestKeyFileErrorsKeepTheSecret(t *testing.T) {
	secret := base64.StdEncoding.EncodeToString([]byte("do not show this in any log, ever"))
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(plainKey+" "+secret), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadKeyFile(path, nil); err == nil || strings.Contains(err.Error(), secret[:8]) {
		t.Fatalf("%v", err)
	}
}

func TestDerivedKeysDiffer(t *testing.T) {
	a, b := ServerKey{1}, ServerKey{2}
	if a.Derive("pages") == a.Derive("secret") || a.Derive("pages") == b.Derive("pages") || a.Derive("pages") == [32]byte(a) {
		t.Fatal("two keys are the same")
	}
	if again := a.Derive("pages"); again != (ServerKey{1}).Derive("pages") {
		t.Fatal("a derived key changes")
	}
}
