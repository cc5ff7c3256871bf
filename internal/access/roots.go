package access

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"sijill"
	"sijill/internal/people"
	"sijill/internal/vault"
)

// put lets a credential open roots of a ring.
func (a *Access) put(ctx context.Context, ring *vault.Ring, credential string, secret [32]byte, roots ...vault.Root) error {
	for _, r := range roots {
		if err := a.Keys.PutEnvelope(ctx, ring, r, credential, secret); err != nil {
			return err
		}
	}
	return nil
}

// rootsFor are the roots that a kind of credential may open: a password never opens
// what is old.
func rootsFor(by string) []vault.Root {
	if by == "passkey" || by == "recovery" {
		return []vault.Root{vault.Everyday, vault.Deep}
	}
	return []vault.Root{vault.Everyday}
}

// code makes a printed code that opens both roots of a ring, and puts it in force;
// made says that the roots are new. The caller holds changing.
func (a *Access) code(ctx context.Context, by people.By, account int64, ring *vault.Ring, made bool) (string, error) {
	r := people.NewRecovery()
	if err := a.put(ctx, ring, r.Credential, r.Secret, vault.Everyday, vault.Deep); err != nil {
		return "", err
	}
	var rooted time.Time
	if made {
		list, err := a.Keys.Envelopes(ctx, account)
		if err != nil {
			return "", err
		}
		for _, e := range list {
			if e.Holder == r.Credential && (rooted.IsZero() || e.Created.Before(rooted)) {
				rooted = e.Created
			}
		}
	}
	if err := a.People.SetRecovery(ctx, by, account, r, rooted); err != nil {
		return "", err
	}
	return r.Code, nil
}

// first makes the roots of an account that has none. Whoever signs in first gets
// the recovery code. An account whose person signs in by a passkey without a secret
// to give gets them too: the code opens them.
func (a *Access) first(ctx context.Context, s *Session, proof *people.Proof, from netip.Addr) error {
	_, err := a.anew(ctx, s, proof, nil, people.By{Account: s.Account.ID, From: from})
	return err
}

// anew makes new roots for s's account, opens them to a proof and to a new recovery
// code, and has s carry them. What old, which may be nil, opens stays open: it goes
// to the new roots too. The caller holds changing.
func (a *Access) anew(ctx context.Context, s *Session, proof *people.Proof, old *vault.Ring, by people.By) (string, error) {
	ring, err := a.Keys.MakeRoots(ctx, s.Account.ID)
	if err != nil {
		return "", err
	}
	a.outdate(s.Account.ID)
	if old != nil {
		if err := ring.Join(old); err != nil {
			ring.Close()
			return "", err
		}
	}
	if s.Recovery, err = a.code(ctx, by, s.Account.ID, ring, true); err == nil && proof.HasSecret {
		err = a.put(ctx, ring, proof.Credential, proof.Secret, rootsFor(proof.By)...)
	}
	if err == nil && old != nil {
		_, err = a.Keys.Rewrap(ctx, ring)
	}
	if err != nil {
		ring.Close()
		return "", err
	}
	credential, _, err := a.People.RecoveryCredential(ctx, s.Account.ID)
	if err != nil {
		ring.Close()
		return "", err
	}
	return s.Recovery, a.carry(ctx, s, ring, credential)
}

// outdate notes that the deep rings that are held are of roots before the newest.
func (a *Access) outdate(account int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, h := range a.held {
		if h.account == account {
			h.newest = false
		}
	}
}

// Loss says what somebody agrees to lose.
type Loss string

// OldPersonalMail is all personal mail that came until now.
const OldPersonalMail Loss = "old personal mail"

// ResetRoots makes new roots for a person whose personal mail is closed and who has
// neither recovery code nor passkey: personal mail that came until now is lost
// (unless one of those turns up: then StepUp by it opens that mail again), and what
// comes from now on is open. It returns a new recovery code, to be shown once. The
// person's other sessions end, and app passwords for personal mail. A code that whoever
// made the account has seen ends for good. agreed must be OldPersonalMail, else ErrConsent.
// Errors: ErrFresh while the password is somebody else's, ErrProve when the person
// showed no credential of late, ErrScope.
func (a *Access) ResetRoots(ctx context.Context, s *Session, by people.By, agreed Loss) (string, error) {
	if agreed != OldPersonalMail {
		return "", ErrConsent
	}
	if err := a.may(ctx, s, true); err != nil {
		return "", err
	}
	account, err := a.People.Get(ctx, s.Account.ID)
	if err != nil {
		return "", err
	}
	a.changing.Lock()
	defer a.changing.Unlock()
	c, _ := a.recall(s)
	if c == nil {
		return "", ErrProve
	}
	code, err := a.anew(ctx, s, &people.Proof{By: c.by, Credential: c.credential, Secret: c.secret, HasSecret: true}, nil, by)
	if err != nil {
		return "", fmt.Errorf("making new roots: %w", err)
	}
	if account.Seen {
		if err := a.People.ForgetOldRecovery(ctx, s.Account.ID); err != nil {
			return code, err
		}
		s.Account.Seen = false
	}
	if err := a.People.RevokeOthers(ctx, s.Account.ID, s.ID); err != nil {
		return code, err
	}
	a.endOthers(s)
	if err := a.revokePersonal(ctx, s, by); err != nil {
		return code, err
	}
	err = a.note(ctx, s, sijill.Key, people.Fields{What: "roots", Did: "reset"}, by)
	a.tell(ctx, false)
	return code, err
}

