package people

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"unicode/utf8"

	"sijill"
	"sijill/internal/db"
)

// Address is one address of an account.
type Address struct {
	Address string // in lower case, the domain in its own script
	Class   Class
	Name    string // how the person signs there; "" for the account's name
	Primary bool   // the account's own
	// Signature stands under what is written there: plain text, 16 KiB at most.
	Signature string
	// Alias says that mail comes to it and that it isn't offered to write from,
	// unless Sends is set. An address that is no alias always sends.
	Alias bool
	Sends bool
	// Reassign has AddAddress give the address even though it was another account's
	// personal one of late. Whoever asks for it answers for it; it isn't stored.
	Reassign bool
}

// owned is an Address with whose it is.
type owned struct {
	Address
	account int64
	place   int64
}

func (o *owned) into() []any {
	return []any{&o.account, &o.Class, &o.Name, &o.Signature, &o.Alias, &o.Sends, &o.place}
}

// ErrLastAddress is returned when the only address of an account would go.
var ErrLastAddress = errors.New("an account needs an address")

// Addresses lists the addresses of an account, its own first.
func (p *People) Addresses(ctx context.Context, account int64) (list []Address, err error) {
	err = p.db.Read(ctx, func(tx *db.Tx) error {
		list, err = addresses(tx, account)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing addresses: %w", err)
	}
	return list, nil
}

func addresses(tx *db.Tx, account int64) (list []Address, err error) {
	err = tx.Each("SELECT local, domain, account, class, name, signature, alias, sends, place FROM address WHERE account = ? ORDER BY place",
		[]any{account}, func(r db.Row) error {
			var o owned
			var local, domain string
			err := r.Scan(append([]any{&local, &domain}, o.into()...)...)
			o.Address.Address, o.Primary = shown(local, domain), len(list) == 0
			list = append(list, o.Address)
			return err
		})
	return list, err
}

// AddAddress gives an account one more address; with Primary it becomes its own.
// It returns ErrInvalid, ErrForeign when the domain isn't the office's,
// fs.ErrExist when somebody has the address, ErrFormer when it was a personal one of
// somebody else's of late and a.Reassign isn't set, and fs.ErrNotExist when there is
// no such account.
func (p *People) AddAddress(ctx context.Context, by By, account int64, a Address) error {
	f, err := formOf(a)
	if err == nil {
		err = p.db.Write(ctx, func(tx *db.Tx) error { return p.addAddress(tx, by, account, f) })
	}
	if err != nil {
		return fmt.Errorf("adding an address: %w", err)
	}
	return nil
}

// formed is an address to be added, in the form in which it is stored.
type formed struct {
	Address
	local, domain string
}

// formOf checks an address to be added, or returns ErrInvalid.
func formOf(a Address) (f formed, err error) {
	f.Address = a
	if f.local, f.domain, err = normalise(a.Address); err == nil {
		err = checkAddress(&f.Address, f.local)
	}
	f.Address.Address = shown(f.local, f.domain)
	return f, err
}

func (p *People) addAddress(tx *db.Tx, by By, account int64, f formed) error {
	if err := ours(tx, f.domain); err != nil {
		return err
	}
	if err := free(tx, f.local, f.domain); err != nil {
		return err
	}
	if !f.Reassign {
		if err := p.unclaimed(tx, f.local, f.domain, account); err != nil {
			return err
		}
	}
	if _, err := one(tx, "WHERE a.id = ? AND a.state <> 2", account); err != nil {
		return err
	}
	place, err := nextPlace(tx, account, f.Primary)
	if err != nil {
		return err
	}
	_, err = tx.Exec("INSERT INTO address (domain, local, account, class, name, signature, alias, sends, place) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
		f.domain, f.local, account, f.Class, f.Name, f.Signature, f.Alias, f.Sends, place)
	if err != nil {
		return err
	}
	return p.owe(tx, ofAddress(by, account, f.Address, "added"))
}

// ofAddress is the event of a change of an address.
func ofAddress(by By, account int64, a Address, did string) Event {
	e := Event{Kind: sijill.Config, Account: account, Actor: by.Account, Fields: Fields{What: "address", Did: did, Alias: a.Alias}, Detail: by.detail("")}
	e.Detail.Address = a.Address
	if a.Class == Personal {
		e.Fields.Class = Personal
	}
	return e
}

func checkAddress(a *Address, local string) error {
	if a.Class == "" {
		a.Class = Office
	}
	switch {
	case len(local) > maxLocal || strings.ContainsFunc(local, refusedInLocal):
		return fmt.Errorf("local part: %w", ErrInvalid)
	case ScopeOf(a.Class) == 0:
		return fmt.Errorf("class: %w", ErrInvalid)
	case a.Primary && a.Alias:
		return fmt.Errorf("an alias as an account's own address: %w", ErrInvalid)
	}
	a.Sends = a.Sends || !a.Alias
	if len(a.Signature) > maxSignature || !utf8.ValidString(a.Signature) || strings.ContainsRune(a.Signature, 0) {
		return fmt.Errorf("signature: %w", ErrInvalid)
	}
	if a.Name == "" {
		return nil
	}
	return checkName(a.Name)
}

// maxSignature is the longest signature, in bytes.
const maxSignature = 16 << 10

// nextPlace gives a place behind all others of an account, or before them.
func nextPlace(tx *db.Tx, account int64, first bool) (place int64, err error) {
	query := "SELECT coalesce(max(place), 0) + 1 FROM address WHERE account = ?"
	if first {
		query = "SELECT coalesce(min(place), 2) - 1 FROM address WHERE account = ?"
	}
	err = tx.One(query, []any{account}, &place)
	return place, err
}

// SetAddress changes the Name, Signature, Alias and Sends of an address of an account; with
// Primary it becomes the account's own. Its class never changes: mail that came
// there is sealed by it. Name and Signature are the person's own affair, of which
// the register isn't told. It returns ErrInvalid, and fs.ErrNotExist when the
// account hasn't the address.
func (p *People) SetAddress(ctx context.Context, by By, account int64, a Address) error {
	local, domain, err := normalise(a.Address)
	if err == nil {
		err = checkAddress(&a, local)
	}
	if err != nil {
		return fmt.Errorf("changing an address: %w", err)
	}
	err = p.db.Write(ctx, func(tx *db.Tx) error {
		has, err := find(tx, local, domain)
		if err == nil && has.account != account {
			err = fs.ErrNotExist
		}
		if err != nil {
			return err
		}
		return p.setAddress(tx, by, has, a, local, domain)
	})
	if err != nil {
		return fmt.Errorf("changing an address: %w", err)
	}
	return nil
}

func (p *People) setAddress(tx *db.Tx, by By, has owned, a Address, local, domain string) error {
	changed := has.Alias != a.Alias || has.Sends != a.Sends
	if a.Primary {
		before, err := nextPlace(tx, has.account, true)
		if err != nil {
			return err
		}
		if has.place != before+1 { // It isn't the first yet.
			has.place, changed = before, true
		}
	}
	err := change(tx, "UPDATE address SET name = ?, signature = ?, alias = ?, sends = ?, place = ? WHERE domain = ? AND local = ?",
		a.Name, a.Signature, a.Alias, a.Sends, has.place, domain, local)
	if err != nil || !changed {
		return err
	}
	has.Alias = a.Alias
	return p.owe(tx, ofAddress(by, has.account, has.Address, "changed"))
}

// RemoveAddress takes an address from an account; from then on mail to it is
// refused, or goes to the catch-all. What came there stays where it is. It returns
// fs.ErrNotExist when the account hasn't the address, ErrLastAddress when it has
// no other.
func (p *People) RemoveAddress(ctx context.Context, by By, account int64, address string) error {
	local, domain, err := normalise(address)
	if err != nil {
		return fmt.Errorf("removing an address: %w", fs.ErrNotExist)
	}
	err = p.db.Write(ctx, func(tx *db.Tx) error {
		has, err := find(tx, local, domain)
		if err != nil {
			return err
		}
		if err := p.remember(tx, "domain = ? AND local = ? AND class = 'personal'", domain, local); err != nil {
			return err
		}
		if err := change(tx, "DELETE FROM address WHERE domain = ? AND local = ? AND account = ?", domain, local, account); err != nil {
			return err
		}
		left, err := addresses(tx, account)
		if err == nil && len(left) == 0 {
			err = ErrLastAddress
		}
		if err != nil {
			return err
		}
		_, err = tx.Exec("UPDATE domain SET catch_domain = '', catch_local = '' WHERE catch_domain = ? AND catch_local = ?", domain, local)
		if err != nil {
			return err
		}
		return p.owe(tx, ofAddress(by, account, has.Address, "removed"))
	})
	if err != nil {
		return fmt.Errorf("removing an address: %w", err)
	}
	return nil
}

// Sender returns the address of an account that mail from the given one would be
// written from: the same, or the one of which it is a subaddress. It returns
// fs.ErrNotExist when the account hasn't that, or may not write from it.
func (p *People) Sender(ctx context.Context, account int64, address string) (a Address, err error) {
	err = p.db.Read(ctx, func(tx *db.Tx) error {
		given, domain := cutAddress(address)
		given, _, _ = strings.Cut(given, "+")
		local, domain, err := normalise(given + "@" + domain)
		if err != nil {
			return fs.ErrNotExist
		}
		has, err := find(tx, local, domain)
		if err == nil && (has.account != account || !has.Sends) {
			err = fs.ErrNotExist
		}
		if err != nil {
			return err
		}
		first, err := nextPlace(tx, account, true)
		a, a.Primary = has.Address, has.place == first+1
		return err
	})
	if err != nil {
		return Address{}, fmt.Errorf("finding a sender's address: %w", err)
	}
	return a, nil
}
