package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"sijill/internal/office"
	"sijill/internal/people"
	"sijill/internal/vault"
)

// UserRoleCmd shows and changes the roles of an account.
type UserRoleCmd struct {
	Address string   `arg:"" help:"An address of the account."`
	Give    []string `help:"owner, administrator or records-officer; may be given again." placeholder:"ROLE"`
	Take    []string `help:"A role to take; may be given again." placeholder:"ROLE"`
}

// Run implements the command.
func (c *UserRoleCmd) Run(ctx context.Context, g *Globals, out Out) error {
	give, err := rolesNamed("--give", c.Give)
	if err != nil {
		return err
	}
	take, err := rolesNamed("--take", c.Take)
	if err != nil {
		return err
	}
	if give&take != 0 {
		return errors.New("the same role can't be given and taken")
	}
	return with(ctx, g, out, func(o *office.Office) error {
		a, err := account(ctx, o, c.Address)
		if err != nil {
			return err
		}
		role := a.Role&^take | give
		if err := setRoles(ctx, o, a, role); err != nil {
			return err
		}
		if g.JSON {
			return json.NewEncoder(out).Encode(map[string]any{"account": a.Address, "role": role.String()})
		}
		if role == 0 {
			fmt.Fprintf(out, "%s has no role.\n", a.Name)
		} else {
			fmt.Fprintf(out, "%s: %s\n", a.Name, role)
		}
		has, err := o.Vault.IsOfficer(ctx, a.ID)
		if err != nil || has || !give.Has(people.RoleRecordsOfficer) {
			return err
		}
		return tellOfficer(ctx, o, out, a.Address)
	})
}

// setRoles sets roles without anybody's keys. The role of a records officer
// can be taken with its key so, and be given without; where nobody has the key yet,
// an account that can have it gets it.
func setRoles(ctx context.Context, o *office.Office, a people.Account, role people.Role) error {
	if !role.Has(people.RoleRecordsOfficer) {
		if err := o.DismissOfficer(ctx, "sijill", a.ID); err != nil {
			return lastOfficer(err)
		}
		return lastOwner(o.Access.SetRole(ctx, people.By{}, a.ID, role))
	}
	made, err := o.Vault.HasRecords(ctx)
	if err == nil && !made {
		err = o.SetRoles(ctx, nil, people.By{}, "sijill", a.ID, role)
		if err == nil || !errors.Is(err, office.ErrUnsuited) {
			return lastOwner(err)
		}
		err = nil
	}
	if err != nil {
		return err
	}
	return lastOwner(o.Access.SetRole(ctx, people.By{}, a.ID, role))
}

// lastOfficer gives advice about the last records officer.
func lastOfficer(err error) error {
	if errors.Is(err, vault.ErrLastOfficer) {
		return errors.New("nobody would be left who can open the office's old mail: an officer lets in another first, on the page Accounts")
	}
	return err
}

// rolesNamed reads the roles of an option.
func rolesNamed(option string, names []string) (set people.Role, err error) {
	for _, name := range names {
		r, err := people.ParseRole(name)
		if err != nil || r == 0 {
			return 0, fmt.Errorf("%s %s: there are owner, administrator and records-officer", option, name)
		}
		set |= r
	}
	return set, nil
}
