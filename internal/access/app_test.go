package access

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"sijill/internal/people"
	"sijill/internal/vault"
)

func TestAppPasswords(t *testing.T) {
	o := newOffice(t)
	s, _ := o.person()
	entry := o.letter(s.Account.ID)
	make := func(scope people.Scope) *people.NewApp {
		n, err := o.MakeAppPassword(t.Context(), s, "phone of "+scope.String(), scope, by(s))
		o.must(err)
		o.secret(n.Password)
		return n
	}
	both, office, personal := make(people.ScopeBoth), make(people.ScopeOffice), make(people.ScopePersonal)
	tests := []struct {
		name  string
		app   *people.NewApp
		scope people.Scope
		want  error
	}{
		{"layla", both, people.ScopeBoth, nil},
		{"LAYLA ", both, people.ScopeBoth, nil},
		{layla, both, people.ScopeOffice, nil},
		{home, both, people.ScopePersonal, nil},
		{"layla", office, people.ScopeOffice, nil},
		{layla, office, people.ScopeOffice, nil},
		{home, office, 0, people.ErrCredentials},
		{"layla", personal, people.ScopePersonal, nil},
		{layla, personal, 0, people.ErrCredentials},
		{"layla+x@diwan.example", both, 0, people.ErrCredentials},
		{"omar", both, 0, people.ErrCredentials},
	}
	for _, test := range tests {
		for _, typed := range []string{test.app.Password, strings.ToUpper(strings.ReplaceAll(test.app.Password, "-", " "))} {
			c, err := o.Application(t.Context(), test.name, typed, "imap", from)
			wants(t, test.name, err, test.want)
			if err != nil {
				continue
			}
			if c.Scope != test.scope || c.Open() != test.scope.Has(people.Personal) {
				t.Errorf("%s with a password for %s: scope %s, open %v", test.name, test.app.Scope, c.Scope, c.Open())
			}
			o.check(test.name, c, entry, c.Scope.Has(people.Personal))
			if c.Open() && c.Ring().Has(vault.Deep) {
				t.Errorf("%s: the deep root", test.name)
			}
			_, err = o.MakeAppPassword(t.Context(), c, "more", people.ScopeOffice, by(s))
			wants(t, "a program makes an app password", err, ErrProve)
			c.Close()
		}
	}
	for _, p := range []string{password, "", both.Password + "0", strings.Repeat("0000-", 6)} {
		_, err := o.Application(t.Context(), "layla", p, "imap", from)
		wants(t, "not an app password", err, people.ErrCredentials)
	}
	_, err := o.SignIn(t.Context(), layla, both.Password, "", from, agent)
	wants(t, "an app password at the web", err, people.ErrCredentials)
	if len(o.held) != 1 {
		t.Errorf("%d rings are held, want that of the session", len(o.held))
	}
	list, err := o.AppPasswords(t.Context(), s.Account.ID)
	if err != nil || len(list) != 3 || list[2].Network != "192.0.2.0/24" || list[2].Used.IsZero() || list[2].Label != "phone of both" {
		t.Errorf("app passwords %+v, %v", list, err)
	}
	if n := o.entries()["login signed-in imap app-password both"]; n != 1 {
		t.Errorf("%d entries for one program, network and day", n)
	}
}

func TestAppPasswordIsRevoked(t *testing.T) {
	o := newOffice(t)
	s, _ := o.person()
	n, err := o.MakeAppPassword(t.Context(), s, "phone", people.ScopeBoth, by(s))
	o.must(err)
	one, err := o.Application(t.Context(), "layla", n.Password, "imap", from)
	o.must(err)
	two, err := o.Application(t.Context(), "layla", n.Password, "submission", from)
	o.must(err)
	if one.Ring() != two.Ring() {
		t.Error("two connections of a program have two rings")
	}
	ring := two.Ring()
	one.Close()
	if !ring.Has(vault.Everyday) {
		t.Error("the ring is closed while a connection uses it")
	}
	wants(t, "another's", o.RevokeAppPassword(t.Context(), by(s), s.Account.ID+1, n.ID), fs.ErrNotExist)
	o.must(o.RevokeAppPassword(t.Context(), by(s), s.Account.ID, n.ID))
	select {
	case <-two.Done():
	default:
		t.Error("the connection isn't told")
	}
	if ring.Has(vault.Everyday) || two.Ring() != nil {
		t.Error("the ring is still open")
	}
	two.Close()
	_, err = o.Application(t.Context(), "layla", n.Password, "imap", from)
	wants(t, "revoked", err, people.ErrCredentials)
	if _, err := o.vault.Unlock(t.Context(), s.Account.ID, n.Credential(), n.Secret); !errors.Is(err, vault.ErrClosed) {
		t.Errorf("its envelope: %v", err)
	}
	o.told("key app-password made both", "key app-password removed both", "login signed-in submission app-password both")
}

func TestOfficeSessionHasNoRing(t *testing.T) {
	o := newOffice(t)
	s, code := o.person()
	wants(t, "nothing left", o.Narrow(t.Context(), s, 0), people.ErrInvalid)
	o.must(o.Narrow(t.Context(), s, people.ScopeOffice))
	if s.Open() {
		t.Error("the request in which it was narrowed has the ring")
	}
	s = o.resume(s.Token)
	if s.Open() || s.Scope != people.ScopeOffice {
		t.Errorf("open %v, scope %s", s.Open(), s.Scope)
	}
	wants(t, "step-up", o.StepUpByCode(t.Context(), s, code, by(s)), ErrScope)
	_, err := o.BeginStepUp(t.Context(), s)
	wants(t, "step-up by passkey", err, ErrScope)
	_, err = o.MakeAppPassword(t.Context(), s, "phone", people.ScopePersonal, by(s))
	wants(t, "app password", err, ErrScope)
	o.must(o.Prove(t.Context(), s, password, by(s)))
	if s.Open() {
		t.Error("the password opened it")
	}
	wants(t, "widened", o.Narrow(t.Context(), s, people.ScopePersonal), people.ErrInvalid)
}
