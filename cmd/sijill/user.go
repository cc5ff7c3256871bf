package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strings"
	"text/tabwriter"

	"sijill/internal/access"
	"sijill/internal/config"
	"sijill/internal/office"
	"sijill/internal/people"
)

// UserCmd groups the commands about accounts.
type UserCmd struct {
	Add         UserAddCmd     `cmd:"" help:"Add an account; prints a generated password without a terminal."`
	List        UserListCmd    `cmd:"" help:"List the accounts."`
	Passwd      UserPasswdCmd  `cmd:"" help:"Reset an account's password; ends its sessions and closes its personal mail until its person opens it."`
	Address     UserAddressCmd `cmd:"" help:"List, add and remove addresses of accounts, domains of the office, and where its other mail goes."`
	Role        UserRoleCmd    `cmd:"" help:"Show an account's roles, give and take them."`
	AppPassword UserAppCmd     `cmd:"" help:"Make a password for a mail program; asks for the account's password."`
	Suspend     UserSuspendCmd `cmd:"" help:"Suspend an account: nobody signs in to it; mail still comes."`
	Resume      UserResumeCmd  `cmd:"" help:"Let a suspended account sign in again."`
	Remove      UserRemoveCmd  `cmd:"" help:"End an account for good: nobody signs in, and its addresses are free for others. Its mail stays on record."`
}

// UserAddCmd adds an account.
type UserAddCmd struct {
	Address  string   `arg:"" help:"Address of the account."`
	Name     string   `help:"Name of the person." placeholder:"NAME"`
	Role     []string `help:"administrator or records-officer, besides being an owner." placeholder:"ROLE"`
	SignIn   string   `help:"Name to sign in with; the part before @ unless given." placeholder:"NAME"`
	Personal []string `help:"Personal address of the same person, of which only they read the mail." placeholder:"ADDRESS"`
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
	return with(ctx, g, out, func(o *office.Office) error {
		password, generated, err := newPassword(out)
		if err != nil {
			return err
		}
		made, err := o.Access.NewAccount(ctx, people.By{}, people.Account{Name: c.Name, Address: c.Address, SignIn: c.SignIn, Role: role}, password)
		if err != nil {
			return c.explain(err)
		}
		for _, p := range c.Personal {
			if err := addPersonal(ctx, o, made.ID, p); err != nil {
				return err
			}
		}
		if err := tellPassword(out, g, made.Address, password, generated, made.Recovery); err != nil || g.JSON {
			return err
		}
		fmt.Fprintf(out, "Give both to the person alone. When they first change the password, new ones take their place.\n%s", whereTo(o))
		if role.Has(people.RoleRecordsOfficer) {
			fmt.Fprint(out, officerNext)
		}
		return nil
	})
}

// whereTo says where people go on.
func whereTo(o *office.Office) string {
	if at := o.Config.URL(); at != "" {
		return "They sign in at " + at + " and make passwords for mail programs there, under Settings.\n"
	}
	return "The web is closed (http in " + config.File + "): passwords for mail programs are made with \"sijill user app-password\".\n"
}

// officerNext says what a records officer lacks whom a command made.
const officerNext = "A records officer also needs the key of the records office: another officer gives it on the page Accounts.\n"

// addPersonal adds a personal address, with advice when it can't be.
func addPersonal(ctx context.Context, o *office.Office, account int64, address string) error {
	err := o.Access.AddAddress(ctx, people.By{}, account, people.Address{Address: address, Class: people.Personal})
	switch {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("somebody has the address %s already", address)
	case errors.Is(err, people.ErrForeign):
		return fmt.Errorf("%s is not in a domain of this office: add it with \"sijill user address add-domain\": %w", address, err)
	}
	return err
}

// explain says what is wrong with the address of an account to be added.
func (c *UserAddCmd) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("there is an account with the address %s already", c.Address)
	case errors.Is(err, people.ErrForeign):
		return fmt.Errorf("%s is not in a domain of this office: %w", c.Address, err)
	case errors.Is(err, people.ErrInvalid):
		return fmt.Errorf("%q can't be the address of an account: %w", c.Address, err)
	}
	return err
}

