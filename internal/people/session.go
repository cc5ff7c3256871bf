package people

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"time"

	"sijill"
	"sijill/internal/db"
)

const (
	// SessionIdle is how long a session lasts without being used.
	SessionIdle = 12 * time.Hour
	// SessionLife is how long a session lasts in any case.
	SessionLife = 7 * 24 * time.Hour

	// touchEvery is how exactly we know when something was last used: without
	// it every page would be a write.
	touchEvery = time.Minute
)

// Session is one sign-in at the web.
type Session struct {
	ID      int64
	Account int64
	Token   string // 43 characters, the secret of the cookie; only signing in fills it in
	Scope   Scope
	Network string // where it began: a /24 or /64
	Agent   string // what the browser called itself then
	Created time.Time
	Used    time.Time // to the minute
	Proven  time.Time // when the person last showed a credential
}

// SignIn begins a session. Its token is always new, and none that came with the
// request is ever taken over; call SignOut for that one. It returns the errors of
// Authenticate.
func (p *People) SignIn(ctx context.Context, address, password string, from netip.Addr) (Session, error) {
	s, _, err := p.SignInWith(ctx, Credentials{Name: address, Password: password, From: from, Door: "web"})
	return s, err
}

// SignInWith is SignIn with a second factor, and returns what the password gives.
func (p *People) SignInWith(ctx context.Context, c Credentials) (Session, *Proof, error) {
	var s Session
	proof, err := p.authenticate(ctx, c, func(tx *db.Tx, proof *Proof) (err error) {
		s, err = p.startSession(tx, proof, c.From, c.Agent)
		return err
	})
	if err != nil {
		return Session{}, nil, err
	}
	return s, proof, nil
}

// StartSession begins a session for whom a proof is of, as SignIn does.
func (p *People) StartSession(ctx context.Context, proof *Proof, from netip.Addr, agent string) (s Session, err error) {
	err = p.db.Write(ctx, func(tx *db.Tx) error {
		if _, err := one(tx, "WHERE a.id = ? AND a.state = 0", proof.Account.ID); err != nil {
			return err
		}
		s, err = p.startSession(tx, proof, from, agent)
		return err
	})
	if err != nil {
		return Session{}, fmt.Errorf("beginning a session: %w", err)
	}
	return s, nil
}

