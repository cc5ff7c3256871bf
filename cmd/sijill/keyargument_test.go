package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sijill"
)

// A slip in a file's name is said as such, and not taken for a key.
func TestKeyArgument(t *testing.T) {
	s, err := sijill.NewEd25519Signer("diwan.example/register", [32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	key, dir := s.VerifierKey(), t.TempDir()
	file, mail := filepath.Join(dir, "key"), filepath.Join(dir, "mail")
	for path, text := range map[string]string{file: key + "\n", mail: "From: a\n\nb\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, arg := range []string{key, file} {
		if keys, err := readKeys(arg); err != nil || strings.TrimSpace(keys.String()) != key {
			t.Errorf("%s is read as %s, %v", arg, keys, err)
		}
	}
	missing := filepath.Join(dir, "kye")
	for arg, want := range map[string]string{
		missing:           "--key: there is no file " + missing + ", and it is no key",
		dir:               "the file can't be read, and it is no key",
		mail:              "the file " + mail + " holds no public key",
		key + "x":         "not a public key",
		"a/b+00000000+AA": "not a public key",
	} {
		var m misused
		if _, err := readKeys(arg); !errors.As(err, &m) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", arg, err, want)
		}
	}
	var out, said bytes.Buffer
	if got := run([]string{"audit", "--key", missing, "--dir", dir}, &out, &said); got != 2 || !strings.Contains(said.String(), "there is no file") {
		t.Errorf("audit with a key file that isn't there: %d, %s", got, said.String())
	}
}
