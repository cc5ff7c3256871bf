package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"

	"sijill/internal/office"
	"sijill/internal/people"
)

// UserAddressCmd groups the commands about addresses.
type UserAddressCmd struct {
	List         AddressListCmd   `cmd:"" default:"1" help:"List all addresses."`
	Add          AddressAddCmd    `cmd:"" help:"Add an address to an account."`
	Remove       AddressRemoveCmd `cmd:"" help:"Remove an address from its account; mail to it is refused from then on, or goes to the catch-all."`
	AddDomain    DomainAddCmd     `cmd:"" help:"Add a domain to the office."`
	RemoveDomain DomainRemoveCmd  `cmd:"" help:"Remove a domain in which nobody has an address; mail to it is refused from then on."`
	CatchAll     CatchAllCmd      `cmd:"" help:"Send mail for unknown addresses of a domain to an address; without one it is refused."`
}

// AddressListCmd lists all addresses.
type AddressListCmd struct{}

// Run implements the command.
func (AddressListCmd) Run(ctx context.Context, g *Globals, out Out) error {
	return with(ctx, g, out, func(o *office.Office) error {
		accounts, err := o.People.List(ctx)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		rows := []map[string]any{}
		for _, a := range accounts {
			list, err := o.People.Addresses(ctx, a.ID)
			if err != nil {
				return err
			}
			for _, x := range list {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s", x.Address, x.Class, a.SignIn, a.Name)
				if x.Alias {
					fmt.Fprint(w, "\talias")
				}
				fmt.Fprintln(w)
				rows = append(rows, map[string]any{"address": x.Address, "class": x.Class, "alias": x.Alias, "sign_in": a.SignIn, "name": a.Name})
			}
		}
		if g.JSON {
			return json.NewEncoder(out).Encode(rows)
		}
		return w.Flush()
	})
}

// AddressAddCmd adds an address.
type AddressAddCmd struct {
	Account string `arg:"" help:"An address of the account."`
	Address string `arg:"" help:"The new address."`
	Class   string `help:"office or personal." enum:"office,personal" default:"office"`
	Alias   bool   `help:"Take mail for it only; don't write from it."`

	Reassign bool `help:"Give it even though it was a personal address of somebody else's of late: mail meant for them comes to the account."`
}

// Run implements the command.
func (c *AddressAddCmd) Run(ctx context.Context, g *Globals, out Out) error {
	return with(ctx, g, out, func(o *office.Office) error {
		a, err := account(ctx, o, c.Account)
		if err != nil {
			return err
		}
		err = o.AddAddress(ctx, people.By{}, a.ID, people.Address{Address: c.Address, Class: people.Class(c.Class), Alias: c.Alias, Reassign: c.Reassign})
		if err != nil {
			return (&UserAddCmd{Address: c.Address}).explain(err)
		}
		use := "Mail to it arrives from now on, and may be written from it."
		if c.Alias {
			use = "Mail to it arrives from now on; none is written from it."
		}
		_, err = fmt.Fprintln(out, use)
		return err
	})
}

// AddressRemoveCmd removes an address.
type AddressRemoveCmd struct {
	Address string `arg:"" help:"The address."`
}

// Run implements the command.
func (c *AddressRemoveCmd) Run(ctx context.Context, g *Globals, out Out) error {
	return with(ctx, g, out, func(o *office.Office) error {
		a, err := account(ctx, o, c.Address)
		if err != nil {
			return err
		}
		err = o.RemoveAddress(ctx, people.By{}, a.ID, c.Address)
		if errors.Is(err, people.ErrLastAddress) {
			return fmt.Errorf("%s is the only address of its account: add another first, or end the account with \"sijill user remove\"", c.Address)
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(out, "What came there stays where it is.")
		return err
	})
}
