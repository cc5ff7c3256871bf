package access

import (
	"context"

	"sijill/internal/people"
	"sijill/internal/vault"
)

// Passkey is a passkey, and what it opens.
type Passkey struct {
	people.Passkey
	Everyday bool // personal mail of the last months
	Deep     bool // all mail, for an hour at a time
}

// Passkeys lists the passkeys of an account, the oldest first. One without PRF is for
// signing in only.
func (a *Access) Passkeys(ctx context.Context, account int64) ([]Passkey, error) {
	list, err := a.People.Passkeys(ctx, account)
	if err != nil {
		return nil, err
	}
	opens, err := a.opens(ctx, account)
	out := make([]Passkey, len(list))
	for i, k := range list {
		o := opens[k.Credential()]
		out[i] = Passkey{k, o[vault.Everyday], o[vault.Deep]}
	}
	return out, err
}

// BeginRegister asks the browser of s's person to make a passkey. Errors: ErrProve, ErrFresh,
// people.ErrNoKey, people.ErrTooMany.
func (a *Access) BeginRegister(ctx context.Context, s *Session) (people.Ceremony, error) {
	if err := a.may(ctx, s, false); err != nil {
		return people.Ceremony{}, err
	}
	return a.People.BeginRegister(ctx, s.Account.ID)
}

// FinishRegister registers the passkey that a browser made. In a session that is
// stepped up it opens both roots, in one where personal mail is open the everyday
// one; a later FinishStepUp by it in a session that is stepped up adds what is
// missing. Most authenticators tell their secret only when they sign: then there is
// a ceremony that comes next, whose answer is for FinishOpening. A passkey without PRF
// is for signing in only. Errors: ErrProve, ErrFresh, people.ErrCredentials,
// people.ErrInvalid for its name, fs.ErrExist.
func (a *Access) FinishRegister(ctx context.Context, s *Session, state string, answer []byte, name string, by people.By) (Passkey, *people.Ceremony, error) {
	if err := a.may(ctx, s, false); err != nil {
		return Passkey{}, nil, err
	}
	by.Account = s.Account.ID
	k, proof, err := a.People.FinishRegister(ctx, by, s.Account.ID, state, answer, name)
	a.tell(ctx, false)
	if err != nil {
		return Passkey{}, nil, err
	}
	if k.PRF && !proof.HasSecret && s.Ring() != nil {
		next, err := a.People.BeginProof(ctx, s.Account.ID)
		return Passkey{Passkey: k}, &next, err
	}
	p, err := a.lendPasskey(ctx, s, proof, k.ID)
	return p, nil, err
}

// FinishOpening opens to a new passkey what the session has open. Errors:
// ErrFresh, people.ErrCredentials.
func (a *Access) FinishOpening(ctx context.Context, s *Session, state string, answer []byte, by people.By) (Passkey, error) {
	if err := a.own(ctx, s); err != nil {
		return Passkey{}, err
	}
	proof, err := a.People.FinishProof(ctx, s.Account.ID, state, answer, by.From)
	a.tell(ctx, false)
	if err != nil {
		return Passkey{}, err
	}
	return a.lendPasskey(ctx, s, proof, 0)
}

// lendPasskey opens to a passkey what s has open, and says what it opens then.
func (a *Access) lendPasskey(ctx context.Context, s *Session, proof *people.Proof, id int64) (Passkey, error) {
	if err := a.lendOpen(ctx, s, proof); err != nil {
		return Passkey{}, err
	}
	list, err := a.Passkeys(ctx, s.Account.ID)
	for _, k := range list {
		if k.ID == id || k.Credential() == proof.Credential {
			return k, err
		}
	}
	return Passkey{}, err
}

func (a *Access) lendOpen(ctx context.Context, s *Session, proof *people.Proof) error {
	if !proof.HasSecret {
		return nil
	}
	a.changing.Lock()
	defer a.changing.Unlock()
	c := &shown{by: "passkey", credential: proof.Credential, secret: proof.Secret}
	if _, deep := a.recall(s); deep != nil {
		return a.lend(ctx, s, deep, c, true)
	}
	ring := s.Ring()
	if ring == nil {
		return nil
	}
	return a.widen(ctx, s.Account.ID, ring, c, vault.Everyday)
}

// RenamePasskey names a passkey anew. Errors: ErrFresh, people.ErrInvalid, fs.ErrNotExist.
func (a *Access) RenamePasskey(ctx context.Context, s *Session, id int64, name string) error {
	if err := a.own(ctx, s); err != nil {
		return err
	}
	return a.People.RenamePasskey(ctx, s.Account.ID, id, name)
}

// RemovePasskey ends a passkey of s's person, and what it opened. Errors: ErrProve,
// ErrFresh, fs.ErrNotExist.
func (a *Access) RemovePasskey(ctx context.Context, s *Session, id int64, by people.By) error {
	if err := a.may(ctx, s, false); err != nil {
		return err
	}
	by.Account = s.Account.ID
	if err := a.People.RemovePasskey(ctx, by, s.Account.ID, id); err != nil {
		return err
	}
	a.tell(ctx, false)
	return a.Keys.DropEnvelope(ctx, s.Account.ID, people.Passkey{ID: id}.Credential())
}