func tellPassword(out Out, g *Globals, address, password string, generated bool, recovery string) error {
	if g.JSON {
		m := map[string]any{"account": address}
		if recovery != "" {
			m["recovery_code"] = recovery
		}
		if generated {
			m["password"] = password
		}
		return json.NewEncoder(out).Encode(m)
	}
	if generated {
		fmt.Fprintf(out, "%s may sign in with the password %s (it is shown this once).\n", address, password)
	} else {
		fmt.Fprintf(out, "%s may sign in with the new password.\n", address)
	}
	if recovery != "" {
		fmt.Fprintf(out, "Recovery code, to be printed: %s\n", recovery)
	}
	return nil
}

// UserListCmd lists the accounts.
type UserListCmd struct{}

// Run implements the command.
func (c *UserListCmd) Run(ctx context.Context, g *Globals, out Out) error {
	return with(ctx, g, out, func(o *office.Office) error {
		list, err := o.People.List(ctx)
		if err != nil {
			return err
		}
		if g.JSON {
			return printAccounts(out, list)
		}
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		for _, a := range list {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s", a.Address, a.Name, a.Role, a.Pseudonym)
			if a.State != people.Active {
				fmt.Fprintf(w, "\t%s", stateWords[a.State])
			}
			fmt.Fprintln(w)
		}
		return w.Flush()
	})
}

// stateWords names what has become of accounts.
var stateWords = map[people.State]string{people.Active: "active", people.Suspended: "suspended", people.Removed: "removed"}

func printAccounts(out Out, list []people.Account) error {
	rows := []map[string]any{}
	for _, a := range list {
		rows = append(rows, map[string]any{"address": a.Address, "name": a.Name, "role": a.Role.String(),
			"pseudonym": a.Pseudonym, "created": a.Created, "state": stateWords[a.State]})
	}
	return json.NewEncoder(out).Encode(rows)
}

// UserPasswdCmd sets a password.
type UserPasswdCmd struct {
	Address string `arg:"" help:"Address of the account."`
}

// Run implements the command.
func (c *UserPasswdCmd) Run(ctx context.Context, g *Globals, out Out) error {
	return with(ctx, g, out, func(o *office.Office) error {
		a, err := account(ctx, o, c.Address)
		if err != nil {
			return err
		}
		password, generated, err := newPassword(out)
		if err != nil {
			return err
		}
		if password, err = o.Access.ResetPassword(ctx, people.By{}, a.ID, password); err != nil {
			return err
		}
		if err := tellPassword(out, g, a.Address, password, generated, ""); err != nil || g.JSON {
			return err
		}
		_, err = fmt.Fprint(out, "Give it to the person alone; they choose another when they first sign in. Sessions and app passwords have ended.\n"+
			"Personal mail is closed until they open it with a passkey or the recovery code.\n")
		return err
	})
}

// UserAddressCmd groups the commands about addresses.
type UserAddressCmd struct {
	List      AddressListCmd   `cmd:"" default:"1" help:"List all addresses."`
	Add       AddressAddCmd    `cmd:"" help:"Add an address to an account."`
	Remove    AddressRemoveCmd `cmd:"" help:"Remove an address from its account; mail to it is refused from then on, or goes to the catch-all."`
	AddDomain DomainAddCmd     `cmd:"" help:"Add a domain to the office."`
	CatchAll  CatchAllCmd      `cmd:"" help:"Send mail for unknown addresses of a domain to an address; without one it is refused."`
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
}

