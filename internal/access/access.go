// Package access lets people in: it joins what they sign in with (people) to the
// roots of their mail (vault), and tells the register of both.
//
// It promises that personal mail opens only to whom its owner's credentials open
// it: an everyday ring comes with a password, an app password made for personal
// mail or a passkey that has a secret to give; the deep ring, which opens what is
// old, only with such a passkey or the printed recovery code, for an hour, and
// never with a password. A session or app password for office mail never carries
// a ring. Rings are kept in memory alone, no longer than fifteen minutes after
// they were last used, and are overwritten when their session ends. Changing or
// losing a credential never touches the mail itself.
//
// Every sign-in at the web, the first use of an app password in a day from a
// network, every burst of failures and every change of a credential, of roles, of
// an address or a domain becomes an entry of the register. They are written down in the transaction in which they
// happen, and told right after; when the register can't take them they are told
// later, and people are let in meanwhile.
package access

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/people"
	"sijill/internal/record"
	"sijill/internal/vault"
)

// Errors of access, besides those of people.
var (
	// ErrCode says that the password was right and that a code of the second
	// factor is wanted; or, if one was given, that it is wrong.
	ErrCode = people.ErrCode
	// ErrClosed says that the session can't open personal mail, and that what was
	// asked for needs it: step up first.
	ErrClosed = errors.New("personal mail is closed in this session")
	// ErrStepUp says that what was asked for needs the deep ring.
	ErrStepUp = errors.New("a passkey or the recovery code is wanted first")
	// ErrNotDeep says that a passkey was right and opens nothing: its
	// authenticator has no secret to give, or it was never let.
	ErrNotDeep = errors.New("this passkey opens no mail")
	// ErrProve says that the person must show a credential again (Prove or
	// FinishStepUp): the last time is too long ago for a change of this kind.
	ErrProve = errors.New("who is there must be proven again")
	// ErrScope says that the session isn't for personal mail.
	ErrScope = errors.New("the session is for office mail alone")
	// ErrFresh says that somebody else chose the password, or has seen the code that
	// opened this session, and that the password must be changed first.
	ErrFresh = errors.New("the password must be changed first")
	// ErrConsent says that personal mail would be lost, and that nobody said yes.
	ErrConsent = errors.New("personal mail would be lost")
)

const (
	// RingIdle is how long a ring is kept since it was last used.
	RingIdle = 15 * time.Minute
	// DeepFor is how long a step-up lasts.
	DeepFor = time.Hour
)

// Keys are the roots of people's mail. *vault.Vault is one.
type Keys interface {
	HasRoots(ctx context.Context, account int64) (bool, error)
	MakeRoots(ctx context.Context, account int64) (*vault.Ring, error)
	PutEnvelope(ctx context.Context, r *vault.Ring, root vault.Root, holder string, kek [32]byte) error
	DropEnvelope(ctx context.Context, account int64, holder string) error
	Envelopes(ctx context.Context, account int64) ([]vault.Envelope, error)
	Unlock(ctx context.Context, account int64, holder string, kek [32]byte) (*vault.Ring, error)
	Rewrap(ctx context.Context, r *vault.Ring) (int, error)
}

// Register is told what happens. *record.Register is one.
type Register interface {
	Append(ctx context.Context, d record.Draft) (record.Receipt, error)
}

// Options says what access stands on. All are needed unless said otherwise.
type Options struct {
	People   *people.People
	Keys     Keys
	Register Register
	Log      *slog.Logger
	// Issuer is what people's programs show beside the codes of a second factor:
	// the office's name.
	Issuer string
	// ProveEvery is how long after showing a credential a person may change
	// others; ErrProve after that. 0 means as long as the session lasts.
	ProveEvery time.Duration
	// Forwarding suspends, in the transaction in which a password is reset or
	// recovered, what passes an account's personal mail on, and tells whether there
	// was any. nil where nothing does.
	Forwarding func(tx *db.Tx, account int64) (bool, error)
}

// Access lets people in. It is safe for concurrent use.
type Access struct {
	Options
	now  func() time.Time
	stop context.CancelFunc
	done chan struct{}

	telling sync.Mutex // Held while events are told, so that none is told twice.
	// changing is held while envelopes are put for a credential that isn't in
	// force yet, and while those of credentials that aren't are dropped.
	changing sync.Mutex

	mu   sync.Mutex // Guards held and what is in it.
	held map[string]*held
}

