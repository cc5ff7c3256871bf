package office

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"

	"sijill"
	"sijill/internal/access"
	"sijill/internal/people"
	"sijill/internal/record"
	"sijill/internal/vault"
)

// The records office has a root of its own (docs/keys.md). The role of a records
// officer is a word in a table, which whoever runs the server can write; the key
// is handed on by who has it alone. So they are given together, on the web: by an
// officer who has stepped up, to an account that has roots.

// ErrNotOfficer is given to who would let in a records officer without being one.
var ErrNotOfficer = errors.New("only another records officer can")

// ErrUnsuited is given for an account that can't be a records officer yet: somebody
// else has seen its password and recovery code, or its person has never signed in.
var ErrUnsuited = errors.New("the account can't be a records officer yet")

// admit lets an account's deep root open the records office's. by is the ring of
// an officer who has stepped up; the first officer makes the root and needs none.
// Errors: ErrNotOfficer to who is no officer, access.ErrStepUp to an officer who has
// not stepped up, ErrUnsuited for an account whose password and recovery code
// somebody else has seen, or that has no roots.
func (o *Office) admit(ctx context.Context, by *vault.Ring, actor string, a people.Account) error {
	made, err := o.Vault.HasRecords(ctx)
	if err == nil && made {
		err = o.mayAdmit(ctx, by)
	}
	if err != nil {
		return err
	}
	if a.Fresh {
		return fmt.Errorf("letting in a records officer whose password somebody else chose: %w", ErrUnsuited)
	}
	err = o.Vault.AddOfficer(ctx, by, a.ID)
	if errors.Is(err, vault.ErrNoRoots) {
		return fmt.Errorf("%w: %w", ErrUnsuited, err)
	}
	if err != nil {
		return err
	}
	return o.noteRecords(ctx, actor, a.ID, "made")
}

func (o *Office) mayAdmit(ctx context.Context, by *vault.Ring) error {
	is := false
	if by != nil {
		var err error
		if is, err = o.Vault.IsOfficer(ctx, by.Account()); err != nil {
			return err
		}
	}
	switch {
	case !is:
		return fmt.Errorf("letting in a records officer: %w", ErrNotOfficer)
	case !by.Has(vault.Deep):
		return fmt.Errorf("letting in a records officer: %w", access.ErrStepUp)
	}
	return nil
}

// firstOfficer makes the records office's root for the first account with the role.
func (o *Office) firstOfficer(ctx context.Context, a people.Account) error {
	made, err := o.Vault.HasRecords(ctx)
	if err != nil || made || !a.Role.Has(people.RoleRecordsOfficer) {
		return err
	}
	return o.admit(ctx, nil, a.Pseudonym, a)
}

// DismissOfficer takes the records office's root from an account, if it has it; actor
// is who does it, for the record. Errors: vault.ErrLastOfficer.
func (o *Office) DismissOfficer(ctx context.Context, actor string, account int64) error {
	err := o.Vault.RemoveOfficer(ctx, account)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // It had the role and not the key.
	case err != nil:
		return err
	}
	return o.noteRecords(ctx, actor, account, "removed")
}

// noteRecords puts on record who can open the past of the office from now on.
func (o *Office) noteRecords(ctx context.Context, actor string, account int64, did string) error {
	_, err := o.Register.Append(ctx, record.Draft{Kind: sijill.Key, Actor: actor, Holders: []int64{account}, Class: sijill.Office,
		Fields: sijill.KeyFields{What: "records", Did: did}})
	return err
}

// SetRoles gives an account roles, and the key of the records office with that of
// an officer. Who has the role and not the key, since a command gave it or the
// account was new, gets the key when an officer gives the role once more. ring is that
// of who gives it, nil for nobody's. Errors: ErrNotOfficer, access.ErrStepUp and
// ErrUnsuited where it can't be given, vault.ErrLastOfficer and people.ErrLastOwner
// where a role can't be taken.
func (o *Office) SetRoles(ctx context.Context, ring *vault.Ring, by people.By, actor string, account int64, role people.Role) error {
	a, err := o.People.Get(ctx, account)
	if err != nil {
		return err
	}
	has, err := o.Vault.IsOfficer(ctx, account)
	if err != nil {
		return err
	}
	wants := role.Has(people.RoleRecordsOfficer)
	switch {
	case wants && !has:
		err = o.admit(ctx, ring, actor, a)
		if a.Role.Has(people.RoleRecordsOfficer) && errors.Is(err, ErrNotOfficer) {
			err = nil // Other roles are being changed, by somebody who can't give it.
		}
	case !wants:
		err = o.DismissOfficer(ctx, actor, account)
	}
	if err != nil {
		return err
	}
	return o.Access.SetRole(ctx, by, account, role)
}

// AddOwn adds an account whose person is there and chose the password: it is
// signed in to once, which makes the roots of its mail and the recovery code. The
// first records officer gets the key of the records office so. Errors: those of
// people.Add.
func (o *Office) AddOwn(ctx context.Context, a people.Account, password string) (recovery string, err error) {
	made, err := o.People.Add(ctx, a, password)
	if err != nil {
		return "", err
	}
	s, err := o.Access.SignIn(ctx, made.SignIn, password, "", netip.IPv6Loopback(), "sijill")
	if err != nil {
		return "", fmt.Errorf("making the keys of an account: %w", err)
	}
	recovery = s.Recovery
	token := s.Token
	s.Close()
	if err := o.firstOfficer(ctx, made); err != nil {
		return "", err
	}
	return recovery, o.Access.SignOut(ctx, token)
}
