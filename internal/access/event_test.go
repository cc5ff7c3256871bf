package access

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"sijill/internal/people"
	"sijill/internal/people/peopletest"
)

func TestSuspendedAndRemoved(t *testing.T) {
	o := newOffice(t)
	boss, err := o.People.Add(t.Context(), people.Account{Name: "Boss", Address: "boss@diwan.example", Role: people.RoleOwner}, password)
	o.must(err)
	s, _ := o.person()
	entry := o.letter(s.Account.ID)
	app, err := o.MakeAppPassword(t.Context(), s, "phone", people.ScopeBoth, by(s))
	o.must(err)
	wants(t, "no such account", o.Suspend(t.Context(), people.By{}, 99), fs.ErrNotExist)
	o.must(o.Suspend(t.Context(), people.By{Account: boss.ID}, s.Account.ID))
	if s.Open() {
		t.Error("the session goes on")
	}
	_, err = o.SignIn(t.Context(), layla, password, "", from, agent)
	wants(t, "suspended", err, people.ErrCredentials)
	_, err = o.Application(t.Context(), "layla", app.Password, "imap", from)
	wants(t, "suspended", err, people.ErrCredentials)
	o.must(o.Restore(t.Context(), people.By{Account: boss.ID}, s.Account.ID))
	o.check("restored", o.in(password), entry, true)
	o.must(o.Remove(t.Context(), people.By{Account: boss.ID}, s.Account.ID))
	_, err = o.People.Resolve(t.Context(), layla)
	wants(t, "mail to who was removed", err, fs.ErrNotExist)
	o.must(o.Restore(t.Context(), people.By{Account: boss.ID}, s.Account.ID))
	o.must(o.People.AddAddress(t.Context(), people.By{}, s.Account.ID, people.Address{Address: layla}))
	o.check("restored again", o.in(password), entry, true)
	o.told("key account suspended", "key account restored", "key account removed")
}

// Events outlive a register that takes nothing, and are told once.
func TestEventsAreToldLater(t *testing.T) {
	o := newOffice(t)
	s, _ := o.person()
	before := o.entries()["login signed-in web password"]
	good := o.Register
	o.Register = nil
	list, err := o.People.Owed(t.Context(), false)
	if err != nil || len(list) != 0 {
		t.Fatalf("owed %+v, %v", list, err)
	}
	if _, _, err := o.People.SignInWith(t.Context(), people.Credentials{Name: layla, Password: password, From: from, Door: "web"}); err != nil {
		t.Fatal(err) // and the process ends here
	}
	o.Register = good
	other := Open(t.Context(), Options{People: o.people(), Keys: o.vault, Register: good, Log: o.Log})
	defer other.Close()
	if n := o.entries()["login signed-in web password"]; n != before {
		t.Errorf("told at once by another process: %d entries", n-before)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { o.tell(t.Context(), true) })
	}
	wg.Wait()
	if n := o.entries()["login signed-in web password"]; n != before+1 {
		t.Errorf("%d entries for one sign-in", n-before)
	}
	if s.Close(); o.log.Len() > 0 {
		t.Error(o.log)
	}
}

func TestSprayIsInTheRegister(t *testing.T) {
	o := newOffice(t)
	o.person()
	for i := range 12 {
		net := netip.AddrFrom4([4]byte{198, 51, byte(i), 1})
		_, err := o.SignIn(t.Context(), fmt.Sprintf("person%d@diwan.example", i), "Spring2026!!", "", net, agent)
		wants(t, "a guess", err, people.ErrCredentials)
	}
	for range 5 {
		_, err := o.Application(t.Context(), layla, people.GeneratePassword(), "imap", netip.MustParseAddr("203.0.113.5"))
		if !errors.Is(err, people.ErrCredentials) && !errors.As(err, &people.ErrSlowDown{}) {
			t.Errorf("a guess: %v", err)
		}
	}
	o.told("login spray web", "login burst imap")
}

// No table has anything that was ever shown to a person, nor anything that opens
// mail by itself.
func TestNothingStoredIsSecret(t *testing.T) {
	o := newOffice(t)
	s, code := o.person()
	o.totp(s)
	o.must(o.StepUpByCode(t.Context(), s, code, by(s)))
	phone := &peopletest.Authenticator{Origin: origin, PRF: true}
	o.enrol(s, phone)
	for _, scope := range []people.Scope{people.ScopeBoth, people.ScopeOffice} {
		n, err := o.MakeAppPassword(t.Context(), s, "phone", scope, by(s))
		o.must(err)
		o.secret(n.Password)
		o.secret(hex.EncodeToString(n.Secret[:]))
		_, err = o.Application(t.Context(), "layla", n.Password, "imap", from)
		o.must(err)
	}
	key := tokenKey(s.Token)
	o.secret(hex.EncodeToString(key[:]))
	_, err := o.SignIn(t.Context(), o.secret("my secret in the wrong box"), "x", "", from, agent)
	wants(t, "a password in the wrong box", err, people.ErrCredentials)
	made, err := o.NewAccount(t.Context(), by(s), people.Account{Name: "Omar", Address: "omar@diwan.example"}, "")
	o.must(err)
	o.secret(made.Password)
	o.secret(made.Recovery)
	if _, err := o.byPasskey(phone); err != nil {
		t.Fatal(err)
	}
	all := o.dump(t.Context())
	if !strings.Contains(all, s.Account.Pseudonym) || !strings.Contains(all, "argon2id-hkdf") {
		t.Fatal("the dump isn't one")
	}
	for _, secret := range o.secrets {
		plain := strings.ReplaceAll(secret, "-", "")
		for _, form := range []string{secret, plain, hex.EncodeToString([]byte(secret)), hex.EncodeToString([]byte(plain))} {
			if strings.Contains(all, form) {
				t.Errorf("a secret is stored as %q", form)
			}
		}
	}
}

// Many requests, sign-ins and sign-outs of one person at once.
func TestConcurrency(t *testing.T) {
	o := newOffice(t)
	s, code := o.person()
	entry := o.letter(s.Account.ID)
	app, err := o.MakeAppPassword(t.Context(), s, "phone", people.ScopeBoth, by(s))
	o.must(err)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 10 {
				r, err := o.Resume(t.Context(), s.Token)
				if err != nil || !o.reads(r, entry) {
					t.Errorf("a request: %v", err)
					return
				}
				r.Close()
				c, err := o.Application(t.Context(), "layla", app.Password, "imap", from)
				if err != nil || !o.reads(c, entry) {
					t.Errorf("a connection: %v", err)
					return
				}
				c.Close()
			}
		})
		wg.Go(func() {
			if i > 0 {
				return
			}
			if err := o.StepUpByCode(t.Context(), s, code, by(s)); err != nil {
				t.Error(err)
			}
			in, err := o.SignIn(t.Context(), layla, password, "", from, agent)
			if err != nil {
				t.Error(err)
				return
			}
			if err := o.SignOut(t.Context(), in.Token); err != nil || in.Open() {
				t.Errorf("signed out: %v, open %v", err, in.Open())
			}
		})
	}
	wg.Wait()
}
