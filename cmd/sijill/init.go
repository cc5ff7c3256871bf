package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

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

// founding is what an office is made of. Everything is asked for and checked before
// anything is made.
type founding struct {
	settings  config.Config
	owner     people.Account // The first account.
	password  string         // Its own.
	generated bool           // Nobody typed it, so it must be shown.
	keyAt     string         // Where the server's key is.
	key       vault.ServerKey
	newKey    bool   // It isn't there yet.
	secret    string // Locks a new key; "" leaves it open.
}

// Run implements the command.
func (c *InitCmd) Run(ctx context.Context, g *Globals, out Out) error {
	f, err := c.prepare(ctx, g, out)
	if err != nil {
		return err
	}
	return f.build(ctx, g, out)
}

// prepare asks for everything and makes nothing.
func (c *InitCmd) prepare(ctx context.Context, g *Globals, out Out) (f *founding, err error) {
	f = &founding{}
	if err := c.check(&f.owner); err != nil {
		return nil, err
	}
	if err := vacant(g.Dir); err != nil {
		return nil, err
	}
	f.settings = config.Default(c.Office, strings.ToLower(c.Domain))
	f.settings.KeyFile = g.KeyFile
	if err := c.chooseKey(ctx, f, g, out); err != nil {
		return nil, err
	}
	f.password, f.generated, err = newPassword(ctx, out)
	return f, err
}

// check checks what was given, and fills in the first account.
func (c *InitCmd) check(owner *people.Account) error {
	if strings.TrimSpace(c.Office) == "" {
		return errors.New("--office is empty: give the name of the office")
	}
	local, domain, _ := strings.Cut(c.Account, "@")
	if people.Check(people.Account{Name: "x", Address: c.Account}) != nil {
		return fmt.Errorf("--account %q is not an address like name@%s", c.Account, c.Domain)
	}
	if !strings.EqualFold(domain, c.Domain) {
		return fmt.Errorf("--account %s is not in the domain %s", c.Account, c.Domain)
	}
	*owner = people.Account{Name: c.Name, Address: c.Account, Role: people.RoleOwner | people.RoleAdministrator | people.RoleRecordsOfficer}
	if c.Name == "" {
		owner.Name = local
	}
	if people.Check(*owner) != nil {
		return fmt.Errorf("--name %q can't be a name: it has 200 bytes at most, and no line breaks", owner.Name)
	}
	return nil
}

// unfinished is a file that stands in the data directory while an office is being
// made: two can't be made there at once, and one that was cut off is told apart.
const unfinished = "init.unfinished"

// vacant refuses a data directory with something in it.
func vacant(dir string) error {
	names, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("looking into the data directory: %w", err)
	case exists(filepath.Join(dir, config.File)):
		return fmt.Errorf("%s is an office already", dir)
	case exists(filepath.Join(dir, unfinished)):
		return fmt.Errorf("in %s \"sijill init\" is at work, or was cut off. If it was, nothing in there is of use: empty it and begin again", dir)
	case len(names) > 0:
		return fmt.Errorf("%s is not empty: choose a new directory", dir)
	}
	return nil
}

// chooseKey reads the server's key where --key-file names one that is there, and
// makes one, in memory, where not.
func (c *InitCmd) chooseKey(ctx context.Context, f *founding, g *Globals, out Out) (err error) {
	f.keyAt = keyPath(g, config.Config{})
	if exists(f.keyAt) {
		f.key, err = readKey(ctx, g, config.Config{}, out)
		return err
	}
	f.key, f.newKey = vault.NewServerKey(), true
	if c.Passphrase {
		f.secret, err = newPassphrase(ctx, out)
	}
	return err
}

// build makes the office. When it can't be finished, nothing of it is left.
func (f *founding) build(ctx context.Context, g *Globals, out Out) error {
	log, err := newLog(out)
	if err != nil {
		return err
	}
	made := &works{dir: g.Dir}
	opts := office.Options{Dir: g.Dir, Config: f.settings, Key: f.key, Log: log}
	recovery, register, err := f.make(ctx, opts, made)
	if err != nil {
		return errors.Join(fmt.Errorf("%w\nNo office was made", err), made.remove())
	}
	return f.report(register, recovery, g, out)
}

