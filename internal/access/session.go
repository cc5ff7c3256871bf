package access

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"sijill/internal/people"
	"sijill/internal/vault"
)

// Session is somebody who is let in: one request of a web session, or one
// connection of a mail program. Close it when that ends; the session itself goes
// on. It is safe for concurrent use.
type Session struct {
	Account people.Account
	Token   string // of the web's cookie; "" for a mail program
	// Scope is which classes of mail may be seen.
	Scope people.Scope
	// ID is the session's, of the web, and App the app password's, of a mail
	// program; the other is 0.
	ID, App int64
	// Proven is when the person last showed a credential.
	Proven time.Time
	// Recovery is a recovery code that was made just now, to be shown once; "" for
	// none.
	Recovery string

	access     *Access
	credential string // "session/9" or "app/3"
	done       chan struct{}
	once       sync.Once
}

// held is what is kept in memory for a session or an app password.
type held struct {
	account int64
	ring    *vault.Ring // everyday; nil while personal mail is closed
	used    time.Time
	deep    *vault.Ring // nil unless stepped up
	until   time.Time   // of deep
	newest  bool        // deep is that of the newest roots
	shown   *shown
	live    map[*Session]struct{}
}

// shown is a credential that the person of a session showed of late, so that what
// opens by another can be opened to it as well.
type shown struct {
	by, credential string
	secret         [32]byte
	at             time.Time
}

// stale tells whether a credential was shown too long ago to be kept. A passkey's or
// a recovery code's secret opens the deep root, which is promised for no longer than
// a step-up lasts.
func (c *shown) stale(now time.Time) bool {
	return slices.Contains(rootsFor(c.by), vault.Deep) && !now.Before(c.at.Add(DeepFor))
}

// forget overwrites the credential that the person showed.
func (h *held) forget() {
	if h.shown != nil {
		h.shown.secret = [32]byte{}
		h.shown = nil
	}
}

func (h *held) close() {
	for _, r := range []*vault.Ring{h.ring, h.deep} {
		if r != nil {
			r.Close()
		}
	}
	h.forget()
	h.ring, h.deep = nil, nil
}

// Ring is what opens the owner's mail in this session: the deep ring while that is
// stepped up, else the everyday one. It is nil while personal mail is closed. It is
// the session's own: use it, don't close it, and ask again for each use.
func (s *Session) Ring() *vault.Ring {
	if !s.Scope.Has(people.Personal) {
		return nil
	}
	a := s.access
	a.mu.Lock()
	defer a.mu.Unlock()
	h := a.held[s.credential]
	if h == nil || h.account != s.Account.ID || s.over() {
		return nil
	}
	if h.deep != nil && a.now().Before(h.until) {
		return h.deep
	}
	return h.ring
}

// Fresh tells whether the person must choose a password before anything else:
// somebody else chose the one there is, or has seen the code by which personal mail
// is open here.
func (s *Session) Fresh() bool { return s.Account.Fresh || s.Account.Seen && s.Open() }

// Open tells whether personal mail can be read.
func (s *Session) Open() bool { return s.Ring() != nil }

// Deep tells until when what is old can be read too; zero when it can't.
func (s *Session) Deep() time.Time {
	a := s.access
	a.mu.Lock()
	defer a.mu.Unlock()
	h := a.held[s.credential]
	if h == nil || h.deep == nil || !a.now().Before(h.until) || s.over() {
		return time.Time{}
	}
	return h.until
}

// Done is closed when the session is over for good, so that a connection that
// stays open should end: it was revoked, signed out, or closed.
func (s *Session) Done() <-chan struct{} { return s.done }

func (s *Session) over() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// Close says that the request or connection is over. It may be called twice.
func (s *Session) Close() {
	a := s.access
	a.mu.Lock()
	defer a.mu.Unlock()
	s.once.Do(func() { close(s.done) })
	h := a.held[s.credential]
	if h == nil {
		return
	}
	delete(h.live, s)
	h.used = a.now()
	if s.App != 0 && len(h.live) == 0 { // The program shows its password each time.
		h.close()
		delete(a.held, s.credential)
	}
}

// enter makes a session one that is live, with what is held for its credential. It
// returns whether that has a ring, or needs none.
func (a *Access) enter(s *Session) bool {
	s.access, s.done = a, make(chan struct{})
	a.mu.Lock()
	defer a.mu.Unlock()
	h := a.hold(s)
	h.live[s] = struct{}{}
	return h.ring != nil || !s.Scope.Has(people.Personal)
}

// hold finds or makes what is held for a session. The caller has the lock.
func (a *Access) hold(s *Session) *held {
	h := a.held[s.credential]
	if h == nil || h.account != s.Account.ID {
		h = &held{account: s.Account.ID, live: map[*Session]struct{}{}}
		a.held[s.credential] = h
	}
	h.used = a.now()
	return h
}

// keep keeps a ring for a session; nil keeps none. Where there is one already it
// gets the roots of the new one: others may be using it. The error is that of two
// accounts' rings.
func (a *Access) keep(s *Session, ring *vault.Ring) error {
	if ring == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	h := a.hold(s)
	if s.over() {
		ring.Close()
		return nil
	}
	if h.deep != nil {
		if err := h.deep.Join(ring); err != nil {
			ring.Close()
			return err
		}
	}
	return into(&h.ring, ring)
}

