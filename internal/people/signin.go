package people

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"

	"sijill"
	"sijill/internal/db"
)

// ErrCredentials is returned when the name is unknown or what was shown for it is
// wrong, which of them isn't said.
var ErrCredentials = errors.New("wrong address or password")

// ErrCode is returned, once the password was found right, when the second factor's
// code is missing or wrong.
var ErrCode = errors.New("a code of the second factor is wanted")

// Credentials is what somebody shows who wants to sign in.
type Credentials struct {
	Name     string // an address, or a sign-in name
	Password string
	Code     string // of the second factor; "" when none was given
	From     netip.Addr
	Agent    string // what the program calls itself
	Door     string // "web", "imap", "submission"
	// Signed says that the person is signed in already, so that no second factor
	// is asked for.
	Signed bool
}

// Proof says that somebody has shown a credential.
type Proof struct {
	Account Account
	By      string // as Fields.By
	// Credential names what was shown among the account's credentials, as
	// "password/…", "app/…", "passkey/…", "recovery/…"; it never names another.
	Credential string
	// Secret is derived from what was shown, and from nothing that is stored. It
	// is for wrapping keys. HasSecret is false for a passkey whose authenticator
	// has none to give.
	Secret    [32]byte
	HasSecret bool
	// Renewal is the same password hashed at today's cost, if it wasn't. Give it
	// to RenewPassword when what Secret wraps is wrapped under its Secret too.
	Renewal *NewPassword
}

// attempt is one try at a password.
type attempt struct {
	Credentials
	network  string
	subjects []subject // whose failures it counts towards
	account  int64     // 0 for an unknown name
	hash     string    // what the password is compared with
	found    found
	upgrade  *NewPassword // takes the place of a legacy hash
	renewal  *NewPassword
}

// Authenticate returns the account of an address or sign-in name, if the password
// is its. from is where the person is. It returns ErrCredentials, ErrCode when the
// account has a second factor, or ErrSlowDown after too many failures. Unlike mail,
// people don't come to a subaddress or to postmaster.
func (p *People) Authenticate(ctx context.Context, address, password string, from netip.Addr) (Account, error) {
	proof, err := p.Prove(ctx, Credentials{Name: address, Password: password, From: from})
	if err != nil {
		return Account{}, err
	}
	return proof.Account, nil
}

// Prove is Authenticate with a second factor, and returns what the password gives.
func (p *People) Prove(ctx context.Context, c Credentials) (*Proof, error) {
	return p.authenticate(ctx, c, func(*db.Tx, *Proof) error { return nil })
}

// authenticate runs then in the transaction that notes the success.
func (p *People) authenticate(ctx context.Context, c Credentials, then func(tx *db.Tx, proof *Proof) error) (*Proof, error) {
	try := attempt{Credentials: c, network: networkOf(c.From)}
	proof, err := p.try(ctx, &try, then)
	if errors.Is(err, ErrCredentials) || errors.Is(err, ErrCode) && c.Code != "" {
		if err := p.fail(ctx, &try); err != nil {
			return nil, fmt.Errorf("signing in: %w", err)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("signing in: %w", err)
	}
	return proof, nil
}

func (p *People) try(ctx context.Context, try *attempt, then func(tx *db.Tx, proof *Proof) error) (*Proof, error) {
	if err := p.begin(ctx, try); err != nil {
		return nil, err
	}
	if err := p.compare(ctx, try); err != nil {
		return nil, err
	}
	proof := &Proof{By: "password", Credential: try.found.credential, Secret: try.found.secret, HasSecret: true, Renewal: try.renewal}
	if n := try.upgrade; n != nil {
		proof.Credential, proof.Secret = n.Credential, n.Secret
	}
	var wanted error
	err := p.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		if wanted, err = p.succeed(tx, try, proof); err != nil || wanted != nil {
			return err
		}
		if proof.Account, err = one(tx, "WHERE a.id = ?", try.account); err != nil {
			return err
		}
		return then(tx, proof)
	})
	if err = errors.Join(err, wanted); err != nil {
		return nil, err
	}
	return proof, nil
}

// begin finds out what there is to compare with and counts the attempt as failed
// before its password is looked at: otherwise a thousand sent at once would all
// be looked at before the first was counted.
func (p *People) begin(ctx context.Context, try *attempt) error {
	allowed := func(tx *db.Tx) error {
		if err := p.resolve(tx, try); err != nil {
			return err
		}
		return mayTry(tx, p.now(), try.subjects)
	}
	// Asked first without the right to write, so that hammering holds up nobody.
	if err := p.db.Read(ctx, allowed); err != nil {
		return err
	}
	return p.db.Write(ctx, func(tx *db.Tx) error {
		if err := allowed(tx); err != nil {
			return err
		}
		return count(tx, p.now(), try.subjects)
	})
}