// make makes everything, the settings last: without them a directory is no office.
func (f *founding) make(ctx context.Context, opts office.Options, made *works) (recovery, register string, err error) {
	if err := made.begin(); err != nil {
		return "", "", err
	}
	if f.newKey {
		if err := vault.WriteKeyFile(f.keyAt, f.key, f.secret); err != nil {
			return "", "", err
		}
		made.key = f.keyAt
	}
	if err := office.Create(ctx, opts); err != nil {
		return "", "", err
	}
	o, err := office.Open(ctx, opts)
	if err != nil {
		return "", "", err
	}
	register = o.Register.Key()
	if err = o.People.AddDomain(ctx, people.By{}, f.settings.Domain); err == nil {
		recovery, err = o.AddOwn(ctx, f.owner, f.password)
	}
	if err = errors.Join(err, o.Close(), ctx.Err()); err != nil {
		return "", "", err
	}
	return recovery, register, errors.Join(f.settings.Write(opts.Dir), made.end())
}

// works is what a run has made, so that it can be taken away again.
type works struct {
	dir    string
	begun  bool   // The directory is this run's to empty.
	parent string // The uppermost directory that was made; "" for none.
	key    string // The key, if it was made.
}

// begin makes the data directory, for its owner only, and marks it as being at work.
func (w *works) begin() error {
	for dir := filepath.Clean(w.dir); !exists(dir); dir = filepath.Dir(dir) {
		w.parent = dir
	}
	if err := os.MkdirAll(w.dir, 0o700); err != nil {
		return fmt.Errorf("making the data directory: %w", err)
	}
	if err := config.WriteNew(filepath.Join(w.dir, unfinished), nil); err != nil {
		return fmt.Errorf("beginning in the data directory: %w", err)
	}
	names, err := os.ReadDir(w.dir)
	if w.begun = err == nil && len(names) == 1; w.begun {
		return nil
	}
	if err == nil { // Somebody was faster: what is here is theirs.
		err = fmt.Errorf("%s is not empty any more", w.dir)
	}
	return errors.Join(err, w.end())
}

func (w *works) end() error { return os.Remove(filepath.Join(w.dir, unfinished)) }

// remove takes away what was made. The directory was empty, so all in it goes; a key
// that was there before stays.
func (w *works) remove() error {
	var errs []error
	if w.begun {
		names, err := os.ReadDir(w.dir)
		errs = append(errs, err)
		for _, n := range names {
			errs = append(errs, os.RemoveAll(filepath.Join(w.dir, n.Name())))
		}
	}
	if w.key != "" && exists(w.key) {
		errs = append(errs, os.Remove(w.key))
	}
	if w.parent == "" {
		return errors.Join(errs...)
	}
	for dir := filepath.Clean(w.dir); ; dir = filepath.Dir(dir) {
		err := os.Remove(dir) // Only what is empty goes.
		if dir == w.parent || err != nil {
			return errors.Join(append(errs, err)...)
		}
	}
}

func (f *founding) report(register, recovery string, g *Globals, out Out) error {
	inside := filepath.Dir(f.keyAt) == filepath.Clean(g.Dir)
	if g.JSON {
		m := map[string]any{"dir": g.Dir, "account": f.owner.Address, "key": register, "key_file": f.keyAt, "key_file_in_data_directory": inside, "recovery_code": recovery}
		if f.generated {
			m["password"] = f.password
		}
		return json.NewEncoder(out).Encode(m)
	}
	fmt.Fprintf(out, "%s is ready in %s.\n\n", f.settings.Office, g.Dir)
	if f.generated {
		fmt.Fprintf(out, "Sign in as %s with the password %s\n(it is shown this once).\n\n", f.owner.Address, f.password)
	}
	fmt.Fprintf(out, "Print this recovery code and keep it safe. Without it or a passkey, a forgotten\npassword loses personal mail, and old mail can't be opened (docs/keys.md):\n\n    %s\n\n", recovery)
	fmt.Fprintf(out, "Publish the register's public key: \"sijill key --dir %s\" prints it.\n\n", g.Dir)
	if inside {
		fmt.Fprintf(out, "WARNING: the server's key is in the data directory, %s. Whoever takes the disk\n"+
			"takes both. Move it elsewhere and name it with key_file in %s, a systemd\ncredential or --key-file; keep a copy on paper or in a safe. docs/keys.md says how.\n", f.keyAt, config.File)
	}
	return nil
}
