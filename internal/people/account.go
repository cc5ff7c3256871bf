package people

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"sijill"
	"sijill/internal/db"
)

// maxName bounds the names that people give themselves and things, in bytes.
const maxName = 200

func checkName(name string) error {
	if name == "" || len(name) > maxName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return fmt.Errorf("name: %w", ErrInvalid)
	}
	return nil
}

// Check returns ErrInvalid for an account that Add would refuse whoever else is
// there: for its address, its name, its class or its roles.
func Check(a Account) error {
	local, _, err := normalise(a.Address)
	if err == nil {
		err = check(&a, local)
	}
	return err
}

func check(a *Account, local string) error {
	if a.Class == "" {
		a.Class = Office
	}
	if err := checkName(a.Name); err != nil {
		return err
	}
	switch {
	case len(local) > maxLocal || strings.ContainsFunc(local, refusedInLocal):
		return fmt.Errorf("local part: %w", ErrInvalid)
	case a.Class != Office && a.Class != Personal:
		return fmt.Errorf("class: %w", ErrInvalid)
	case a.Role&^allRoles != 0:
		return fmt.Errorf("role: %w", ErrInvalid)
	}
	return errors.Join(checkLanguage(a.Language), checkLanguage(a.Digits))
}

// checkLanguage looks at the form of a tag only: which languages there are is
// known where pages are made.
func checkLanguage(tag string) error {
	strange := func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}
	if len(tag) > 35 || strings.ContainsFunc(tag, strange) {
		return fmt.Errorf("language: %w", ErrInvalid)
	}
	return nil
}

// signInName gives the name that was asked for, or one made from a local part:
// with a number behind it when others have it.
func signInName(tx *db.Tx, asked, local string) (string, error) {
	if asked != "" {
		name, err := signInForm(asked)
		if err != nil {
			return "", err
		}
		return name, freeSignIn(tx, name)
	}
	for n := 1; ; n++ {
		name := local
		if n > 1 {
			name += strconv.Itoa(n)
		}
		if err := freeSignIn(tx, name); !errors.Is(err, fs.ErrExist) {
			return name, err
		}
	}
}

// signInForm is a sign-in name as it is stored and compared, or ErrInvalid.
func signInForm(name string) (string, error) {
	name, err := localForm(strings.TrimSpace(name))
	if err != nil || len(name) > maxLocal || strings.ContainsFunc(name, refusedInLocal) {
		return "", fmt.Errorf("sign-in name: %w", ErrInvalid)
	}
	return name, nil
}

