package people

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"time"

	"sijill"
	"sijill/internal/db"
)

// ErrMistyped is returned for a printed code that can't be one: some of it was
// copied wrong.
var ErrMistyped = errors.New("the code was mistyped")

const (
	recoveryBytes   = 16 // of chance
	recoverySymbols = 28 // seven groups of four: 128 bits and 12 to find slips by
)

// Recovery is a printed code that can be set: see NewPassword for why making and
// setting are two steps.
type Recovery struct {
	Code       string // to be shown once
	Credential string // as Proof.Credential
	Secret     [32]byte
	id         string
	verifier   [32]byte
}

// NewRecovery makes a printed code of 128 random bits.
func NewRecovery() *Recovery { return recovery(random(recoveryBytes)) }

func recovery(b []byte) *Recovery {
	sum := sha256.Sum256(append([]byte("sijill/people/recovery\n"), b...))
	r := &Recovery{Code: groups(unpack(append(b[:recoveryBytes:recoveryBytes], sum[0], sum[1]), recoverySymbols)),
		Secret: expand(b, "recovery secret"), verifier: expand(b, "recovery verifier")}
	r.id = hex.EncodeToString(r.verifier[:8])
	r.Credential = "recovery/" + r.id
	return r
}

// parseRecovery reads a code as it was typed, or returns ErrMistyped.
func parseRecovery(code string) (*Recovery, error) {
	s := symbols(code, recoverySymbols)
	if s == nil {
		return nil, ErrMistyped
	}
	r := recovery(pack(s)[:recoveryBytes])
	if string(symbols(r.Code, recoverySymbols)) != string(s) {
		return nil, ErrMistyped
	}
	return r, nil
}

// SetRecovery puts a printed code in the place of the one that an account had.
// With rooted (not zero) the roots of its mail were made anew then, and the code
// before stays good for those before; without, nobody but its person has seen the
// code from then on (Account.Seen). fs.ErrNotExist when there is no such account.
func (p *People) SetRecovery(ctx context.Context, by By, account int64, r *Recovery, rooted time.Time) error {
	err := p.db.Write(ctx, func(tx *db.Tx) error {
		if err := retire(tx, account, rooted); err != nil {
			return err
		}
		_, err := tx.Exec("INSERT INTO recovery (id, account, old, verifier, created) VALUES (?, ?, 0, ?, ?)",
			r.id, account, r.verifier[:], p.now().UnixMicro())
		if err != nil {
			return err
		}
		return p.owe(tx, Event{Kind: sijill.Key, Account: account, Actor: by.Account,
			Fields: Fields{What: "recovery", Did: "made"}, Detail: by.detail("")})
	})
	if err != nil {
		return fmt.Errorf("setting a recovery code: %w", err)
	}
	return nil
}

// retire makes room for a new code.
func retire(tx *db.Tx, account int64, rooted time.Time) error {
	if rooted.IsZero() {
		if _, err := tx.Exec("DELETE FROM recovery WHERE account = ? AND old = 0", account); err != nil {
			return err
		}
		return change(tx, "UPDATE account SET seen = 0 WHERE id = ?", account)
	}
	if err := change(tx, "UPDATE account SET rooted = ? WHERE id = ?", rooted.UnixMicro(), account); err != nil {
		return err
	}
	_, err := tx.Exec("UPDATE recovery SET old = 1 WHERE account = ?", account)
	return err
}

// ForgetOldRecovery ends the printed codes of roots before the newest: those that
// whoever made the account has seen. The one that is left was seen by its person alone.
func (p *People) ForgetOldRecovery(ctx context.Context, account int64) error {
	err := p.db.Write(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec("DELETE FROM recovery WHERE account = ? AND old = 1", account); err != nil {
			return err
		}
		_, err := tx.Exec("UPDATE account SET seen = 0 WHERE id = ?", account)
		return err
	})
	if err != nil {
		return fmt.Errorf("ending old recovery codes: %w", err)
	}
	return nil
}

