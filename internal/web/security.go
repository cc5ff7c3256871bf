package web

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"sijill/internal/view"
)

// securityPage is what a person proves who they are with.
type securityPage struct {
	view.Frame
	Tab      string
	Has      Credentials
	Opens    bool  // A passkey of theirs opens older mail.
	TOTP     *TOTP // Being set up.
	QR       view.QR
	Personal bool
	Error    string
	ErrorAt  string
}

func (s *site) security(w http.ResponseWriter, r *request) error {
	return s.showSecurity(w, r, http.StatusOK, securityPage{})
}

func (s *site) showSecurity(w http.ResponseWriter, r *request, status int, p securityPage) error {
	var err error
	if p.Frame, _, err = s.framed(r, "settings", 0); err != nil {
		return err
	}
	if p.Title, err = r.locale.Plain("security"); err != nil {
		return err
	}
	if p.Has, err = s.Settings.Credentials(r.Context(), r.viewer); err != nil {
		return fmt.Errorf("loading the credentials: %w", err)
	}
	for _, k := range p.Has.Passkeys {
		p.Opens = p.Opens || k.Opens
	}
	p.Tab, p.Here, p.Scripts, p.Personal = "security", "/settings/security", []string{"passkey.js"}, r.viewer.Personal
	return s.render(w, status, "security", p)
}

// secured says what became of a change to a credential.
func (s *site) secured(w http.ResponseWriter, r *request, key, at string, cause error) error {
	if cause == nil {
		return s.said(w, r, key, "/settings/security")
	}
	p := securityPage{ErrorAt: at}
	var err error
	if errors.Is(cause, ErrClosed) {
		p.Error, err = r.locale.Plain("recovery.closed")
	} else {
		p.Error, err = s.refused(w, r, cause, at+".wrong")
	}
	if err != nil {
		return err
	}
	return s.showSecurity(w, r, refusal(w), p)
}

func (s *site) changePassword(w http.ResponseWriter, r *request) error {
	form, err := r.form()
	if err != nil {
		return err
	}
	if form.Get("password") != form.Get("again") {
		p := securityPage{ErrorAt: "password"}
		if p.Error, err = r.locale.Plain("password.differ"); err != nil {
			return err
		}
		if r.viewer.Fresh {
			return s.showChoose(w, r, http.StatusUnprocessableEntity, p.Error)
		}
		return s.showSecurity(w, r, http.StatusUnprocessableEntity, p)
	}
	code, err := s.Settings.ChangePassword(r.Context(), r.viewer, form.Get("old"), form.Get("password"))
	if r.viewer.Fresh {
		return s.chosen(w, r, code, err)
	}
	if err == nil && code != "" {
		return s.showSecret(w, r, Secret{Kind: "recovery", Code: code, Next: "/settings/security"})
	}
	return s.secured(w, r, "password.changed", "password", err)
}

func (s *site) beginRegister(w http.ResponseWriter, r *request) error {
	c, err := s.Settings.BeginRegister(r.Context(), r.viewer)
	if err != nil {
		return fmt.Errorf("beginning to register a passkey: %w", err)
	}
	return sendCeremony(w, c)
}

func (s *site) finishRegister(w http.ResponseWriter, r *request) error {
	a, err := r.answer()
	if err != nil {
		return err
	}
	name := strings.Join(strings.Fields(a.Name), " ")
	if name == "" || len(name) > maxName {
		if name, err = r.locale.Plain("passkey.unnamed"); err != nil {
			return err
		}
	}
	k, next, err := s.Settings.FinishRegister(r.Context(), r.viewer, a.ID, name, a.Credential)
	if err == nil && next != nil {
		return sendCeremony(w, *next)
	}
	return s.registered(w, r, k, err)
}

// finishOpening takes what the new passkey said when it was used.
func (s *site) finishOpening(w http.ResponseWriter, r *request) error {
	a, err := r.answer()
	if err != nil {
		return err
	}
	k, err := s.Settings.FinishOpening(r.Context(), r.viewer, a.ID, a.Credential)
	return s.registered(w, r, k, err)
}

