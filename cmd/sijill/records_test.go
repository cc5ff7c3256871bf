package main

import (
	"errors"
	"testing"

	"sijill/internal/access"
	"sijill/internal/office"
	"sijill/internal/people"
	"sijill/internal/vault"
)

// The account that makes an office opens its records root; others get it from an
// officer who has stepped up, and from nobody else.
func TestRecordsOffice(t *testing.T) {
	h, p := populatedHome(t, nil)
	o := h.open()
	ctx := t.Context()
	id := func(address string) int64 {
		a, err := o.People.Lookup(ctx, address)
		if err != nil {
			t.Fatal(err)
		}
		return a.ID
	}
	is := func(address string) bool {
		is, err := o.Vault.IsOfficer(ctx, id(address))
		return err == nil && is
	}
	if !is(laila) || is(sami) || is(hind) {
		t.Fatalf("at the beginning: %t %t %t", is(laila), is(sami), is(hind))
	}
	ring := func(c credentials, deep bool) *vault.Ring {
		s, err := o.Access.SignIn(ctx, c.name, c.password, "", elsewhere, "test")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		if deep {
			if err := o.Access.StepUpByCode(ctx, s, c.recovery, people.By{Account: s.Account.ID}); err != nil {
				t.Fatal(err)
			}
		}
		return s.Ring()
	}
	officer := people.RoleOwner | people.RoleRecordsOfficer
	for what, try := range map[string]struct {
		by   *vault.Ring
		want error
	}{"nobody": {nil, office.ErrNotOfficer}, "hind, stepped up": {ring(p.hind, true), office.ErrNotOfficer}, "laila, with her password": {ring(p.laila, false), access.ErrStepUp}} {
		if err := o.SetRoles(ctx, try.by, people.By{}, "test", id(hind), officer); !errors.Is(err, try.want) {
			t.Errorf("given by %s: %v", what, err)
		}
	}
	deep := ring(p.laila, true)
	for _, a := range []string{sami, hind} { // Sami has had the role since a command gave it.
		if err := o.SetRoles(ctx, deep, people.By{}, "test", id(a), officer); err != nil || !is(a) {
			t.Fatalf("%s: %v", a, err)
		}
	}
	if !ring(p.sami, true).Has(vault.Records) {
		t.Error("sami's ring doesn't open the records root")
	}
	for _, a := range []string{sami, hind} {
		if err := o.SetRoles(ctx, nil, people.By{}, "test", id(a), people.RoleOwner); err != nil || is(a) {
			t.Errorf("taking it from %s: %v", a, err)
		}
	}
	if err := o.SetRoles(ctx, deep, people.By{}, "test", id(laila), people.RoleOwner|people.RoleAdministrator); !errors.Is(err, vault.ErrLastOfficer) {
		t.Errorf("the last officer leaves: %v", err)
	}
}
