package people

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"sijill"
	"sijill/internal/db"
)

const (
	appSymbols = 24 // six groups of four: 120 bits
	maxApps    = 100
)

// ErrTooMany is returned when an account has as many app passwords or passkeys as
// it may have.
var ErrTooMany = errors.New("there are too many already")

// AppPassword is a password for one program, which uses it for IMAP and to submit
// mail, and can't sign in with it at the web.
type AppPassword struct {
	ID      int64
	Label   string
	Scope   Scope
	Created time.Time
	Used    time.Time // to the minute; zero for never
	Network string    // where it was last used
}

// Credential names it as Proof.Credential does.
func (a AppPassword) Credential() string { return fmt.Sprintf("app/%d", a.ID) }

// NewApp is an app password that was just made.
type NewApp struct {
	AppPassword
	Password string // to be shown once
	Secret   [32]byte
}

// MakeAppPassword makes a password for one program. It returns ErrInvalid for a
// label or a scope that can't be, ErrTooMany, ErrNoKey without Options.Key, and
// fs.ErrNotExist when there is no such account.
func (p *People) MakeAppPassword(ctx context.Context, by By, account int64, label string, scope Scope) (*NewApp, error) {
	err := checkName(label)
	switch {
	case !p.keys.given:
		err = ErrNoKey
	case scope.String() == "":
		err = fmt.Errorf("scope: %w", ErrInvalid)
	}
	if err != nil {
		return nil, fmt.Errorf("making an app password: %w", err)
	}
	s := random(appSymbols)
	for i := range s {
		s[i] %= 32
	}
	b := pack(s)
	n := &NewApp{AppPassword: AppPassword{Label: label, Scope: scope, Created: p.now().UTC().Truncate(time.Microsecond)},
		Password: groups(s), Secret: expand(b, "app password secret")}
	err = p.db.Write(ctx, func(tx *db.Tx) error { return p.insertApp(tx, by, account, n, p.appHash(b)) })
	if err != nil {
		return nil, fmt.Errorf("making an app password: %w", err)
	}
	return n, nil
}

func (p *People) insertApp(tx *db.Tx, by By, account int64, n *NewApp, hash []byte) error {
	if _, err := one(tx, "WHERE a.id = ? AND a.state = 0", account); err != nil {
		return err
	}
	var has int
	if err := tx.One("SELECT count(*) FROM app_password WHERE account = ?", []any{account}, &has); err != nil {
		return err
	}
	if has >= maxApps {
		return ErrTooMany
	}
	var err error
	n.ID, err = tx.Insert("INSERT INTO app_password (hash, account, label, scope, created, used, network) VALUES (?, ?, ?, ?, ?, 0, '')",
		hash, account, n.Label, n.Scope, n.Created.UnixMicro())
	if err != nil {
		return err
	}
	return p.owe(tx, Event{Kind: sijill.Key, Account: account, Actor: by.Account,
		Fields: Fields{What: "app-password", Did: "made", See: n.Scope.String()}, Detail: by.detail(n.Label)})
}

// appHash is what is stored of an app password. It is 120 random bits: nothing
// slower is needed, and the row is found by it.
func (p *People) appHash(b []byte) []byte { return mac(p.keys.app, string(b)) }

const appColumns = "SELECT id, label, scope, created, used, network FROM app_password "

func scanApp(scan func(...any) error) (a AppPassword, err error) {
	var created, used int64
	err = scan(&a.ID, &a.Label, &a.Scope, &created, &used, &a.Network)
	if a.Created = time.UnixMicro(created).UTC(); used != 0 {
		a.Used = time.UnixMicro(used).UTC()
	}
	return a, err
}

