package main

import (
	"errors"
	"testing"

	"sijill/internal/people"
	"sijill/internal/vault"
	"sijill/internal/web"
)

// The account that makes an office opens its records root; others get it from an
// officer who has stepped up, and from nobody else.
func TestRecordsOffice(t *testing.T) {
	h, p := populatedHome(t, nil)
	o := h.open()
	ctx := t.Context()
	id := func(address string) int64 {
		a, err := o.people.Lookup(ctx, address)
		if err != nil {
			t.Fatal(err)
		}
		return a.ID
	}
	is := func(address string) bool {
		is, err := o.vault.IsOfficer(ctx, id(address))
		return err == nil && is
	}
	if !is(laila) || is(sami) || is(hind) {
		t.Fatalf("at the beginning: %t %t %t", is(laila), is(sami), is(hind))
	}
	ring := func(c credentials, deep bool) *vault.Ring {
		s, err := o.access.SignIn(ctx, c.name, c.password, "", elsewhere, "test")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		if deep {
			if err := o.access.StepUpByCode(ctx, s, c.recovery, people.By{Account: s.Account.ID}); err != nil {
				t.Fatal(err)
			}
		}
		return s.Ring()
	}
	officer := people.RoleOwner | people.RoleRecordsOfficer
	for what, try := range map[string]struct {
		by   *vault.Ring
		want error
	}{"nobody": {nil, web.ErrForbidden}, "hind, stepped up": {ring(p.hind, true), web.ErrForbidden}, "laila, with her password": {ring(p.laila, false), web.ErrClosed}} {
		if err := o.setRoles(ctx, try.by, people.By{}, "test", id(hind), officer); !errors.Is(err, try.want) {
			t.Errorf("given by %s: %v", what, err)
		}
	}
	deep := ring(p.laila, true)
	for _, a := range []string{sami, hind} { // Sami has had the role since a command gave it.
		if err := o.setRoles(ctx, deep, people.By{}, "test", id(a), officer); err != nil || !is(a) {
			t.Fatalf("%s: %v", a, err)
		}
	}
	if !ring(p.sami, true).Has(vault.Records) {
		t.Error("sami's ring doesn't open the records root")
	}
	for _, a := range []string{sami, hind} {
		if err := o.setRoles(ctx, nil, people.By{}, "test", id(a), people.RoleOwner); err != nil || is(a) {
			t.Errorf("taking it from %s: %v", a, err)
		}
	}
	if err := o.setRoles(ctx, deep, people.By{}, "test", id(laila), people.RoleOwner|people.RoleAdministrator); !errors.Is(err, web.ErrForbidden) {
		t.Errorf("the last officer leaves: %v", err)
	}
}
