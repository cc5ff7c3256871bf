package people

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"sijill/internal/db"
)

func TestAddresses(t *testing.T) {
	o := newOffice(t)
	a, b := o.add(layla, RoleOwner), o.add("omar@diwan.example", 0)
	add := func(addr Address) error { return o.AddAddress(t.Context(), By{}, a.ID, addr) }
	o.must(add(Address{Address: "Layla@ديوان.example", Class: Personal, Name: "ليلى", Signature: "—\nليلى"}))
	o.must(add(Address{Address: "press@diwan.example", Alias: true}))
	o.must(add(Address{Address: "ask@diwan.example", Alias: true, Sends: true}))
	for what, test := range map[string]struct {
		Address
		want error
	}{
		"taken":            {Address{Address: "OMAR@diwan.example"}, fs.ErrExist},
		"own":              {Address{Address: layla}, fs.ErrExist},
		"foreign":          {Address{Address: "layla@elsewhere.example"}, ErrForeign},
		"subaddress":       {Address{Address: "layla+x@diwan.example"}, ErrInvalid},
		"class":            {Address{Address: "x@diwan.example", Class: "public"}, ErrInvalid},
		"name":             {Address{Address: "x@diwan.example", Name: "a\r\nb"}, ErrInvalid},
		"signature":        {Address{Address: "x@diwan.example", Signature: "a\x00b"}, ErrInvalid},
		"primary alias":    {Address{Address: "x@diwan.example", Alias: true, Primary: true}, ErrInvalid},
		"without a domain": {Address{Address: "layla"}, ErrInvalid},
	} {
		wants(t, what, add(test.Address), test.want)
	}
	wants(t, "no such account", o.AddAddress(t.Context(), By{}, 99, Address{Address: "x@diwan.example"}), fs.ErrNotExist)
	want := []Address{
		{Address: layla, Class: Office, Primary: true, Sends: true},
		{Address: "layla@ديوان.example", Class: Personal, Name: "ليلى", Signature: "—\nليلى", Sends: true},
		{Address: "press@diwan.example", Class: Office, Alias: true},
		{Address: "ask@diwan.example", Class: Office, Alias: true, Sends: true},
	}
	o.has(a.ID, want...)
	senders := map[string]bool{layla: true, "LAYLA+list@diwan.example": true, "layla@ديوان.example": true, "press@diwan.example": false,
		"ask@diwan.example": true, "omar@diwan.example": false, "nobody@diwan.example": false, "": false, "postmaster@diwan.example": false}
	for address, may := range senders {
		if _, err := o.Sender(t.Context(), a.ID, address); (err == nil) != may || err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("writing from %s: %v, want %v", address, err, may)
		}
	}
	if s, err := o.Sender(t.Context(), a.ID, "Layla+list@ديوان.example"); err != nil || s != want[1] {
		t.Errorf("sender %+v, %v", s, err)
	}
	if s, err := o.Sender(t.Context(), a.ID, layla); err != nil || !s.Primary {
		t.Errorf("own address %+v, %v", s, err)
	}

	want[1].Primary, want[0].Primary, want[1].Name = true, false, ""
	o.must(o.SetAddress(t.Context(), By{}, a.ID, want[1]))
	want[0], want[1] = want[1], want[0]
	o.has(a.ID, want...)
	got, err := o.Get(t.Context(), a.ID)
	if err != nil || got.Address != want[0].Address || got.Class != Personal {
		t.Errorf("account %+v, %v", got, err)
	}
	wants(t, "another's", o.SetAddress(t.Context(), By{}, b.ID, want[0]), fs.ErrNotExist)
	wants(t, "another's", o.RemoveAddress(t.Context(), By{}, b.ID, layla), fs.ErrNotExist)
	for _, w := range want[:3] {
		o.must(o.RemoveAddress(t.Context(), By{}, a.ID, w.Address))
	}
	wants(t, "the last", o.RemoveAddress(t.Context(), By{}, a.ID, want[3].Address), ErrLastAddress)
	wants(t, "gone", o.RemoveAddress(t.Context(), By{}, a.ID, layla), fs.ErrNotExist)
	want[3].Primary = true
	o.has(a.ID, want[3])
}

