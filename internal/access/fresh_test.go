package access

import (
	"errors"
	"testing"
	"time"

	"sijill/internal/db"
	"sijill/internal/people"
	"sijill/internal/people/peopletest"
)

// changes tries all that could be left behind in a session, and returns what each
// of them said.
func (o *office) changes(s *Session) map[string]error {
	o.t.Helper()
	ctx := o.t.Context()
	all := map[string]error{"to change anything": o.MayChange(ctx, s)}
	_, all["an app password"] = o.MakeAppPassword(ctx, s, "phone", people.ScopeOffice, by(s))
	_, all["a second factor"] = o.BeginTOTP(ctx, s)
	all["a second factor's code"] = o.ConfirmTOTP(ctx, s, "123456", by(s))
	all["a second factor's end"] = o.RemoveTOTP(ctx, s, "123456", by(s))
	_, all["a passkey"] = o.BeginRegister(ctx, s)
	_, _, all["a passkey's answer"] = o.FinishRegister(ctx, s, "", nil, "phone", by(s))
	_, all["a passkey's opening"] = o.FinishOpening(ctx, s, "", nil, by(s))
	all["a passkey's name"] = o.RenamePasskey(ctx, s, 1, "mine")
	all["a passkey's end"] = o.RemovePasskey(ctx, s, 1, by(s))
	_, all["a recovery code"] = o.NewRecovery(ctx, s, by(s))
	_, all["new roots"] = o.ResetRoots(ctx, s, by(s), OldPersonalMail)
	return all
}

// While somebody else knows the password, nothing can be made that stays when its
// person has changed it: by the password alone, nor with the code that was seen.
func TestNothingIsMadeUnderAnothersPassword(t *testing.T) {
	o := newOffice(t)
	made, err := o.NewAccount(t.Context(), people.By{}, people.Account{Name: "Layla", Address: layla, Role: people.RoleOwner}, "")
	o.must(err)
	refused := func(what string, s *Session) {
		t.Helper()
		for change, err := range o.changes(s) {
			if !errors.Is(err, ErrFresh) {
				t.Errorf("%s: %s: %v", what, change, err)
			}
		}
	}
	s := o.in(made.Password)
	refused("a new account", s)
	o.must(o.StepUpByCode(t.Context(), s, made.Recovery, by(s)))
	refused("with the code that was seen", s)
	given, err := o.ResetPassword(t.Context(), people.By{}, made.ID, "")
	o.must(err)
	refused("a session from before the reset", s)
	s = o.in(given)
	refused("reset", s)
	_, err = o.ChangePassword(t.Context(), s, given, given, by(s))
	if !errors.Is(err, people.ErrSame) {
		t.Errorf("the given password again: %v", err)
	}
	own := o.secret("a password of her own")
	_, err = o.ChangePassword(t.Context(), s, given, own, by(s))
	o.must(err)
	if _, err := o.MakeAppPassword(t.Context(), s, "phone", people.ScopeOffice, by(s)); err != nil || s.Fresh() {
		t.Errorf("with a password of her own: fresh %v, %v", s.Fresh(), err)
	}
}

// An account whose first password was lost before its person came has roots whose
// code whoever made it has seen. Once they are open they are replaced, and the mail
// of until then stays open.
func TestSeenCodeIsReplaced(t *testing.T) {
	for _, anew := range []bool{false, true} {
		o := newOffice(t)
		made, err := o.NewAccount(t.Context(), people.By{}, people.Account{Name: "Layla", Address: layla, Role: people.RoleOwner}, "")
		o.must(err)
		before := o.letter(made.ID)
		given, err := o.ResetPassword(t.Context(), people.By{}, made.ID, "")
		o.must(err)
		s := o.in(given)
		own := o.secret("a password of her own")
		if code, err := o.ChangePassword(t.Context(), s, given, own, by(s)); err != nil || code != "" {
			t.Fatalf("code %q, %v", code, err)
		}
		if anew {
			_, err = o.ResetRoots(t.Context(), s, by(s), OldPersonalMail)
			o.must(err)
		} else {
			o.must(o.StepUpByCode(t.Context(), s, made.Recovery, by(s)))
			if !s.Fresh() || !errors.Is(o.MayChange(t.Context(), s), ErrFresh) {
				t.Error("what the code has opened goes on as it is")
			}
			code, err := o.ChangePassword(t.Context(), s, "", o.secret("another one of hers"), by(s))
			o.must(err)
			o.secret(code)
			o.check("what came before", s, before, true)
		}
		if s.Fresh() {
			t.Error("still somebody else's")
		}
		_, err = o.Recover(t.Context(), layla, made.Recovery, "a password of his own", from, agent)
		wants(t, "the code that was seen", err, people.ErrCredentials)
	}
}

