package access

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"sijill/internal/people"
	"sijill/internal/vault"
)

// The first sign-in makes the roots and gives the code; later ones open the
// everyday root by the password alone.
func TestFirstSignIn(t *testing.T) {
	o := newOffice(t)
	s, code := o.person()
	if s.Scope != people.ScopeBoth || !s.Open() || !s.Deep().IsZero() {
		t.Errorf("after the first hour: scope %v, open %v, deep %v", s.Scope, s.Open(), s.Deep())
	}
	entry := o.letter(s.Account.ID)
	o.check("the first session", s, entry, true)
	again := o.in(password)
	o.check("a second sign-in", again, entry, true)
	if again.Recovery != "" || again.Ring().Has(vault.Deep) {
		t.Errorf("a second sign-in: recovery %q, deep %v", again.Recovery, again.Ring().Has(vault.Deep))
	}
	if len(code) != 34 {
		t.Errorf("recovery code %q", code)
	}
	_, err := o.SignIn(t.Context(), layla, "a wrong password", "", from, agent)
	wants(t, "a wrong password", err, people.ErrCredentials)
	o.told("key account made", "key recovery made", "login signed-in web password")
}

// A ring that nobody uses is closed, and opens again by the token alone.
func TestRingsDoNotStay(t *testing.T) {
	o := newOffice(t)
	s, _ := o.person()
	entry := o.letter(s.Account.ID)
	ring := s.Ring()
	o.clock = o.clock.Add(RingIdle)
	o.sweep()
	if s.Ring() != ring {
		t.Error("the ring of a request that goes on was closed")
	}
	s.Close()
	s.Close()
	if s.Ring() != nil {
		t.Error("a closed session has a ring")
	}
	o.clock = o.clock.Add(RingIdle - time.Second)
	o.sweep()
	if !ring.Has(vault.Everyday) {
		t.Error("closed too early")
	}
	o.clock = o.clock.Add(time.Second)
	o.sweep()
	if ring.Has(vault.Everyday) || len(o.held) != 0 {
		t.Error("the ring is still there")
	}
	o.check("resumed", o.resume(s.Token), entry, true)
}

func TestSignOut(t *testing.T) {
	o := newOffice(t)
	s, _ := o.person()
	ring := s.Ring()
	o.must(o.SignOut(t.Context(), s.Token))
	select {
	case <-s.Done():
	default:
		t.Error("whoever uses the session isn't told")
	}
	if ring.Has(vault.Everyday) || s.Ring() != nil || s.Open() {
		t.Error("the ring is still there")
	}
	_, err := o.Resume(t.Context(), s.Token)
	wants(t, "the token", err, fs.ErrNotExist)
	if _, err := o.vault.Unlock(t.Context(), s.Account.ID, holder(s.ID), tokenKey(s.Token)); !errors.Is(err, vault.ErrClosed) {
		t.Errorf("the envelope of the session: %v", err)
	}
	o.must(o.SignOut(t.Context(), s.Token))
}

func TestSessionsEnd(t *testing.T) {
	o := newOffice(t)
	s, _ := o.person()
	second, third := o.in(password), o.in(password)
	wants(t, "another's", o.EndSession(t.Context(), s.Account.ID+1, second.ID), fs.ErrNotExist)
	o.must(o.EndSession(t.Context(), s.Account.ID, second.ID))
	if second.Open() || !third.Open() {
		t.Errorf("ended %v, other %v", second.Open(), third.Open())
	}
	o.must(o.EndOtherSessions(t.Context(), s))
	if third.Open() || !s.Open() {
		t.Errorf("ended %v, kept %v", third.Open(), s.Open())
	}
	list, err := o.Sessions(t.Context(), s.Account.ID)
	if err != nil || len(list) != 1 || list[0].Agent != agent || list[0].Network != "192.0.2.0/24" {
		t.Errorf("sessions %+v, %v", list, err)
	}
}

