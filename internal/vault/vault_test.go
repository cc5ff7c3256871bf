package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"sijill"
	"sijill/internal/db"
)

var serverKey = ServerKey{7}

var (
	envelope = []byte(`{"door":"smtp","from":"a-secret-sender@example.com"}`)
	letter   = []byte("Subject: a-secret-subject\r\n\r\na-secret-word in the text.\r\n")
)

func openDB(t *testing.T, path string) *db.DB {
	t.Helper()
	d, err := db.OpenSQLite(t.Context(), path, db.Options{Key: serverKey.Derive("pages")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func openVault(t *testing.T, d *db.DB, k ServerKey) *Vault {
	t.Helper()
	v, err := Open(t.Context(), d, k)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func newVault(t *testing.T) *Vault {
	t.Helper()
	return openVault(t, openDB(t, filepath.Join(t.TempDir(), "vault.db")), serverKey)
}

// again opens the vault anew: it remembers nothing.
func again(t *testing.T, v *Vault) *Vault { return openVault(t, v.db, v.key) }

func seal(t *testing.T, v *Vault, accounts ...int64) *Sealed {
	t.Helper()
	s, err := v.Seal(t.Context(), sijill.Office, accounts, envelope, letter)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func exec(t *testing.T, v *Vault, query string, args ...any) {
	t.Helper()
	err := v.db.Write(t.Context(), func(tx *db.Tx) error {
		n, err := tx.Exec(query, args...)
		if err == nil && n == 0 {
			return errors.New("no row was changed")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSealAndOpen(t *testing.T) {
	v := newVault(t)
	for name, msg := range map[string][]byte{
		"a letter": letter, "nothing": {}, "one byte": {0}, "big": bytes.Repeat([]byte("line after line\r\n"), 1<<16),
	} {
		s, err := v.Seal(t.Context(), sijill.Office, []int64{1, 2}, envelope, msg)
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Keys) != 2 || bytes.Contains(s.Ciphertext, []byte("secret")) {
			t.Fatalf("%s: %d keys", name, len(s.Keys))
		}
		for i := range s.Keys { // Each holder alone can open it.
			o, err := again(t, v).Open(t.Context(), nil, s.Keys[i:i+1], &s.Public, s.Ciphertext)
			if err != nil || !bytes.Equal(o.Message, msg) || !bytes.Equal(o.Envelope, envelope) {
				t.Fatalf("%s, holder %d: %v", name, i, err)
			}
		}
	}
}

func TestSealingTwiceTellsNothing(t *testing.T) {
	v := newVault(t)
	a, b := seal(t, v, 1), seal(t, v, 1)
	if a.Public.ID == b.Public.ID || a.Public.Commitment == b.Public.Commitment ||
		a.Public.Envelope == b.Public.Envelope || bytes.Equal(a.Ciphertext, b.Ciphertext) || bytes.Equal(a.Keys[0].Wrapped, b.Keys[0].Wrapped) {
		t.Fatal("the same message sealed twice can be recognised")
	}
}

func TestNobodyToHold(t *testing.T) {
	if _, err := newVault(t).Seal(t.Context(), sijill.Office, nil, envelope, letter); err == nil {
		t.Fatal("sealed for nobody")
	}
}

// Whatever is changed, Open says ErrDamaged and returns nothing.
func TestTampering(t *testing.T) {
	v := newVault(t)
	other := seal(t, v, 1)
	for name, change := range map[string]func(s *Sealed){
		"ciphertext, first byte":   func(s *Sealed) { s.Ciphertext[0] ^= 1 },
		"ciphertext, last byte":    func(s *Sealed) { s.Ciphertext[len(s.Ciphertext)-1] ^= 1 },
		"ciphertext, cut":          func(s *Sealed) { s.Ciphertext = s.Ciphertext[:10] },
		"ciphertext, empty":        func(s *Sealed) { s.Ciphertext = nil },
		"digest of the ciphertext": func(s *Sealed) { s.Public.Ciphertext[3] ^= 1 },
		"id":                       func(s *Sealed) { s.Public.ID[15] ^= 1 },
		"envelope's commitment":    func(s *Sealed) { s.Public.Envelope[31] ^= 1 },
		"wrapped key":              func(s *Sealed) { s.Keys[0].Wrapped[5] ^= 1 },
		"wrapped key, cut":         func(s *Sealed) { s.Keys[0].Wrapped = s.Keys[0].Wrapped[:8] },
		"wrapped key, empty":       func(s *Sealed) { s.Keys[0].Wrapped = nil },
		"another message's key":    func(s *Sealed) { s.Keys[0].Wrapped = other.Keys[0].Wrapped },
		"another message": func(s *Sealed) {
			s.Ciphertext, s.Public.Ciphertext = other.Ciphertext, other.Public.Ciphertext
		},
	} {
		s := seal(t, v, 1)
		change(s)
		o, err := v.Open(t.Context(), nil, s.Keys, &s.Public, s.Ciphertext)
		if !errors.Is(err, ErrDamaged) || errors.Is(err, fs.ErrNotExist) || o != nil {
			t.Errorf("%s: %v, want ErrDamaged and nothing else", name, err)
		}
	}
}

// Open has no use for the commitment of the message; Recommit tells of another.
func TestAnotherCommitment(t *testing.T) {
	v := newVault(t)
	for name, change := range map[string]func(s *Sealed){
		"units":      func(s *Sealed) { s.Public.Units++ },
		"commitment": func(s *Sealed) { s.Public.Commitment[0] ^= 1 },
		"nothing":    func(*Sealed) {},
	} {
		s := seal(t, v, 1)
		change(s)
		o, err := v.Open(t.Context(), nil, s.Keys, &s.Public, s.Ciphertext)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if seed, err := o.Recommit(&s.Public); (err == nil) != (name == "nothing") || err != nil && (!errors.Is(err, ErrDamaged) || seed != (sijill.Hash{})) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// One damaged key is not the end while another holder's is sound.
func TestAnotherHoldersKeyOpens(t *testing.T) {
	v := newVault(t)
	s := seal(t, v, 1, 2)
	s.Keys[0].Wrapped[0] ^= 1
	if o, err := v.Open(t.Context(), nil, s.Keys, &s.Public, s.Ciphertext); err != nil || !bytes.Equal(o.Message, letter) {
		t.Fatalf("%v", err)
	}
	if err := v.CheckKey(t.Context(), s.Keys[0], s.Public.ID); !errors.Is(err, ErrDamaged) {
		t.Fatalf("the damaged key: %v", err)
	}
	if err := v.CheckKey(t.Context(), s.Keys[1], s.Public.ID); err != nil {
		t.Fatalf("the sound key: %v", err)
	}
}

// A message whose one key is damaged is damaged, although its other holder's
// month is closed: closed is an order, and damage must not look like it.
func TestDamageIsNotTakenForClosed(t *testing.T) {
	v := newVault(t)
	s := seal(t, v, 1, 2)
	exec(t, v, "DELETE FROM compartment_key WHERE compartment = ?", s.Keys[1].Compartment)
	s.Keys[0].Wrapped[0] ^= 1
	if _, err := again(t, v).Open(t.Context(), nil, s.Keys, &s.Public, s.Ciphertext); !errors.Is(err, ErrDamaged) {
		t.Fatalf("%v, want ErrDamaged", err)
	}
}

func TestClosedCompartment(t *testing.T) {
	v := newVault(t)
	s := seal(t, v, 1, 2)
	exec(t, v, "DELETE FROM compartment_key WHERE compartment = ? AND holder = 'server'", s.Keys[0].Compartment)
	cold := again(t, v)
	_, err := cold.Open(t.Context(), nil, s.Keys[:1], &s.Public, s.Ciphertext)
	if !errors.Is(err, ErrClosed) || !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrDamaged) {
		t.Fatalf("%v, want ErrClosed", err)
	}
	if _, err := cold.Open(t.Context(), nil, nil, &s.Public, s.Ciphertext); !errors.Is(err, ErrClosed) {
		t.Fatalf("destroyed: %v, want ErrClosed", err)
	}
	if _, err := cold.Open(t.Context(), nil, s.Keys, &s.Public, s.Ciphertext); err != nil {
		t.Fatalf("the other holder's month is open: %v", err)
	}
}

func TestAnotherServersKey(t *testing.T) {
	v := newVault(t)
	s := seal(t, v, 1)
	stranger := openVault(t, v.db, ServerKey{8})
	if _, err := stranger.Open(t.Context(), nil, s.Keys, &s.Public, s.Ciphertext); !errors.Is(err, ErrDamaged) {
		t.Fatalf("%v", err)
	}
}

// A compartment's key moved to another compartment's row opens nothing.
func TestCompartmentKeysAreBound(t *testing.T) {
	v := newVault(t)
	a, b := seal(t, v, 1), seal(t, v, 2)
	exec(t, v, `UPDATE compartment_key SET wrapped = (SELECT wrapped FROM compartment_key WHERE compartment = ?) WHERE compartment = ?`,
		b.Keys[0].Compartment, a.Keys[0].Compartment)
	if _, err := again(t, v).Open(t.Context(), nil, a.Keys, &a.Public, a.Ciphertext); !errors.Is(err, ErrDamaged) {
		t.Fatalf("%v", err)
	}
}

func TestMonths(t *testing.T) {
	v := newVault(t)
	at := time.Date(2026, time.December, 31, 23, 59, 59, 0, time.UTC)
	v.now = func() time.Time { return at }
	december := seal(t, v, 1)
	at = at.Add(time.Second)
	january := seal(t, v, 1)
	at = at.AddDate(0, 0, 30).In(time.FixedZone("", 5*3600))
	same := seal(t, v, 1)
	if december.Keys[0].Compartment == january.Keys[0].Compartment || january.Keys[0].Compartment != same.Keys[0].Compartment {
		t.Fatalf("compartments %d %d %d", december.Keys[0].Compartment, january.Keys[0].Compartment, same.Keys[0].Compartment)
	}
}

// Two vaults on one file stand for two processes, which meet a new month at the
// same moment: there is one compartment with one key, and each opens what the
// other sealed.
func TestTwoProcessesMakeOneCompartment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vault.db")
	vaults := []*Vault{openVault(t, openDB(t, path), serverKey), openVault(t, openDB(t, path), serverKey)}
	const accounts = 5
	sealed := make([]*Sealed, 4*accounts)
	var wg sync.WaitGroup
	for i := range sealed {
		wg.Go(func() {
			s, err := vaults[i%2].Seal(context.Background(), sijill.Office, []int64{int64(i % accounts)}, envelope, letter)
			if err != nil {
				t.Error(err)
			}
			sealed[i] = s
		})
	}
	wg.Wait()
	for i, s := range sealed {
		if s == nil {
			continue
		}
		if _, err := vaults[(i+1)%2].Open(t.Context(), nil, s.Keys, &s.Public, s.Ciphertext); err != nil {
			t.Fatal(err)
		}
	}
	var n int
	err := vaults[0].db.Read(t.Context(), func(tx *db.Tx) error { return tx.One("SELECT count(*) FROM compartment", nil, &n) })
	if err != nil || n != accounts {
		t.Fatalf("%d compartments: %v", n, err)
	}
}

// A compartment that another process has made since this one last looked, which
// happens to the process that lost the race for a month.
func TestCompartmentMadeElsewhere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vault.db")
	a, b := openVault(t, openDB(t, path), serverKey), openVault(t, openDB(t, path), serverKey)
	first, second := seal(t, a, 1), seal(t, b, 1)
	if first.Keys[0].Compartment != second.Keys[0].Compartment {
		t.Fatal("two compartments for one month")
	}
}

func TestSecrets(t *testing.T) {
	v := newVault(t)
	put := func(name, secret string) {
		if err := v.db.Write(t.Context(), func(tx *db.Tx) error { return v.PutSecret(tx, name, []byte(secret)) }); err != nil {
			t.Fatal(err)
		}
	}
	get := func(v *Vault, name string) (s []byte, err error) {
		err = v.db.Read(t.Context(), func(tx *db.Tx) error {
			s, err = v.Secret(tx, name)
			return err
		})
		return s, err
	}
	put("sign/a", "first")
	put("sign/b", "second")
	put("sign/a", "third")
	if s, err := get(v, "sign/a"); err != nil || string(s) != "third" {
		t.Fatalf("%q %v", s, err)
	}
	if _, err := get(v, "sign/c"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("absent: %v", err)
	}
	if _, err := get(openVault(t, v.db, ServerKey{8}), "sign/a"); !errors.Is(err, ErrDamaged) {
		t.Fatalf("another server's key: %v", err)
	}
	exec(t, v, "UPDATE secret SET wrapped = (SELECT wrapped FROM secret WHERE name = 'sign/b') WHERE name = 'sign/a'")
	if _, err := get(v, "sign/a"); !errors.Is(err, ErrDamaged) {
		t.Fatalf("another secret in its place: %v", err)
	}
	exec(t, v, "UPDATE secret SET wrapped = x'0102' WHERE name = 'sign/b'")
	if _, err := get(v, "sign/b"); !errors.Is(err, ErrDamaged) {
		t.Fatalf("cut: %v", err)
	}
}

// What stands in the tables is no key: it is wrapped, below the encryption of
// pages, so that somebody who has the pages' key alone can open no message.
func TestNoKeyInTheTables(t *testing.T) {
	v := newVault(t)
	s := seal(t, v, 1)
	var ck [32]byte
	err := v.db.Read(t.Context(), func(tx *db.Tx) (err error) {
		ck, _, err = v.serverKey(tx, s.Keys[0].Compartment)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	key, err := v.unwrap(t.Context(), nil, s.Keys[0], s.Public.ID)
	if err != nil {
		t.Fatal(err)
	}
	err = v.db.Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec("INSERT INTO "+KeysTable+" VALUES (?, ?, ?)", 0, s.Keys[0].Compartment, s.Keys[0].Wrapped)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	err = v.db.Read(t.Context(), func(tx *db.Tx) error {
		return tx.Each("SELECT wrapped FROM compartment_key UNION ALL SELECT wrapped FROM message_key", nil, func(r db.Row) error {
			var b []byte
			err := r.Scan(&b)
			for _, secret := range [][]byte{ck[:], key[:], serverKey[:]} {
				if bytes.Contains(b, secret[:16]) {
					return errors.New("a key stands in a table")
				}
			}
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	checkFiles(t, filepath.Dir(v.db.Path()), ck[:], key[:], serverKey[:16], letter[9:20])
}

func checkFiles(t *testing.T, dir string, secrets ...[]byte) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range secrets {
			if bytes.Contains(b, s) {
				t.Errorf("%s shows secret %d", e.Name(), i)
			}
		}
	}
}

// Errors name numbers, never content or keys.
func TestErrorsTellNothing(t *testing.T) {
	v := newVault(t)
	s := seal(t, v, 1)
	s.Keys[0].Wrapped[0] ^= 1
	_, err := v.Open(t.Context(), nil, s.Keys, &s.Public, s.Ciphertext)
	if err == nil || bytes.Contains([]byte(fmt.Sprint(err)), []byte("secret")) {
		t.Fatalf("%v", err)
	}
}
