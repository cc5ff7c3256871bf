package access

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/people"
	"sijill/internal/vault"
)

// New is an account that was just made. Password and Recovery are to be shown once,
// to whom the account is for.
type New struct {
	people.Account
	Password string
	Recovery string
}

// NewAccount makes an account, with the roots of its mail; "" has a password made.
// Whoever made it has seen what opens them: when its person first changes the
// password, new roots take their place. It is made with all the addresses or not at all.
// Errors are those of people.AddWith; with any other, an account that isn't nil is made
// all the same.
func (a *Access) NewAccount(ctx context.Context, by people.By, account people.Account, password string, more ...people.Address) (*New, error) {
	if password == "" {
		password = people.GeneratePassword()
	}
	n, err := a.People.NewPassword(ctx, password)
	if err != nil {
		return nil, fmt.Errorf("adding an account: %w", err)
	}
	account.Fresh, account.Seen = true, true
	if account, err = a.People.AddWith(ctx, by, account, n, more...); err != nil {
		return nil, err
	}
	made := &New{Account: account, Password: password}
	made.Recovery, err = a.firstRoots(ctx, by, account.ID, n)
	a.tell(ctx, false)
	if err != nil {
		// The first sign-in makes what is missing.
		return made, fmt.Errorf("making the roots of an account's mail: %w", err)
	}
	return made, nil
}

func (a *Access) firstRoots(ctx context.Context, by people.By, account int64, n *people.NewPassword) (string, error) {
	a.changing.Lock()
	defer a.changing.Unlock()
	ring, err := a.Keys.MakeRoots(ctx, account)
	if err != nil {
		return "", err
	}
	defer ring.Close()
	if err := a.put(ctx, ring, n.Credential, n.Secret, vault.Everyday); err != nil {
		return "", err
	}
	return a.code(ctx, by, account, ring, true)
}

// Prove shows the password of s's person again. What it opens is open from then on.
// Errors: people.ErrCredentials, people.ErrSlowDown.
func (a *Access) Prove(ctx context.Context, s *Session, password string, by people.By) error {
	proof, err := a.People.Prove(ctx, people.Credentials{Name: s.Account.SignIn, Password: password, From: by.From, Agent: by.Agent, Door: "web", Signed: true})
	a.tell(ctx, false)
	if err != nil {
		return err
	}
	if err := a.proved(ctx, s); err != nil {
		return err
	}
	a.changing.Lock()
	defer a.changing.Unlock()
	a.remember(s, proof)
	if s.Ring() != nil || !s.Scope.Has(people.Personal) {
		return nil
	}
	ring, err := a.unlock(ctx, s.Account.ID, proof)
	if err != nil || ring == nil {
		return err
	}
	return a.carry(ctx, s, ring, proof.Credential)
}

// ChangePassword changes the password of s's person, who proves to know the old
// one; "" will do while the session is stepped up. All other sessions end. What the
// old one opened the new one opens. When whoever made the account has seen what opens
// the mail, and it is open here, new roots are made, and the result is a new recovery code, to be
// shown once; else it is "". Errors: people.ErrCredentials, people.ErrSlowDown,
// people.ErrPassword; people.ErrSame for one that somebody else chose.
func (a *Access) ChangePassword(ctx context.Context, s *Session, old, password string, by people.By) (string, error) {
	n, err := a.People.NewPassword(ctx, password)
	if err != nil {
		return "", fmt.Errorf("changing a password: %w", err)
	}
	proof, err := a.knows(ctx, s, old, by)
	if err != nil {
		return "", err
	}
	if err := a.differs(ctx, s, password); err != nil {
		return "", err
	}
	by.Account = s.Account.ID
	code, err := a.change(ctx, s, proof, n, by)
	a.endOthers(s)
	a.tell(ctx, false)
	if err != nil {
		return code, fmt.Errorf("changing a password: %w", err)
	}
	return code, a.tidy(ctx, s.Account.ID, true)
}

// differs returns people.ErrSame for the password that somebody else chose.
func (a *Access) differs(ctx context.Context, s *Session, password string) error {
	account, err := a.People.Get(ctx, s.Account.ID)
	if err != nil || !account.Fresh {
		return err
	}
	same, err := a.People.HasPassword(ctx, account.ID, password)
	if err == nil && same {
		err = people.ErrSame
	}
	return err
}

