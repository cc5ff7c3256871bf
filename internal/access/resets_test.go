package access

import (
	"errors"
	"io/fs"
	"testing"

	"sijill/internal/people"
)

// An account is made with all its addresses or not at all, and what is wrong with
// one of them is told apart.
func TestNewAccountWithAddresses(t *testing.T) {
	o := newOffice(t)
	s, _ := o.person()
	omar := people.Account{Name: "Omar", Address: "omar@diwan.example", Role: people.RoleOwner}
	desk := people.Address{Address: "desk@diwan.example"}
	own := people.Address{Address: "omar@home.example", Class: people.Personal}
	before := o.size()
	for _, bad := range []struct {
		address string
		want    error
	}{{"omar@mistyped.example", people.ErrForeign}, {layla, fs.ErrExist}, {"desk@diwan.example", fs.ErrExist}, {"a b@diwan.example", people.ErrInvalid}} {
		made, err := o.NewAccount(t.Context(), by(s), omar, password, desk, own, people.Address{Address: bad.address})
		wants(t, bad.address, err, bad.want)
		var which *people.AddressError
		if made != nil || !errors.As(err, &which) || which.N != 2 {
			t.Errorf("%s: %+v, %v", bad.address, made, err)
		}
		for _, address := range []string{omar.Address, desk.Address, own.Address} {
			_, err := o.People.Resolve(t.Context(), address)
			wants(t, address, err, fs.ErrNotExist)
		}
	}
	if o.size() != before {
		t.Error("what failed is on record")
	}
	made, err := o.NewAccount(t.Context(), by(s), omar, password, desk, own)
	o.must(err)
	list, err := o.People.Addresses(t.Context(), made.ID)
	o.must(err)
	if len(list) != 3 || list[0].Address != omar.Address || list[1].Address != desk.Address || list[2].Class != people.Personal {
		t.Errorf("addresses %+v", list)
	}
	if n := o.size() - before; n != 4 { // The account, two addresses, the code.
		t.Errorf("%d entries", n)
	}
}

// A second factor is ended for who lost it. As after other resets, sessions end;
// programs go on, which never asked for a code.
func TestEndTOTP(t *testing.T) {
	o := newOffice(t)
	s, _ := o.person()
	admin := people.By{}
	before := o.size()
	wants(t, "none", o.EndTOTP(t.Context(), admin, s.Account.ID), fs.ErrNotExist)
	_, err := o.BeginTOTP(t.Context(), s)
	o.must(err)
	wants(t, "one that was begun alone", o.EndTOTP(t.Context(), admin, s.Account.ID), fs.ErrNotExist)
	if o.size() != before || !s.Open() {
		t.Error("what failed is on record, or has ended the session")
	}
	o.totp(s)
	_, err = o.MakeAppPassword(t.Context(), s, "phone", people.ScopeOffice, by(s))
	o.must(err)
	o.must(o.EndTOTP(t.Context(), admin, s.Account.ID))
	o.told("key totp removed")
	if s.Open() {
		t.Error("the session goes on")
	}
	_, err = o.Resume(t.Context(), s.Token)
	wants(t, "its token", err, fs.ErrNotExist)
	apps, err := o.AppPasswords(t.Context(), s.Account.ID)
	o.must(err)
	if len(apps) != 1 {
		t.Errorf("%d app passwords", len(apps))
	}
	if !o.in(password).Open() {
		t.Error("the password alone doesn't let its person in")
	}
}
