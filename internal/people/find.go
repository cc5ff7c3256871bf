package people

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"sijill/internal/db"
)

const accountColumns = `SELECT a.id, a.name, d.local, d.domain, d.class, a.pseudonym, a.role, a.created, a.language
	FROM account a JOIN address d ON d.account = a.id `

// ownAddress keeps, where a query isn't for an address, to one row per account.
const ownAddress = "d.place = (SELECT min(place) FROM address WHERE account = a.id)"

// columns is where a row of accountColumns goes, and the account made of it.
type columns struct {
	a             Account
	local, domain string
	created       int64
}

func (c *columns) into() []any {
	return []any{&c.a.ID, &c.a.Name, &c.local, &c.domain, &c.a.Class, &c.a.Pseudonym, &c.a.Role, &c.created, &c.a.Language}
}

func (c *columns) account() Account {
	c.a.Address, c.a.Created = shown(c.local, c.domain), time.UnixMicro(c.created).UTC()
	return c.a
}

func one(tx *db.Tx, where string, args ...any) (Account, error) {
	var c columns
	if err := tx.One(accountColumns+where, args, c.into()...); err != nil {
		return Account{}, err
	}
	return c.account(), nil
}

func find(tx *db.Tx, local, domain string) (Account, error) {
	return one(tx, "WHERE d.domain = ? AND d.local = ?", domain, local)
}

// List returns all accounts, the oldest first.
func (p *People) List(ctx context.Context) ([]Account, error) {
	var list []Account
	err := p.db.Read(ctx, func(tx *db.Tx) error {
		return tx.Each(accountColumns+"WHERE "+ownAddress+" ORDER BY a.id", nil, func(r db.Row) error {
			var c columns
			err := r.Scan(c.into()...)
			list = append(list, c.account())
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("listing accounts: %w", err)
	}
	return list, nil
}

// Get returns an account by its id; fs.ErrNotExist when there is none.
func (p *People) Get(ctx context.Context, id int64) (a Account, err error) {
	err = p.db.Read(ctx, func(tx *db.Tx) error {
		a, err = one(tx, "WHERE a.id = ? AND "+ownAddress, id)
		return err
	})
	if err != nil {
		return Account{}, fmt.Errorf("finding account %d: %w", id, err)
	}
	return a, nil
}

// Lookup returns the account that mail to an address belongs to, with Address
// and Class those of the address. Case doesn't matter, nor in which script an
// internationalised domain is written, nor what follows a "+" in the local part.
// It returns ErrForeign when the domain isn't the office's, and fs.ErrNotExist
// when the office has no such mailbox. Mail to postmaster, which RFC 5321 section
// 4.5.1 wants accepted (without a domain too), goes to the office's oldest owner
// unless somebody has that address.
func (p *People) Lookup(ctx context.Context, address string) (a Account, err error) {
	err = p.db.Read(ctx, func(tx *db.Tx) error {
		a, err = lookup(tx, address)
		return err
	})
	if err != nil {
		return Account{}, fmt.Errorf("looking up an address: %w", err)
	}
	return a, nil
}

func lookup(tx *db.Tx, address string) (Account, error) {
	if strings.EqualFold(address, postmaster) {
		return firstOwner(tx)
	}
	local, domain := cutAddress(address)
	domain, err := domainLabels(domain)
	if err != nil {
		return Account{}, ErrForeign // none of ours is malformed
	}
	if err := ours(tx, domain); err != nil {
		return Account{}, err
	}
	local, err = localForm(local)
	if err != nil {
		return Account{}, fs.ErrNotExist
	}
	local, _, _ = strings.Cut(local, "+")
	a, err := find(tx, local, domain)
	if errors.Is(err, fs.ErrNotExist) && local == postmaster {
		return firstOwner(tx)
	}
	return a, err
}

const postmaster = "postmaster"

func firstOwner(tx *db.Tx) (Account, error) {
	return one(tx, "WHERE a.role & 1 <> 0 AND "+ownAddress+" ORDER BY a.id LIMIT 1")
}

// Pseudonym returns what the register calls an account; fs.ErrNotExist when there
// is no such account.
func (p *People) Pseudonym(ctx context.Context, account int64) (string, error) {
	a, err := p.Get(ctx, account)
	return a.Pseudonym, err
}

// ByPseudonym returns the id of the account that the register calls so;
// fs.ErrNotExist when there is none.
func (p *People) ByPseudonym(ctx context.Context, pseudonym string) (id int64, err error) {
	err = p.db.Read(ctx, func(tx *db.Tx) error {
		return tx.One("SELECT id FROM account WHERE pseudonym = ?", []any{pseudonym}, &id)
	})
	if err != nil {
		return 0, fmt.Errorf("finding an account by its pseudonym: %w", err)
	}
	return id, nil
}