func (a *Access) knows(ctx context.Context, s *Session, old string, by people.By) (*people.Proof, error) {
	if _, deep := a.recall(s); old == "" && deep != nil {
		return &people.Proof{}, nil
	}
	proof, err := a.People.Prove(ctx, people.Credentials{Name: s.Account.SignIn, Password: old, From: by.From, Agent: by.Agent, Door: "web", Signed: true})
	a.tell(ctx, false)
	return proof, err
}

func (a *Access) change(ctx context.Context, s *Session, old *people.Proof, n *people.NewPassword, by people.By) (string, error) {
	a.changing.Lock()
	defer a.changing.Unlock()
	account, err := a.People.Get(ctx, s.Account.ID)
	if err != nil {
		return "", err
	}
	ring, err := a.unlock(ctx, account.ID, old)
	if err != nil {
		return "", err
	}
	if ring == nil {
		if own := s.Ring(); own != nil {
			ring = own.Clone()
		}
	}
	if ring != nil {
		defer ring.Close()
	}
	seen := account.Seen && ring != nil // What opens it, by who made the account.
	proof := &people.Proof{By: "password", Credential: n.Credential, Secret: n.Secret, HasSecret: true}
	if ring != nil && !seen {
		if err := a.put(ctx, ring, n.Credential, n.Secret, vault.Everyday); err != nil {
			return "", err
		}
	}
	if err := a.People.ReplacePassword(ctx, by, account.ID, n, people.Change{Keep: s.ID, Did: "changed"}); err != nil {
		return "", err
	}
	s.Account.Fresh = false
	a.remember(s, proof)
	if !seen || !s.Scope.Has(people.Personal) {
		return "", nil
	}
	code, err := a.anew(ctx, s, proof, ring, by)
	if err != nil {
		return "", err
	}
	// The code before was seen, too, by who made the account.
	if err := a.People.ForgetOldRecovery(ctx, account.ID); err != nil {
		return code, err
	}
	s.Account.Seen = false
	return code, nil
}

// ResetPassword sets the password of an account for who lost it, by an
// administrator; "" has one made. Its sessions and app passwords end, what passes its
// personal mail on is suspended (Options.Forwarding), and its personal mail is closed until its person opens it by recovery code or passkey. It
// returns the password. Errors: people.ErrPassword, fs.ErrNotExist.
func (a *Access) ResetPassword(ctx context.Context, by people.By, account int64, password string) (string, error) {
	if password == "" {
		password = people.GeneratePassword()
	}
	n, err := a.People.NewPassword(ctx, password)
	if err != nil {
		return "", fmt.Errorf("resetting a password: %w", err)
	}
	if err := a.People.ReplacePassword(ctx, by, account, n, people.Change{Did: "reset", Fresh: true, EndApps: true, With: a.suspend(by, account)}); err != nil {
		return "", err
	}
	return password, a.ended(ctx, account)
}

// suspend is what goes with a reset: the person's personal mail is not passed on
// any more until they say so again. Who took the account may have set that.
func (a *Access) suspend(by people.By, account int64) func(tx *db.Tx) error {
	if a.Forwarding == nil {
		return nil
	}
	return func(tx *db.Tx) error {
		did, err := a.Forwarding(tx, account)
		if err != nil || !did {
			return err
		}
		return a.People.Owe(tx, by, people.Event{Kind: sijill.Config, Account: account,
			Fields: people.Fields{What: "forwarding", Did: "suspended", Class: people.Personal}})
	}
}

// ended closes all that an account has open and drops the envelopes of credentials
// that are over.
func (a *Access) ended(ctx context.Context, account int64) error {
	a.endAccount(account, "")
	a.tell(ctx, false)
	return a.tidy(ctx, account, true)
}