// registered says what became of a new passkey.
func (s *site) registered(w http.ResponseWriter, r *request, k Passkey, err error) error {
	if err != nil {
		said, err := s.refused(w, r, err, "passkey.wrong")
		if err != nil {
			return err
		}
		return sendJSON(w, refusal(w), proved{Error: said})
	}
	key := "passkey.made"
	if !k.Opens {
		key = "passkey.made.plain"
	}
	text, err := r.locale.Plain(key, k.Name)
	if err != nil {
		return err
	}
	return sendJSON(w, http.StatusOK, proved{Go: withDeed("/settings/security", s.did(r, deed{text: text}))})
}

func (s *site) renamePasskey(w http.ResponseWriter, r *request) error {
	form, err := r.form()
	if err != nil {
		return err
	}
	name := strings.Join(strings.Fields(form.Get("name")), " ")
	if err = ErrUnsuited; name != "" && len(name) <= maxName {
		err = s.Settings.RenamePasskey(r.Context(), r.viewer, form.Get("id"), name)
	}
	if errors.Is(err, ErrUnsuited) {
		p := securityPage{ErrorAt: "passkey"}
		if p.Error, err = r.locale.Plain("passkey.name.wrong"); err != nil {
			return err
		}
		return s.showSecurity(w, r, http.StatusUnprocessableEntity, p)
	}
	return s.secured(w, r, "passkey.renamed", "passkey", err)
}

func (s *site) removePasskey(w http.ResponseWriter, r *request) error {
	form, err := r.form()
	if err != nil {
		return err
	}
	return s.secured(w, r, "passkey.removed", "passkey", s.Settings.RemovePasskey(r.Context(), r.viewer, form.Get("id")))
}

// beginTOTP shows a secret, as a picture and in letters.
func (s *site) beginTOTP(w http.ResponseWriter, r *request) error {
	t, err := s.Settings.BeginTOTP(r.Context(), r.viewer)
	if err != nil {
		return fmt.Errorf("beginning to set up codes: %w", err)
	}
	return s.showTOTP(w, r, http.StatusOK, t, "")
}

func (s *site) showTOTP(w http.ResponseWriter, r *request, status int, t TOTP, wrong string) error {
	p := securityPage{TOTP: &t, Error: wrong, ErrorAt: "totp"}
	var err error
	if p.QR, err = view.NewQR(t.URI); err != nil {
		return err
	}
	return s.showSecurity(w, r, status, p)
}

func (s *site) confirmTOTP(w http.ResponseWriter, r *request) error {
	form, err := r.form()
	if err != nil {
		return err
	}
	err = s.Settings.ConfirmTOTP(r.Context(), r.viewer, latinDigits(form.Get("code")))
	if errors.Is(err, ErrWrong) && form.Get("uri") != "" {
		wrong, err := r.locale.Plain("totp.wrong")
		if err != nil {
			return err
		}
		return s.showTOTP(w, r, http.StatusUnprocessableEntity, TOTP{Secret: form.Get("secret"), URI: form.Get("uri")}, wrong)
	}
	return s.secured(w, r, "totp.made", "totp", err)
}

func (s *site) removeTOTP(w http.ResponseWriter, r *request) error {
	form, err := r.form()
	if err != nil {
		return err
	}
	err = s.Settings.RemoveTOTP(r.Context(), r.viewer, latinDigits(form.Get("code")))
	return s.secured(w, r, "totp.removed", "totp", err)
}

// Secret is shown once.
type Secret struct {
	view.Frame
	Kind string // recovery, app or account.
	Code string
	App  *NewAppPassword
	Made *Made
	Name string // Of the account that was made.
	Next string // Where to go on.
}

func (s *site) showSecret(w http.ResponseWriter, r *request, p Secret) error {
	f, _, err := s.framed(r, "settings", 0)
	if err != nil {
		return err
	}
	p.Frame = f
	if p.Title, err = r.locale.Plain("secret." + p.Kind); err != nil {
		return err
	}
	p.Here, p.Scripts = p.Next, []string{"secret.js"}
	return s.render(w, http.StatusOK, "secret", p)
}

func (s *site) newRecovery(w http.ResponseWriter, r *request) error {
	if _, err := r.form(); err != nil {
		return err
	}
	code, err := s.Settings.NewRecovery(r.Context(), r.viewer)
	if err != nil {
		return s.secured(w, r, "", "recovery", err)
	}
	return s.showSecret(w, r, Secret{Kind: "recovery", Code: code, Next: "/settings/security"})
}
