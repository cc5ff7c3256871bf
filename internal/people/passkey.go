package people

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"sijill"
	"sijill/internal/db"
)

const (
	maxPasskeys = 30
	// ceremonyFor is how long a browser may take to answer.
	ceremonyFor = 5 * time.Minute
	// maxAnswer bounds what a browser answers, in bytes.
	maxAnswer = 64 << 10
)

// prfSalt is what every authenticator evaluates its pseudo-random function at. At
// sign-in nobody knows yet whose passkey will answer, so that it is one for all;
// the function differs between any two passkeys.
var prfSalt = sha256.Sum256([]byte("sijill/people/passkey roots/v1"))

// Passkey is a passkey of an account (WebAuthn, a resident key that verifies its
// user).
type Passkey struct {
	ID      int64
	Name    string
	PRF     bool // it evaluates a pseudo-random function, so that keys can be wrapped for it
	Synced  bool // its maker keeps copies of it
	Created time.Time
	Used    time.Time // zero for never
	Network string    // where it was last used
}

// Credential names it as Proof.Credential does.
func (k Passkey) Credential() string { return fmt.Sprintf("passkey/%d", k.ID) }

// Ceremony is what a browser is asked.
type Ceremony struct {
	// Options is a JSON object whose publicKey member is what the browser's
	// navigator.credentials.create or get wants, as
	// PublicKeyCredential.parseCreationOptionsFromJSON and
	// parseRequestOptionsFromJSON read it.
	Options []byte
	// State comes back with the answer, within five minutes. It is sealed; the
	// browser may keep it.
	State string
}

// What a ceremony is for.
const (
	forSignIn   = "sign-in"
	forProof    = "proof"
	forRegister = "register"
)

// state is what State seals.
type state struct {
	For     string
	Account int64
	Until   time.Time
	Session webauthn.SessionData
}