func TestPasswordChangeKeepsRoots(t *testing.T) {
	o := newOffice(t)
	s, code := o.person()
	other := o.in(password)
	entry := o.letter(s.Account.ID)
	next := o.secret("another staple battery")
	_, err := o.ChangePassword(t.Context(), s, "a wrong password", next, by(s))
	wants(t, "wrong old", err, people.ErrCredentials)
	_, err = o.ChangePassword(t.Context(), s, "", next, by(s))
	wants(t, "no old, not stepped up", err, people.ErrCredentials)
	_, err = o.ChangePassword(t.Context(), s, password, "short", by(s))
	wants(t, "short new", err, people.ErrPassword)
	fresh, err := o.ChangePassword(t.Context(), s, password, next, by(s))
	if err != nil || fresh != "" {
		t.Fatalf("new code %q, %v", fresh, err)
	}
	o.check("the session that changed it", s, entry, true)
	if other.Open() {
		t.Error("another session goes on")
	}
	_, err = o.SignIn(t.Context(), layla, password, "", from, agent)
	wants(t, "the old password", err, people.ErrCredentials)
	o.check("the new password", o.in(next), entry, true)
	o.must(o.StepUpByCode(t.Context(), s, code, by(s)))
	third := o.secret("one more staple")
	_, err = o.ChangePassword(t.Context(), s, "", third, by(s))
	wants(t, "no old, stepped up", err, nil)
	o.check("the third password", o.in(third), entry, true)
	o.told("key password changed", "login stepped-up web recovery")
}

// What a reset by an administrator leaves: office mail. Personal mail comes back by
// the printed code, and opens to the new password only once that is the person's
// own.
func TestResetClosesPersonalMail(t *testing.T) {
	o := newOffice(t)
	s, code := o.person()
	entry := o.letter(s.Account.ID)
	app, err := o.MakeAppPassword(t.Context(), s, "phone", people.ScopeBoth, by(s))
	o.must(err)
	o.secret(app.Password)
	given, err := o.ResetPassword(t.Context(), people.By{}, s.Account.ID, "")
	o.must(err)
	o.secret(given)
	if s.Open() {
		t.Error("a session goes on")
	}
	_, err = o.Application(t.Context(), "layla", app.Password, "imap", from)
	wants(t, "an app password", err, people.ErrCredentials)
	s = o.in(given)
	o.check("signed in with what was given", s, entry, false)
	if !s.Account.Fresh {
		t.Error("nobody says that the password must be changed")
	}
	_, err = o.ResetRoots(t.Context(), s, by(s), OldPersonalMail)
	wants(t, "new roots for a password of somebody else's", err, ErrFresh)
	slip := "x"
	if code[33:] == slip {
		slip = "y"
	}
	wants(t, "mistyped", o.StepUpByCode(t.Context(), s, code[:33]+slip, by(s)), people.ErrMistyped)
	wants(t, "a code of nobody's", o.StepUpByCode(t.Context(), s, people.NewRecovery().Code, by(s)), people.ErrCredentials)
	o.must(o.StepUpByCode(t.Context(), s, strings.ToUpper(strings.ReplaceAll(code, "-", " ")), by(s)))
	o.check("stepped up", s, entry, true)
	o.check("the given password, again", o.in(given), entry, false)
	_, err = o.NewRecovery(t.Context(), s, by(s))
	wants(t, "a new code, before the password is hers", err, ErrFresh)
	own := o.secret("a password of her own")
	if _, err := o.ChangePassword(t.Context(), s, given, own, by(s)); err != nil {
		t.Fatal(err)
	}
	o.check("her own password", o.in(own), entry, true)
	o.told("key password reset", "key password changed")
}

// Her own password opens nothing yet when she changed it while mail was closed: then
// a step-up opens mail to it.
func TestStepUpOpensToPassword(t *testing.T) {
	o := newOffice(t)
	s, code := o.person()
	entry := o.letter(s.Account.ID)
	given, err := o.ResetPassword(t.Context(), people.By{}, s.Account.ID, "")
	o.must(err)
	s = o.in(given)
	own := o.secret("a password of her own")
	if _, err := o.ChangePassword(t.Context(), s, given, own, by(s)); err != nil {
		t.Fatal(err)
	}
	o.check("closed", s, entry, false)
	o.check("closed", o.in(own), entry, false)
	_, err = o.NewRecovery(t.Context(), s, by(s))
	wants(t, "a new code without a step-up", err, ErrStepUp)
	_, err = o.MakeAppPassword(t.Context(), s, "phone", people.ScopePersonal, by(s))
	wants(t, "an app password for closed mail", err, ErrClosed)
	o.must(o.StepUpByCode(t.Context(), s, code, by(s)))
	o.check("after a step-up", o.in(own), entry, true)
	if list, err := o.vault.Envelopes(t.Context(), s.Account.ID); err != nil || hasDeep(list, "password/") {
		t.Errorf("a password opens the deep root: %+v, %v", list, err)
	}
}

