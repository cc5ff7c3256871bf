package people

import (
	"bytes"
	"errors"
	"io/fs"
	"net/netip"
	"testing"
	"time"

	"sijill/internal/people/peopletest"
)

func (o *office) enrol(account int64, a *peopletest.Authenticator) (Passkey, *Proof) {
	o.t.Helper()
	c, err := o.BeginRegister(o.t.Context(), account)
	o.must(err)
	k, proof, err := o.FinishRegister(o.t.Context(), By{}, account, c.State, a.Create(o.t, c.Options), "phone")
	o.must(err)
	return k, proof
}

func (o *office) assert(a *peopletest.Authenticator) (*Proof, error) {
	o.t.Helper()
	c, err := o.BeginPasskey(o.t.Context())
	o.must(err)
	s, proof, err := o.FinishPasskey(o.t.Context(), c.State, a.Get(o.t, c.Options), home, "browser")
	if err == nil {
		if got, err := o.Session(o.t.Context(), s.Token); err != nil || got.ID != proof.Account.ID {
			o.t.Errorf("session of %+v, %v", got, err)
		}
	}
	return proof, err
}

func TestPasskeys(t *testing.T) {
	for _, counts := range []bool{true, false} {
		o := newOffice(t)
		a := o.add(layla, 0)
		phone := &peopletest.Authenticator{Origin: origin, PRF: true, Counts: counts}
		k, made := o.enrol(a.ID, phone)
		if !k.PRF || made.HasSecret || made.Credential != k.Credential() {
			t.Errorf("made %+v, proof %+v", k, made)
		}
		one, err := o.assert(phone)
		o.must(err)
		two, err := o.assert(phone)
		o.must(err)
		if one.Account != a || !one.HasSecret || one.Secret != two.Secret || one.Credential != k.Credential() || one.By != "passkey" {
			t.Errorf("proof %+v, then %+v", one, two)
		}
		c, err := o.BeginProof(t.Context(), a.ID)
		o.must(err)
		three, err := o.FinishProof(t.Context(), a.ID, c.State, phone.Get(t, c.Options), home)
		if err != nil || three.Secret != one.Secret {
			t.Errorf("asked for, it gives %+v, %v", three, err)
		}
		list, err := o.Passkeys(t.Context(), a.ID)
		if err != nil || len(list) != 1 || list[0].Name != "phone" || !list[0].Used.Equal(o.clock) || list[0].Network != "192.0.2.0/24" {
			t.Errorf("listed %+v, %v", list, err)
		}
		wants(t, "another's", o.RenamePasskey(t.Context(), a.ID+1, k.ID, "x"), fs.ErrNotExist)
		o.must(o.RenamePasskey(t.Context(), a.ID, k.ID, "old phone"))
		wants(t, "another's", o.RemovePasskey(t.Context(), By{}, a.ID+1, k.ID), fs.ErrNotExist)
		o.must(o.Suspend(t.Context(), By{}, a.ID))
		_, err = o.assert(phone)
		wants(t, "suspended", err, ErrCredentials)
		o.must(o.Restore(t.Context(), By{}, a.ID))
		o.must(o.RemovePasskey(t.Context(), By{}, a.ID, k.ID))
		_, err = o.assert(phone)
		wants(t, "removed", err, ErrCredentials)
		_, err = o.BeginProof(t.Context(), a.ID)
		wants(t, "none left", err, fs.ErrNotExist)
		o.told("key passkey made", "key passkey removed", "login signed-in web")
	}
}

// A copy of a passkey gives itself away by its counter, and so does the original
// after it.
func TestCopiedPasskeyIsRefused(t *testing.T) {
	o := newOffice(t)
	a := o.add(layla, 0)
	phone := &peopletest.Authenticator{Origin: origin, Counts: true}
	o.enrol(a.ID, phone)
	thief := phone.Copy()
	for range 3 {
		_, err := o.assert(phone)
		o.must(err)
	}
	_, err := o.assert(thief)
	wants(t, "behind", err, ErrCredentials)
	o.told("login passkey refused web")
	for range 3 {
		_, err = o.assert(thief)
	}
	wants(t, "ahead", err, nil)
	_, err = o.assert(phone)
	wants(t, "the original", err, ErrCredentials)
}