func (o *office) has(account int64, want ...Address) {
	o.t.Helper()
	got, err := o.Addresses(o.t.Context(), account)
	o.must(err)
	if len(got) != len(want) {
		o.t.Fatalf("addresses %+v, want %+v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			o.t.Errorf("address %+v, want %+v", got[i], want[i])
		}
	}
}

func TestResolve(t *testing.T) {
	o := newOffice(t)
	a := o.add(layla, 0)
	owner := o.add("omar@diwan.example", RoleOwner)
	o.must(o.AddAddress(t.Context(), By{}, a.ID, Address{Address: "home@diwan.example", Class: Personal}))
	o.must(o.AddAddress(t.Context(), By{}, owner.ID, Address{Address: "own@diwan.example", Class: Personal, Primary: true}))
	wants(t, "catch-all of a foreign domain", o.SetCatchAll(t.Context(), By{}, "elsewhere.example", layla), ErrForeign)
	wants(t, "catch-all to nobody", o.SetCatchAll(t.Context(), By{}, "diwan.example", "nobody@diwan.example"), fs.ErrNotExist)
	check := func(address string, want Recipient, err error) {
		t.Helper()
		got, e := o.Resolve(t.Context(), address)
		wants(t, address, e, err)
		if got != want {
			t.Errorf("%s: %+v, want %+v", address, got, want)
		}
	}
	personal := Recipient{Account: a.ID, Class: Personal, Address: "home@diwan.example"}
	check("home@diwan.example", personal, nil)
	detailed := personal
	detailed.Detail = "Lists+Go"
	check("HOME+Lists+Go@diwan.example", detailed, nil)
	check("nobody@diwan.example", Recipient{}, fs.ErrNotExist)
	// The owner's own address is personal; what the office is asked isn't.
	check("postmaster", Recipient{Account: owner.ID, Class: Office, Address: "own@diwan.example"}, nil)

	o.must(o.SetCatchAll(t.Context(), By{}, "ديوان.example", "home@diwan.example"))
	if c, err := o.CatchAll(t.Context(), "ديوان.example"); err != nil || c != "home@diwan.example" {
		t.Errorf("catch-all %q, %v", c, err)
	}
	check("anything+at-all@ديوان.example", personal, nil)
	check("nobody@diwan.example", Recipient{}, fs.ErrNotExist)
	check("postmaster@ديوان.example", Recipient{Account: owner.ID, Class: Office, Address: "own@diwan.example"}, nil)
	check("\xff@ديوان.example", Recipient{}, fs.ErrNotExist)
	check(strings.Repeat("x", 2000)+"@ديوان.example", Recipient{}, fs.ErrNotExist)
	o.must(o.RemoveAddress(t.Context(), By{}, a.ID, "home@diwan.example"))
	check("anything@ديوان.example", Recipient{}, fs.ErrNotExist)
	if c, err := o.CatchAll(t.Context(), "ديوان.example"); err != nil || c != "" {
		t.Errorf("catch-all %q, %v", c, err)
	}
	_, err := o.CatchAll(t.Context(), "elsewhere.example")
	wants(t, "another's catch-all", err, ErrForeign)
	wants(t, "in use", o.RemoveDomain(t.Context(), By{}, "diwan.example"), ErrInUse)
	o.must(o.RemoveDomain(t.Context(), By{}, "ديوان.example"))
	wants(t, "removed", o.RemoveDomain(t.Context(), By{}, "ديوان.example"), ErrForeign)
	check("anything@ديوان.example", Recipient{}, ErrForeign)
}