// Rooted tells when the roots of an account's mail were last made, as SetRecovery
// was told; zero for never. fs.ErrNotExist when there is no such account.
func (p *People) Rooted(ctx context.Context, account int64) (t time.Time, err error) {
	var at int64
	err = p.db.Read(ctx, func(tx *db.Tx) error {
		return tx.One("SELECT rooted FROM account WHERE id = ?", []any{account}, &at)
	})
	if err != nil {
		return t, fmt.Errorf("reading about roots: %w", err)
	}
	if at != 0 {
		t = time.UnixMicro(at).UTC()
	}
	return t, nil
}

// RecoveryCredential names the printed code of an account as Proof.Credential does,
// and says when it was made; fs.ErrNotExist when there is none.
func (p *People) RecoveryCredential(ctx context.Context, account int64) (name string, made time.Time, err error) {
	var at int64
	err = p.db.Read(ctx, func(tx *db.Tx) error {
		return tx.One("SELECT id, created FROM recovery WHERE account = ? AND old = 0", []any{account}, &name, &at)
	})
	if err != nil {
		return "", made, fmt.Errorf("looking for a recovery code: %w", err)
	}
	return "recovery/" + name, time.UnixMicro(at).UTC(), nil
}

// ProveRecovery returns the account of a printed code, if name is "" or one of its
// addresses or its sign-in name. It returns ErrMistyped for
// what can't be one, ErrCredentials for one that is nobody's (any more), and
// ErrSlowDown after too many failures from a network. The code stays good until
// SetRecovery replaces it.
func (p *People) ProveRecovery(ctx context.Context, name, code string, from netip.Addr) (*Proof, error) {
	r, err := parseRecovery(code)
	if err != nil {
		return nil, fmt.Errorf("reading a recovery code: %w", err)
	}
	proof := &Proof{By: "recovery", Credential: r.Credential, Secret: r.Secret, HasSecret: true}
	try := attempt{Credentials: Credentials{Name: name, From: from, Door: "web"}, network: networkOf(from)}
	err = p.lookUp(ctx, &try, func(tx *db.Tx) error {
		var account int64
		if try.account, _, _, err = named(tx, name); err != nil {
			return err
		}
		if err := tx.One("SELECT account FROM recovery WHERE verifier = ?", []any{r.verifier[:]}, &account); err != nil {
			return err
		}
		if name != "" && account != try.account {
			return fs.ErrNotExist
		}
		proof.Account, err = one(tx, "WHERE a.id = ? AND a.state = 0", account)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("looking for a recovery code: %w", err)
	}
	return proof, nil
}

// lookUp runs look, which finds what was shown by itself: it has too many bits to
// be guessed, so that nothing need be counted beforehand, and who shows the right
// thing is never made to wait. When look returns fs.ErrNotExist that is
// ErrCredentials, and counted.
func (p *People) lookUp(ctx context.Context, try *attempt, look func(tx *db.Tx) error) error {
	var absent bool
	err := p.db.Read(ctx, func(tx *db.Tx) error {
		err := look(tx)
		if absent = errors.Is(err, fs.ErrNotExist); !absent {
			return err
		}
		if try.subjects, err = p.shownSubjects(tx, try); err != nil {
			return err
		}
		return mayTry(tx, p.now(), try.subjects)
	})
	if err != nil || !absent {
		return err
	}
	if try.Password != "" && p.stale.again(p.now(), try.Name, try.Password, try.network) {
		return ErrCredentials
	}
	err = p.db.Write(ctx, func(tx *db.Tx) error { return count(tx, p.now(), try.subjects) })
	if err == nil {
		err = p.fail(ctx, try)
	}
	return errors.Join(err, ErrCredentials)
}

// shownSubjects are the name, where one was given, and the network.
func (p *People) shownSubjects(tx *db.Tx, try *attempt) ([]subject, error) {
	if try.Name == "" {
		return []subject{p.networkSubject(try.network)}, nil
	}
	return p.subjects(tx, try.Name, try.network, try.account)
}