// Run implements the command.
func (c *AddressAddCmd) Run(ctx context.Context, g *Globals, out Out) error {
	return with(ctx, g, out, func(o *office.Office) error {
		a, err := account(ctx, o, c.Account)
		if err != nil {
			return err
		}
		err = o.Access.AddAddress(ctx, people.By{}, a.ID, people.Address{Address: c.Address, Class: people.Class(c.Class), Alias: c.Alias})
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
		err = o.Access.RemoveAddress(ctx, people.By{}, a.ID, c.Address)
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

// UserAppCmd makes a password for a mail program.
type UserAppCmd struct {
	Address string `arg:"" help:"An address of the account, or its sign-in name."`
	Label   string `help:"What the password is for." default:"mail program"`
	Scope   string `help:"office, personal or both." enum:"office,personal,both" default:"office"`
}

// Run implements the command.
func (c *UserAppCmd) Run(ctx context.Context, g *Globals, out Out) error {
	scope, err := people.ParseScope(c.Scope)
	if err != nil {
		return err
	}
	return with(ctx, g, out, func(o *office.Office) error {
		password := os.Getenv("SIJILL_PASSWORD")
		if password == "" {
			if password, err = ask(out, "Password of the account: "); err != nil {
				return err
			}
		}
		s, err := o.Access.SignIn(ctx, c.Address, password, "", netip.IPv6Loopback(), "sijill")
		if err != nil {
			return noSignIn(err)
		}
		made, err := o.Access.MakeAppPassword(ctx, s, c.Label, scope, people.By{Account: s.Account.ID})
		token := s.Token
		s.Close()
		if err = errors.Join(err, o.Access.SignOut(ctx, token)); err != nil {
			return err
		}
		if g.JSON {
			return json.NewEncoder(out).Encode(map[string]any{"account": c.Address, "scope": c.Scope, "password": made.Password})
		}
		_, err = fmt.Fprintf(out, "%s\n", made.Password)
		return err
	})
}

// noSignIn gives advice to who could not sign in to make an app password.
func noSignIn(err error) error {
	switch {
	case errors.Is(err, access.ErrCode):
		return errors.New("the account has a second factor: make the password on the web, under Settings, or end the factor there first")
	case errors.Is(err, people.ErrCredentials):
		return fmt.Errorf("%w: it takes the account's own password; an administrator sets another with \"sijill user passwd\"", err)
	}
	return err
}

// UserSuspendCmd suspends an account.
type UserSuspendCmd struct {
	Address string `arg:"" help:"An address of the account."`
}

// Run implements the command.
func (c *UserSuspendCmd) Run(ctx context.Context, g *Globals, out Out) error {
	return with(ctx, g, out, func(o *office.Office) error {
		a, err := account(ctx, o, c.Address)
		if err != nil {
			return err
		}
		if err := o.Access.Suspend(ctx, people.By{}, a.ID); err != nil {
			return lastOwner(err)
		}
		_, err = fmt.Fprintf(out, "Nobody signs in to it now; mail still comes. \"sijill user resume %s\" ends that.\n", c.Address)
		return err
	})
}

// lastOwner gives advice about the last owner.
func lastOwner(err error) error {
	if errors.Is(err, people.ErrLastOwner) {
		return errors.New("nobody would be left who is an owner: make another account one first, with \"sijill user role ADDRESS --give owner\"")
	}
	return err
}

// UserResumeCmd lets a suspended account in again.
type UserResumeCmd struct {
	Address string `arg:"" help:"An address of the account."`
}

// Run implements the command.
func (c *UserResumeCmd) Run(ctx context.Context, g *Globals, out Out) error {
	return with(ctx, g, out, func(o *office.Office) error {
		a, err := account(ctx, o, c.Address)
		if err != nil {
			return err
		}
		if err := o.Access.Restore(ctx, people.By{}, a.ID); err != nil {
			return err
		}
		_, err = fmt.Fprintln(out, "Its person signs in with the password of before; sessions have ended.")
		return err
	})
}

// UserRemoveCmd ends an account.
type UserRemoveCmd struct {
	Address string `arg:"" help:"An address of the account."`
	Yes     bool   `help:"Yes, for good."`
}

// Run implements the command.
func (c *UserRemoveCmd) Run(ctx context.Context, g *Globals, out Out) error {
	return with(ctx, g, out, func(o *office.Office) error {
		a, err := account(ctx, o, c.Address)
		if err != nil {
			return err
		}
		list, err := o.People.Addresses(ctx, a.ID)
		if err != nil {
			return err
		}
		if !c.Yes {
			return fmt.Errorf("this ends the account of %s for good, and frees its addresses (%d): say so with --yes, or use \"sijill user suspend\"", a.Name, len(list))
		}
		if a.Role.Has(people.RoleRecordsOfficer) {
			if err := o.DismissOfficer(ctx, "sijill", a.ID); err != nil {
				return lastOfficer(err)
			}
		}
		if err := o.Access.Remove(ctx, people.By{}, a.ID); err != nil {
			return lastOwner(err)
		}
		_, err = fmt.Fprintf(out, "Mail to its addresses is refused from now on, or goes to the catch-all. The register knows it as %s.\n", a.Pseudonym)
		return err
	})
}