func newSite(s Site) (*webauthn.WebAuthn, error) {
	site, err := webauthn.New(&webauthn.Config{
		RPID: s.ID, RPDisplayName: s.Name, RPOrigins: s.Origins,
		AttestationPreference: protocol.PreferNoAttestation,
		// Password managers answer for extensions that nobody asked about.
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			RequireResidentKey: protocol.ResidentKeyRequired(),
			ResidentKey:        protocol.ResidentKeyRequirementRequired,
			UserVerification:   protocol.VerificationRequired,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("preparing for passkeys: %w", err)
	}
	return site, nil
}

func (p *People) ceremony(what string, account int64, options any, session *webauthn.SessionData) (Ceremony, error) {
	o, err := json.Marshal(options)
	if err != nil {
		return Ceremony{}, fmt.Errorf("encoding a ceremony: %w", err)
	}
	s, err := json.Marshal(state{what, account, p.now().Add(ceremonyFor), *session})
	if err != nil {
		return Ceremony{}, fmt.Errorf("encoding a ceremony: %w", err)
	}
	return Ceremony{Options: o, State: encode64(seal(p.keys.ceremony, "ceremony", s))}, nil
}

// readState opens a State; one that isn't ours, is for something else or is over
// is ErrCredentials.
func (p *People) readState(text, what string, account int64) (s state, err error) {
	sealed, err := decode64(text)
	if err != nil {
		return s, ErrCredentials
	}
	b, err := unseal(p.keys.ceremony, "ceremony", sealed)
	if err != nil {
		return s, ErrCredentials
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("reading a ceremony: %w", err)
	}
	if s.For != what || s.Account != account || p.now().After(s.Until) {
		return s, ErrCredentials
	}
	return s, nil
}

// spend returns ErrCredentials when a ceremony has ended well before.
func (p *People) spend(tx *db.Tx, s state) error {
	if _, err := tx.Exec("DELETE FROM spent WHERE until < ?", p.now().UnixMicro()); err != nil {
		return err
	}
	n, err := tx.Exec("INSERT INTO spent (ceremony, until) VALUES (?, ?) ON CONFLICT DO NOTHING",
		tokenHash(s.Session.Challenge), s.Until.Add(time.Second).UnixMicro())
	if err == nil && n == 0 {
		err = ErrCredentials
	}
	return err
}

// owner is an account as the library wants to see it.
type owner struct {
	Account
	handle []byte
	keys   []storedKey
}

// storedKey is a passkey with what is needed to check its answers.
type storedKey struct {
	Passkey
	record webauthn.Credential
}

func (o *owner) WebAuthnID() []byte          { return o.handle }
func (o *owner) WebAuthnName() string        { return o.Address }
func (o *owner) WebAuthnDisplayName() string { return o.Name }
func (o *owner) WebAuthnCredentials() []webauthn.Credential {
	list := make([]webauthn.Credential, len(o.keys))
	for i, k := range o.keys {
		list[i] = k.record
	}
	return list
}

// owner reads an active account by its id, or by its handle.
func (p *People) owner(ctx context.Context, id int64, handle []byte) (o *owner, err error) {
	o = &owner{}
	err = p.db.Read(ctx, func(tx *db.Tx) error {
		if o.Account, err = one(tx, "WHERE (a.id = ? OR a.handle = ?) AND a.state = 0", id, handle); err != nil {
			return err
		}
		if err := tx.One("SELECT handle FROM account WHERE id = ?", []any{o.ID}, &o.handle); err != nil {
			return err
		}
		o.keys, err = passkeys(tx, o.ID)
		return err
	})
	return o, err
}

func passkeys(tx *db.Tx, account int64) (list []storedKey, err error) {
	err = tx.Each("SELECT id, name, prf, record, count, created, used, network FROM passkey WHERE account = ? ORDER BY id", []any{account}, func(r db.Row) error {
		var k storedKey
		var record []byte
		var count uint32
		var created, used int64
		if err := r.Scan(&k.ID, &k.Name, &k.PRF, &record, &count, &created, &used, &k.Network); err != nil {
			return err
		}
		if err := json.Unmarshal(record, &k.record); err != nil {
			return fmt.Errorf("reading a passkey: %w", err)
		}
		k.record.Authenticator.SignCount, k.record.Authenticator.CloneWarning = count, false
		if k.Created, k.Synced = time.UnixMicro(created).UTC(), k.record.Flags.BackupEligible; used != 0 {
			k.Used = time.UnixMicro(used).UTC()
		}
		list = append(list, k)
		return nil
	})
	return list, err
}

// Passkeys lists the passkeys of an account, the oldest first.
func (p *People) Passkeys(ctx context.Context, account int64) (list []Passkey, err error) {
	err = p.db.Read(ctx, func(tx *db.Tx) error {
		keys, err := passkeys(tx, account)
		for _, k := range keys {
			list = append(list, k.Passkey)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing passkeys: %w", err)
	}
	return list, nil
}

// RenamePasskey names a passkey anew: ErrInvalid, or fs.ErrNotExist when the account
// hasn't it.
func (p *People) RenamePasskey(ctx context.Context, account, id int64, name string) error {
	err := checkName(name)
	if err == nil {
		err = p.db.Write(ctx, func(tx *db.Tx) error {
			return change(tx, "UPDATE passkey SET name = ? WHERE id = ? AND account = ?", name, id, account)
		})
	}
	if err != nil {
		return fmt.Errorf("renaming a passkey: %w", err)
	}
	return nil
}

// RemovePasskey ends a passkey of an account; fs.ErrNotExist when it isn't one of
// its.
func (p *People) RemovePasskey(ctx context.Context, by By, account, id int64) error {
	err := p.db.Write(ctx, func(tx *db.Tx) error {
		var name string
		if err := tx.One("SELECT name FROM passkey WHERE id = ? AND account = ?", []any{id, account}, &name); err != nil {
			return err
		}
		if err := change(tx, "DELETE FROM passkey WHERE id = ?", id); err != nil {
			return err
		}
		return p.owe(tx, Event{Kind: sijill.Key, Account: account, Actor: by.Account,
			Fields: Fields{What: "passkey", Did: "removed"}, Detail: by.detail(name)})
	})
	if err != nil {
		return fmt.Errorf("removing a passkey: %w", err)
	}
	return nil
}

// BeginRegister asks a browser to make a passkey for an account. It returns ErrNoKey
// without a site, ErrTooMany, and fs.ErrNotExist when there is no such account.
func (p *People) BeginRegister(ctx context.Context, account int64) (Ceremony, error) {
	if p.site == nil {
		return Ceremony{}, fmt.Errorf("making a passkey: %w", ErrNoKey)
	}
	o, err := p.owner(ctx, account, nil)
	if err == nil && len(o.keys) >= maxPasskeys {
		err = ErrTooMany
	}
	if err != nil {
		return Ceremony{}, fmt.Errorf("making a passkey: %w", err)
	}
	creation, session, err := p.site.BeginRegistration(o,
		webauthn.WithExclusions(webauthn.Credentials(o.WebAuthnCredentials()).CredentialDescriptors()),
		webauthn.WithExtensions(webauthn.WithExtensionPRF(protocol.PRFValues{First: prfSalt[:]})))
	if err != nil {
		return Ceremony{}, fmt.Errorf("making a passkey: %w", err)
	}
	return p.ceremony(forRegister, account, creation, session)
}

// FinishRegister stores the passkey that a browser made. Many authenticators
// evaluate the pseudo-random function only when they sign: then the proof has no
// Secret although the passkey's PRF is true, and a proof by it (BeginProof) gives
// one. It returns ErrCredentials for an answer that doesn't hold, ErrInvalid for a
// name that can't be, and fs.ErrExist for a passkey that is there already.
func (p *People) FinishRegister(ctx context.Context, by By, account int64, state string, answer []byte, name string) (Passkey, *Proof, error) {
	k, proof, err := p.finishRegister(ctx, by, account, state, answer, name)
	if err != nil {
		return Passkey{}, nil, fmt.Errorf("making a passkey: %w", err)
	}
	return k, proof, nil
}

func (p *People) finishRegister(ctx context.Context, by By, account int64, text string, answer []byte, name string) (Passkey, *Proof, error) {
	if err := checkName(name); err != nil {
		return Passkey{}, nil, err
	}
	s, err := p.readState(text, forRegister, account)
	if err != nil {
		return Passkey{}, nil, err
	}
	o, err := p.owner(ctx, account, nil)
	if err != nil {
		return Passkey{}, nil, err
	}
	if len(answer) > maxAnswer {
		return Passkey{}, nil, ErrCredentials
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return Passkey{}, nil, ErrCredentials // the library's words are for its users
	}
	record, err := p.site.CreateCredential(o, s.Session, parsed)
	if err != nil {
		return Passkey{}, nil, ErrCredentials
	}
	k := storedKey{Passkey: Passkey{Name: name, Synced: record.Flags.BackupEligible, Created: p.now().UTC().Truncate(time.Microsecond)}, record: *record}
	proof := &Proof{Account: o.Account, By: "passkey"}
	outputs := parsed.ClientExtensionResults.PRF
	proof.Secret, proof.HasSecret = prfSecret(outputs)
	k.PRF = proof.HasSecret || outputs != nil && outputs.Enabled != nil && *outputs.Enabled
	err = p.db.Write(ctx, func(tx *db.Tx) error {
		if err := p.spend(tx, s); err != nil {
			return err
		}
		return p.insertPasskey(tx, by, account, &k)
	})
	proof.Credential = k.Credential()
	return k.Passkey, proof, err
}

// prfSecret derives a proof's Secret from what the pseudo-random function gave.
func prfSecret(o *protocol.PRFOutputs) (secret [32]byte, ok bool) {
	if o == nil || o.Results == nil || len(o.Results.First) != 32 {
		return secret, false
	}
	return expand(o.Results.First, "passkey secret"), true
}

func (p *People) insertPasskey(tx *db.Tx, by By, account int64, k *storedKey) error {
	var n int
	if err := tx.One("SELECT count(*) FROM passkey WHERE credential = ?", []any{k.record.ID}, &n); err != nil {
		return err
	}
	if n > 0 {
		return fs.ErrExist
	}
	count := k.record.Authenticator.SignCount
	k.record.Attestation = webauthn.CredentialAttestation{} // we ask for none, and judge none
	record, err := json.Marshal(k.record)
	if err != nil {
		return fmt.Errorf("encoding a passkey: %w", err)
	}
	k.ID, err = tx.Insert("INSERT INTO passkey (credential, account, record, count, prf, name, created, used, network) VALUES (?, ?, ?, ?, ?, ?, ?, 0, '')",
		k.record.ID, account, record, int64(count), k.PRF, k.Name, k.Created.UnixMicro())
	if err != nil {
		return err
	}
	return p.owe(tx, Event{Kind: sijill.Key, Account: account, Actor: by.Account,
		Fields: Fields{What: "passkey", Did: "made"}, Detail: by.detail(k.Name)})
}
