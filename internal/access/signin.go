package access

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"sijill/internal/people"
	"sijill/internal/vault"
)

// SignIn begins a session at the web. name is an address or a sign-in name, code
// that of the second factor or "", agent what the browser calls itself. Errors:
// people.ErrCredentials, people.ErrSlowDown, ErrCode.
func (a *Access) SignIn(ctx context.Context, name, password, code string, from netip.Addr, agent string) (*Session, error) {
	defer a.tell(ctx, false)
	s, proof, err := a.People.SignInWith(ctx, people.Credentials{Name: name, Password: password, Code: code, From: from, Agent: agent, Door: "web"})
	if err != nil {
		return nil, err
	}
	return a.begin(ctx, s, proof, from)
}

// BeginPasskey asks a browser to sign somebody in by passkey. Errors:
// people.ErrNoKey where there are none.
func (a *Access) BeginPasskey(ctx context.Context) (people.Ceremony, error) {
	return a.People.BeginPasskey(ctx)
}

// FinishPasskey begins a session at the web for whose passkey answered. A passkey
// that has a secret to give opens the everyday ring, and the deep one for an hour.
// Errors: people.ErrCredentials, people.ErrSlowDown.
func (a *Access) FinishPasskey(ctx context.Context, state string, answer []byte, from netip.Addr, agent string) (*Session, error) {
	defer a.tell(ctx, false)
	s, proof, err := a.People.FinishPasskey(ctx, state, answer, from, agent)
	if err != nil {
		return nil, err
	}
	return a.begin(ctx, s, proof, from)
}

func of(s people.Session, account people.Account) *Session {
	return &Session{Account: account, Token: s.Token, Scope: s.Scope, ID: s.ID, Proven: s.Proven, credential: holder(s.ID)}
}

func holder(session int64) string { return fmt.Sprintf("session/%d", session) }

// begin opens what a proof opens, for a session that has just begun.
func (a *Access) begin(ctx context.Context, ps people.Session, proof *people.Proof, from netip.Addr) (*Session, error) {
	s := of(ps, proof.Account)
	a.enter(s)
	if err := a.open(ctx, s, proof, from); err != nil {
		s.Close()
		a.end(s.credential)
		return nil, errors.Join(fmt.Errorf("opening mail: %w", err), a.People.SignOut(ctx, s.Token))
	}
	return s, nil
}

func (a *Access) open(ctx context.Context, s *Session, proof *people.Proof, from netip.Addr) error {
	a.changing.Lock()
	defer a.changing.Unlock()
	a.remember(s, proof)
	has, err := a.Keys.HasRoots(ctx, s.Account.ID)
	if err != nil {
		return err
	}
	if !has {
		return a.first(ctx, s, proof, from)
	}
	ring, err := a.unlock(ctx, s.Account.ID, proof)
	if err != nil || ring == nil {
		return err
	}
	if err := a.renew(ctx, s, ring, proof); err != nil {
		ring.Close()
		return err
	}
	return a.carry(ctx, s, ring, proof.Credential)
}

// unlock gives the ring that a proof opens, nil for none. Roots that are damaged
// open nothing, which must not keep people from what they don't open.
func (a *Access) unlock(ctx context.Context, account int64, proof *people.Proof) (*vault.Ring, error) {
	if !proof.HasSecret {
		return nil, nil
	}
	ring, err := a.Keys.Unlock(ctx, account, proof.Credential, proof.Secret)
	if errors.Is(err, vault.ErrDamaged) {
		a.Log.Error("the roots of an account are damaged; its personal mail stays closed", "account", account, "error", err)
		return nil, nil
	}
	if errors.Is(err, vault.ErrClosed) {
		return nil, nil
	}
	return ring, err
}

// renew wraps under a password's new hash what the old one opened, and then puts
// the new one in force.
func (a *Access) renew(ctx context.Context, s *Session, ring *vault.Ring, proof *people.Proof) error {
	n := proof.Renewal
	if n == nil {
		return nil
	}
	if err := a.Keys.PutEnvelope(ctx, ring, vault.Everyday, n.Credential, n.Secret); err != nil {
		return err
	}
	if err := a.People.RenewPassword(ctx, proof); err != nil {
		return err
	}
	a.remember(s, &people.Proof{By: proof.By, Credential: n.Credential, Secret: n.Secret, HasSecret: true})
	return a.Keys.DropEnvelope(ctx, s.Account.ID, proof.Credential)
}

// carry gives a session the everyday ring, with an envelope for its token so that
// it opens again when nobody has used it for a while; a deep ring stays for an
// hour. credential is what opened it.
func (a *Access) carry(ctx context.Context, s *Session, ring *vault.Ring, credential string) error {
	if err := a.lendToken(ctx, s, ring); err != nil {
		ring.Close()
		return err
	}
	if !ring.Has(vault.Deep) {
		return a.keep(s, ring)
	}
	newest, err := a.newest(ctx, s.Account.ID, credential)
	if err == nil {
		err = a.everyday(ctx, s)
	}
	if err != nil {
		ring.Close()
		return err
	}
	return a.keepDeep(s, ring, newest)
}