func hasDeep(list []vault.Envelope, prefix string) bool {
	for _, e := range list {
		if e.Root == vault.Deep && strings.HasPrefix(e.Holder, prefix) {
			return true
		}
	}
	return false
}

func TestStepUpLastsAnHour(t *testing.T) {
	o := newOffice(t)
	s, code := o.person()
	wants(t, "another's code", o.StepUpByCode(t.Context(), s, people.NewRecovery().Code, by(s)), people.ErrCredentials)
	o.must(o.StepUpByCode(t.Context(), s, code, by(s)))
	deep := s.Ring()
	if !deep.Has(vault.Deep) || !s.Deep().Equal(o.clock.Add(DeepFor)) {
		t.Fatalf("deep until %v", s.Deep())
	}
	if other := o.in(password); other.Ring().Has(vault.Deep) {
		t.Error("another session of the same person has the deep ring")
	}
	s.Close()
	o.clock = o.clock.Add(DeepFor - time.Second)
	o.sweep()
	s = o.resume(s.Token)
	if s.Deep().IsZero() || s.Ring() != deep {
		t.Error("over before the hour is")
	}
	o.clock = o.clock.Add(time.Second)
	if s.Ring().Has(vault.Deep) {
		t.Error("over an hour")
	}
	o.sweep()
	if deep.Has(vault.Deep) || !s.Open() {
		t.Errorf("deep ring kept %v, everyday open %v", deep.Has(vault.Deep), s.Open())
	}
	o.must(o.StepUpByCode(t.Context(), s, code, by(s))) // it stays good
}

func TestRecover(t *testing.T) {
	o := newOffice(t)
	s, code := o.person()
	entry := o.letter(s.Account.ID)
	o.totp(s)
	next := o.secret("another staple battery")
	_, err := o.Recover(t.Context(), "omar@diwan.example", code, next, from, agent)
	wants(t, "another's name", err, people.ErrCredentials)
	_, err = o.Recover(t.Context(), layla, code, "short", from, agent)
	wants(t, "a short password", err, people.ErrPassword)
	r, err := o.Recover(t.Context(), home, code, next, from, agent)
	o.must(err)
	o.secret(r.Token)
	o.secret(r.Recovery)
	o.check("recovered", r, entry, true)
	if r.Deep().IsZero() || s.Open() || r.Recovery == code {
		t.Errorf("deep until %v, old session open %v, same code %v", r.Deep(), s.Open(), r.Recovery == code)
	}
	_, err = o.Recover(t.Context(), "", code, next, from, agent)
	wants(t, "the code a second time", err, people.ErrCredentials)
	o.check("the new password, without a second factor", o.in(next), entry, true)
	o.must(o.StepUpByCode(t.Context(), o.in(next), r.Recovery, by(r)))
}

// totp sets a second factor up and returns its secret.
func (o *office) totp(s *Session) string {
	o.t.Helper()
	f, err := o.BeginTOTP(o.t.Context(), s)
	o.must(err)
	o.secret(f.Secret)
	wants(o.t, "not a code", o.ConfirmTOTP(o.t.Context(), s, "12345", by(s)), ErrCode)
	o.must(o.ConfirmTOTP(o.t.Context(), s, o.code(f.Secret, -1), by(s)))
	return f.Secret
}

// code is the one of a secret, so many steps from now.
func (o *office) code(secret string, steps int) string {
	o.t.Helper()
	c, err := totp.GenerateCode(secret, time.Now().Add(time.Duration(steps)*30*time.Second))
	o.must(err)
	return c
}

func TestSecondFactor(t *testing.T) {
	o := newOffice(t)
	s, _ := o.person()
	entry := o.letter(s.Account.ID)
	secret := o.totp(s)
	_, err := o.SignIn(t.Context(), layla, password, "", from, agent)
	wants(t, "no code", err, ErrCode)
	_, err = o.SignIn(t.Context(), layla, "a wrong password", "", from, agent)
	wants(t, "a wrong password", err, people.ErrCredentials)
	_, err = o.SignIn(t.Context(), layla, password, o.code(secret, -1), from, agent)
	wants(t, "a code that was taken", err, ErrCode)
	code := o.code(secret, 0)
	in, err := o.SignIn(t.Context(), layla, password, code, from, agent)
	o.must(err)
	o.check("with a code", in, entry, true)
	wants(t, "no code of hers", o.RemoveTOTP(t.Context(), in, code, by(in)), ErrCode)
	o.must(o.RemoveTOTP(t.Context(), in, o.code(secret, 1), by(in)))
	o.check("without a second factor", o.in(password), entry, true)
	o.told("key totp made", "key totp removed", "login signed-in web password+totp")
}