func TestPasskeyAnswersThatDoNotHold(t *testing.T) {
	o := newOffice(t)
	a, b := o.add(layla, 0), o.add("omar@diwan.example", 0)
	phone := &peopletest.Authenticator{Origin: origin, PRF: true}
	o.enrol(a.ID, phone)
	other := &peopletest.Authenticator{Origin: origin, PRF: true}
	o.enrol(b.ID, other)
	finish := func(c Ceremony, answer []byte) error {
		_, _, err := o.FinishPasskey(t.Context(), c.State, answer, netip.MustParseAddr("203.0.113.1"), "")
		return err
	}
	begin := func() Ceremony {
		c, err := o.BeginPasskey(t.Context())
		o.must(err)
		return c
	}
	c := begin()
	good := phone.Get(t, c.Options)
	wants(t, "another ceremony", finish(begin(), good), ErrCredentials)
	wants(t, "no state", finish(Ceremony{State: "x"}, good), ErrCredentials)
	wants(t, "half a state", finish(Ceremony{State: c.State[:40]}, good), ErrCredentials)
	wants(t, "nothing", finish(c, nil), ErrCredentials)
	wants(t, "much", finish(c, bytes.Repeat([]byte(" "), maxAnswer+1)), ErrCredentials)
	phishing := phone.Copy()
	phishing.Origin = "https://mail.diwan.example.evil.example"
	wants(t, "another origin", finish(c, phishing.Get(t, c.Options)), ErrCredentials)
	careless := phone.Copy()
	careless.Unverified = true
	wants(t, "nobody verified the user", finish(c, careless.Get(t, c.Options)), ErrCredentials)
	o.must(finish(c, good))
	wants(t, "a second time", finish(c, good), ErrCredentials)
	c = begin()
	good = phone.Get(t, c.Options)
	o.clock = o.clock.Add(ceremonyFor + time.Second)
	wants(t, "too late", finish(c, good), ErrCredentials)

	p, err := o.BeginProof(t.Context(), a.ID)
	o.must(err)
	_, err = o.FinishProof(t.Context(), b.ID, p.State, phone.Get(t, p.Options), home)
	wants(t, "another account's ceremony", err, ErrCredentials)
	wants(t, "a ceremony for something else", finish(p, phone.Get(t, p.Options)), ErrCredentials)
	r, err := o.BeginRegister(t.Context(), a.ID)
	o.must(err)
	made := (&peopletest.Authenticator{Origin: origin}).Create(t, r.Options)
	_, _, err = o.FinishRegister(t.Context(), By{}, b.ID, r.State, made, "x")
	wants(t, "registered for another account", err, ErrCredentials)
	_, _, err = o.FinishRegister(t.Context(), By{}, a.ID, r.State, made, "")
	wants(t, "no name", err, ErrInvalid)
	_, _, err = o.FinishRegister(t.Context(), By{}, a.ID, r.State, made, "x")
	wants(t, "registered", err, nil)
	_, _, err = o.FinishRegister(t.Context(), By{}, a.ID, r.State, made, "x")
	wants(t, "a second time", err, ErrCredentials)
	unverified, err := o.BeginRegister(t.Context(), a.ID)
	o.must(err)
	_, _, err = o.FinishRegister(t.Context(), By{}, a.ID, unverified.State, (&peopletest.Authenticator{Origin: origin, Unverified: true}).Create(t, unverified.Options), "x")
	wants(t, "registered without verifying the user", err, ErrCredentials)
}

func FuzzAnswer(f *testing.F) {
	o := newFuzzOffice(f)
	f.Add([]byte(`{"id":"AAAA","rawId":"AAAA","type":"public-key","response":{"clientDataJSON":"e30","authenticatorData":"","signature":"","userHandle":"AAAA"}}`))
	f.Add([]byte(`{`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		c, err := o.BeginPasskey(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s, err := o.readState(c.State, forSignIn, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := o.checkAnswer(t.Context(), s, answer); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("nobody's answer: %v", err)
		}
		_, _, err = o.FinishRegister(t.Context(), By{}, 1, string(answer), answer, "x")
		if !errors.Is(err, ErrCredentials) {
			t.Fatalf("nobody's state: %v", err)
		}
	})
}