// lendToken opens the everyday root to a session's token, with what that opens
// already.
func (a *Access) lendToken(ctx context.Context, s *Session, ring *vault.Ring) error {
	all := ring.Clone()
	defer all.Close()
	if own := s.Ring(); own != nil {
		if err := all.Join(own); err != nil {
			return err
		}
	}
	return a.Keys.PutEnvelope(ctx, all, vault.Everyday, s.credential, tokenKey(s.Token))
}

// everyday gives a session the ring that its own envelope opens.
func (a *Access) everyday(ctx context.Context, s *Session) error {
	ring, err := a.Keys.Unlock(ctx, s.Account.ID, s.credential, tokenKey(s.Token))
	if err != nil {
		return err
	}
	return a.keep(s, ring)
}

func tokenKey(token string) [32]byte { return expand([]byte(token), "session") }

// newest tells whether a credential opens the newest of an account's deep roots:
// whether its envelope is no older than they.
func (a *Access) newest(ctx context.Context, account int64, credential string) (bool, error) {
	rooted, err := a.People.Rooted(ctx, account)
	if err != nil {
		return false, err
	}
	list, err := a.Keys.Envelopes(ctx, account)
	for _, e := range list {
		if e.Holder == credential && e.Root == vault.Deep && !e.Created.Before(rooted) {
			return true, err
		}
	}
	return false, err
}

// Resume gives the session of a token, for one request. Errors: fs.ErrNotExist when
// it is over.
func (a *Access) Resume(ctx context.Context, token string) (*Session, error) {
	ps, account, err := a.People.Resume(ctx, token)
	if err != nil {
		return nil, err
	}
	ps.Token = token
	s := of(ps, account)
	if a.enter(s) {
		return s, nil
	}
	if err := a.reopen(ctx, s); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// reopen opens the ring of a session by its own envelope, if it has one.
func (a *Access) reopen(ctx context.Context, s *Session) error {
	ring, err := a.unlock(ctx, s.Account.ID, &people.Proof{Credential: s.credential, Secret: tokenKey(s.Token), HasSecret: true})
	if err != nil || ring == nil {
		return err
	}
	if err := a.keep(s, ring); err != nil {
		return err
	}
	// It may have been ended since we looked; then its ring must not stay.
	if _, _, err := a.People.Resume(ctx, s.Token); err != nil {
		a.end(s.credential)
		return err
	}
	return nil
}

// SignOut ends the session of a token, and all that it has open. It is no error
// when there is none.
func (a *Access) SignOut(ctx context.Context, token string) error {
	ps, _, err := a.People.Resume(ctx, token)
	if err != nil {
		return a.People.SignOut(ctx, token)
	}
	if err := a.People.SignOut(ctx, token); err != nil {
		return err
	}
	a.end(holder(ps.ID))
	return a.Keys.DropEnvelope(ctx, ps.Account, holder(ps.ID))
}

// EndSession ends a session of an account; fs.ErrNotExist when it isn't one of its.
func (a *Access) EndSession(ctx context.Context, account, session int64) error {
	if err := a.People.Revoke(ctx, account, session); err != nil {
		return err
	}
	a.end(holder(session))
	return a.Keys.DropEnvelope(ctx, account, holder(session))
}

// EndOtherSessions ends all sessions of s's person but s.
func (a *Access) EndOtherSessions(ctx context.Context, s *Session) error {
	if err := a.People.RevokeOthers(ctx, s.Account.ID, s.ID); err != nil {
		return err
	}
	a.endOthers(s)
	return a.tidy(ctx, s.Account.ID, true)
}

// Sessions lists the live sessions of an account, the one used last first.
func (a *Access) Sessions(ctx context.Context, account int64) ([]people.Session, error) {
	return a.People.Sessions(ctx, account)
}

// Narrow takes classes from what s may see from now on: a session for office mail
// alone, as on an office's own machine, has no ring. Errors: people.ErrInvalid when
// nothing would be left.
func (a *Access) Narrow(ctx context.Context, s *Session, scope people.Scope) error {
	if err := a.People.Narrow(ctx, s.ID, scope); err != nil {
		return err
	}
	if (s.Scope & scope).Has(people.Personal) {
		return nil
	}
	a.end(s.credential)
	return a.Keys.DropEnvelope(ctx, s.Account.ID, s.credential)
}

// Application lets a mail program in that shows an app password; the password of
// the account is none. door is "imap" or "submission". name says what the program
// sees: with a sign-in name all that the app password is for, with an address the
// mail of that address's class. Errors: people.ErrCredentials, people.ErrSlowDown.
func (a *Access) Application(ctx context.Context, name, appPassword, door string, from netip.Addr) (*Session, error) {
	proof, err := a.People.Application(ctx, people.Credentials{Name: name, Password: appPassword, Door: door, From: from})
	a.tell(ctx, false)
	if err != nil {
		return nil, err
	}
	s := &Session{Account: proof.Account, Scope: proof.Scope, App: proof.Password.ID, Proven: a.now(), credential: proof.Credential}
	if a.enter(s) {
		return s, nil
	}
	ring, err := a.unlock(ctx, s.Account.ID, &proof.Proof)
	if err == nil {
		err = a.keep(s, ring)
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("opening mail: %w", err)
	}
	if _, err := a.People.Application(ctx, people.Credentials{Name: name, Password: appPassword, Door: door, From: from}); err != nil {
		a.end(s.credential) // Revoked since we looked.
		return nil, err
	}
	return s, nil
}
