package people

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"time"

	"sijill/internal/db"
)

const (
	// SessionIdle is how long a session lasts without being used.
	SessionIdle = 12 * time.Hour
	// SessionLife is how long a session lasts in any case.
	SessionLife = 7 * 24 * time.Hour

	// touchEvery is how exactly we know when a session was last used: without
	// it every page would be a write.
	touchEvery = time.Minute
)

// Session is one sign-in at the web.
type Session struct {
	ID      int64
	Account int64
	Token   string // 43 characters, the secret of the cookie; only SignIn fills it in
	Network string // where it began: a /24 or /64
	Created time.Time
	Used    time.Time // to the minute
}

// SignIn begins a session. Its token is always new, and none that came with the
// request is ever taken over; call SignOut for that one. It returns the errors of
// Authenticate.
func (p *People) SignIn(ctx context.Context, address, password string, from netip.Addr) (Session, error) {
	var secret [32]byte
	rand.Read(secret[:]) // never fails
	now := p.now().UTC().Truncate(time.Microsecond)
	s := Session{
		Token:   base64.RawURLEncoding.EncodeToString(secret[:]),
		Network: networkOf(from),
		Created: now,
		Used:    now,
	}
	_, err := p.authenticate(ctx, address, password, from, func(tx *db.Tx, account int64) (err error) {
		if _, err := tx.Exec("DELETE FROM session WHERE NOT ("+alive+")", deadlines(now)...); err != nil {
			return err
		}
		s.Account = account
		s.ID, err = tx.Insert("INSERT INTO session (hash, account, network, created, used) VALUES (?, ?, ?, ?, ?)",
			tokenHash(s.Token), account, s.Network, now.UnixMicro(), now.UnixMicro())
		return err
	})
	if err != nil {
		return Session{}, err
	}
	return s, nil
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
	now, hash := p.now(), tokenHash(token)
	var a Account
	var used int64
	err := p.db.Read(ctx, func(tx *db.Tx) (err error) {
		var account int64
		args := append([]any{hash}, deadlines(now)...)
		if err := tx.One("SELECT account, used FROM session WHERE hash = ? AND "+alive, args, &account, &used); err != nil {
			return err
		}
		a, err = one(tx, "WHERE a.id = ? AND "+ownAddress, account)
		return err
	})
	if err == nil && now.Sub(time.UnixMicro(used)) >= touchEvery {
		err = p.touch(ctx, hash, now)
	}
	if err != nil {
		return Account{}, fmt.Errorf("finding a session: %w", err)
	}
	return a, nil
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

// Sessions lists the live sessions of an account, the one used last first.
func (p *People) Sessions(ctx context.Context, account int64) ([]Session, error) {
	var list []Session
	args := append([]any{account}, deadlines(p.now())...)
	err := p.db.Read(ctx, func(tx *db.Tx) error {
		return tx.Each("SELECT id, network, created, used FROM session WHERE account = ? AND "+alive+" ORDER BY used DESC, id DESC", args, func(r db.Row) error {
			s := Session{Account: account}
			var created, used int64
			err := r.Scan(&s.ID, &s.Network, &created, &used)
			s.Created, s.Used = time.UnixMicro(created).UTC(), time.UnixMicro(used).UTC()
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
	err := p.db.Write(ctx, func(tx *db.Tx) error { return endSessions(tx, account) })
	if err != nil {
		return fmt.Errorf("ending sessions: %w", err)
	}
	return nil
}

func endSessions(tx *db.Tx, account int64) error {
	_, err := tx.Exec("DELETE FROM session WHERE account = ?", account)
	return err
}
