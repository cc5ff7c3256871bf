package people

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"sijill"
	"sijill/internal/db"
)

// AddDomain makes a domain one of the office's. Adding it again changes nothing.
// A malformed one is ErrInvalid.
func (p *People) AddDomain(ctx context.Context, by By, name string) error {
	domain, err := domainLabels(name)
	if err != nil {
		return fmt.Errorf("adding a domain: %w", err)
	}
	err = p.db.Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec("INSERT INTO domain (name, catch_domain, catch_local, created) VALUES (?, '', '', ?) ON CONFLICT DO NOTHING",
			domain, p.now().UnixMicro())
		if err != nil || n == 0 {
			return err
		}
		return p.owe(tx, ofDomain(by, "domain", "added", domain))
	})
	if err != nil {
		return fmt.Errorf("adding a domain: %w", err)
	}
	return nil
}

// ofDomain is the event of a change of a domain.
func ofDomain(by By, what, did, domain string) Event {
	e := Event{Kind: sijill.Config, Actor: by.Account, Fields: Fields{What: what, Did: did}, Detail: by.detail("")}
	e.Detail.Domain = domain
	return e
}

// ErrInUse is returned when a domain that still has addresses would be removed.
var ErrInUse = errors.New("it is still in use")

// RemoveDomain makes a domain foreign. It returns ErrForeign when it is that
// already, and ErrInUse while anybody has an address in it.
func (p *People) RemoveDomain(ctx context.Context, by By, name string) error {
	domain, err := domainLabels(name)
	if err == nil {
		err = p.db.Write(ctx, func(tx *db.Tx) error { return p.removeDomain(tx, by, domain) })
	}
	if err != nil {
		return fmt.Errorf("removing a domain: %w", err)
	}
	return nil
}

func (p *People) removeDomain(tx *db.Tx, by By, domain string) error {
	if err := ours(tx, domain); err != nil {
		return err
	}
	var n int
	if err := tx.One("SELECT count(*) FROM address WHERE domain = ?", []any{domain}, &n); err != nil {
		return err
	}
	if n > 0 {
		return ErrInUse
	}
	if err := change(tx, "DELETE FROM domain WHERE name = ?", domain); err != nil {
		return err
	}
	return p.owe(tx, ofDomain(by, "domain", "removed", domain))
}

// Domains lists the office's domains as A-labels, in order.
func (p *People) Domains(ctx context.Context) ([]string, error) {
	var names []string
	err := p.db.Read(ctx, func(tx *db.Tx) error {
		return tx.Each("SELECT name FROM domain ORDER BY name", nil, func(r db.Row) error {
			names = append(names, "")
			return r.Scan(&names[len(names)-1])
		})
	})
	if err != nil {
		return nil, fmt.Errorf("listing domains: %w", err)
	}
	return names, nil
}

// SetCatchAll says to which address mail goes that comes to a domain of the
// office and to no address in it; "" for none. It returns ErrForeign when the
// domain isn't ours, and fs.ErrNotExist when nobody has the address.
func (p *People) SetCatchAll(ctx context.Context, by By, domain, address string) error {
	err := p.setCatchAll(ctx, by, domain, address)
	if err != nil {
		return fmt.Errorf("setting a catch-all: %w", err)
	}
	return nil
}

func (p *People) setCatchAll(ctx context.Context, by By, name, address string) error {
	domain, err := domainLabels(name)
	if err != nil {
		return ErrForeign
	}
	var local, at string
	if address != "" {
		if local, at, err = normalise(address); err != nil {
			return fs.ErrNotExist
		}
	}
	return p.db.Write(ctx, func(tx *db.Tx) error {
		var wasLocal, wasAt string
		err := tx.One("SELECT catch_local, catch_domain FROM domain WHERE name = ?", []any{domain}, &wasLocal, &wasAt)
		if errors.Is(err, fs.ErrNotExist) {
			err = ErrForeign
		}
		if err != nil {
			return err
		}
		e := ofDomain(by, "catch-all", "changed", domain)
		about, aboutAt := local, at
		if address == "" {
			e.Fields.Did, about, aboutAt = "removed", wasLocal, wasAt
		}
		if wasLocal == local && wasAt == at {
			return nil
		}
		has, err := find(tx, about, aboutAt)
		if err != nil {
			return err
		}
		if err := change(tx, "UPDATE domain SET catch_domain = ?, catch_local = ? WHERE name = ?", at, local, domain); err != nil {
			return err
		}
		e.Account, e.Detail.Address = has.account, has.Address.Address
		if has.Class == Personal {
			e.Fields.Class = Personal
		}
		return p.owe(tx, e)
	})
}

// CatchAll returns the address to which a domain's other mail goes, "" for none;
// ErrForeign when the domain isn't ours.
func (p *People) CatchAll(ctx context.Context, name string) (address string, err error) {
	domain, err := domainLabels(name)
	if err != nil {
		return "", fmt.Errorf("finding a catch-all: %w", ErrForeign)
	}
	var local, at string
	err = p.db.Read(ctx, func(tx *db.Tx) error {
		return tx.One("SELECT catch_local, catch_domain FROM domain WHERE name = ?", []any{domain}, &local, &at)
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrForeign
	}
	if err != nil {
		return "", fmt.Errorf("finding a catch-all: %w", err)
	}
	if local == "" {
		return "", nil
	}
	return shown(local, at), nil
}

// ours returns ErrForeign unless the domain is one of the office's.
func ours(tx *db.Tx, domain string) error {
	var one int
	err := tx.One("SELECT 1 FROM domain WHERE name = ?", []any{domain}, &one)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrForeign
	}
	return err
}
