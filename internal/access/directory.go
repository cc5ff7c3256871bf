package access

import (
	"context"

	"sijill/internal/people"
)

// Changes of the directory go through here, whether a command or a page asks for
// them, so that the register is told at once.

// changed tells the register of a change, unless it failed.
func (a *Access) changed(ctx context.Context, err error) error {
	if err == nil {
		a.tell(ctx, false)
	}
	return err
}

// Tell tells the register what people was told in other transactions.
func (a *Access) Tell(ctx context.Context) { a.tell(ctx, false) }

// AddAddress is that of people, told to the register, as are the methods below.
func (a *Access) AddAddress(ctx context.Context, by people.By, account int64, address people.Address) error {
	return a.changed(ctx, a.People.AddAddress(ctx, by, account, address))
}

// SetAddress implements what people says of it.
func (a *Access) SetAddress(ctx context.Context, by people.By, account int64, address people.Address) error {
	return a.changed(ctx, a.People.SetAddress(ctx, by, account, address))
}

// RemoveAddress implements what people says of it.
func (a *Access) RemoveAddress(ctx context.Context, by people.By, account int64, address string) error {
	return a.changed(ctx, a.People.RemoveAddress(ctx, by, account, address))
}

// SetRole implements what people says of it. The key of the records office is
// given and taken elsewhere.
func (a *Access) SetRole(ctx context.Context, by people.By, account int64, role people.Role) error {
	return a.changed(ctx, a.People.SetRole(ctx, by, account, role))
}

// AddDomain implements what people says of it.
func (a *Access) AddDomain(ctx context.Context, by people.By, name string) error {
	return a.changed(ctx, a.People.AddDomain(ctx, by, name))
}

// RemoveDomain implements what people says of it.
func (a *Access) RemoveDomain(ctx context.Context, by people.By, name string) error {
	return a.changed(ctx, a.People.RemoveDomain(ctx, by, name))
}

// SetCatchAll implements what people says of it.
func (a *Access) SetCatchAll(ctx context.Context, by people.By, domain, address string) error {
	return a.changed(ctx, a.People.SetCatchAll(ctx, by, domain, address))
}