// A reset and a recovery suspend what passes personal mail on, in one transaction
// with the password, and say so.
func TestResetSuspendsForwarding(t *testing.T) {
	o := newOffice(t)
	s, code := o.person()
	var asked []int64
	fails := errors.New("no")
	o.Forwarding = func(_ *db.Tx, account int64) (bool, error) {
		asked = append(asked, account)
		if len(asked) == 1 {
			return false, fails
		}
		return true, nil
	}
	_, err := o.ResetPassword(t.Context(), people.By{}, s.Account.ID, "")
	wants(t, "a reset that can't suspend", err, fails)
	o.in(password)
	_, err = o.ResetPassword(t.Context(), people.By{}, s.Account.ID, "")
	o.must(err)
	last, detail, _ := o.entry(o.size() - 2) // That of the password follows.
	if string(last.Kind) != "config" || string(last.Fields) != `{"class":"personal","did":"suspended","what":"forwarding"}` || last.Actor != "sijill" || detail != "" {
		t.Errorf("%s %s by %s, %q", last.Kind, last.Fields, last.Actor, detail)
	}
	r, err := o.Recover(t.Context(), layla, code, o.secret("another staple battery"), from, agent)
	o.must(err)
	o.secret(r.Recovery)
	if len(asked) != 3 || asked[2] != s.Account.ID {
		t.Errorf("asked %v", asked)
	}
}

// What a passkey gave at sign-in is kept no longer than the deep ring that it opens;
// a password's, which opens the everyday root alone, stays with the session.
func TestShownSecretsGo(t *testing.T) {
	o := newOffice(t)
	s, code := o.person()
	phone := &peopletest.Authenticator{Origin: origin, PRF: true}
	o.must(o.StepUpByCode(t.Context(), s, code, by(s)))
	o.enrol(s, phone)
	byKey, err := o.byPasskey(phone)
	o.must(err)
	byPassword := o.in(password)
	secrets := map[string]*[32]byte{"passkey": &o.held[byKey.credential].shown.secret, "password": &o.held[byPassword.credential].shown.secret}
	o.clock = o.clock.Add(DeepFor - time.Second)
	o.sweep()
	if c, _ := o.recall(byKey); c == nil || c.by != "passkey" || *secrets["passkey"] == ([32]byte{}) {
		t.Error("gone before the hour is over")
	}
	o.clock = o.clock.Add(time.Second)
	if c, deep := o.recall(byKey); c != nil || deep != nil {
		t.Error("there is something to lend, or to lend it to, after the hour")
	}
	o.remember(byKey, &people.Proof{By: "recovery", Credential: "recovery/1", Secret: [32]byte{1}, HasSecret: true})
	secrets["recovery"] = &o.held[byKey.credential].shown.secret
	o.clock = o.clock.Add(DeepFor)
	o.sweep()
	for by, secret := range secrets {
		if gone := *secret == ([32]byte{}); gone != (by != "password") {
			t.Errorf("%s: overwritten %v", by, gone)
		}
	}
	if o.held[byKey.credential].shown != nil {
		t.Error("a code's is kept")
	}
	if c, _ := o.recall(byPassword); c == nil || c.by != "password" {
		t.Error("a password's went, too")
	}
}
