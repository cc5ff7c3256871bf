package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/mail"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/term"

	"sijill/internal/config"
	"sijill/internal/office"
	"sijill/internal/people"
	"sijill/internal/vault"
)

// InitCmd makes an office.
type InitCmd struct {
	Office     string `help:"Name of the office, as people read it." required:""`
	Domain     string `help:"Mail domain of the office." required:""`
	Account    string `help:"Address of the first account, who administrates." required:"" placeholder:"ADDRESS"`
	Name       string `help:"Name of the person behind it." placeholder:"NAME"`
	Passphrase bool   `help:"Lock the server's key with a passphrase (asked for, or SIJILL_PASSPHRASE)."`
}

// Run implements the command.
func (c *InitCmd) Run(ctx context.Context, g *Globals, out Out) error {
	if err := c.check(); err != nil {
		return err
	}
	if err := prepareDir(g.Dir); err != nil {
		return err
	}
	settings := config.Default(c.Office, strings.ToLower(c.Domain))
	keyAt, err := c.makeKey(g, out)
	if err != nil {
		return err
	}
	if g.KeyFile != "" {
		settings.KeyFile = g.KeyFile
	}
	if err := settings.Write(g.Dir); err != nil {
		return err
	}
	if err := createRegister(ctx, g, settings, out); err != nil {
		return err
	}
	return with(ctx, g, out, func(o *office.Office) error {
		if err := o.People.AddDomain(ctx, people.By{}, settings.Domain); err != nil {
			return err
		}
		return c.finish(ctx, o, keyAt, g, out)
	})
}

func (c *InitCmd) check() error {
	a, err := mail.ParseAddress(c.Account)
	if err != nil || a.Address != c.Account {
		return fmt.Errorf("--account %q is not an address like name@%s", c.Account, c.Domain)
	}
	if _, domain, _ := strings.Cut(c.Account, "@"); !strings.EqualFold(domain, c.Domain) {
		return fmt.Errorf("--account %s is not in the domain %s", c.Account, c.Domain)
	}
	return nil
}

// prepareDir makes the data directory, for its owner only. One with something
// in it is left alone.
func prepareDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the data directory: %w", err)
	}
	names, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("looking into the data directory: %w", err)
	}
	if exists(filepath.Join(dir, config.File)) {
		return fmt.Errorf("%s is an office already", dir)
	}
	if len(names) > 0 {
		return fmt.Errorf("%s is not empty: choose a new directory", dir)
	}
	return nil
}

// makeKey makes the server's key unless --key-file names one that is there.
func (c *InitCmd) makeKey(g *Globals, out Out) (at string, err error) {
	at = keyPath(g, config.Config{})
	if exists(at) {
		return at, nil
	}
	secret := ""
	if c.Passphrase {
		if secret, err = newPassphrase(out); err != nil {
			return "", err
		}
	}
	return at, vault.WriteKeyFile(at, vault.NewServerKey(), secret)
}

// newPassphrase asks for a passphrase twice where a person types it.
func newPassphrase(out Out) (string, error) {
	first, err := passphrase(out.Err, "New passphrase for the key: ")
	if err != nil {
		return "", err
	}
	second, err := passphrase(out.Err, "Once more: ")
	switch {
	case err != nil:
		return "", err
	case first != second:
		return "", errors.New("the two passphrases differ")
	case len(first) < 12:
		return "", errors.New("a passphrase needs 12 characters or more")
	}
	return first, nil
}

func createRegister(ctx context.Context, g *Globals, c config.Config, out Out) error {
	key, err := readKey(g, c, out)
	if err != nil {
		return err
	}
	return office.Create(ctx, office.Options{Dir: g.Dir, Config: c, Key: key})
}

// finish adds the first account and tells what was made.
func (c *InitCmd) finish(ctx context.Context, o *office.Office, keyAt string, g *Globals, out Out) error {
	password, generated, err := newPassword(out)
	if err != nil {
		return err
	}
	name := c.Name
	if name == "" {
		name, _, _ = strings.Cut(c.Account, "@")
	}
	a := people.Account{Name: name, Address: c.Account, Role: people.RoleOwner | people.RoleAdministrator | people.RoleRecordsOfficer}
	code, err := o.AddOwn(ctx, a, password)
	if err != nil {
		return err
	}
	return c.report(o, keyAt, password, code, generated, g, out)
}

func (c *InitCmd) report(o *office.Office, keyAt, password, recovery string, generated bool, g *Globals, out Out) error {
	inside := filepath.Dir(keyAt) == filepath.Clean(g.Dir)
	if g.JSON {
		m := map[string]any{"dir": g.Dir, "account": c.Account, "key": o.Register.Key(), "key_file": keyAt, "key_file_in_data_directory": inside, "recovery_code": recovery}
		if generated {
			m["password"] = password
		}
		return json.NewEncoder(out).Encode(m)
	}
	fmt.Fprintf(out, "%s is ready in %s.\n\n", c.Office, g.Dir)
	if generated {
		fmt.Fprintf(out, "Sign in as %s with the password %s\n(it is shown this once).\n\n", c.Account, password)
	}
	fmt.Fprintf(out, "Print this recovery code and keep it safe. Without it or a passkey, a forgotten\npassword loses personal mail, and old mail can't be opened (docs/keys.md):\n\n    %s\n\n", recovery)
	fmt.Fprintf(out, "Publish the register's public key: \"sijill key --dir %s\" prints it.\n\n", g.Dir)
	if inside {
		fmt.Fprintf(out, "WARNING: the server's key is in the data directory, %s. Whoever takes the disk\n"+
			"takes both. Move it elsewhere and name it with key_file in %s, a systemd\ncredential or --key-file; keep a copy on paper or in a safe. docs/keys.md says how.\n", keyAt, config.File)
	}
	return nil
}

// newPassword asks a person twice, or makes a password where nobody can be
// asked. SIJILL_PASSWORD, where set, is taken.
func newPassword(out Out) (password string, generated bool, err error) {
	if p := os.Getenv("SIJILL_PASSWORD"); p != "" {
		return p, false, nil
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return people.GeneratePassword(), true, nil
	}
	first, err := ask(out, "Password (empty makes one): ")
	if err != nil {
		return "", false, err
	}
	if first == "" {
		return people.GeneratePassword(), true, nil
	}
	second, err := ask(out, "Once more: ")
	if err == nil && first != second {
		err = errors.New("the two passwords differ")
	}
	return first, false, err
}

func ask(out Out, prompt string) (string, error) {
	fmt.Fprint(out.Err, prompt)
	b, err := term.ReadPassword(int(os.Stdin.Fd()))
	fmt.Fprintln(out.Err)
	return string(b), err
}