// Open tells what an earlier process left untold, and starts to look after rings
// and events until Close.
func Open(ctx context.Context, o Options) *Access {
	a := &Access{Options: o, now: time.Now, done: make(chan struct{}), held: map[string]*held{}}
	a.tell(ctx, true)
	var run context.Context
	run, a.stop = context.WithCancel(context.WithoutCancel(ctx))
	go a.look(run)
	return a
}

// Close closes every ring. Nobody may call a afterwards.
func (a *Access) Close() {
	a.stop()
	<-a.done
	a.endAll(func(string, *held) bool { return true })
}

// How often rings and events are looked after, and envelopes of what is over.
const (
	lookEvery = 10 * time.Second
	tidyEvery = time.Hour
)

func (a *Access) look(ctx context.Context) {
	defer close(a.done)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	tidied := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		a.sweep()
		a.gone(ctx)
		a.tell(ctx, true)
		if time.Since(tidied) >= tidyEvery {
			tidied = time.Now()
			a.tidyAll(ctx)
		}
	}
}

// tell appends the entries of what has happened. What can't be told now stays
// owed: a register that takes no entries must not keep people from their mail.
func (a *Access) tell(ctx context.Context, adopt bool) {
	a.telling.Lock()
	defer a.telling.Unlock()
	ctx = context.WithoutCancel(ctx) // it happened, whoever waits
	for {
		list, err := a.People.Owed(ctx, adopt)
		for _, e := range list {
			if err == nil {
				err = a.append(ctx, e)
			}
		}
		if err != nil {
			a.Log.Warn("the register was not told of a sign-in or a credential; it will be", "error", err)
		}
		if err != nil || len(list) == 0 {
			return
		}
		adopt = false
	}
}

// append appends the entry of one event, which is gone when the entry is there.
func (a *Access) append(ctx context.Context, e people.Event) error {
	d := record.Draft{Kind: e.Kind, Actor: "sijill", Fields: e.Fields, With: func(tx *db.Tx, _ int64) error { return people.Told(tx, e.ID) }}
	if e.Fields.Door != "" {
		d.Actor = e.Fields.Door
	}
	if e.Actor != 0 {
		name, err := a.People.Pseudonym(ctx, e.Actor)
		if err != nil {
			return err
		}
		d.Actor = name
	}
	detail, err := a.detail(ctx, &e)
	if err != nil {
		return err
	}
	holder := e.Account
	if holder == 0 { // Whoever answers for the office may read what concerns nobody in particular.
		if holder, err = a.People.FirstOwner(ctx); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if holder != 0 {
		d.Holders = []int64{holder}
		if detail != (people.Detail{}) {
			d.Class, d.Detail = e.Fields.Class, detail
		}
	}
	if _, err := a.Register.Append(ctx, d); err != nil {
		return fmt.Errorf("appending an entry of kind %s: %w", e.Kind, err)
	}
	return nil
}

// detail is what an entry seals of an event. What is about a personal address is
// sealed as personal mail is; for who has no roots yet to seal it to, the address
// is left out.
func (a *Access) detail(ctx context.Context, e *people.Event) (people.Detail, error) {
	if e.Fields.Class != sijill.Personal {
		return e.Detail, nil
	}
	has, err := a.Keys.HasRoots(ctx, e.Account)
	if err != nil || has {
		return e.Detail, err
	}
	return people.Detail{}, nil
}

// note writes down what happened here and not among the credentials.
func (a *Access) note(ctx context.Context, s *Session, kind sijill.Kind, f people.Fields, by people.By) error {
	return a.People.Note(ctx, by, people.Event{Kind: kind, Account: s.Account.ID, Actor: s.Account.ID, Fields: f})
}

// expand derives a secret for one purpose from one that is random already.
func expand(secret []byte, purpose string) (out [32]byte) {
	b, err := hkdf.Expand(sha256.New, secret, "sijill/access/"+purpose, len(out))
	if err != nil {
		panic(err) // only for lengths over 8,160 bytes
	}
	copy(out[:], b)
	return out
}
