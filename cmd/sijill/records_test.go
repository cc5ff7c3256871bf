package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
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

// Where nobody has the key of the records office, a command makes it for an account
// that can have it, and says how one comes to that; once somebody has it, a command
// gives it to nobody.
func TestFirstOfficerByCommand(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	for _, args := range [][]string{{"user", "role", sami, "--give", "records-officer"}, {"user", "add", hind, "--role", "records-officer"}} {
		if out := h.must(args...); !strings.Contains(out, "Nobody has the key of the records office yet") || !strings.Contains(out, "--give records-officer") {
			t.Errorf("%s says %s", args, out)
		}
	}
	ids := map[string]int64{}
	within := func(do func(ctx context.Context, o *office.Office) error) {
		t.Helper()
		o, err := openOffice(t.Context(), &Globals{Dir: h.dir}, Out{io.Discard, io.Discard})
		if err == nil {
			err = errors.Join(do(t.Context(), o), o.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	officers := func(want ...string) {
		t.Helper()
		within(func(ctx context.Context, o *office.Office) error {
			for _, a := range []string{sami, laila, hind} {
				is, err := o.Vault.IsOfficer(ctx, ids[a])
				if err != nil || is != slices.Contains(want, a) {
					t.Errorf("%s is an officer: %t, %v", a, is, err)
				}
			}
			return nil
		})
	}
	within(func(ctx context.Context, o *office.Office) error {
		for _, a := range []string{sami, laila, hind} {
			who, err := o.People.Lookup(ctx, a)
			if err != nil {
				return err
			}
			ids[a] = who.ID
			if a == hind { // Her password was made for her, and she hasn't come.
				continue
			}
			s, err := o.Access.SignIn(ctx, a, secret, "", elsewhere, "test")
			if err != nil {
				return err
			}
			s.Close()
		}
		return nil
	})
	officers()
	if out := h.must("user", "role", hind, "--give", "records-officer"); !strings.Contains(out, "Nobody has the key") {
		t.Errorf("to an account whose password was seen: %s", out)
	}
	officers()
	if out := h.must("user", "role", sami, "--give", "records-officer"); strings.Contains(out, "key of the records office") {
		t.Errorf("to the first: %s", out)
	}
	officers(sami)
	if out := h.must("user", "role", laila, "--give", "records-officer"); !strings.Contains(out, "another officer gives it") {
		t.Errorf("to the second: %s", out)
	}
	officers(sami)
	h.sound()
}