// keepDeep keeps a deep ring for a session for an hour. It opens what the everyday
// ring does, too, which may be of newer roots.
func (a *Access) keepDeep(s *Session, deep *vault.Ring, newest bool) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	h := a.hold(s)
	if h.ring != nil {
		if err := deep.Join(h.ring); err != nil {
			deep.Close()
			return err
		}
	}
	h.until, h.newest = a.now().Add(DeepFor), newest || h.newest && h.deep != nil
	return into(&h.deep, deep)
}

func into(place **vault.Ring, ring *vault.Ring) error {
	if *place == nil {
		*place = ring
		return nil
	}
	defer ring.Close()
	return (*place).Join(ring)
}

// remember keeps what the person showed.
func (a *Access) remember(s *Session, proof *people.Proof) {
	if !proof.HasSecret {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	h := a.hold(s)
	h.forget()
	h.shown = &shown{proof.By, proof.Credential, proof.Secret, a.now()}
}

// recall gives what the person showed of late, and a deep ring of the newest roots
// if the session has one; either may be nil.
func (a *Access) recall(s *Session) (*shown, *vault.Ring) {
	a.mu.Lock()
	defer a.mu.Unlock()
	h := a.held[s.credential]
	if h == nil || h.account != s.Account.ID {
		return nil, nil
	}
	if h.shown != nil && h.shown.stale(a.now()) {
		h.forget()
	}
	var c *shown
	if h.shown != nil {
		c = &shown{h.shown.by, h.shown.credential, h.shown.secret, h.shown.at}
	}
	if h.deep == nil || !h.newest || !a.now().Before(h.until) {
		return c, nil
	}
	return c, h.deep
}

// holdsOlder tells whether a session is stepped up to roots before the newest alone.
func (a *Access) holdsOlder(s *Session) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	h := a.held[s.credential]
	return h != nil && h.deep != nil && !h.newest
}

// sweep closes the rings that were not used of late, and the deep ones whose hour
// is over; with these goes what was shown to open them.
func (a *Access) sweep() {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	for name, h := range a.held {
		deep := h.deep != nil && now.Before(h.until)
		if h.deep != nil && !deep {
			h.deep.Close()
			h.deep, h.newest = nil, false
		}
		if h.shown != nil && h.shown.stale(now) {
			h.forget()
		}
		if len(h.live) > 0 || now.Sub(h.used) < RingIdle {
			continue
		}
		if deep { // An hour was promised, and no more than that.
			if h.ring != nil {
				h.ring.Close()
				h.ring = nil
			}
			continue
		}
		h.close()
		delete(a.held, name)
	}
}

// gone ends what another process has revoked, suspended or signed out.
func (a *Access) gone(ctx context.Context) {
	a.mu.Lock()
	accounts := map[int64]bool{}
	for _, h := range a.held {
		if len(h.live) > 0 {
			accounts[h.account] = true
		}
	}
	a.mu.Unlock()
	for account := range accounts {
		live, err := a.People.Live(ctx, account)
		if err == nil {
			var person people.Account
			if person, err = a.People.Get(ctx, account); err == nil && person.State != people.Active {
				live = nil
			}
		}
		if err != nil {
			a.Log.Warn("who may still be signed in could not be looked up", "error", err)
			continue
		}
		a.endAll(func(credential string, h *held) bool { return h.account == account && !live[credential] })
	}
}

// endAll ends the sessions and app passwords that which names: their rings are
// closed, and whoever uses them is told.
func (a *Access) endAll(which func(credential string, h *held) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, h := range a.held {
		if !which(name, h) {
			continue
		}
		h.close()
		delete(a.held, name)
		for s := range h.live {
			s.once.Do(func() { close(s.done) })
		}
	}
}

func (a *Access) end(credential string) {
	a.endAll(func(name string, _ *held) bool { return name == credential })
}

// endAccount ends all of an account's but one.
func (a *Access) endAccount(account int64, keep string) {
	a.endAll(func(name string, h *held) bool { return h.account == account && name != keep })
}

// endOthers ends what is held of all web sessions of s's person but s.
func (a *Access) endOthers(s *Session) {
	a.endAll(func(name string, h *held) bool {
		return h.account == s.Account.ID && name != s.credential && strings.HasPrefix(name, "session/")
	})
}

// tidyAfter is how old an envelope of a credential that isn't there must be before
// it is dropped in passing: another process may be about to put the credential in
// force.
const tidyAfter = 10 * time.Minute

// tidy drops the envelopes of credentials that are over. at once doesn't wait for
// them to be old.
func (a *Access) tidy(ctx context.Context, account int64, atOnce bool) error {
	a.changing.Lock()
	defer a.changing.Unlock()
	return a.tidyLocked(ctx, account, atOnce)
}

func (a *Access) tidyLocked(ctx context.Context, account int64, atOnce bool) error {
	list, err := a.Keys.Envelopes(ctx, account)
	if err != nil {
		return err
	}
	live, err := a.People.Live(ctx, account)
	if err != nil {
		return err
	}
	for _, e := range list {
		if live[e.Holder] || !atOnce && time.Since(e.Created) < tidyAfter {
			continue
		}
		if err := a.Keys.DropEnvelope(ctx, account, e.Holder); err != nil {
			return fmt.Errorf("dropping an envelope: %w", err)
		}
	}
	return nil
}

func (a *Access) tidyAll(ctx context.Context) {
	list, err := a.People.List(ctx)
	for _, account := range list {
		err = errors.Join(err, a.tidy(ctx, account.ID, false))
	}
	if err != nil && ctx.Err() == nil {
		a.Log.Warn("envelopes of ended sessions were not dropped; they will be", "error", err)
	}
}
