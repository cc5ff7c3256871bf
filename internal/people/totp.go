package people

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/png"
	"io/fs"
	"net/netip"
	"strings"
	"unicode"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"

	"sijill"
	"sijill/internal/db"
)

// A second factor is a code of RFC 6238: six digits, SHA-1, a new one every 30
// seconds, which is what programs for it understand everywhere.
const (
	totpPeriod = 30 // seconds
	totpSkew   = 1  // steps that clocks may differ by, to either side
)

// TOTP is a second factor that is being set up. Both strings are secret.
type TOTP struct {
	Secret string // base32, to be typed in
	URI    string // otpauth://…, to be shown as a QR code
}

// PNG draws the URI as a QR code of so many pixels a side.
func (t TOTP) PNG(side int) ([]byte, error) {
	key, err := otp.NewKeyFromURL(t.URI)
	if err != nil {
		return nil, fmt.Errorf("drawing a second factor: %w", err)
	}
	img, err := key.Image(side, side)
	if err != nil {
		return nil, fmt.Errorf("drawing a second factor: %w", err)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return nil, fmt.Errorf("drawing a second factor: %w", err)
	}
	return b.Bytes(), nil
}

func totpLabel(account int64) string { return fmt.Sprintf("totp of account %d", account) }

// BeginTOTP makes a second factor, which is asked for once ConfirmTOTP has seen a
// code of it; until then one that was there before stays. issuer is what the
// person's program shows. It returns ErrNoKey without Options.Key.
func (p *People) BeginTOTP(ctx context.Context, account int64, issuer string) (TOTP, error) {
	if !p.keys.given {
		return TOTP{}, fmt.Errorf("making a second factor: %w", ErrNoKey)
	}
	a, err := p.Get(ctx, account)
	if err != nil {
		return TOTP{}, err
	}
	key, err := totp.Generate(totp.GenerateOpts{Issuer: issuer, AccountName: a.Address, Period: totpPeriod})
	if err != nil {
		return TOTP{}, fmt.Errorf("making a second factor: %w", ErrInvalid) // its error could quote the address
	}
	err = p.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec("INSERT INTO totp (account, pending, last) VALUES (?, ?, 0) ON CONFLICT (account) DO UPDATE SET pending = excluded.pending",
			account, seal(p.keys.totp, totpLabel(account), []byte(key.Secret())))
		return err
	})
	if err != nil {
		return TOTP{}, fmt.Errorf("making a second factor: %w", err)
	}
	return TOTP{Secret: key.Secret(), URI: key.URL()}, nil
}

// ConfirmTOTP puts the second factor that BeginTOTP made into force when code is
// one of its own. It returns ErrCode when it isn't, and fs.ErrNotExist when none
// was begun.
func (p *People) ConfirmTOTP(ctx context.Context, by By, account int64, code string) error {
	err := p.db.Write(ctx, func(tx *db.Tx) error {
		var sealed []byte
		err := tx.One("SELECT pending FROM totp WHERE account = ? AND pending IS NOT NULL", []any{account}, &sealed)
		if err != nil {
			return err
		}
		step, err := p.step(account, sealed, code, 0)
		if err != nil {
			return err
		}
		if step == 0 {
			return ErrCode
		}
		if err := change(tx, "UPDATE totp SET secret = pending, pending = NULL, last = ? WHERE account = ?", step, account); err != nil {
			return err
		}
		return p.owe(tx, Event{Kind: sijill.Key, Account: account, Actor: by.Account,
			Fields: Fields{What: "totp", Did: "made"}, Detail: by.detail("")})
	})
	if err != nil {
		return fmt.Errorf("confirming a second factor: %w", err)
	}
	return nil
}

// RemoveTOTP ends the second factor of an account; fs.ErrNotExist when it has none.
func (p *People) RemoveTOTP(ctx context.Context, by By, account int64) error {
	return p.endTOTP(ctx, by, account, func(*db.Tx) error { return nil })
}

// EndTOTP is RemoveTOTP by somebody else; the account's sessions end with it.
func (p *People) EndTOTP(ctx context.Context, by By, account int64) error {
	return p.endTOTP(ctx, by, account, func(tx *db.Tx) error { return endSessions(tx, account, 0) })
}