// AppPasswords lists the app passwords of an account, the newest first.
func (p *People) AppPasswords(ctx context.Context, account int64) (list []AppPassword, err error) {
	err = p.db.Read(ctx, func(tx *db.Tx) error {
		return tx.Each(appColumns+"WHERE account = ? ORDER BY id DESC", []any{account}, func(r db.Row) error {
			a, err := scanApp(r.Scan)
			list = append(list, a)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("listing app passwords: %w", err)
	}
	return list, nil
}

// RevokeAppPassword ends an app password of an account; fs.ErrNotExist when it
// isn't one of its.
func (p *People) RevokeAppPassword(ctx context.Context, by By, account, id int64) error {
	err := p.db.Write(ctx, func(tx *db.Tx) error {
		a, err := scanApp(func(into ...any) error {
			return tx.One(appColumns+"WHERE id = ? AND account = ?", []any{id, account}, into...)
		})
		if err != nil {
			return err
		}
		if err := change(tx, "DELETE FROM app_password WHERE id = ?", id); err != nil {
			return err
		}
		return p.owe(tx, Event{Kind: sijill.Key, Account: account, Actor: by.Account,
			Fields: Fields{What: "app-password", Did: "removed", See: a.Scope.String()}, Detail: by.detail(a.Label)})
	})
	if err != nil {
		return fmt.Errorf("revoking an app password: %w", err)
	}
	return nil
}

// AppProof says that a program has shown an app password.
type AppProof struct {
	Proof
	Password AppPassword
	// Scope is what may be seen: what the password's allows of what the name
	// stands for. A sign-in name stands for both classes, an address for its own.
	Scope Scope
}

// Application returns the account of a program that shows an app password for a
// sign-in name or an address of its person; the password of the account itself is
// none. c.Door is "imap" or "submission". It returns ErrCredentials, or ErrSlowDown
// after too many failures of the name or the network, which never concerns who
// shows the right password.
func (p *People) Application(ctx context.Context, c Credentials) (*AppProof, error) {
	if !p.keys.given {
		return nil, fmt.Errorf("signing a program in: %w", ErrNoKey)
	}
	b := pack(symbols(c.Password, appSymbols))
	proof := &AppProof{Proof: Proof{By: "app-password", Secret: expand(b, "app password secret"), HasSecret: true}}
	try := attempt{Credentials: c, network: networkOf(c.From)}
	err := p.lookUp(ctx, &try, func(tx *db.Tx) error { return p.findApp(tx, &try, proof, p.appHash(b)) })
	if err == nil {
		proof.Credential = proof.Password.Credential()
		err = p.noteApp(ctx, &try, proof)
	}
	if err != nil {
		return nil, fmt.Errorf("signing a program in: %w", err)
	}
	return proof, nil
}

// findApp does as much for a name that nobody has as for one that somebody has.
func (p *People) findApp(tx *db.Tx, try *attempt, proof *AppProof, hash []byte) (err error) {
	var stands Scope
	if try.account, stands, _, err = named(tx, try.Name); err != nil {
		return err
	}
	proof.Password, err = scanApp(func(into ...any) error {
		return tx.One(appColumns+"WHERE hash = ? AND account = ?", []any{hash, try.account}, into...)
	})
	if err != nil {
		return err
	}
	if proof.Scope = proof.Password.Scope & stands; proof.Scope == 0 {
		return fs.ErrNotExist
	}
	proof.Account, err = one(tx, "WHERE a.id = ? AND a.state = 0", try.account)
	return err
}

// noteApp notes that an app password was used, when there is something new to say:
// a program signs in many times an hour.
func (p *People) noteApp(ctx context.Context, try *attempt, proof *AppProof) error {
	now := p.now()
	day := now.Unix() / (24 * 60 * 60)
	args := []any{day, proof.Password.ID, try.Door, try.network}
	known, familiar := false, false
	err := p.db.Read(ctx, func(tx *db.Tx) error {
		var n int
		err := tx.One("SELECT count(*) FROM use WHERE day = ? AND credential = ? AND door = ? AND network = ?", args, &n)
		if known = n > 0; err != nil {
			return err
		}
		familiar, err = isFamiliar(tx, now, try.account, try.network)
		return err
	})
	if err != nil || known && familiar && now.Sub(proof.Password.Used) < touchEvery && proof.Password.Network == try.network {
		return err
	}
	return p.db.Write(ctx, func(tx *db.Tx) error {
		err := change(tx, "UPDATE app_password SET used = ?, network = ? WHERE id = ?", now.UnixMicro(), try.network, proof.Password.ID)
		if errors.Is(err, fs.ErrNotExist) {
			return ErrCredentials // revoked meanwhile
		}
		if err == nil {
			err = p.firstUse(tx, try, proof, args)
		}
		if err == nil {
			err = p.forgive(tx, try.Name, try.network)
		}
		if err != nil {
			return err
		}
		return makeFamiliar(tx, now, try.account, try.network)
	})
}

// firstUse tells of the first use in a day of an app password at a door from a
// network.
func (p *People) firstUse(tx *db.Tx, try *attempt, proof *AppProof, args []any) error {
	if _, err := tx.Exec("DELETE FROM use WHERE day < ?", args[0].(int64)-1); err != nil {
		return err
	}
	n, err := tx.Exec("INSERT INTO use (day, credential, door, network) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", args...)
	if err != nil || n == 0 {
		return err
	}
	return p.owe(tx, Event{Kind: sijill.Login, Account: try.account, Actor: try.account,
		Fields: Fields{What: "signed-in", Door: try.Door, By: proof.By, See: proof.Scope.String()},
		Detail: Detail{Network: try.network, Agent: agentForm(try.Agent), Label: proof.Password.Label}})
}

// Live lists the credentials of an account, named as Proof.Credential does, that
// can open something: what isn't listed is gone. Sessions are "session/…".
func (p *People) Live(ctx context.Context, account int64) (names map[string]bool, err error) {
	names = map[string]bool{}
	args := append([]any{account}, deadlines(p.now())...)
	args = append(args, account, account, account)
	err = p.db.Read(ctx, func(tx *db.Tx) error {
		var hash string
		if err := tx.One("SELECT password FROM account WHERE id = ?", []any{account}, &hash); err != nil {
			return err
		}
		h, err := decode(hash)
		if err != nil {
			return err
		}
		names[h.credential()] = true
		return tx.Each("SELECT 'session/' || id FROM session WHERE account = ? AND "+alive+
			` UNION ALL SELECT 'app/' || id FROM app_password WHERE account = ?
			UNION ALL SELECT 'passkey/' || id FROM passkey WHERE account = ?
			UNION ALL SELECT 'recovery/' || id FROM recovery WHERE account = ?`, args, func(r db.Row) error {
			var name string
			err := r.Scan(&name)
			names[name] = true
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("listing credentials: %w", err)
	}
	return names, nil
}
