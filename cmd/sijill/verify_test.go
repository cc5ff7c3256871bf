package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A proof that withholds units proves no file: whatever is put in their place, and
// the true message too, is refused; by itself it says how much it shows.
func TestVerifyPartial(t *testing.T) {
	text, err := os.ReadFile("../../testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Keys    struct{ Ed25519, MLDSA44 string }
		Message struct{ Message []byte }
		Proofs  map[string]string
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	h := &home{t, filepath.Join(t.TempDir(), "nothing")}
	file := func(name string, b []byte) string {
		path := filepath.Join(filepath.Dir(h.dir), name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key := file("key", []byte(v.Keys.Ed25519+"\n"+v.Keys.MLDSA44))
	whole, redacted := file("whole", []byte(v.Proofs["whole"])), file("redacted", []byte(v.Proofs["redacted"]))
	original := file("original", v.Message.Message)
	forged := file("forged", bytes.Replace(v.Message.Message, []byte("555 0100"), []byte("555 9999"), 1))

	for name, c := range map[string]struct {
		args   []string
		says   string
		status int
	}{
		"the original":                     {[]string{whole, original}, "to the last byte", 0},
		"a forgery":                        {[]string{whole, forged}, "does not hold", 1},
		"redacted":                         {[]string{redacted}, "units of the message that was sealed; the others are withheld", 0},
		"redacted, beside a forgery":       {[]string{redacted, forged}, "does not prove the file", 1},
		"redacted, beside the original":    {[]string{redacted, original}, "does not prove the file", 1},
		"redacted, beside a forgery, JSON": {[]string{redacted, forged, "--json"}, `"holds":false`, 1},
	} {
		out, said, status := h.sijill(append([]string{"verify", "--key", key}, c.args...)...)
		if status != c.status || !strings.Contains(out+said, c.says) {
			t.Errorf("%s: status %d, %s%s", name, status, out, said)
		}
	}
	if _, said, status := h.sijill("verify", whole, "--key", key+"s"); status != 2 || strings.Contains(said, "does not hold") {
		t.Errorf("a slip in the key's name: status %d, %s", status, said)
	}
}