func (p *People) endTOTP(ctx context.Context, by By, account int64, more func(*db.Tx) error) error {
	err := p.db.Write(ctx, func(tx *db.Tx) error {
		if err := change(tx, "DELETE FROM totp WHERE account = ? AND secret IS NOT NULL", account); err != nil {
			return err
		}
		if err := more(tx); err != nil {
			return err
		}
		return p.owe(tx, Event{Kind: sijill.Key, Account: account, Actor: by.Account,
			Fields: Fields{What: "totp", Did: "removed"}, Detail: by.detail("")})
	})
	if err != nil {
		return fmt.Errorf("removing a second factor: %w", err)
	}
	return nil
}

// HasTOTP tells whether a password alone doesn't let anyone in to an account.
func (p *People) HasTOTP(ctx context.Context, account int64) (has bool, err error) {
	err = p.db.Read(ctx, func(tx *db.Tx) error {
		var n int
		err := tx.One("SELECT count(*) FROM totp WHERE account = ? AND secret IS NOT NULL", []any{account}, &n)
		has = n > 0
		return err
	})
	if err != nil {
		return false, fmt.Errorf("looking for a second factor: %w", err)
	}
	return has, nil
}

// CheckCode returns ErrCode unless code is one of an account's second factor that
// was never taken before; fs.ErrNotExist when it has none. Failures count towards
// those of the account's sign-in name.
func (p *People) CheckCode(ctx context.Context, account int64, code string, from netip.Addr) error {
	a, err := p.Get(ctx, account)
	if err != nil {
		return err
	}
	try := attempt{Credentials: Credentials{Name: a.SignIn, Code: code, From: from, Door: "web"}, network: networkOf(from)}
	if err := p.begin(ctx, &try); err != nil {
		return fmt.Errorf("checking a code: %w", err)
	}
	var has, ok bool
	err = p.db.Write(ctx, func(tx *db.Tx) error {
		if has, ok, err = p.checkCode(tx, account, code); err != nil || has && !ok {
			return err
		}
		return takeBackOne(tx, try.subjects)
	})
	switch {
	case err != nil:
	case !has:
		err = fs.ErrNotExist
	case !ok:
		err = errors.Join(p.fail(ctx, &try), ErrCode)
	}
	if err != nil {
		return fmt.Errorf("checking a code: %w", err)
	}
	return nil
}

// checkCode tells whether an account has a second factor, and whether code is one
// of its own that was never taken before; then it never will be again (RFC 6238
// section 5.2).
func (p *People) checkCode(tx *db.Tx, account int64, code string) (has, ok bool, err error) {
	var sealed []byte
	var last int64
	err = tx.One("SELECT secret, last FROM totp WHERE account = ? AND secret IS NOT NULL", []any{account}, &sealed, &last)
	if errors.Is(err, fs.ErrNotExist) {
		return false, false, nil
	}
	if err != nil {
		return false, false, err
	}
	step, err := p.step(account, sealed, code, last)
	if err != nil || step == 0 {
		return true, false, err
	}
	return true, true, change(tx, "UPDATE totp SET last = ? WHERE account = ?", step, account)
}

// step finds the time step after last that a code belongs to; 0 for none.
func (p *People) step(account int64, sealed []byte, code string, last int64) (int64, error) {
	secret, err := unseal(p.keys.totp, totpLabel(account), sealed)
	if err != nil {
		return 0, fmt.Errorf("opening a second factor: %w", err)
	}
	code = digits(code)
	now := p.now().Unix() / totpPeriod
	found := int64(0)
	for s := now - totpSkew; s <= now+totpSkew; s++ { // all of them, so that it always takes as long
		ok, err := hotp.ValidateCustom(code, uint64(s), string(secret), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
		if err != nil && !errors.Is(err, otp.ErrValidateInputInvalidLength) {
			return 0, errors.New("a second factor's secret is malformed") // its error could quote it
		}
		if ok && s > last && found == 0 {
			found = s
		}
	}
	return found, nil
}

// digits reads a code as people type it: in groups, with Arabic digits.
func digits(code string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.Is(unicode.Dash, r) {
			return -1
		}
		return latinDigit(r)
	}, code)
}
