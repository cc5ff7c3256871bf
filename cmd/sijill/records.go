package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"sijill"
	"sijill/internal/people"
	"sijill/internal/record"
	"sijill/internal/vault"
	"sijill/internal/web"
)

// The records office has a root of its own (docs/keys.md). The role of a records
// officer is a word in a table, which whoever runs the server can write; the key
// is handed on by who has it alone. So they are given together, on the web: by an
// officer who has stepped up, to an account that has roots.

// admit lets an account's deep root open the records office's. by is the ring of
// an officer who has stepped up; the first officer makes the root and needs none.
// Errors: web.ErrForbidden to who is no officer, web.ErrClosed to an officer who
// has not stepped up, web.ErrUnsuited for an account whose password and recovery
// code somebody else has seen, or that has no roots.
func (o *office) admit(ctx context.Context, by *vault.Ring, actor string, a people.Account) error {
	made, err := o.vault.HasRecords(ctx)
	if err == nil && made {
		err = o.mayAdmit(ctx, by)
	}
	if err != nil {
		return err
	}
	if a.Fresh {
		return fmt.Errorf("letting in a records officer whose password somebody else chose: %w", web.ErrUnsuited)
	}
	err = o.vault.AddOfficer(ctx, by, a.ID)
	if errors.Is(err, vault.ErrNoRoots) {
		return fmt.Errorf("%w: %w", web.ErrUnsuited, err)
	}
	if err != nil {
		return err
	}
	return o.noteRecords(ctx, actor, a.ID, "made")
}

func (o *office) mayAdmit(ctx context.Context, by *vault.Ring) error {
	is := false
	if by != nil {
		var err error
		if is, err = o.vault.IsOfficer(ctx, by.Account()); err != nil {
			return err
		}
	}
	switch {
	case !is:
		return fmt.Errorf("letting in a records officer: only another one can: %w", web.ErrForbidden)
	case !by.Has(vault.Deep):
		return fmt.Errorf("letting in a records officer: it takes a step-up: %w", web.ErrClosed)
	}
	return nil
}

// firstOfficer makes the records office's root for the first account with the role.
func (o *office) firstOfficer(ctx context.Context, a people.Account) error {
	made, err := o.vault.HasRecords(ctx)
	if err != nil || made || !a.Role.Has(people.RoleRecordsOfficer) {
		return err
	}
	return o.admit(ctx, nil, a.Pseudonym, a)
}

// dismiss takes the records office's root from an account.
func (o *office) dismiss(ctx context.Context, actor string, account int64) error {
	err := o.vault.RemoveOfficer(ctx, account)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // It had the role and not the key.
	case errors.Is(err, vault.ErrLastOfficer):
		return fmt.Errorf("%w: %w", web.ErrForbidden, err)
	case err != nil:
		return err
	}
	return o.noteRecords(ctx, actor, account, "removed")
}

// noteRecords puts on record who can open the past of the office from now on.
func (o *office) noteRecords(ctx context.Context, actor string, account int64, did string) error {
	_, err := o.register.Append(ctx, record.Draft{Kind: sijill.Key, Actor: actor, Holders: []int64{account}, Class: sijill.Office,
		Fields: sijill.KeyFields{What: "records", Did: did}})
	return err
}

// setRoles gives an account roles, and the key of the records office with that of
// an officer. Who has the role and not the key, since a command gave it or the
// account was new, gets the key when an officer gives the role once more.
func (o *office) setRoles(ctx context.Context, ring *vault.Ring, by people.By, actor string, account int64, role people.Role) error {
	a, err := o.people.Get(ctx, account)
	if err != nil {
		return err
	}
	has, err := o.vault.IsOfficer(ctx, account)
	if err != nil {
		return err
	}
	wants := role.Has(people.RoleRecordsOfficer)
	switch {
	case wants && !has:
		err = o.admit(ctx, ring, actor, a)
		if a.Role.Has(people.RoleRecordsOfficer) && errors.Is(err, web.ErrForbidden) {
			err = nil // Other roles are being changed, by somebody who can't give it.
		}
	case !wants:
		err = o.dismiss(ctx, actor, account)
	}
	if err != nil {
		return err
	}
	return o.access.SetRole(ctx, by, account, role)
}
