package access

import (
	"testing"
	"time"

	"sijill/internal/people"
	"sijill/internal/people/peopletest"
	"sijill/internal/vault"
)

func TestPasskeyOpensBothRoots(t *testing.T) {
	for _, early := range []bool{false, true} {
		o := newOffice(t)
		s, code := o.person()
		entry := o.letter(s.Account.ID)
		phone := &peopletest.Authenticator{Origin: origin, PRF: true, Early: early, Counts: true}
		o.must(o.StepUpByCode(t.Context(), s, code, by(s)))
		if k := o.enrol(s, phone); !k.PRF || !k.Everyday || !k.Deep || k.Name != "phone" {
			t.Errorf("early %v: passkey %+v", early, k)
		}
		in, err := o.byPasskey(phone)
		o.must(err)
		o.check("signed in by passkey", in, entry, true)
		if in.Deep().IsZero() {
			t.Error("the deep root stays closed")
		}
		other := o.in(password)
		o.must(o.step(other, phone))
		if !other.Ring().Has(vault.Deep) {
			t.Error("the step-up opened nothing")
		}
		// A reset closes mail until the passkey opens it again.
		given, err := o.ResetPassword(t.Context(), people.By{}, s.Account.ID, "")
		o.must(err)
		in, err = o.byPasskey(phone)
		o.must(err)
		o.check("by passkey, after a reset", in, entry, true)
		own := o.secret("a password of her own")
		if _, err := o.ChangePassword(t.Context(), in, given, own, by(in)); err != nil {
			t.Fatal(err)
		}
		o.check("her own password", o.in(own), entry, true)
		o.must(o.RemovePasskey(t.Context(), in, passkeyID(o, in), by(in)))
		_, err = o.byPasskey(phone)
		wants(t, "removed", err, people.ErrCredentials)
		o.told("key passkey made", "key passkey removed", "login signed-in web passkey", "login stepped-up web passkey")
	}
}

func passkeyID(o *office, s *Session) int64 {
	list, err := o.Passkeys(o.t.Context(), s.Account.ID)
	o.must(err)
	if len(list) != 1 {
		o.t.Fatalf("passkeys %+v", list)
	}
	return list[0].ID
}

// A passkey registered while only the everyday ring was there opens the deep root
// once both were shown.
func TestPasskeyIsLentTheDeepRootLater(t *testing.T) {
	o := newOffice(t)
	s, code := o.person()
	phone := &peopletest.Authenticator{Origin: origin, PRF: true}
	if k := o.enrol(s, phone); !k.Everyday || k.Deep {
		t.Errorf("passkey %+v", k)
	}
	wants(t, "step-up", o.step(s, phone), ErrNotDeep)
	o.must(o.StepUpByCode(t.Context(), s, code, by(s)))
	o.must(o.step(s, phone))
	list, err := o.Passkeys(t.Context(), s.Account.ID)
	if err != nil || len(list) != 1 || !list[0].Deep {
		t.Errorf("passkeys %+v, %v", list, err)
	}
	if in, err := o.byPasskey(phone); err != nil || in.Deep().IsZero() {
		t.Errorf("by passkey: %v", err)
	}
}

func TestPasskeyWithoutPRFOnlySignsIn(t *testing.T) {
	o := newOffice(t)
	s, code := o.person()
	entry := o.letter(s.Account.ID)
	stick := &peopletest.Authenticator{Origin: origin}
	o.must(o.StepUpByCode(t.Context(), s, code, by(s)))
	if k := o.enrol(s, stick); k.PRF || k.Everyday || k.Deep {
		t.Errorf("passkey %+v", k)
	}
	in, err := o.byPasskey(stick)
	o.must(err)
	o.check("by a passkey without PRF", in, entry, false)
	wants(t, "step-up", o.step(in, stick), ErrNotDeep)
	o.must(o.Prove(t.Context(), in, password, by(in)))
	o.check("with the password besides", in, entry, true)
}

func TestProofIsAskedForAgain(t *testing.T) {
	o := newOffice(t)
	o.ProveEvery = 15 * time.Minute
	s, code := o.person()
	o.clock = o.clock.Add(16 * time.Minute)
	_, err := o.BeginRegister(t.Context(), s)
	wants(t, "a passkey", err, ErrProve)
	_, err = o.BeginTOTP(t.Context(), s)
	wants(t, "a second factor", err, ErrProve)
	_, err = o.MakeAppPassword(t.Context(), s, "phone", people.ScopeOffice, by(s))
	wants(t, "an app password", err, ErrProve)
	wants(t, "a passkey's end", o.RemovePasskey(t.Context(), s, 1, by(s)), ErrProve)
	wants(t, "a wrong password", o.Prove(t.Context(), s, "a wrong password", by(s)), people.ErrCredentials)
	o.must(o.Prove(t.Context(), s, password, by(s)))
	_, err = o.MakeAppPassword(t.Context(), s, "phone", people.ScopeOffice, by(s))
	wants(t, "after a proof", err, nil)
	o.clock = o.clock.Add(16 * time.Minute)
	o.must(o.StepUpByCode(t.Context(), s, code, by(s)))
	_, err = o.NewRecovery(t.Context(), s, by(s))
	wants(t, "after a step-up", err, nil)
}

func TestNewRecovery(t *testing.T) {
	o := newOffice(t)
	s, code := o.person()
	o.must(o.StepUpByCode(t.Context(), s, code, by(s)))
	next, err := o.NewRecovery(t.Context(), s, by(s))
	o.must(err)
	wants(t, "the code before", o.StepUpByCode(t.Context(), s, code, by(s)), people.ErrCredentials)
	o.must(o.StepUpByCode(t.Context(), s, o.secret(next), by(s)))
}

// A passkey of roots before opens what was sealed to them, and nothing new until it
// is shown in a session that is stepped up.
func TestPasskeyAfterNewRoots(t *testing.T) {
	o := newOffice(t)
	s, code := o.person()
	phone := &peopletest.Authenticator{Origin: origin, PRF: true}
	o.must(o.StepUpByCode(t.Context(), s, code, by(s)))
	o.enrol(s, phone)
	old := o.letter(s.Account.ID)
	s = o.in(password)
	fresh, err := o.ResetRoots(t.Context(), s, by(s), OldPersonalMail)
	o.must(err)
	o.secret(fresh)
	now := o.letter(s.Account.ID)
	if list, err := o.Passkeys(t.Context(), s.Account.ID); err != nil || len(list) != 1 || list[0].Everyday || list[0].Deep {
		t.Errorf("passkeys %+v, %v", list, err)
	}
	in, err := o.byPasskey(phone)
	o.must(err)
	o.check("old mail by the old passkey", in, old, true)
	o.check("new mail by the old passkey", in, now, false)
	o.must(o.StepUpByCode(t.Context(), in, fresh, by(in)))
	o.must(o.step(in, phone))
	if list, err := o.Passkeys(t.Context(), s.Account.ID); err != nil || len(list) != 1 || !list[0].Everyday || !list[0].Deep {
		t.Errorf("passkeys %+v, %v", list, err)
	}
	in, err = o.byPasskey(phone)
	o.must(err)
	o.check("new mail by the passkey", in, now, true)
	o.check("old mail by the passkey", in, old, true)
}
