package web

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"sijill/internal/web/webtest"
)

// keyring keeps the passkeys of one person, as a server does.
type keyring struct {
	*webauthn.WebAuthn

	mu       sync.Mutex
	keys     []webauthn.Credential           // Guarded by mu, as are all below.
	sessions map[string]webauthn.SessionData // By ceremony.
	secret   []byte                          // What the authenticator's PRF gave first.
}

func newKeyring(tb testing.TB, origin string) *keyring {
	tb.Helper()
	w, err := webauthn.New(&webauthn.Config{RPID: "localhost", RPDisplayName: "Sijill", RPOrigins: []string{origin}})
	if err != nil {
		tb.Fatal(err)
	}
	return &keyring{WebAuthn: w, sessions: map[string]webauthn.SessionData{}}
}

func (k *keyring) WebAuthnID() []byte                         { return []byte("account-1") }
func (k *keyring) WebAuthnName() string                       { return "salma" }
func (k *keyring) WebAuthnDisplayName() string                { return "سلمى" }
func (k *keyring) WebAuthnCredentials() []webauthn.Credential { return k.keys }

// salt is what the authenticator's secret is asked for.
var salt = webauthn.WithExtensionPRF(protocol.PRFValues{First: bytes.Repeat([]byte{7}, 32)})

func (k *keyring) ceremony(options any, s *webauthn.SessionData) (Ceremony, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	id := fmt.Sprint(len(k.sessions))
	k.sessions[id] = *s
	b, err := json.Marshal(options)
	return Ceremony{ID: id, Options: b}, err
}

// prf is what an answer says of the secret.
func prf(answer []byte) []byte {
	var a struct {
		ClientExtensionResults struct {
			PRF struct{ Results struct{ First string } }
		}
	}
	if json.Unmarshal(answer, &a) != nil {
		return nil
	}
	b, _ := base64.RawURLEncoding.DecodeString(a.ClientExtensionResults.PRF.Results.First)
	return b
}

// opens tells whether an answer brings the secret, the same as before.
func (k *keyring) opens(answer []byte) bool {
	secret := prf(answer)
	if k.secret == nil {
		k.secret = secret
	}
	return len(secret) == 32 && bytes.Equal(secret, k.secret)
}

func (k *keyring) begin() (Ceremony, error) {
	o, s, err := k.BeginDiscoverableLogin(webauthn.WithAssertionExtensions(salt))
	if err != nil {
		return Ceremony{}, err
	}
	return k.ceremony(o, s)
}

func (k *keyring) finish(id string, answer []byte) (int64, bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return 0, false, err
	}
	_, err = k.ValidateDiscoverableLogin(func(_, handle []byte) (webauthn.User, error) {
		if string(handle) != "account-1" {
			return nil, errors.New("nobody")
		}
		return k, nil
	}, k.sessions[id], parsed)
	return 1, k.opens(answer), err
}

func (k *keyring) beginRegister() (Ceremony, error) {
	o, s, err := k.BeginRegistration(k, webauthn.WithExtensions(salt), webauthn.WithResidentKeyRequirement(protocol.ResidentKeyRequirementRequired))
	if err != nil {
		return Ceremony{}, err
	}
	return k.ceremony(o, s)
}

func (k *keyring) finishRegister(id string, answer []byte) (bool, *Ceremony, error) {
	k.mu.Lock()
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err == nil {
		var c *webauthn.Credential
		if c, err = k.CreateCredential(k, k.sessions[id], parsed); err == nil {
			k.keys = append(k.keys, *c)
		}
	}
	told := err == nil && k.opens(answer)
	k.mu.Unlock()
	if err != nil || told {
		return told, nil, err
	}
	next, err := k.begin()
	return false, &next, err
}

func (k *keyring) finishOpening(id string, answer []byte) (bool, error) {
	_, opens, err := k.finish(id, answer)
	return opens, err
}

// TestPasskey registers a passkey with Chromium's own authenticator, opens older
// mail with it, and signs in with it. The secret is the same each time.
func TestPasskey(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	home := strings.Replace(o.URL, "127.0.0.1", "localhost", 1) // A passkey wants a name.
	k := newKeyring(t, home)
	o.gate.passkeys, o.own.register = k, k
	b := webtest.Open(t, home)
	b.Authenticator()
	b.Enter("salma", password, "en")
	b.GoTo("/settings/security")
	b.Types("#passkey-name", "حاسوبي")
	b.Follow("#passkey")
	b.Sees("#toast")
	b.Until(`document.querySelector("#passkeys .line-name").textContent === "حاسوبي" && document.querySelector("#passkeys .notice-bad") === null`)
	if len(k.keys) != 1 || len(k.secret) != 32 {
		t.Fatalf("%d passkeys, a secret of %d bytes", len(k.keys), len(k.secret))
	}

	b.GoTo("/open")
	b.Follow("#passkey")
	b.Until(`document.querySelector(".deep") !== null && document.querySelector(".deep").textContent.includes("23:00")`)

	webtest.Ask[bool](b, `fetch("/sign-out", {method: "POST"}).then(() => true)`)
	b.GoTo("/sign-in?back=/folders")
	b.Follow("#passkey")
	b.Sees(".folder-list")

	// One that isn't known is told so, and nothing else happens.
	k.mu.Lock()
	k.keys = nil
	k.mu.Unlock()
	webtest.Ask[bool](b, `fetch("/sign-out", {method: "POST"}).then(() => true)`)
	b.Quiet()
	b.GoTo("/sign-in")
	b.Click("#passkey")
	b.Sees(".sign-passkey .form-error")
	b.Until(`location.pathname === "/sign-in"`)
}