func TestSignInNames(t *testing.T) {
	o := newOffice(t)
	a := o.add("Layla.Haddad@diwan.example", 0)
	b := o.add("layla.haddad@ديوان.example", 0)
	if a.SignIn != "layla.haddad" || b.SignIn != "layla.haddad2" {
		t.Errorf("sign-in names %q and %q", a.SignIn, b.SignIn)
	}
	c, err := o.Add(t.Context(), Account{Name: "Omar", Address: "omar@diwan.example", SignIn: "Omar-B"}, secret)
	if err != nil || c.SignIn != "omar-b" {
		t.Errorf("asked for %q, %v", c.SignIn, err)
	}
	_, err = o.Add(t.Context(), Account{Name: "Omar", Address: "o@diwan.example", SignIn: "omar-b"}, secret)
	wants(t, "taken", err, fs.ErrExist)
	for _, name := range []string{"layla.haddad2", " LAYLA.haddad2 ", "layla.haddad@ديوان.example"} {
		got, err := o.Authenticate(t.Context(), name, secret, home)
		if err != nil || got != b {
			t.Errorf("%q: %+v, %v", name, got, err)
		}
	}
	wants(t, "not acceptable", o.SetSignIn(t.Context(), By{}, a.ID, "a@b"), ErrInvalid)
	wants(t, "taken", o.SetSignIn(t.Context(), By{}, a.ID, "OMAR-B"), fs.ErrExist)
	wants(t, "no such account", o.SetSignIn(t.Context(), By{}, 99, "x"), fs.ErrNotExist)
	o.must(o.SetSignIn(t.Context(), By{}, a.ID, "ليلى"))
	o.must(o.SetSignIn(t.Context(), By{}, a.ID, "ليلى"))
	wants(t, "the new name", o.in("ليلى", secret, home), nil)
	wants(t, "the old name", o.in("layla.haddad", secret, home), ErrCredentials)
	o.must(o.SetName(t.Context(), a.ID, "Layla H."))
	wants(t, "an empty name", o.SetName(t.Context(), a.ID, ""), ErrInvalid)
	o.must(o.SetDigits(t.Context(), a.ID, "arab"))
	wants(t, "no digits", o.SetDigits(t.Context(), a.ID, "\">"), ErrInvalid)
	if got, err := o.Get(t.Context(), a.ID); err != nil || got.Name != "Layla H." || got.SignIn != "ليلى" || got.Digits != "arab" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestStates(t *testing.T) {
	o := newOffice(t)
	a, b := o.add(layla, RoleOwner), o.add("omar@diwan.example", 0)
	wants(t, "the last owner", o.Suspend(t.Context(), By{}, a.ID), ErrLastOwner)
	wants(t, "the last owner", o.Remove(t.Context(), By{}, a.ID), ErrLastOwner)
	o.must(o.SetRole(t.Context(), By{}, b.ID, RoleOwner))
	s, err := o.SignIn(t.Context(), layla, secret, home)
	o.must(err)
	o.must(o.SetCatchAll(t.Context(), By{}, "diwan.example", layla))
	o.must(o.Suspend(t.Context(), By{}, a.ID))
	wants(t, "the other owner is the last", o.SetRole(t.Context(), By{}, b.ID, 0), ErrLastOwner)
	_, err = o.Session(t.Context(), s.Token)
	wants(t, "session", err, fs.ErrNotExist)
	for _, name := range []string{layla, "layla"} {
		wants(t, "suspended", o.in(name, secret, home), ErrCredentials)
	}
	if r, err := o.Resolve(t.Context(), layla); err != nil || r.Account != a.ID {
		t.Errorf("mail to who is suspended: %+v, %v", r, err)
	}
	if r, err := o.Resolve(t.Context(), "postmaster"); err != nil || r.Account != b.ID {
		t.Errorf("postmaster's mail goes to %+v, %v", r, err)
	}
	o.must(o.Remove(t.Context(), By{}, a.ID))
	_, err = o.Resolve(t.Context(), layla)
	wants(t, "mail to who was removed", err, fs.ErrNotExist)
	got, err := o.Get(t.Context(), a.ID)
	if err != nil || got.State != Removed || got.Address != layla || got.Pseudonym != a.Pseudonym {
		t.Errorf("removed account %+v, %v", got, err)
	}
	if list, err := o.List(t.Context()); err != nil || len(list) != 2 {
		t.Errorf("listed %+v, %v", list, err)
	}
	wants(t, "an address for who was removed", o.AddAddress(t.Context(), By{}, a.ID, Address{Address: "x@diwan.example"}), fs.ErrNotExist)
	heir := o.add(layla, 0) // an office's address goes to who comes next
	if heir.SignIn != "layla2" {
		t.Errorf("the heir signs in as %q", heir.SignIn)
	}
	o.must(o.Restore(t.Context(), By{}, a.ID))
	wants(t, "restored", o.in("layla", secret, home), nil)
}

// What was somebody's personal address goes to nobody else for a while, nor by way
// of a catch-all; to them it may go back at once.
func TestFormerPersonalAddresses(t *testing.T) {
	o := newOffice(t)
	o.must(o.AddDomain(t.Context(), By{}, "home.example"))
	layla := o.add("layla@diwan.example", 0)
	omar := o.add("omar@diwan.example", 0)
	own, desk := "layla@home.example", "desk@diwan.example"
	give := func(account int64, a Address) error { return o.AddAddress(t.Context(), By{}, account, a) }
	take := func(account int64, address string) { o.must(o.RemoveAddress(t.Context(), By{}, account, address)) }
	o.must(give(layla.ID, Address{Address: own, Class: Personal}))
	o.must(give(layla.ID, Address{Address: desk}))
	o.must(give(omar.ID, Address{Address: "omar@home.example", Class: Personal}))
	o.must(o.SetCatchAll(t.Context(), By{}, "home.example", "omar@home.example"))
	take(layla.ID, own)
	take(layla.ID, desk)
	o.must(give(omar.ID, Address{Address: desk})) // It was the office's.
	for _, class := range []Class{Office, Personal} {
		wants(t, "to somebody else as "+string(class), give(omar.ID, Address{Address: "LAYLA@home.example", Class: class}), ErrFormer)
	}
	_, err := o.Add(t.Context(), Account{Name: "Salim", Address: own, Class: Personal}, secret)
	wants(t, "to a new account", err, ErrFormer)
	_, err = o.Resolve(t.Context(), "layla+list@home.example")
	wants(t, "mail to it, with a catch-all", err, fs.ErrNotExist)
	if r, err := o.Resolve(t.Context(), "nobody@home.example"); err != nil || r.Account != omar.ID {
		t.Errorf("the catch-all: %+v, %v", r, err)
	}
	o.must(give(layla.ID, Address{Address: own, Class: Personal}))
	o.must(o.Remove(t.Context(), By{}, layla.ID))
	wants(t, "of an account that was removed", give(omar.ID, Address{Address: own, Class: Personal}), ErrFormer)
	o.must(give(omar.ID, Address{Address: own, Class: Personal, Reassign: true}))
	take(omar.ID, own)
	o.clock = o.clock.Add(FormerFor)
	o.must(give(omar.ID, Address{Address: own, Class: Personal}))
}

// That the database can't say who has an address doesn't mean that nobody has: mail
// would be refused for good.
func TestResolveWithoutAnswer(t *testing.T) {
	o := newOffice(t)
	layla := o.add("layla@diwan.example", 0)
	o.must(o.SetCatchAll(t.Context(), By{}, "diwan.example", layla.Address))
	if r, err := o.Resolve(t.Context(), "nobody@diwan.example"); err != nil || r.Account != layla.ID {
		t.Fatalf("the catch-all: %+v, %v", r, err)
	}
	for _, change := range []string{"ALTER TABLE former_address RENAME TO former", "ALTER TABLE domain RENAME COLUMN catch_local TO catch"} {
		o.must(o.db.Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(change)
			return err
		}))
		if r, err := o.Resolve(t.Context(), "nobody@diwan.example"); err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrForeign) {
			t.Errorf("after %s: %+v, %v", change, r, err)
		}
	}
}