// revokePersonal ends the app passwords that open older roots only.
func (a *Access) revokePersonal(ctx context.Context, s *Session, by people.By) error {
	list, err := a.People.AppPasswords(ctx, s.Account.ID)
	if err != nil {
		return err
	}
	for _, p := range list {
		if !p.Scope.Has(people.Personal) {
			continue
		}
		if err := a.People.RevokeAppPassword(ctx, by, s.Account.ID, p.ID); err != nil {
			return err
		}
		a.end(p.Credential())
	}
	return a.tidyLocked(ctx, s.Account.ID, true)
}

// own returns ErrFresh while somebody else knows what an account is opened with:
// what is made in its sessions would stay theirs after the person has changed it.
// It asks the database: the password may have been reset since s began.
func (a *Access) own(ctx context.Context, s *Session) error {
	account, err := a.People.Get(ctx, s.Account.ID)
	if err != nil {
		return err
	}
	if account.Fresh || account.Seen && s.Open() {
		return ErrFresh
	}
	return nil
}

// MayChange tells whether s may change what decides over its person's mail, as
// credentials do: ErrFresh while the password is somebody else's, ErrProve when the
// person showed none of late.
func (a *Access) MayChange(ctx context.Context, s *Session) error { return a.may(ctx, s, false) }

// may is MayChange; personal says that s must be for personal mail, else ErrScope.
func (a *Access) may(ctx context.Context, s *Session, personal bool) error {
	if personal && !s.Scope.Has(people.Personal) {
		return ErrScope
	}
	if err := a.own(ctx, s); err != nil {
		return err
	}
	if s.ID == 0 || a.ProveEvery != 0 && a.now().Sub(s.Proven) > a.ProveEvery {
		return ErrProve
	}
	return nil
}

// BeginStepUp asks for a passkey of s's person. Errors: people.ErrNoKey where there
// are none, fs.ErrNotExist when the person has none, ErrScope.
func (a *Access) BeginStepUp(ctx context.Context, s *Session) (people.Ceremony, error) {
	if !s.Scope.Has(people.Personal) {
		return people.Ceremony{}, ErrScope
	}
	return a.People.BeginProof(ctx, s.Account.ID)
}

// FinishStepUp opens, for an hour and in s alone, all that the passkey that answered
// opens, and counts as a proof of who is there. In a session that is stepped up it
// opens to a passkey what that doesn't open yet. Errors: people.ErrCredentials,
// people.ErrSlowDown; ErrNotDeep when the passkey opens nothing.
func (a *Access) FinishStepUp(ctx context.Context, s *Session, state string, answer []byte, by people.By) error {
	if !s.Scope.Has(people.Personal) {
		return ErrScope
	}
	proof, err := a.People.FinishProof(ctx, s.Account.ID, state, answer, by.From)
	if err == nil {
		err = a.stepUp(ctx, s, proof, by)
	}
	a.tell(ctx, false)
	return err
}

// StepUpByCode is FinishStepUp by the recovery code, which stays good. Errors:
// people.ErrMistyped, people.ErrCredentials, people.ErrSlowDown, ErrScope.
func (a *Access) StepUpByCode(ctx context.Context, s *Session, code string, by people.By) error {
	if !s.Scope.Has(people.Personal) {
		return ErrScope
	}
	proof, err := a.People.ProveRecovery(ctx, s.Account.SignIn, code, by.From)
	if err == nil {
		err = a.stepUp(ctx, s, proof, by)
	}
	a.tell(ctx, false)
	return err
}

