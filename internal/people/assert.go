package people

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"sijill"
	"sijill/internal/db"
)

// BeginPasskey asks a browser to sign somebody in, whoever it is. It returns
// ErrNoKey without a site.
func (p *People) BeginPasskey(ctx context.Context) (Ceremony, error) {
	if p.site == nil {
		return Ceremony{}, fmt.Errorf("signing in by passkey: %w", ErrNoKey)
	}
	assertion, session, err := p.site.BeginDiscoverableLogin(prfRequest())
	if err != nil {
		return Ceremony{}, fmt.Errorf("signing in by passkey: %w", err)
	}
	return p.ceremony(forSignIn, 0, assertion, session)
}

func prfRequest() webauthn.LoginOption {
	return webauthn.WithAssertionExtensions(webauthn.WithExtensionPRF(protocol.PRFValues{First: prfSalt[:]}))
}

// BeginProof asks the browser of somebody who is signed in for a passkey of theirs.
// It returns ErrNoKey without a site, and fs.ErrNotExist when they have none.
func (p *People) BeginProof(ctx context.Context, account int64) (Ceremony, error) {
	if p.site == nil {
		return Ceremony{}, fmt.Errorf("asking for a passkey: %w", ErrNoKey)
	}
	o, err := p.owner(ctx, account, nil)
	if err == nil && len(o.keys) == 0 {
		err = fs.ErrNotExist
	}
	if err != nil {
		return Ceremony{}, fmt.Errorf("asking for a passkey: %w", err)
	}
	assertion, session, err := p.site.BeginLogin(o, prfRequest())
	if err != nil {
		return Ceremony{}, fmt.Errorf("asking for a passkey: %w", err)
	}
	return p.ceremony(forProof, account, assertion, session)
}

// FinishPasskey begins a session for whose passkey has answered. It returns
// ErrCredentials for an answer that doesn't hold, and ErrSlowDown after too many of
// them from a network. An answer whose signature counter went back, which means
// that there is a copy of the passkey, doesn't hold.
func (p *People) FinishPasskey(ctx context.Context, state string, answer []byte, from netip.Addr, agent string) (session Session, proof *Proof, err error) {
	proof, err = p.assert(ctx, state, forSignIn, 0, answer, from, func(tx *db.Tx, proof *Proof) error {
		session, err = p.startSession(tx, proof, from, agent)
		return err
	})
	if err != nil {
		return Session{}, nil, fmt.Errorf("signing in by passkey: %w", err)
	}
	return session, proof, nil
}

// FinishProof is FinishPasskey without a session, for BeginProof.
func (p *People) FinishProof(ctx context.Context, account int64, state string, answer []byte, from netip.Addr) (*Proof, error) {
	proof, err := p.assert(ctx, state, forProof, account, answer, from, func(*db.Tx, *Proof) error { return nil })
	if err != nil {
		return nil, fmt.Errorf("asking for a passkey: %w", err)
	}
	return proof, nil
}

// assertion is an answer that holds by itself.
type assertion struct {
	owner  *owner
	key    storedKey
	parsed *protocol.ParsedCredentialAssertionData
}

func (p *People) assert(ctx context.Context, text, what string, account int64, answer []byte, from netip.Addr, then func(*db.Tx, *Proof) error) (*Proof, error) {
	if p.site == nil {
		return nil, ErrNoKey
	}
	s, err := p.readState(text, what, account)
	if err != nil {
		return nil, err
	}
	try := attempt{Credentials: Credentials{From: from, Door: "web"}, network: networkOf(from)}
	var a *assertion
	if a, err = p.checkAnswer(ctx, s, answer); errors.Is(err, fs.ErrNotExist) {
		return nil, p.lookUp(ctx, &try, func(*db.Tx) error { return fs.ErrNotExist })
	}
	if err != nil {
		return nil, err
	}
	proof := &Proof{By: "passkey", Credential: a.key.Credential()}
	proof.Secret, proof.HasSecret = prfSecret(a.parsed.ClientExtensionResults.PRF)
	copied := false
	err = p.db.Write(ctx, func(tx *db.Tx) error {
		if err := p.spend(tx, s); err != nil {
			return err
		}
		if proof.Account, err = one(tx, "WHERE a.id = ? AND a.state = 0", a.owner.ID); err != nil {
			return err
		}
		if copied, err = p.advance(tx, a, &try); err != nil || copied {
			return err
		}
		return then(tx, proof)
	})
	if copied || errors.Is(err, fs.ErrNotExist) {
		err = errors.Join(err, ErrCredentials)
	}
	return proof, err
}

// checkAnswer returns fs.ErrNotExist for an answer that doesn't hold.
func (p *People) checkAnswer(ctx context.Context, s state, answer []byte) (a *assertion, err error) {
	a = &assertion{}
	if len(answer) > maxAnswer {
		return nil, fs.ErrNotExist
	}
	if a.parsed, err = protocol.ParseCredentialRequestResponseBytes(answer); err != nil {
		return nil, fs.ErrNotExist
	}
	var broken error
	find := func(_, handle []byte) (webauthn.User, error) {
		a.owner, err = p.owner(ctx, 0, handle)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			broken = err
		}
		return a.owner, err
	}
	var record *webauthn.Credential
	if s.For == forSignIn {
		_, record, err = p.site.ValidatePasskeyLogin(find, s.Session, a.parsed)
	} else if a.owner, broken = p.owner(ctx, s.Account, nil); broken == nil {
		record, err = p.site.ValidateLogin(a.owner, s.Session, a.parsed)
	}
	if broken != nil {
		return nil, broken
	}
	if err != nil {
		return nil, fs.ErrNotExist
	}
	for _, k := range a.owner.keys {
		if string(k.record.ID) == string(record.ID) {
			a.key = k
		}
	}
	return a, nil
}

// advance moves a passkey's signature counter on (WebAuthn, section 7.2 step 22).
// One that went back, or stands still though it is not zero, means a copy; that is
// told, and the answer must not be taken.
func (p *People) advance(tx *db.Tx, a *assertion, try *attempt) (copied bool, err error) {
	var has int64
	if err := tx.One("SELECT count FROM passkey WHERE id = ?", []any{a.key.ID}, &has); err != nil {
		return false, err
	}
	count := int64(a.parsed.Response.AuthenticatorData.Counter)
	if count <= has && (count != 0 || has != 0) {
		return true, p.owe(tx, Event{Kind: sijill.Login, Account: a.owner.ID,
			Fields: Fields{What: "passkey", Did: "refused", Door: "web"}, Detail: Detail{Network: try.network, Label: a.key.Name}})
	}
	err = change(tx, "UPDATE passkey SET count = ?, used = ?, network = ? WHERE id = ?", count, p.now().UnixMicro(), try.network, a.key.ID)
	if err != nil {
		return false, err
	}
	return false, makeFamiliar(tx, p.now(), a.owner.ID, try.network)
}