// resolve fills in account, hash and subjects. Failures from elsewhere don't count
// where the account is known to come from: else anyone could lock anyone out. (Who
// shares that network can so find out that the address exists.)
func (p *People) resolve(tx *db.Tx, try *attempt) (err error) {
	try.account, _, try.hash, err = named(tx, try.Name)
	if err != nil {
		return err
	}
	try.subjects, err = p.subjects(tx, try.Name, try.network, try.account)
	return err
}

// named finds the active account of an address or a sign-in name, what the name
// lets its bearer see at most, and the hash of its password. All are zero when
// there is none.
func named(tx *db.Tx, name string) (account int64, scope Scope, hash string, err error) {
	var class Class
	if strings.Contains(name, "@") {
		local, domain, err := normalise(name)
		if err != nil {
			return 0, 0, "", nil
		}
		err = tx.One(`SELECT a.id, a.password, d.class FROM account a JOIN address d ON d.account = a.id
			WHERE d.domain = ? AND d.local = ? AND a.state = 0`, []any{domain, local}, &account, &hash, &class)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return account, ScopeOf(class), hash, err
	}
	form, err := signInForm(name)
	if err != nil {
		return 0, 0, "", nil
	}
	err = tx.One("SELECT id, password FROM account WHERE sign_in = ? AND state = 0", []any{form}, &account, &hash)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, 0, "", nil
	}
	return account, ScopeBoth, hash, err
}

// compare returns ErrCredentials unless the password is right. It takes as long
// for a name that nobody has.
func (p *People) compare(ctx context.Context, try *attempt) (err error) {
	hash := try.hash
	if try.account == 0 {
		hash = p.nobodys()
	}
	if try.found, err = p.verify(ctx, hash, try.Password); err != nil {
		return err
	}
	if !try.found.ok || try.account == 0 {
		return ErrCredentials
	}
	if !try.found.legacy && !try.found.outdated {
		return nil
	}
	n, err := p.hashAnew(ctx, try.found.prepared)
	if err != nil {
		return err
	}
	if try.found.legacy {
		try.upgrade = n // nothing is wrapped under it yet
	} else {
		try.renewal = n
	}
	return nil
}

// succeed takes the counted failure back, unless the password was changed while
// it was being compared or the second factor's code isn't right (wanted says so).
func (p *People) succeed(tx *db.Tx, try *attempt, proof *Proof) (wanted, err error) {
	var hash string
	if err := tx.One("SELECT password FROM account WHERE id = ? AND state = 0", []any{try.account}, &hash); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = ErrCredentials // suspended meanwhile
		}
		return nil, err
	}
	if hash != try.hash {
		return nil, ErrCredentials
	}
	var has, ok bool
	if !try.Signed {
		has, ok, err = p.checkCode(tx, try.account, try.Code)
	}
	switch {
	case err != nil:
		return nil, err
	case has && !ok && try.Code == "":
		// Asking is no failure, and takes nothing else back: otherwise whoever
		// knows the password could guess codes for ever.
		return ErrCode, takeBackOne(tx, try.subjects)
	case has && !ok:
		return ErrCode, nil
	case has:
		proof.By = "password+totp"
	}
	if try.upgrade != nil {
		if err := change(tx, "UPDATE account SET password = ? WHERE id = ?", try.upgrade.hash, try.account); err != nil {
			return nil, err
		}
	}
	return nil, p.welcome(tx, try)
}

// welcome forgets the failures of who has signed in.
func (p *People) welcome(tx *db.Tx, try *attempt) error {
	if err := takeBack(tx, try.subjects); err != nil {
		return err
	}
	if err := p.forgive(tx, try.Name, try.network); err != nil {
		return err
	}
	return makeFamiliar(tx, p.now(), try.account, try.network)
}

// RenewPassword puts a Renewal in the place of what proof was found with. It does
// nothing when the password was changed meanwhile.
func (p *People) RenewPassword(ctx context.Context, proof *Proof) error {
	if proof.Renewal == nil {
		return nil
	}
	err := p.db.Write(ctx, func(tx *db.Tx) error {
		var hash string
		if err := tx.One("SELECT password FROM account WHERE id = ?", []any{proof.Account.ID}, &hash); err != nil {
			return err
		}
		if h, err := decode(hash); err != nil || h.credential() != proof.Credential {
			return err
		}
		return change(tx, "UPDATE account SET password = ? WHERE id = ?", proof.Renewal.hash, proof.Account.ID)
	})
	if err != nil {
		return fmt.Errorf("renewing a password's hash: %w", err)
	}
	return nil
}