// stepUp opens what a proof opens, and opens it to what the person showed before:
// after an administrator has set a password, that is how it comes to open mail.
func (a *Access) stepUp(ctx context.Context, s *Session, proof *people.Proof, by people.By) error {
	if err := a.proved(ctx, s); err != nil {
		return err
	}
	a.changing.Lock()
	defer a.changing.Unlock()
	before, deep := a.recall(s)
	if deep != nil {
		before = &shown{by: proof.By, credential: proof.Credential, secret: proof.Secret}
		if err := a.lend(ctx, s, deep, before, proof.HasSecret); err != nil {
			return err
		}
	}
	ring, err := a.unlock(ctx, s.Account.ID, proof)
	if err != nil {
		return err
	}
	if ring == nil || !ring.Has(vault.Deep) {
		if ring != nil {
			ring.Close()
		}
		return ErrNotDeep
	}
	newest, err := a.newest(ctx, s.Account.ID, proof.Credential)
	if err == nil && !newest {
		return a.older(ctx, s, ring, proof.By, by)
	}
	if err == nil {
		err = a.lend(ctx, s, ring, before, before != nil)
	}
	if err != nil {
		ring.Close()
		return err
	}
	more := a.holdsOlder(s)
	if err := a.carry(ctx, s, ring, proof.Credential); err != nil {
		return err
	}
	if deep := s.Ring(); more && deep != nil { // Both are there: what the older open goes to the newest.
		if _, err := a.Keys.Rewrap(ctx, deep); err != nil {
			return err
		}
	}
	return a.noteStep(ctx, s, proof.By, by)
}

func (a *Access) noteStep(ctx context.Context, s *Session, with string, by people.By) error {
	return a.note(ctx, s, sijill.Login, people.Fields{What: "stepped-up", Door: "web", By: with}, by)
}

// lend opens the newest roots to a credential, if it may and doesn't open them yet.
// A password that somebody else has seen opens nothing.
func (a *Access) lend(ctx context.Context, s *Session, ring *vault.Ring, c *shown, has bool) error {
	if c == nil || !has {
		return nil
	}
	if c.by != "passkey" && c.by != "recovery" {
		account, err := a.People.Get(ctx, s.Account.ID)
		if err != nil || account.Fresh {
			return err
		}
	}
	live, err := a.People.Live(ctx, s.Account.ID)
	if err != nil || !live[c.credential] {
		return err
	}
	opens, err := a.opens(ctx, s.Account.ID)
	if err != nil {
		return err
	}
	var missing []vault.Root
	for _, r := range rootsFor(c.by) {
		if !opens[c.credential][r] {
			missing = append(missing, r)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return a.widen(ctx, s.Account.ID, ring, c, missing...)
}

// widen opens roots of a ring to a credential besides those that it opens already:
// an envelope takes the place of the one before.
func (a *Access) widen(ctx context.Context, account int64, ring *vault.Ring, c *shown, roots ...vault.Root) error {
	all := ring.Clone()
	defer all.Close()
	own, err := a.unlock(ctx, account, &people.Proof{Credential: c.credential, Secret: c.secret, HasSecret: true})
	if err != nil {
		return err
	}
	if own != nil {
		defer own.Close()
		if err := all.Join(own); err != nil {
			return err
		}
	}
	return a.put(ctx, all, c.credential, c.secret, roots...)
}

// opens tells which of the newest roots each credential of an account opens.
func (a *Access) opens(ctx context.Context, account int64) (map[string]map[vault.Root]bool, error) {
	rooted, err := a.People.Rooted(ctx, account)
	if err != nil {
		return nil, err
	}
	list, err := a.Keys.Envelopes(ctx, account)
	opens := map[string]map[vault.Root]bool{}
	for _, e := range list {
		if e.Created.Before(rooted) {
			continue
		}
		if opens[e.Holder] == nil {
			opens[e.Holder] = map[vault.Root]bool{}
		}
		opens[e.Holder][e.Root] = true
	}
	return opens, err
}

// older opens what roots before the newest open: for an hour, and from then on with
// the everyday ring that the session has.
func (a *Access) older(ctx context.Context, s *Session, deep *vault.Ring, with string, by people.By) error {
	if ring := s.Ring(); ring != nil {
		if err := deep.Join(ring); err != nil {
			deep.Close()
			return err
		}
	}
	if _, err := a.Keys.Rewrap(ctx, deep); err != nil {
		deep.Close()
		return err
	}
	if err := a.keepDeep(s, deep, false); err != nil {
		return err
	}
	return a.noteStep(ctx, s, with, by)
}

// proved notes that s's person has just shown a credential.
func (a *Access) proved(ctx context.Context, s *Session) error {
	if err := a.People.Proved(ctx, s.ID); err != nil {
		return err
	}
	s.Proven = a.now()
	return nil
}