func freeSignIn(tx *db.Tx, name string) error {
	var id int64
	err := tx.One("SELECT id FROM account WHERE sign_in = ?", []any{name}, &id)
	if err == nil {
		return fs.ErrExist
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// SetSignIn changes the name that a person signs in with. It returns ErrInvalid,
// fs.ErrExist when somebody else has it, and fs.ErrNotExist when there is no such
// account.
func (p *People) SetSignIn(ctx context.Context, by By, account int64, name string) error {
	form, err := signInForm(name)
	if err != nil {
		return fmt.Errorf("setting a sign-in name: %w", err)
	}
	err = p.db.Write(ctx, func(tx *db.Tx) error {
		var has string
		if err := tx.One("SELECT sign_in FROM account WHERE id = ?", []any{account}, &has); err != nil || has == form {
			return err
		}
		if err := freeSignIn(tx, form); err != nil {
			return err
		}
		if err := change(tx, "UPDATE account SET sign_in = ? WHERE id = ?", form, account); err != nil {
			return err
		}
		return p.owe(tx, Event{Kind: sijill.Key, Account: account, Actor: by.Account,
			Fields: Fields{What: "sign-in-name", Did: "changed"}, Detail: by.detail(form)})
	})
	if err != nil {
		return fmt.Errorf("setting a sign-in name: %w", err)
	}
	return nil
}

// SetName changes a person's name: ErrInvalid, or fs.ErrNotExist when there is no
// such account.
func (p *People) SetName(ctx context.Context, account int64, name string) error {
	err := checkName(name)
	if err == nil {
		err = p.db.Write(ctx, func(tx *db.Tx) error {
			return change(tx, "UPDATE account SET name = ? WHERE id = ?", name, account)
		})
	}
	if err != nil {
		return fmt.Errorf("setting a name: %w", err)
	}
	return nil
}

// SetLanguage sets the language of an account's pages. It returns fs.ErrNotExist
// when there is no such account, ErrInvalid when it isn't a language tag.
func (p *People) SetLanguage(ctx context.Context, account int64, tag string) error {
	if err := checkLanguage(tag); err != nil {
		return fmt.Errorf("setting a language: %w", err)
	}
	err := p.db.Write(ctx, func(tx *db.Tx) error {
		return change(tx, "UPDATE account SET language = ? WHERE id = ?", tag, account)
	})
	if err != nil {
		return fmt.Errorf("setting a language: %w", err)
	}
	return nil
}

// SetDigits sets which digits an account's pages show; "" for those of its language.
// It returns fs.ErrNotExist when there is no such account, ErrInvalid when it can't
// be the name of a numbering system (as "arab", "latn").
func (p *People) SetDigits(ctx context.Context, account int64, digits string) error {
	err := checkLanguage(digits) // made of the same characters
	if err == nil {
		err = p.db.Write(ctx, func(tx *db.Tx) error {
			return change(tx, "UPDATE account SET digits = ? WHERE id = ?", digits, account)
		})
	}
	if err != nil {
		return fmt.Errorf("setting digits: %w", err)
	}
	return nil
}

// SetRole replaces the roles of an account. It returns fs.ErrNotExist when there
// is no such account, and ErrLastOwner rather than leave none.
func (p *People) SetRole(ctx context.Context, by By, account int64, role Role) error {
	if role&^allRoles != 0 {
		return fmt.Errorf("setting roles: %w", ErrInvalid)
	}
	err := p.db.Write(ctx, func(tx *db.Tx) error {
		var has Role
		if err := tx.One("SELECT role FROM account WHERE id = ?", []any{account}, &has); err != nil || has == role {
			return err
		}
		err := keepOwner(tx, func() error { return change(tx, "UPDATE account SET role = ? WHERE id = ?", role, account) })
		if err != nil {
			return err
		}
		return p.owe(tx, ofRoles(by, account, role&^has, has&^role))
	})
	if err != nil {
		return fmt.Errorf("setting roles: %w", err)
	}
	return nil
}

// ofRoles is the event of roles given and taken.
func ofRoles(by By, account int64, given, taken Role) Event {
	return Event{Kind: sijill.Grant, Account: account, Actor: by.Account, Detail: by.detail(""),
		Fields: Fields{What: "roles", Given: given.names(), Taken: taken.names()}}
}

// keepOwner returns ErrLastOwner when what do does leaves no active owner.
func keepOwner(tx *db.Tx, do func() error) error {
	owners := "SELECT count(*) FROM account WHERE role & 1 <> 0 AND state = 0"
	var before, after int
	if err := tx.One(owners, nil, &before); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	if err := tx.One(owners, nil, &after); err != nil {
		return err
	}
	if before > 0 && after == 0 {
		return ErrLastOwner
	}
	return nil
}

// Suspend ends all sessions of an account and lets nobody sign in to it, by any
// credential, until Restore. Mail still comes to it. It returns fs.ErrNotExist
// when there is no such account, and ErrLastOwner rather than leave none.
func (p *People) Suspend(ctx context.Context, by By, account int64) error {
	return p.setState(ctx, by, account, Suspended, "suspended", func(*db.Tx) error { return nil })
}

// Restore makes an account active again. One that was removed has no address
// until AddAddress gives it one.
func (p *People) Restore(ctx context.Context, by By, account int64) error {
	return p.setState(ctx, by, account, Active, "restored", func(*db.Tx) error { return nil })
}

// Remove is Suspend for good: besides, its app passwords are gone and its
// addresses are free for others (personal ones after a while, see ErrFormer), so
// that mail to them is refused. Its mail, and
// its name in the register, stay. The errors are Suspend's.
func (p *People) Remove(ctx context.Context, by By, account int64) error {
	return p.setState(ctx, by, account, Removed, "removed", func(tx *db.Tx) error {
		a, err := one(tx, "WHERE a.id = ?", account)
		if err != nil {
			return err
		}
		if _, err := tx.Exec("UPDATE account SET former = ? WHERE id = ?", a.Address, account); err != nil {
			return err
		}
		if _, err := tx.Exec(`UPDATE domain SET catch_domain = '', catch_local = '' WHERE EXISTS (SELECT 1 FROM address d
			WHERE d.account = ? AND d.domain = catch_domain AND d.local = catch_local)`, account); err != nil {
			return err
		}
		if err := p.remember(tx, "account = ? AND class = 'personal'", account); err != nil {
			return err
		}
		if _, err := tx.Exec("DELETE FROM address WHERE account = ?", account); err != nil {
			return err
		}
		_, err = tx.Exec("DELETE FROM app_password WHERE account = ?", account)
		return err
	})
}

func (p *People) setState(ctx context.Context, by By, account int64, s State, did string, more func(tx *db.Tx) error) error {
	err := p.db.Write(ctx, func(tx *db.Tx) error {
		err := keepOwner(tx, func() error { return change(tx, "UPDATE account SET state = ? WHERE id = ?", s, account) })
		if err != nil {
			return err
		}
		if err := endSessions(tx, account, 0); err != nil {
			return err
		}
		if err := more(tx); err != nil {
			return err
		}
		return p.owe(tx, Event{Kind: sijill.Key, Account: account, Actor: by.Account,
			Fields: Fields{What: "account", Did: did}, Detail: by.detail("")})
	})
	if err != nil {
		return fmt.Errorf("changing the state of an account: %w", err)
	}
	return nil
}
