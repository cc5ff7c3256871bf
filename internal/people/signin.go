package people

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"

	"sijill/internal/db"
)

// ErrCredentials is returned when the address is unknown or the password wrong,
// which of them isn't said.
var ErrCredentials = errors.New("wrong address or password")

// attempt is one try at a password.
type attempt struct {
	address  string
	password string
	network  string
	subjects []subject // whose failures it counts towards
	account  int64     // 0 for an unknown address
	hash     string    // what the password is compared with
	fresh    string    // hash at today's cost, "" when it is that already
}

// Authenticate returns the account of an address, if the password is its. from is
// where the person is. It returns ErrCredentials, or ErrSlowDown after too many
// failures. Unlike mail, people don't come to a subaddress or to postmaster.
func (p *People) Authenticate(ctx context.Context, address, password string, from netip.Addr) (Account, error) {
	return p.authenticate(ctx, address, password, from, func(*db.Tx, int64) error { return nil })
}

// authenticate runs then in the transaction that notes the success.
func (p *People) authenticate(ctx context.Context, address, password string, from netip.Addr, then func(tx *db.Tx, account int64) error) (a Account, err error) {
	try := attempt{address: address, password: password, network: networkOf(from)}
	if err := p.begin(ctx, &try); err != nil {
		return Account{}, fmt.Errorf("signing in: %w", err)
	}
	if err := p.compare(ctx, &try); err != nil {
		return Account{}, fmt.Errorf("signing in: %w", err)
	}
	err = p.db.Write(ctx, func(tx *db.Tx) error {
		if err := p.succeed(tx, &try); err != nil {
			return err
		}
		if err := then(tx, try.account); err != nil {
			return err
		}
		a, err = one(tx, "WHERE a.id = ? AND "+ownAddress, try.account)
		return err
	})
	if err != nil {
		return Account{}, fmt.Errorf("signing in: %w", err)
	}
	return a, nil
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
func (p *People) resolve(tx *db.Tx, try *attempt) error {
	try.account, try.hash = 0, ""
	try.subjects = []subject{networkSubject(try.network), addressSubject(try.address)}
	local, domain, err := normalise(try.address)
	if err != nil {
		return nil
	}
	err = tx.One("SELECT a.id, a.password FROM account a JOIN address d ON d.account = a.id WHERE d.domain = ? AND d.local = ?",
		[]any{domain, local}, &try.account, &try.hash)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	familiar, err := isFamiliar(tx, p.now(), try.account, try.network)
	if familiar {
		try.subjects = try.subjects[:1]
	}
	return err
}

// compare returns ErrCredentials unless the password is right. It takes as long
// for an address that nobody has.
func (p *People) compare(ctx context.Context, try *attempt) error {
	hash := try.hash
	if try.account == 0 {
		hash = p.nobodys()
	}
	ok, outdated, err := p.verify(ctx, hash, try.password)
	if err != nil {
		return err
	}
	if !ok || try.account == 0 {
		return ErrCredentials
	}
	if outdated {
		// A password shorter than today's least stays as it is.
		if try.fresh, err = p.newHash(ctx, try.password); err != nil && !errors.Is(err, ErrPassword) {
			return err
		}
	}
	return nil
}

// succeed takes the counted failure back, unless the password was changed while
// it was being compared.
func (p *People) succeed(tx *db.Tx, try *attempt) error {
	var hash string
	if err := tx.One("SELECT password FROM account WHERE id = ?", []any{try.account}, &hash); err != nil {
		return err
	}
	if hash != try.hash {
		return ErrCredentials
	}
	if try.fresh != "" {
		if err := change(tx, "UPDATE account SET password = ? WHERE id = ?", try.fresh, try.account); err != nil {
			return err
		}
	}
	if err := takeBack(tx, try.subjects); err != nil {
		return err
	}
	return makeFamiliar(tx, p.now(), try.account, try.network)
}

// SetPassword sets the password of an account and ends its sessions. It returns
// ErrPassword, or fs.ErrNotExist when there is no such account.
func (p *People) SetPassword(ctx context.Context, account int64, password string) error {
	hash, err := p.newHash(ctx, password)
	if err != nil {
		return fmt.Errorf("setting a password: %w", err)
	}
	err = p.db.Write(ctx, func(tx *db.Tx) error {
		if err := change(tx, "UPDATE account SET password = ? WHERE id = ?", hash, account); err != nil {
			return err
		}
		return endSessions(tx, account)
	})
	if err != nil {
		return fmt.Errorf("setting a password: %w", err)
	}
	return nil
}

// ChangePassword is SetPassword by the person, who proves to know the old one. It
// returns what Authenticate and SetPassword do.
func (p *People) ChangePassword(ctx context.Context, account int64, old, password string, from netip.Addr) error {
	a, err := p.Get(ctx, account)
	if err != nil {
		return err
	}
	if _, err := p.Authenticate(ctx, a.Address, old, from); err != nil {
		return err
	}
	return p.SetPassword(ctx, account, password)
}