// startSession begins a session and notes the sign-in.
func (p *People) startSession(tx *db.Tx, proof *Proof, from netip.Addr, agent string) (Session, error) {
	now := p.now().UTC().Truncate(time.Microsecond)
	s := Session{Account: proof.Account.ID, Token: encode64(random(32)), Scope: ScopeBoth,
		Network: networkOf(from), Agent: agentForm(agent), Created: now, Used: now, Proven: now}
	if _, err := tx.Exec("DELETE FROM session WHERE NOT ("+alive+")", deadlines(now)...); err != nil {
		return s, err
	}
	var err error
	at := now.UnixMicro()
	s.ID, err = tx.Insert("INSERT INTO session (hash, account, scope, network, agent, created, used, proven) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		tokenHash(s.Token), s.Account, s.Scope, s.Network, s.Agent, at, at, at)
	if err != nil {
		return s, err
	}
	return s, p.owe(tx, Event{Kind: sijill.Login, Account: s.Account, Actor: s.Account,
		Fields: Fields{What: "signed-in", Door: "web", By: proof.By}, Detail: Detail{Network: s.Network, Agent: s.Agent}})
}

// alive is the condition under which a session lasts; deadlines are its arguments.
const alive = "created > ? AND used > ?"

func deadlines(now time.Time) []any {
	return []any{now.Add(-SessionLife).UnixMicro(), now.Add(-SessionIdle).UnixMicro()}
}

// tokenHash is what is stored of a token. The token is 256 random bits: nothing
// slower than a plain hash is needed.
func tokenHash(token string) []byte {
	h := sha256.Sum256([]byte(token))
	return h[:]
}

// Session returns the account that a token is signed in to and notes that it was
// used; fs.ErrNotExist when the session is over or never was.
func (p *People) Session(ctx context.Context, token string) (Account, error) {
	_, a, err := p.Resume(ctx, token)
	return a, err
}

const sessionColumns = "SELECT id, account, scope, network, agent, created, used, proven FROM session "

func scanSession(scan func(...any) error) (s Session, err error) {
	var created, used, proven int64
	err = scan(&s.ID, &s.Account, &s.Scope, &s.Network, &s.Agent, &created, &used, &proven)
	s.Created, s.Used, s.Proven = time.UnixMicro(created).UTC(), time.UnixMicro(used).UTC(), time.UnixMicro(proven).UTC()
	return s, err
}

// Resume is Session with what is known of the session itself.
func (p *People) Resume(ctx context.Context, token string) (s Session, a Account, err error) {
	now, hash := p.now(), tokenHash(token)
	err = p.db.Read(ctx, func(tx *db.Tx) (err error) {
		args := append([]any{hash}, deadlines(now)...)
		s, err = scanSession(func(into ...any) error {
			return tx.One(sessionColumns+"WHERE hash = ? AND "+alive, args, into...)
		})
		if err != nil {
			return err
		}
		a, err = one(tx, "WHERE a.id = ? AND a.state = 0", s.Account)
		return err
	})
	if err == nil && now.Sub(s.Used) >= touchEvery {
		s.Used = now.UTC().Truncate(time.Microsecond)
		err = p.touch(ctx, hash, now)
	}
	if err != nil {
		return Session{}, Account{}, fmt.Errorf("finding a session: %w", err)
	}
	return s, a, nil
}

// touch notes that a session was used. Of its errors only the session's end
// matters: a full disk must not keep people from reading, and at worst their
// session ends before its time.
func (p *People) touch(ctx context.Context, hash []byte, now time.Time) error {
	err := p.db.Write(ctx, func(tx *db.Tx) error {
		return change(tx, "UPDATE session SET used = ? WHERE hash = ?", now.UnixMicro(), hash)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Proved notes that the person of a session has shown a credential again;
// fs.ErrNotExist when the session is over.
func (p *People) Proved(ctx context.Context, session int64) error {
	err := p.db.Write(ctx, func(tx *db.Tx) error {
		return change(tx, "UPDATE session SET proven = ? WHERE id = ?", p.now().UnixMicro(), session)
	})
	if err != nil {
		return fmt.Errorf("noting a proof: %w", err)
	}
	return nil
}

// Narrow takes classes away from what a session may see; none come back. It
// returns ErrInvalid when nothing would be left, and fs.ErrNotExist when the
// session is over.
func (p *People) Narrow(ctx context.Context, session int64, scope Scope) error {
	err := p.db.Write(ctx, func(tx *db.Tx) error {
		var has Scope
		if err := tx.One("SELECT scope FROM session WHERE id = ?", []any{session}, &has); err != nil {
			return err
		}
		if has&scope == 0 {
			return ErrInvalid
		}
		return change(tx, "UPDATE session SET scope = ? WHERE id = ?", has&scope, session)
	})
	if err != nil {
		return fmt.Errorf("narrowing a session: %w", err)
	}
	return nil
}

// Sessions lists the live sessions of an account, the one used last first.
func (p *People) Sessions(ctx context.Context, account int64) ([]Session, error) {
	var list []Session
	args := append([]any{account}, deadlines(p.now())...)
	err := p.db.Read(ctx, func(tx *db.Tx) error {
		return tx.Each(sessionColumns+"WHERE account = ? AND "+alive+" ORDER BY used DESC, id DESC", args, func(r db.Row) error {
			s, err := scanSession(r.Scan)
			list = append(list, s)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("listing sessions: %w", err)
	}
	return list, nil
}

// SignOut ends the session of a token. It is no error when there is none.
func (p *People) SignOut(ctx context.Context, token string) error {
	err := p.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec("DELETE FROM session WHERE hash = ?", tokenHash(token))
		return err
	})
	if err != nil {
		return fmt.Errorf("signing out: %w", err)
	}
	return nil
}

// Revoke ends one session of an account; fs.ErrNotExist when it isn't one of its.
func (p *People) Revoke(ctx context.Context, account, session int64) error {
	err := p.db.Write(ctx, func(tx *db.Tx) error {
		return change(tx, "DELETE FROM session WHERE id = ? AND account = ?", session, account)
	})
	if err != nil {
		return fmt.Errorf("ending a session: %w", err)
	}
	return nil
}

// RevokeAll ends all sessions of an account.
func (p *People) RevokeAll(ctx context.Context, account int64) error {
	return p.RevokeOthers(ctx, account, 0)
}

// RevokeOthers ends all sessions of an account but one.
func (p *People) RevokeOthers(ctx context.Context, account, keep int64) error {
	err := p.db.Write(ctx, func(tx *db.Tx) error { return endSessions(tx, account, keep) })
	if err != nil {
		return fmt.Errorf("ending sessions: %w", err)
	}
	return nil
}

func endSessions(tx *db.Tx, account, keep int64) error {
	_, err := tx.Exec("DELETE FROM session WHERE account = ? AND id <> ?", account, keep)
	return err
}