// Recover sets a new password for who has the printed recovery code, and begins a
// session that is stepped up. All sessions, app passwords and the second factor end.
// The code is replaced: Session.Recovery is the new one, to be shown once. name is
// one of the person's addresses or their sign-in name, or "". Errors:
// people.ErrMistyped, people.ErrCredentials, people.ErrSlowDown, people.ErrPassword.
func (a *Access) Recover(ctx context.Context, name, code, password string, from netip.Addr, agent string) (*Session, error) {
	proof, err := a.People.ProveRecovery(ctx, name, code, from)
	a.tell(ctx, false)
	if err != nil {
		return nil, err
	}
	n, err := a.People.NewPassword(ctx, password)
	if err != nil {
		return nil, fmt.Errorf("recovering an account: %w", err)
	}
	by := people.By{Account: proof.Account.ID, From: from, Agent: agent}
	ring, fresh, err := a.recover(ctx, by, proof, n)
	if err != nil {
		return nil, fmt.Errorf("recovering an account: %w", err)
	}
	s, err := a.resumeRecovered(ctx, proof, n, ring, fresh, by)
	if err != nil {
		return nil, fmt.Errorf("recovering an account: %w", err)
	}
	return s, nil
}

// recover puts the new password and a new code in force, in the order in which a
// crash in between loses nothing.
func (a *Access) recover(ctx context.Context, by people.By, proof *people.Proof, n *people.NewPassword) (ring *vault.Ring, code string, err error) {
	a.changing.Lock()
	defer a.changing.Unlock()
	account := proof.Account.ID
	if ring, err = a.unlock(ctx, account, proof); err != nil {
		return nil, "", err
	}
	if ring != nil {
		if err = a.put(ctx, ring, n.Credential, n.Secret, vault.Everyday); err != nil {
			ring.Close()
			return nil, "", err
		}
	}
	newest, err := a.newest(ctx, account, proof.Credential)
	if err == nil {
		err = a.People.ReplacePassword(ctx, by, account, n, people.Change{Did: "reset", EndApps: true, EndCodes: true, With: a.suspend(by, account)})
	}
	if err == nil && newest && ring != nil {
		code, err = a.code(ctx, by, account, ring, false)
	}
	if err != nil && ring != nil {
		ring.Close()
	}
	return ring, code, err
}

func (a *Access) resumeRecovered(ctx context.Context, proof *people.Proof, n *people.NewPassword, ring *vault.Ring, code string, by people.By) (*Session, error) {
	if err := a.ended(ctx, proof.Account.ID); err != nil {
		return nil, err
	}
	ps, err := a.People.StartSession(ctx, proof, by.From, by.Agent)
	if err != nil {
		return nil, err
	}
	a.tell(ctx, false)
	s := of(ps, proof.Account)
	s.Recovery = code
	a.enter(s)
	a.remember(s, &people.Proof{By: "password", Credential: n.Credential, Secret: n.Secret, HasSecret: true})
	if ring == nil {
		return s, nil
	}
	credential := proof.Credential
	if code != "" {
		if credential, _, err = a.People.RecoveryCredential(ctx, s.Account.ID); err != nil {
			return nil, err
		}
	}
	return s, a.carry(ctx, s, ring, credential)
}

// NewRecovery makes a printed code in place of the one that s's person has, and
// returns it to be shown once. Errors: ErrStepUp unless the session is stepped up,
// ErrScope, ErrProve, ErrFresh.
func (a *Access) NewRecovery(ctx context.Context, s *Session, by people.By) (string, error) {
	if err := a.may(ctx, s, true); err != nil {
		return "", err
	}
	a.changing.Lock()
	defer a.changing.Unlock()
	_, deep := a.recall(s)
	if deep == nil {
		return "", ErrStepUp
	}
	by.Account = s.Account.ID
	code, err := a.code(ctx, by, s.Account.ID, deep, false)
	a.tell(ctx, false)
	if err != nil {
		return "", fmt.Errorf("making a recovery code: %w", err)
	}
	return code, a.tidyLocked(ctx, s.Account.ID, true)
}

// MakeAppPassword makes a password for one mail program of s's person. One for
// personal mail opens the everyday ring. Errors: ErrClosed when it should and the
// session has none to give, ErrScope, ErrProve, ErrFresh, and those of
// people.MakeAppPassword.
func (a *Access) MakeAppPassword(ctx context.Context, s *Session, label string, scope people.Scope, by people.By) (*people.NewApp, error) {
	personal := scope.Has(people.Personal)
	if err := a.may(ctx, s, personal); err != nil {
		return nil, err
	}
	a.changing.Lock()
	defer a.changing.Unlock()
	ring := s.Ring()
	if personal && ring == nil {
		return nil, ErrClosed
	}
	by.Account = s.Account.ID
	n, err := a.People.MakeAppPassword(ctx, by, s.Account.ID, label, scope)
	if err != nil {
		return nil, err
	}
	if personal {
		if err := a.put(ctx, ring, n.Credential(), n.Secret, vault.Everyday); err != nil {
			return nil, errors.Join(fmt.Errorf("opening mail to an app password: %w", err), a.People.RevokeAppPassword(ctx, by, s.Account.ID, n.ID))
		}
	}
	a.tell(ctx, false)
	return n, nil
}

