package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"text/tabwriter"

	"sijill/internal/people"
)

// UserCmd groups the commands about accounts.
type UserCmd struct {
	Add    UserAddCmd    `cmd:"" help:"Add an account; prints a generated password without a terminal."`
	List   UserListCmd   `cmd:"" help:"List the accounts."`
	Passwd UserPasswdCmd `cmd:"" help:"Set an account's password; ends its sessions."`
}

// UserAddCmd adds an account.
type UserAddCmd struct {
	Address string   `arg:"" help:"Address of the account."`
	Name    string   `help:"Name of the person." placeholder:"NAME"`
	Role    []string `help:"administrator or records-officer, besides being an owner." placeholder:"ROLE"`
}

// Run implements the command.
func (c *UserAddCmd) Run(ctx context.Context, g *Globals, out Out) error {
	role := people.RoleOwner
	for _, r := range c.Role {
		v, err := people.ParseRole(r)
		if err != nil {
			return fmt.Errorf("--role %s: there are administrator and records-officer: %w", r, err)
		}
		role |= v
	}
	if c.Name == "" {
		c.Name, _, _ = strings.Cut(c.Address, "@")
	}
	return with(ctx, g, out, func(o *office) error {
		password, generated, err := newPassword(out)
		if err != nil {
			return err
		}
		a, err := o.people.Add(ctx, people.Account{Name: c.Name, Address: c.Address, Role: role}, password)
		if err != nil {
			return c.explain(err)
		}
		return tellPassword(out, g, a.Address, password, generated)
	})
}

// explain says what is wrong with the address of an account to be added.
func (c *UserAddCmd) explain(err error) error {
	switch {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("there is an account with the address %s already", c.Address)
	case errors.Is(err, people.ErrForeign):
		return fmt.Errorf("%s is not in a domain of this office: %w", c.Address, err)
	case errors.Is(err, people.ErrInvalid):
		return fmt.Errorf("%q can't be the address of an account: %w", c.Address, err)
	}
	return err
}

func tellPassword(out Out, g *Globals, address, password string, generated bool) error {
	if g.JSON {
		m := map[string]any{"account": address}
		if generated {
			m["password"] = password
		}
		return json.NewEncoder(out).Encode(m)
	}
	if generated {
		_, err := fmt.Fprintf(out, "%s may sign in with the password %s (it is shown this once).\n", address, password)
		return err
	}
	_, err := fmt.Fprintf(out, "%s may sign in with the new password.\n", address)
	return err
}

// UserListCmd lists the accounts.
type UserListCmd struct{}

// Run implements the command.
func (c *UserListCmd) Run(ctx context.Context, g *Globals, out Out) error {
	return with(ctx, g, out, func(o *office) error {
		list, err := o.people.List(ctx)
		if err != nil {
			return err
		}
		if g.JSON {
			return printAccounts(out, list)
		}
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		for _, a := range list {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", a.Address, a.Name, a.Role, a.Pseudonym)
		}
		return w.Flush()
	})
}

func printAccounts(out Out, list []people.Account) error {
	rows := []map[string]any{}
	for _, a := range list {
		rows = append(rows, map[string]any{"address": a.Address, "name": a.Name, "role": a.Role.String(),
			"pseudonym": a.Pseudonym, "created": a.Created})
	}
	return json.NewEncoder(out).Encode(rows)
}

// UserPasswdCmd sets a password.
type UserPasswdCmd struct {
	Address string `arg:"" help:"Address of the account."`
}

// Run implements the command.
func (c *UserPasswdCmd) Run(ctx context.Context, g *Globals, out Out) error {
	return with(ctx, g, out, func(o *office) error {
		a, err := o.account(ctx, c.Address)
		if err != nil {
			return err
		}
		password, generated, err := newPassword(out)
		if err != nil {
			return err
		}
		if err := o.people.SetPassword(ctx, a.ID, password); err != nil {
			return err
		}
		return tellPassword(out, g, a.Address, password, generated)
	})
}
