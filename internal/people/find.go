package people

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"sijill/internal/db"
)

// accountColumns joins each account with its own address: one row per account.
const accountColumns = `SELECT a.id, a.name, a.sign_in, coalesce(d.local, ''), coalesce(d.domain, ''), coalesce(d.class, 'office'),
	a.pseudonym, a.role, a.state, a.fresh, a.seen, a.former, a.created, a.language, a.digits
	FROM account a LEFT JOIN address d ON d.account = a.id AND d.place = (SELECT min(place) FROM address WHERE account = a.id) `

// columns is where a row of accountColumns goes, and the account made of it.
type columns struct {
	a                     Account
	local, domain, former string
	created               int64
}

func (c *columns) into() []any {
	return []any{&c.a.ID, &c.a.Name, &c.a.SignIn, &c.local, &c.domain, &c.a.Class,
		&c.a.Pseudonym, &c.a.Role, &c.a.State, &c.a.Fresh, &c.a.Seen, &c.former, &c.created, &c.a.Language, &c.a.Digits}
}

func (c *columns) account() Account {
	c.a.Created = time.UnixMicro(c.created).UTC()
	if c.a.Address = c.former; c.local != "" {
		c.a.Address = shown(c.local, c.domain)
	}
	return c.a
}

func one(tx *db.Tx, where string, args ...any) (Account, error) {
	var c columns
	if err := tx.One(accountColumns+where, args, c.into()...); err != nil {
		return Account{}, err
	}
	return c.account(), nil
}

// find returns who has an address, and what is known of the address.
func find(tx *db.Tx, local, domain string) (found owned, err error) {
	err = tx.One("SELECT account, class, name, signature, alias, sends, place FROM address WHERE domain = ? AND local = ?",
		[]any{domain, local}, found.into()...)
	found.Address.Address = shown(local, domain)
	return found, err
}

// List returns all accounts, the oldest first, those that were removed too.
func (p *People) List(ctx context.Context) ([]Account, error) {
	var list []Account
	err := p.db.Read(ctx, func(tx *db.Tx) error {
		return tx.Each(accountColumns+"ORDER BY a.id", nil, func(r db.Row) error {
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
		a, err = one(tx, "WHERE a.id = ?", id)
		return err
	})
	if err != nil {
		return Account{}, fmt.Errorf("finding account %d: %w", id, err)
	}
	return a, nil
}

// Lookup returns the account that mail to an address belongs to, with Address
// and Class those of the address. It finds, and returns the errors, as Resolve.
func (p *People) Lookup(ctx context.Context, address string) (a Account, err error) {
	err = p.db.Read(ctx, func(tx *db.Tx) error {
		r, err := p.resolveAddress(tx, address)
		if err != nil {
			return err
		}
		a, err = one(tx, "WHERE a.id = ?", r.Account)
		a.Address, a.Class = r.Address, r.Class
		return err
	})
	if err != nil {
		return Account{}, fmt.Errorf("looking up an address: %w", err)
	}
	return a, nil
}

// Recipient is where mail to an address goes.
type Recipient struct {
	Account int64
	Class   Class
	Address string // the address that the account has, in lower case, the domain in its own script
	Detail  string // what followed the first "+" of the local part, as it was written
}

// Resolve says where mail to an address goes. Case doesn't matter, nor in which
// script an internationalised domain is written; what follows a "+" in the local
// part is the Detail (RFC 5233). What comes to no address of a domain goes to its
// catch-all, except what was a personal address of somebody else's of late (see
// ErrFormer). It returns ErrForeign when the domain isn't the office's, and
// fs.ErrNotExist when the office has no such mailbox. Mail to postmaster, which
// RFC 5321 section 4.5.1 wants accepted (without a domain too), and to abuse (RFC
// 2142 section 2), goes to the office mail of the office's oldest owner unless
// somebody has that address.
func (p *People) Resolve(ctx context.Context, address string) (r Recipient, err error) {
	err = p.db.Read(ctx, func(tx *db.Tx) error {
		r, err = p.resolveAddress(tx, address)
		return err
	})
	if err != nil {
		return Recipient{}, fmt.Errorf("resolving an address: %w", err)
	}
	return r, nil
}

func (p *People) resolveAddress(tx *db.Tx, address string) (Recipient, error) {
	if strings.EqualFold(address, postmaster) {
		return firstOwner(tx)
	}
	given, domain := cutAddress(address)
	domain, err := domainLabels(domain)
	if err != nil {
		return Recipient{}, ErrForeign // none of ours is malformed
	}
	if err := ours(tx, domain); err != nil {
		return Recipient{}, err
	}
	given, detail, _ := strings.Cut(given, "+")
	local, err := localForm(given)
	if err != nil || len(detail) > maxGiven {
		return Recipient{}, fs.ErrNotExist
	}
	found, err := find(tx, local, domain)
	if errors.Is(err, fs.ErrNotExist) {
		return p.resolveOther(tx, local, domain)
	}
	return Recipient{Account: found.account, Class: found.Class, Address: found.Address.Address, Detail: norm.NFC.String(detail)}, err
}

// resolveOther finds a place for mail to an address that nobody has.
func (p *People) resolveOther(tx *db.Tx, local, domain string) (Recipient, error) {
	if local == postmaster || local == abuse {
		return firstOwner(tx)
	}
	var to, at string
	err := tx.One("SELECT catch_local, catch_domain FROM domain WHERE name = ?", []any{domain}, &to, &at)
	if err == nil && to == "" {
		err = fs.ErrNotExist
	}
	if err != nil {
		return Recipient{}, err
	}
	found, err := find(tx, to, at)
	if err == nil {
		err = p.unclaimed(tx, local, domain, found.account)
	}
	if errors.Is(err, ErrFormer) {
		err = fs.ErrNotExist // What was meant for one person must not come to another.
	}
	return Recipient{Account: found.account, Class: found.Class, Address: found.Address.Address}, err
}

const (
	postmaster = "postmaster"
	abuse      = "abuse"
)

func firstOwner(tx *db.Tx) (Recipient, error) {
	a, err := one(tx, "WHERE a.role & 1 <> 0 AND a.state = 0 ORDER BY a.id LIMIT 1")
	return Recipient{Account: a.ID, Class: Office, Address: a.Address}, err
}

// FirstOwner returns the account that answers for the office: the oldest active
// owner; fs.ErrNotExist when there is none yet.
func (p *People) FirstOwner(ctx context.Context) (id int64, err error) {
	err = p.db.Read(ctx, func(tx *db.Tx) error {
		r, err := firstOwner(tx)
		id = r.Account
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("finding the first owner: %w", err)
	}
	return id, nil
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