// AppPasswords lists the app passwords of an account, the newest first.
func (a *Access) AppPasswords(ctx context.Context, account int64) ([]people.AppPassword, error) {
	return a.People.AppPasswords(ctx, account)
}

// RevokeAppPassword ends an app password of an account and whoever uses it;
// fs.ErrNotExist when it isn't one of its.
func (a *Access) RevokeAppPassword(ctx context.Context, by people.By, account, id int64) error {
	if err := a.People.RevokeAppPassword(ctx, by, account, id); err != nil {
		return err
	}
	name := people.AppPassword{ID: id}.Credential()
	a.end(name)
	a.tell(ctx, false)
	return a.Keys.DropEnvelope(ctx, account, name)
}

// BeginTOTP makes a second factor for s's person, in force once ConfirmTOTP has
// seen a code of it. Errors: ErrProve, ErrFresh, people.ErrNoKey.
func (a *Access) BeginTOTP(ctx context.Context, s *Session) (people.TOTP, error) {
	if err := a.may(ctx, s, false); err != nil {
		return people.TOTP{}, err
	}
	return a.People.BeginTOTP(ctx, s.Account.ID, a.Issuer)
}

// ConfirmTOTP puts a second factor in force. Errors: ErrCode, ErrFresh, fs.ErrNotExist
// when none was begun.
func (a *Access) ConfirmTOTP(ctx context.Context, s *Session, code string, by people.By) error {
	if err := a.own(ctx, s); err != nil {
		return err
	}
	by.Account = s.Account.ID
	err := a.People.ConfirmTOTP(ctx, by, s.Account.ID, code)
	a.tell(ctx, false)
	return err
}

// RemoveTOTP ends the second factor of s's person, who shows a code of it. Errors:
// ErrCode, ErrFresh, people.ErrSlowDown, fs.ErrNotExist when there is none.
func (a *Access) RemoveTOTP(ctx context.Context, s *Session, code string, by people.By) error {
	if err := a.own(ctx, s); err != nil {
		return err
	}
	by.Account = s.Account.ID
	err := a.People.CheckCode(ctx, s.Account.ID, code, by.From)
	if err == nil {
		err = a.People.RemoveTOTP(ctx, by, s.Account.ID)
	}
	a.tell(ctx, false)
	return err
}

// EndTOTP ends the second factor of an account for who lost it, by an administrator.
// Its sessions end, as they do when a password is reset: they were opened with a factor
// that nobody has any more, or by whoever has it now. Errors: fs.ErrNotExist when there
// is none.
func (a *Access) EndTOTP(ctx context.Context, by people.By, account int64) error {
	if err := a.People.EndTOTP(ctx, by, account); err != nil {
		return err
	}
	return a.ended(ctx, account)
}

// Suspend lets nobody sign in to an account until Restore, and ends what goes on.
// Mail still comes to it. Errors: fs.ErrNotExist, people.ErrLastOwner.
func (a *Access) Suspend(ctx context.Context, by people.By, account int64) error {
	if err := a.People.Suspend(ctx, by, account); err != nil {
		return err
	}
	return a.ended(ctx, account)
}

// Restore makes an account active again. Errors: fs.ErrNotExist.
func (a *Access) Restore(ctx context.Context, by people.By, account int64) error {
	err := a.People.Restore(ctx, by, account)
	a.tell(ctx, false)
	return err
}

// Remove is Suspend for good, and frees the addresses. What was sealed for the
// account stays, and its person can still open it if the account is restored.
func (a *Access) Remove(ctx context.Context, by people.By, account int64) error {
	if err := a.People.Remove(ctx, by, account); err != nil {
		return err
	}
	return a.ended(ctx, account)
}
