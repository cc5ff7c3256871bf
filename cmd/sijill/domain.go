package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"sijill/internal/office"
	"sijill/internal/people"
)

// DomainAddCmd adds a domain.
type DomainAddCmd struct {
	Domain string `arg:"" help:"The domain."`
}

// Run implements the command.
func (c *DomainAddCmd) Run(ctx context.Context, g *Globals, out Out) error {
	return with(ctx, g, out, func(o *office.Office) error {
		if err := o.Access.AddDomain(ctx, people.By{}, c.Domain); err != nil {
			return err
		}
		_, err := fmt.Fprintln(out, "\"sijill dns\" prints the DNS records that it needs.")
		return err
	})
}

// CatchAllCmd sets where mail for unknown addresses goes.
type CatchAllCmd struct {
	Domain  string `arg:"" help:"The domain."`
	Address string `arg:"" optional:"" help:"The address that gets it; none refuses such mail."`
}

// Run implements the command.
func (c *CatchAllCmd) Run(ctx context.Context, g *Globals, out Out) error {
	return with(ctx, g, out, func(o *office.Office) error {
		err := o.Access.SetCatchAll(ctx, people.By{}, c.Domain, c.Address)
		switch {
		case errors.Is(err, people.ErrForeign):
			return fmt.Errorf("%s is not a domain of this office", c.Domain)
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("no account has the address %s; \"sijill user address\" shows those that there are", c.Address)
		case err != nil:
			return err
		}
		becomes := "goes to " + c.Address
		if c.Address == "" {
			becomes = "is refused"
		}
		_, err = fmt.Fprintf(out, "Mail for unknown addresses of %s %s from now on.\n", c.Domain, becomes)
		return err
	})
}

// DomainRemoveCmd removes a domain.
type DomainRemoveCmd struct {
	Domain string `arg:"" help:"The domain."`
}

// Run implements the command.
func (c *DomainRemoveCmd) Run(ctx context.Context, g *Globals, out Out) error {
	return with(ctx, g, out, func(o *office.Office) error {
		err := o.RemoveDomain(ctx, people.By{}, c.Domain)
		switch {
		case errors.Is(err, office.ErrOwnDomain):
			return fmt.Errorf("%s is the office's own domain, which stays", c.Domain)
		case errors.Is(err, people.ErrInUse):
			return fmt.Errorf("somebody has an address in %s: remove those first; \"sijill user address\" shows them", c.Domain)
		case errors.Is(err, people.ErrForeign), errors.Is(err, people.ErrInvalid):
			return fmt.Errorf("%s is not a domain of this office", c.Domain)
		case err != nil:
			return err
		}
		_, err = fmt.Fprintf(out, "Mail to %s is refused from now on. Take its DNS records away.\n", c.Domain)
		return err
	})
}
