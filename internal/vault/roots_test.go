package vault

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"sijill"
	"sijill/internal/db"
)

// kek is the secret of a holder.
func kek(s string) [32]byte { return sha256.Sum256([]byte(s)) }

// owner gives an account roots that "password" (everyday) and "recovery" (deep)
// open, and keeps no ring.
func owner(t *testing.T, v *Vault, account int64) {
	t.Helper()
	r, err := v.MakeRoots(t.Context(), account)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	put(t, v, r, Everyday, "password", fmt.Sprint("password ", account))
	put(t, v, r, Deep, "recovery", fmt.Sprint("recovery ", account))
}

func put(t *testing.T, v *Vault, r *Ring, root Root, holder, secret string) {
	t.Helper()
	if err := v.PutEnvelope(t.Context(), r, root, holder, kek(secret)); err != nil {
		t.Fatal(err)
	}
}

func signIn(t *testing.T, v *Vault, account int64, holder string) *Ring {
	t.Helper()
	r, err := v.Unlock(t.Context(), account, holder, kek(fmt.Sprint(holder, " ", account)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// sealAs seals a message and stores its keys under an entry's number, as the
// register does.
func sealAs(t *testing.T, v *Vault, class sijill.Class, entry int64, accounts ...int64) *Sealed {
	t.Helper()
	s, err := v.Seal(t.Context(), class, accounts, envelope, letter)
	if err != nil {
		t.Fatal(err)
	}
	store(t, v, entry, s)
	return s
}

func store(t *testing.T, v *Vault, entry int64, s *Sealed) {
	t.Helper()
	err := v.db.Write(t.Context(), func(tx *db.Tx) error {
		for _, k := range s.Keys {
			k.Entry = entry
			if k.Personal() {
				if err := InsertPersonal(tx, []MessageKey{k}); err != nil {
					return err
				}
				continue
			}
			if _, err := tx.Exec("INSERT INTO "+KeysTable+" VALUES (?, ?, ?)", entry, k.Compartment, k.Wrapped); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// opens tries to open a message with what is stored of its keys.
func opens(t *testing.T, v *Vault, r *Ring, entry int64, s *Sealed) error {
	t.Helper()
	var keys []MessageKey
	err := v.db.Read(t.Context(), func(tx *db.Tx) (err error) {
		keys, err = Keys(tx, entry, entry)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	o, err := v.Open(t.Context(), r, keys, &s.Public, s.Ciphertext)
	if err == nil && (!bytes.Equal(o.Message, letter) || !bytes.Equal(o.Envelope, envelope)) {
		t.Fatal("another message was opened")
	}
	return err
}

func mustOpen(t *testing.T, v *Vault, r *Ring, entry int64, s *Sealed) {
	t.Helper()
	if err := opens(t, v, r, entry, s); err != nil {
		t.Fatalf("entry %d: %v", entry, err)
	}
}

func mustBeClosed(t *testing.T, v *Vault, r *Ring, entry int64, s *Sealed) {
	t.Helper()
	if err := opens(t, v, r, entry, s); !errors.Is(err, ErrClosed) || !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("entry %d: %v, want ErrClosed", entry, err)
	}
}

func TestPersonalMailOpensWithItsOwnersRing(t *testing.T) {
	v := newVault(t)
	if _, err := v.Seal(t.Context(), sijill.Personal, []int64{1}, envelope, letter); !errors.Is(err, ErrNoRoots) {
		t.Fatalf("without roots: %v", err)
	}
	owner(t, v, 1)
	owner(t, v, 2)
	if _, err := v.Seal(t.Context(), sijill.Personal, []int64{1, 2}, envelope, letter); err == nil {
		t.Fatal("two holders of one personal message")
	}
	s := sealAs(t, v, sijill.Personal, 7, 1)
	if !s.Keys[0].Personal() || len(s.Keys[0].Wrapped) != 32+hpkeOverhead {
		t.Fatalf("%d bytes", len(s.Keys[0].Wrapped))
	}
	for range 2 { // As it came in, and rewrapped.
		mustBeClosed(t, v, nil, 7, s)
		mustBeClosed(t, again(t, v), nil, 7, s)
		mustBeClosed(t, v, signIn(t, v, 2, "password"), 7, s)
		mustBeClosed(t, v, signIn(t, v, 2, "recovery"), 7, s)
		mustOpen(t, v, signIn(t, v, 1, "password"), 7, s)
		mustOpen(t, again(t, v), signIn(t, v, 1, "recovery"), 7, s)
		if n, err := v.Rewrap(t.Context(), signIn(t, v, 2, "recovery")); n != 0 || err != nil {
			t.Fatalf("another's ring rewrapped %d: %v", n, err)
		}
		if _, err := v.Rewrap(t.Context(), signIn(t, v, 1, "password")); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := v.Rewrap(t.Context(), signIn(t, v, 1, "password")); n != 0 || err != nil {
		t.Fatalf("rewrapped %d again: %v", n, err)
	}
}

func TestUnlock(t *testing.T) {
	v := newVault(t)
	owner(t, v, 1)
	everyday, deep := signIn(t, v, 1, "password"), signIn(t, v, 1, "recovery")
	if !everyday.Has(Everyday) || everyday.Has(Deep) || !deep.Has(Everyday) || !deep.Has(Deep) || deep.Has(Records) || deep.Account() != 1 {
		t.Fatal("a ring has too much or too little")
	}
	for name, c := range map[string]struct {
		v       *Vault
		account int64
		holder  string
		secret  string
	}{
		"another password":      {v, 1, "password", "guess"},
		"no such holder":        {v, 1, "app/1", "password 1"},
		"another account":       {v, 2, "password", "password 1"},
		"password as recovery":  {v, 1, "recovery", "password 1"},
		"another server's key":  {openVault(t, v.db, ServerKey{8}), 1, "password", "password 1"},
		"a name of the vault's": {v, 1, "deep", "password 1"},
	} {
		if r, err := c.v.Unlock(t.Context(), c.account, c.holder, kek(c.secret)); !errors.Is(err, ErrClosed) || r != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, holder := range []string{"", "server", "deep", "officer/1", "a b", "a\nb", "é", string(make([]byte, 200))} {
		if err := v.PutEnvelope(t.Context(), deep, Everyday, holder, kek("x")); !errors.Is(err, ErrHolder) {
			t.Errorf("holder %q: %v", holder, err)
		}
	}
	if err := v.PutEnvelope(t.Context(), everyday, Deep, "app/1", kek("x")); !errors.Is(err, ErrClosed) {
		t.Errorf("a root that the ring lacks: %v", err)
	}
}

// Changing and taking away what opens the roots touches no message.
func TestEnvelopes(t *testing.T) {
	v := newVault(t)
	owner(t, v, 1)
	s := sealAs(t, v, sijill.Personal, 0, 1)
	r := signIn(t, v, 1, "password")
	put(t, v, r, Everyday, "app/3", "app/3 1")
	put(t, v, r, Everyday, "password", "a new one")
	mustOpen(t, v, signIn(t, v, 1, "app/3"), 0, s)
	if _, err := v.Unlock(t.Context(), 1, "password", kek("password 1")); !errors.Is(err, ErrClosed) {
		t.Fatalf("the old password: %v", err)
	}
	list, err := v.Envelopes(t.Context(), 1)
	if err != nil || len(list) != 3 || list[0].Holder != "app/3" || list[1].Holder != "password" || list[2].Root != Deep || time.Since(list[2].Created) > time.Minute {
		t.Fatalf("%v %v", list, err)
	}
	if err := v.DropEnvelope(t.Context(), 1, "app/3"); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Unlock(t.Context(), 1, "app/3", kek("app/3 1")); !errors.Is(err, ErrClosed) {
		t.Fatalf("an envelope that was dropped: %v", err)
	}
	mustOpen(t, v, r, 0, s) // Who is there stays there.
	if err := v.DropEnvelope(t.Context(), 1, "app/3"); err != nil {
		t.Fatalf("dropping it again: %v", err)
	}
}

func TestRings(t *testing.T) {
	v := newVault(t)
	owner(t, v, 1)
	owner(t, v, 2)
	s := sealAs(t, v, sijill.Personal, 0, 1)
	r := signIn(t, v, 1, "password")
	c := r.Clone()
	mustOpen(t, v, r, 0, s)
	r.Close()
	r.Close()
	mustBeClosed(t, v, r, 0, s)
	mustOpen(t, v, c, 0, s)
	if r.Has(Everyday) || r.Clone().Has(Everyday) {
		t.Fatal("a closed ring has a root")
	}
	if err := c.Join(signIn(t, v, 2, "recovery")); !errors.Is(err, ErrClosed) {
		t.Fatalf("joined two people: %v", err)
	}
	if err := c.Join(signIn(t, v, 1, "recovery")); err != nil || !c.Has(Deep) {
		t.Fatal(err)
	}
	if err := r.Join(c); !errors.Is(err, ErrClosed) {
		t.Fatalf("joined to a closed ring: %v", err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 20 {
				if i == 7 {
					x := c.Clone()
					x.Close()
				}
				if err := opens(t, v, c, 0, s); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// Somebody who lost everything goes on with new roots. What was sealed to the old
// ones stays closed, and opens again when an old envelope is found: then for good.
func TestNewRoots(t *testing.T) {
	v := newVault(t)
	owner(t, v, 1)
	old := sealAs(t, v, sijill.Personal, 0, 1)
	other := again(t, v) // Another process, which knows the old compartment.
	sealAs(t, other, sijill.Personal, 1, 1)
	r, err := v.MakeRoots(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.DropEnvelope(t.Context(), 1, "password"); err != nil {
		t.Fatal(err)
	}
	put(t, v, r, Everyday, "password", "password 1")
	mine := sealAs(t, other, sijill.Personal, 2, 1)
	ring := signIn(t, v, 1, "password")
	mustBeClosed(t, v, ring, 0, old)
	mustOpen(t, v, ring, 2, mine)
	if err := ring.Join(signIn(t, v, 1, "recovery")); err != nil { // Of the first roots.
		t.Fatal(err)
	}
	mustOpen(t, v, ring, 0, old)
	if n, err := v.Rewrap(t.Context(), ring); err != nil || n != 3 {
		t.Fatalf("%d rewrapped: %v", n, err)
	}
	mustOpen(t, v, signIn(t, v, 1, "password"), 0, old)
	err = v.db.Read(t.Context(), func(tx *db.Tx) error {
		if stale, err := Stale(tx, old.Keys[0]); err != nil || !stale {
			return fmt.Errorf("what was sealed to old roots is not known as stale: %w", err)
		}
		if stale, err := Stale(tx, mine.Keys[0]); err != nil || stale {
			return fmt.Errorf("what was sealed to new roots is stale: %w", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Roots that come late open what is hot, and so does the records office; neither
// its officers nor anybody else get at personal mail.
func TestRecordsOffice(t *testing.T) {
	v := newVault(t)
	office := sealAs(t, v, sijill.Office, 0, 1, 2)
	owner(t, v, 1)
	owner(t, v, 3)
	private := sealAs(t, v, sijill.Personal, 1, 1)
	if err := v.AddOfficer(t.Context(), nil, 2); !errors.Is(err, ErrNoRoots) {
		t.Fatalf("an officer without roots: %v", err)
	}
	if err := v.AddOfficer(t.Context(), nil, 3); err != nil {
		t.Fatal(err)
	}
	if err := v.AddOfficer(t.Context(), nil, 1); !errors.Is(err, ErrClosed) {
		t.Fatalf("a second officer by nobody: %v", err)
	}
	if err := v.AddOfficer(t.Context(), signIn(t, v, 3, "password"), 1); !errors.Is(err, ErrClosed) {
		t.Fatalf("a second officer by an everyday ring: %v", err)
	}
	mustOpen(t, v, nil, 0, office)
	exec(t, v, "DELETE FROM compartment_key WHERE holder = 'server'")
	cold := again(t, v)
	mustBeClosed(t, cold, nil, 0, office)
	mustBeClosed(t, cold, signIn(t, v, 1, "password"), 0, office)
	mustOpen(t, cold, signIn(t, v, 1, "recovery"), 0, office)
	officer := signIn(t, v, 3, "recovery")
	mustOpen(t, cold, officer, 0, office)
	mustBeClosed(t, cold, officer, 1, private)
	if err := v.AddOfficer(t.Context(), officer, 1); err != nil {
		t.Fatal(err)
	}
	if err := v.RemoveOfficer(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	mustBeClosed(t, cold, signIn(t, v, 3, "recovery"), 0, office)
	if err := v.RemoveOfficer(t.Context(), 3); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("no officer: %v", err)
	}
	if err := v.RemoveOfficer(t.Context(), 1); !errors.Is(err, ErrLastOfficer) {
		t.Fatalf("the last officer: %v", err)
	}
	if list, err := v.Officers(t.Context()); err != nil || fmt.Sprint(list) != "[1]" {
		t.Fatalf("%v %v", list, err)
	}
}

// Whoever can write to the tables still can't make one thing pass for another.
func TestRowsAreBound(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, v *Vault){
		"envelope of another account": func(t *testing.T, v *Vault) {
			exec(t, v, `UPDATE envelope SET wrapped = (SELECT wrapped FROM envelope WHERE account = 2 AND holder = 'password'),
				mask = (SELECT mask FROM envelope WHERE account = 2 AND holder = 'password') WHERE account = 1 AND holder = 'password'`)
		},
		"envelope of another root": func(t *testing.T, v *Vault) {
			exec(t, v, "UPDATE envelope SET root = 'deep' WHERE account = 1 AND holder = 'password'")
		},
		"envelope's mask": func(t *testing.T, v *Vault) {
			exec(t, v, "UPDATE mask SET mask = randomblob(32) WHERE id = (SELECT mask FROM envelope WHERE account = 1 AND holder = 'password')")
		},
		"root's public half": func(t *testing.T, v *Vault) {
			exec(t, v, "UPDATE root SET public = (SELECT public FROM root WHERE account = 2 AND root = 'everyday') WHERE account = 1 AND root = 'everyday'")
		},
		"compartment's public half": func(t *testing.T, v *Vault) {
			exec(t, v, "UPDATE compartment SET public = (SELECT public FROM compartment WHERE account = 2) WHERE account = 1")
		},
		"compartment of another account": func(t *testing.T, v *Vault) {
			exec(t, v, "UPDATE compartment_key SET wrapped = (SELECT wrapped FROM compartment_key WHERE compartment = 2 AND holder = 'everyday') WHERE compartment = 1 AND holder = 'everyday'")
		},
		"message's mask": func(t *testing.T, v *Vault) {
			exec(t, v, "UPDATE personal_mask SET mask = (SELECT mask FROM personal_mask WHERE entry = 1) WHERE entry = 0")
		},
		"another message's key": func(t *testing.T, v *Vault) {
			exec(t, v, "UPDATE personal_key SET wrapped = (SELECT wrapped FROM personal_key WHERE entry = 1), compartment = 2 WHERE entry = 0")
		},
		"in an office compartment": func(t *testing.T, v *Vault) {
			exec(t, v, "UPDATE personal_key SET compartment = 3 WHERE entry = 0")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVault(t)
			owner(t, v, 1)
			owner(t, v, 2)
			s := sealAs(t, v, sijill.Personal, 0, 1)
			sealAs(t, v, sijill.Personal, 1, 2)
			sealAs(t, v, sijill.Office, 2, 1)
			change(t, v)
			r, err := v.Unlock(context.Background(), 1, "password", kek("password 1"))
			if err == nil {
				err = opens(t, v, r, 0, s)
			}
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrClosed) {
				t.Fatalf("%v", err)
			}
		})
	}
}

func TestCool(t *testing.T) {
	v := newVault(t)
	at := time.Date(2026, time.January, 10, 0, 0, 0, 0, time.UTC)
	v.now = func() time.Time { return at }
	owner(t, v, 1)
	january, mine := sealAs(t, v, sijill.Office, 0, 1), sealAs(t, v, sijill.Personal, 1, 1)
	rootless := sealAs(t, v, sijill.Office, 2, 2)
	lost, err := v.MakeRoots(t.Context(), 3) // Nothing opens the deep root of 3.
	if err != nil {
		t.Fatal(err)
	}
	put(t, v, lost, Everyday, "password", "password 3")
	put(t, v, lost, Deep, "session/5", "s")
	theirs := sealAs(t, v, sijill.Personal, 3, 3)
	at = at.AddDate(0, 1, 0)
	february := sealAs(t, v, sijill.Office, 4, 1)
	everyday, deep := signIn(t, v, 1, "password"), signIn(t, v, 1, "recovery")
	other := again(t, v) // Another process, and its memory.
	for _, r := range []*Ring{everyday, deep} {
		mustOpen(t, v, r, 1, mine)
	}
	mustOpen(t, v, nil, 0, january)
	mustOpen(t, other, nil, 0, january)

	if c, err := v.Cool(t.Context(), time.Date(2026, time.January, 31, 0, 0, 0, 0, time.UTC)); err != nil || len(c.Closed)+len(c.Left) > 0 {
		t.Fatalf("a month that has not ended: %+v %v", c, err)
	}
	mustOpen(t, v, nil, 0, january)
	c, err := v.Cool(t.Context(), at.AddDate(1, 0, 0)) // The month that runs is left anyway.
	if err != nil || len(c.Closed) != 2 || len(c.Left) != 2 || c.Left[0].Why != NoDeep || c.Left[1].Why != NoHolder ||
		c.Closed[0] != (Compartment{1, 1, sijill.Office, 2026, time.January}) {
		t.Fatalf("%+v %v", c, err)
	}
	if held, err := v.Held(t.Context(), c.Closed[1].ID); err != nil || fmt.Sprint(held) != "[1]" {
		t.Fatalf("%v %v", held, err)
	}
	for account, want := range map[int64]string{1: "[0 1]", 2: "[]", 3: "[]"} {
		if cold, err := v.ColdOf(t.Context(), account, 0, 10); err != nil || fmt.Sprint(cold) != want {
			t.Errorf("what is cold of %d: %v, want %s (%v)", account, cold, want, err)
		}
	}
	if cold, err := v.ColdOf(t.Context(), 1, 1, 1); err != nil || fmt.Sprint(cold) != "[1]" {
		t.Errorf("what is cold from 1 to 1: %v %v", cold, err)
	}
	for _, v := range []*Vault{v, other, again(t, v)} {
		mustBeClosed(t, v, nil, 0, january)
		mustBeClosed(t, v, everyday, 0, january)
		mustBeClosed(t, v, everyday, 1, mine)
		mustBeClosed(t, v, signIn(t, v, 1, "password"), 1, mine)
		mustOpen(t, v, deep, 0, january)
		mustOpen(t, v, deep, 1, mine)
		mustOpen(t, v, nil, 2, rootless)
		mustOpen(t, v, lost, 3, theirs)
		mustOpen(t, v, nil, 4, february)
	}
	if c, err := v.Cool(t.Context(), at); err != nil || len(c.Closed) != 0 || len(c.Left) != 2 {
		t.Fatalf("cooling again: %+v %v", c, err)
	}
	if n, err := v.EnsureWraps(t.Context()); err != nil || n != 0 {
		t.Fatalf("%d wraps were missing: %v", n, err)
	}
}

// A vault that was stopped between a deletion and the emptying of the log makes
// good for it when it is opened.
func TestScrubIsOwed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vault.db")
	v := openVault(t, openDB(t, path), serverKey)
	owner(t, v, 1)
	sealAs(t, v, sijill.Personal, 0, 1)
	if err := v.db.Write(t.Context(), func(tx *db.Tx) error { return Destroy(tx, []int64{0}) }); err != nil {
		t.Fatal(err)
	}
	owed := func() (n int) {
		err := v.db.Read(t.Context(), func(tx *db.Tx) error { return tx.One("SELECT deleted - scrubbed FROM vault_state", nil, &n) })
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if owed() != 1 {
		t.Fatalf("%d are owed", owed())
	}
	again(t, v)
	if owed() != 0 {
		t.Fatalf("%d are still owed", owed())
	}
}
