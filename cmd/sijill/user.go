package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"text/tabwriter"
	"time"

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
	EndFactor   UserFactorCmd  `cmd:"" help:"End the second factor of who lost the phone and the recovery code; ends the account's sessions."`
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
		if err := c.reachable(ctx, o); err != nil {
			return err
		}
		password, generated, err := newPassword(ctx, out)
		if err != nil {
			return err
		}
		var more []people.Address
		for _, p := range c.Personal {
			more = append(more, people.Address{Address: p, Class: people.Personal})
		}
		made, err := o.Access.NewAccount(ctx, people.By{}, people.Account{Name: c.Name, Address: c.Address, SignIn: c.SignIn, Role: role}, password, more...)
		if made == nil {
			return c.explain(err)
		}
		// Even if its keys are not: nobody would see the password again.
		if err := errors.Join(tellPassword(out, g, made.Address, password, generated, made.Recovery), err); err != nil || g.JSON {
			return err
		}
		fmt.Fprintf(out, "Give both to the person alone. When they first change the password, new ones take their place.\n%s", whereTo(o))
		if role.Has(people.RoleRecordsOfficer) {
			return tellOfficer(ctx, o, out, made.Address)
		}
		return nil
	})
}

// reachable says what is wrong with the addresses before anybody chooses a password
// for them. NewAccount looks again.
func (c *UserAddCmd) reachable(ctx context.Context, o *office.Office) error {
	if err := people.Check(people.Account{Name: c.Name, Address: c.Address}); err != nil {
		return c.explain(err)
	}
	for _, address := range append([]string{c.Address}, c.Personal...) {
		if _, err := o.People.Resolve(ctx, address); errors.Is(err, people.ErrForeign) {
			return foreign(address)
		}
	}
	return nil
}

// whereTo says where people go on.
func whereTo(o *office.Office) string {
	if at := o.Config.URL(); at != "" {
		return "They sign in at " + at + " and make passwords for mail programs there, under Settings.\n"
	}
	return "The web is closed (http in " + config.File + "): passwords for mail programs are made with \"sijill user app-password\".\n"
}

// tellOfficer says how a records officer whom a command made gets the key.
func tellOfficer(ctx context.Context, o *office.Office, out Out, address string) error {
	made, err := o.Vault.HasRecords(ctx)
	if err != nil {
		return err
	}
	if made {
		_, err = fmt.Fprint(out, "A records officer also needs the key of the records office: another officer gives it on the page Accounts.\n")
		return err
	}
	_, err = fmt.Fprintf(out, "Nobody has the key of the records office yet, and old office mail of who loses every secret opens for nobody.\n"+
		"When the person has signed in and chosen a password, \"sijill user role %s --give records-officer\" makes it.\n", address)
	return err
}

// foreign is what is said of an address outside.
func foreign(address string) error {
	return fmt.Errorf("%s is not in a domain of this office: add that first, with \"sijill user address add-domain\"", address)
}

// explain says what is wrong with an address of an account to be added.
func (c *UserAddCmd) explain(err error) error {
	address := c.Address
	var further *people.AddressError
	if errors.As(err, &further) {
		address = c.Personal[further.N]
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("there is an account with the address %s already", address)
	case errors.Is(err, people.ErrForeign):
		return foreign(address)
	case errors.Is(err, people.ErrFormer):
		return fmt.Errorf("%s was a personal address of somebody else's in the last %d days, and mail meant for them would come to another: wait, or give it with \"sijill user address add --reassign\"", address, people.FormerFor/(24*time.Hour))
	case errors.Is(err, people.ErrInvalid):
		return fmt.Errorf("%q can't be the address of an account: %w", address, err)
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
		password, generated, err := newPassword(ctx, out)
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
		password, err := secretOf(ctx, out, passwordVariable, "Password of the account: ")
		if err != nil {
			return err
		}
		s, err := o.Access.SignIn(ctx, c.Address, password, "", netip.IPv6Loopback(), "sijill")
		if err != nil {
			return noSignIn(err)
		}
		by, code := people.By{Account: s.Account.ID}, ""
		made, err := o.Access.MakeAppPassword(ctx, s, c.Label, scope, by)
		if errors.Is(err, access.ErrFresh) {
			if code, err = chooseOwn(ctx, out, o, s, password); err == nil {
				made, err = o.Access.MakeAppPassword(ctx, s, c.Label, scope, by)
			}
		}
		token := s.Token
		s.Close()
		if err = errors.Join(err, o.Access.SignOut(ctx, token)); err != nil {
			return err
		}
		if g.JSON {
			m := map[string]any{"account": c.Address, "scope": c.Scope, "password": made.Password}
			if code != "" {
				m["recovery_code"] = code
			}
			return json.NewEncoder(out).Encode(m)
		}
		if code != "" {
			fmt.Fprintf(out.Err, "Recovery code, to be printed (the one before is void): %s\n", code)
		}
		_, err = fmt.Fprintf(out, "%s\n", made.Password)
		return err
	})
}

// newVariable may hold the password that a person chooses in the place of the one
// they were given.
const newVariable = "SIJILL_NEW_PASSWORD"

// chooseOwn has the person choose a password in the place of the one that somebody
// else knows, and returns the new recovery code, if there is one.
func chooseOwn(ctx context.Context, out Out, o *office.Office, s *access.Session, given string) (string, error) {
	own, err := secretOf(ctx, out, newVariable, "Somebody else knows that password. One of your own, 12 characters or more: ")
	if err != nil {
		return "", fmt.Errorf("somebody else chose this password, and its person must choose another first, on the web or here: %w", err)
	}
	return o.Access.ChangePassword(ctx, s, given, own, people.By{Account: s.Account.ID})
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

// UserFactorCmd ends a second factor.
type UserFactorCmd struct {
	Address string `arg:"" help:"An address of the account."`
}

// Run implements the command.
func (c *UserFactorCmd) Run(ctx context.Context, g *Globals, out Out) error {
	return with(ctx, g, out, func(o *office.Office) error {
		a, err := account(ctx, o, c.Address)
		if err != nil {
			return err
		}
		err = o.Access.EndTOTP(ctx, people.By{}, a.ID)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("the account of %s has no second factor", a.Name)
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(out, "The password alone lets its person in now; sessions have ended. They set up another under Settings, Sign-in and keys.")
		return err
	})
}