// HasPassword tells whether a password is an account's. It counts no failure: ask it
// of who is signed in. fs.ErrNotExist when there is no such account.
func (p *People) HasPassword(ctx context.Context, account int64, password string) (bool, error) {
	var hash string
	err := p.db.Read(ctx, func(tx *db.Tx) error {
		return tx.One("SELECT password FROM account WHERE id = ?", []any{account}, &hash)
	})
	var f found
	if err == nil {
		f, err = p.verify(ctx, hash, password)
	}
	if err != nil {
		return false, fmt.Errorf("comparing a password: %w", err)
	}
	return f.ok, nil
}

// PasswordCredential names the password of an account as Proof.Credential does; ""
// while its hash is one from which nothing is derived. fs.ErrNotExist when there is
// no such account.
func (p *People) PasswordCredential(ctx context.Context, account int64) (name string, err error) {
	var hash string
	err = p.db.Read(ctx, func(tx *db.Tx) error {
		return tx.One("SELECT password FROM account WHERE id = ?", []any{account}, &hash)
	})
	var h stored
	if err == nil {
		h, err = decode(hash)
	}
	if err != nil {
		return "", fmt.Errorf("reading about a password: %w", err)
	}
	if h.method == methodPlain {
		return "", nil
	}
	return h.credential(), nil
}

// Change says what else happens when a password is set.
type Change struct {
	Keep     int64  // the session that goes on; all others end
	Fresh    bool   // somebody other than its owner may have seen it
	Did      string // "changed" or "reset"
	EndApps  bool   // app passwords end
	EndCodes bool   // the second factor ends
	// With does, in the same transaction, what else follows; nil for nothing.
	With func(tx *db.Tx) error
}

// ReplacePassword sets the password of an account. It returns fs.ErrNotExist when
// there is no such account.
func (p *People) ReplacePassword(ctx context.Context, by By, account int64, n *NewPassword, c Change) error {
	err := p.db.Write(ctx, func(tx *db.Tx) error {
		if err := change(tx, "UPDATE account SET password = ?, fresh = ? WHERE id = ?", n.hash, c.Fresh, account); err != nil {
			return err
		}
		if err := endSessions(tx, account, c.Keep); err != nil {
			return err
		}
		if err := c.end(tx, account); err != nil {
			return err
		}
		if c.With != nil {
			if err := c.With(tx); err != nil {
				return err
			}
		}
		return p.owe(tx, Event{Kind: sijill.Key, Account: account, Actor: by.Account,
			Fields: Fields{What: "password", Did: c.Did}, Detail: by.detail("")})
	})
	if err != nil {
		return fmt.Errorf("setting a password: %w", err)
	}
	return nil
}

func (c Change) end(tx *db.Tx, account int64) error {
	if c.EndApps {
		if _, err := tx.Exec("DELETE FROM app_password WHERE account = ?", account); err != nil {
			return err
		}
	}
	if c.EndCodes {
		if _, err := tx.Exec("DELETE FROM totp WHERE account = ?", account); err != nil {
			return err
		}
	}
	return nil
}

// SetPassword sets the password of an account and ends its sessions. It returns
// ErrPassword, or fs.ErrNotExist when there is no such account.
func (p *People) SetPassword(ctx context.Context, account int64, password string) error {
	n, err := p.NewPassword(ctx, password)
	if err != nil {
		return fmt.Errorf("setting a password: %w", err)
	}
	return p.ReplacePassword(ctx, By{}, account, n, Change{Did: "reset", Fresh: true})
}

// ChangePassword is SetPassword by the person, who proves to know the old one. It
// returns what Authenticate and SetPassword do.
func (p *People) ChangePassword(ctx context.Context, account int64, old, password string, from netip.Addr) error {
	a, err := p.Get(ctx, account)
	if err != nil {
		return err
	}
	if _, err := p.Prove(ctx, Credentials{Name: a.SignIn, Password: old, From: from, Door: "web", Signed: true}); err != nil {
		return err
	}
	n, err := p.NewPassword(ctx, password)
	if err != nil {
		return fmt.Errorf("changing a password: %w", err)
	}
	return p.ReplacePassword(ctx, By{Account: account, From: from}, account, n, Change{Did: "changed"})
}
