package certs

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// When the first certificate ends is read where each kind is kept; those for names
// that the server has no more don't count.
func TestEnds(t *testing.T) {
	dir := t.TempDir()
	self := Options{Names: []string{"mail.diwan.example"}, Dir: dir, Log: quiet()}
	if end, err := self.Ends(); err != nil || !end.IsZero() {
		t.Errorf("without any: %v, %v", end, err)
	}
	if _, err := New(t.Context(), self); err != nil {
		t.Fatal(err)
	}
	want := time.Now().Add(selfLife)
	near := func(what string, o Options) {
		t.Helper()
		if end, err := o.Ends(); err != nil || end.Sub(want).Abs() > time.Hour {
			t.Errorf("%s: %v, %v; want %v", what, end, err, want)
		}
	}
	near("signed by itself", self)
	cert, key := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	write(t, cert, key, "one.example", time.Now())
	near("files", Options{Cert: cert, Key: key, Names: self.Names, Dir: dir})

	acme := self
	acme.ACME = &ACME{}
	if end, err := acme.Ends(); err != nil || !end.IsZero() {
		t.Errorf("nothing was obtained: %v, %v", end, err)
	}
	kept := filepath.Join(dir, "certificates", "authority")
	for _, name := range []string{"old.example", "mail.diwan.example"} {
		if err := os.MkdirAll(filepath.Join(kept, name), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(kept, name, name+".crt"), filepath.Join(kept, name, name+".key"), name, time.Now())
		if end, err := acme.Ends(); name == "old.example" && (err != nil || !end.IsZero()) {
			t.Errorf("of a name that the server has no more: %v, %v", end, err)
		}
	}
	near("obtained", acme)
	if err := os.WriteFile(cert, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if end, err := (Options{Cert: cert, Key: key}).Ends(); err == nil {
		t.Errorf("a damaged file: %v", end)
	}
}