// New roots leave old mail closed and open what comes; the code of before still
// opens what was.
func TestResetRoots(t *testing.T) {
	o := newOffice(t)
	s, code := o.person()
	old := o.letter(s.Account.ID)
	given, err := o.ResetPassword(t.Context(), people.By{}, s.Account.ID, "")
	o.must(err)
	s = o.in(given)
	own := o.secret("a password of her own")
	if _, err := o.ChangePassword(t.Context(), s, given, own, by(s)); err != nil {
		t.Fatal(err)
	}
	_, err = o.ResetRoots(t.Context(), s, by(s), "")
	wants(t, "without consent", err, ErrConsent)
	fresh, err := o.ResetRoots(t.Context(), s, by(s), OldPersonalMail)
	o.must(err)
	o.secret(fresh)
	now := o.letter(s.Account.ID)
	o.check("old mail", s, old, false)
	o.check("new mail", s, now, true)
	o.check("new mail, by the password", o.in(own), now, true)

	s = o.in(own)
	o.must(o.StepUpByCode(t.Context(), s, code, by(s)))
	o.check("old mail by the old code", s, old, true)
	o.check("new mail beside it", s, now, true)
	_, err = o.NewRecovery(t.Context(), s, by(s))
	wants(t, "a new code made of old roots", err, ErrStepUp)
	o.must(o.StepUpByCode(t.Context(), s, fresh, by(s)))
	o.check("old mail, sealed to the new roots now", s, old, true)
	o.check("old mail, by the password", o.in(own), old, true)
	o.told("key roots reset")
}

// The administrator who makes an account sees its password and code. What comes
// after its person has chosen a password opens to neither.
func TestNewAccount(t *testing.T) {
	o := newOffice(t)
	made, err := o.NewAccount(t.Context(), people.By{}, people.Account{Name: "Layla", Address: layla, Role: people.RoleOwner}, "")
	o.must(err)
	o.secret(made.Password)
	o.secret(made.Recovery)
	before := o.letter(made.ID)
	s := o.in(made.Password)
	o.check("the first sign-in", s, before, true)
	if !s.Account.Fresh || s.Recovery != "" {
		t.Errorf("fresh %v, code %q", s.Account.Fresh, s.Recovery)
	}
	own := o.secret("a password of her own")
	code, err := o.ChangePassword(t.Context(), s, made.Password, own, by(s))
	o.must(err)
	o.secret(code)
	after := o.letter(made.ID)
	o.check("what came before", o.in(own), before, true)
	o.check("what came after", o.in(own), after, true)
	_, err = o.Recover(t.Context(), layla, made.Recovery, "a password of his own", from, agent)
	wants(t, "the code that was seen", err, people.ErrCredentials)
	list, err := o.vault.Envelopes(t.Context(), made.ID)
	o.must(err)
	live, err := o.People.Live(t.Context(), made.ID)
	o.must(err)
	for _, e := range list {
		if !live[e.Holder] {
			t.Errorf("an envelope of %s is left", e.Holder)
		}
	}
	s = o.in(own)
	o.must(o.StepUpByCode(t.Context(), s, code, by(s)))
	o.check("stepped up", s, after, true)
}

// A session that ends while a request opens its ring keeps none.
func TestRingOfEndedSessionIsNotKept(t *testing.T) {
	o := newOffice(t)
	s, _ := o.person()
	o.end(s.credential)
	o.must(o.People.SignOut(t.Context(), s.Token))
	late := of(people.Session{ID: s.ID, Token: s.Token, Scope: s.Scope}, s.Account)
	o.enter(late)
	wants(t, "too late", o.reopen(t.Context(), late), fs.ErrNotExist)
	if late.Open() || len(o.held) != 0 {
		t.Error("its ring is kept")
	}
}
