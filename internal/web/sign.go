package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"sijill/internal/people"
	"sijill/internal/view"
)

const languageCookie = "sijill-language"

// cookieName is the session cookie's. With __Host- a browser takes it only from
// this very host, by https (RFC 6265bis, section 4.1.3.2).
func (s *site) cookieName() string {
	if s.Secure {
		return "__Host-sijill"
	}
	return "sijill"
}

// setSession gives the browser a session's token, or takes it away when token
// is empty. The cookie ends with the browser; the server ends the session.
func (s *site) setSession(w http.ResponseWriter, token string) {
	c := &http.Cookie{Name: s.cookieName(), Value: token, Path: "/", HttpOnly: true, Secure: s.Secure, SameSite: http.SameSiteLaxMode}
	if token == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// signPage is the sign-in page, and that for a forgotten password.
type signPage struct {
	view.Frame
	Back, Tried string
	Code        bool // A code of the authenticator is wanted.
	Error       string
}

func (s *site) signInPage(w http.ResponseWriter, r *request) error {
	back := local(r.URL.Query().Get("back"))
	if r.viewer != nil {
		http.Redirect(w, r.Request, back, http.StatusSeeOther)
		return nil
	}
	return s.showSignIn(w, r, http.StatusOK, signPage{Back: back})
}

func (s *site) showSignIn(w http.ResponseWriter, r *request, status int, p signPage) error {
	p.Frame = s.frame(r, "")
	p.Here = "/sign-in"
	p.Scripts = []string{"passkey.js"}
	var err error
	if p.Title, err = r.locale.Plain("signin"); err != nil {
		return err
	}
	return s.render(w, status, "sign-in", p)
}

// signIn starts a session.
func (s *site) signIn(w http.ResponseWriter, r *request) error {
	form, err := r.form()
	if err != nil {
		return err
	}
	p := signPage{Back: local(form.Get("back")), Tried: form.Get("address")}
	v, err := s.Access.SignIn(r.Context(), p.Tried, form.Get("password"), latinDigits(form.Get("code")), s.caller(r))
	if err != nil {
		if errors.Is(err, ErrCode) {
			p.Code = true
			return s.wantCode(w, r, p, form.Get("code") != "")
		}
		if p.Error, err = s.refused(w, r, err, "signin.wrong"); err != nil {
			return err
		}
		return s.showSignIn(w, r, refusal(w), p)
	}
	if err := s.enter(w, r, v); err != nil {
		return err
	}
	http.Redirect(w, r.Request, p.Back, http.StatusSeeOther)
	return nil
}

// wantCode shows the sign-in page with a place for the code. The password has to
// be typed again: a page never carries one.
func (s *site) wantCode(w http.ResponseWriter, r *request, p signPage, wrong bool) error {
	key := "signin.code.wanted"
	if wrong {
		key = "signin.code.wrong"
	}
	var err error
	if p.Error, err = r.locale.Plain(key); err != nil {
		return err
	}
	return s.showSignIn(w, r, http.StatusUnprocessableEntity, p)
}

// enter gives the browser its session. One that it had before ends, and the new
// one has a token of its own, so that nobody can plant one beforehand.
func (s *site) enter(w http.ResponseWriter, r *request, v *Viewer) error {
	if r.viewer != nil {
		if err := s.Access.SignOut(r.Context(), r.viewer.Token); err != nil {
			return fmt.Errorf("ending the session before: %w", err)
		}
	}
	s.setSession(w, v.Token)
	return nil
}

// refused says in the reader's language why a proof was refused. wrong is what
// to say of one that was wrong. An error that is no refusal comes back.
func (s *site) refused(w http.ResponseWriter, r *request, cause error, wrong string) (string, error) {
	var slow people.ErrSlowDown
	switch {
	case errors.As(cause, &slow):
		return s.wait(w, r, slow.RetryAfter)
	case errors.Is(cause, people.ErrCredentials), errors.Is(cause, ErrWrong):
		return r.locale.Plain(wrong)
	case errors.Is(cause, ErrTaken):
		return r.locale.Plain("choose.same")
	case errors.Is(cause, ErrUnsuited):
		return r.locale.Plain("password.unsuited")
	}
	return "", fmt.Errorf("checking a proof: %w", cause)
}

// refusal is the status for what refused has said.
func refusal(w http.ResponseWriter) int {
	if w.Header().Get("Retry-After") != "" {
		return http.StatusTooManyRequests
	}
	return http.StatusUnprocessableEntity
}

// wait says in the reader's language when to try again.
func (s *site) wait(w http.ResponseWriter, r *request, d time.Duration) (string, error) {
	seconds := retryAfter(w, d)
	if seconds < 120 {
		return r.locale.Plain("signin.slow", seconds)
	}
	return r.locale.Plain("signin.slower", (seconds+59)/60)
}

// Passkeys are the script's business: it asks for the options, has the browser
// sign, and brings the answer. What comes back is JSON: where to go, or what to
// say.

// proved is the answer to a script.
type proved struct {
	Go    string `json:"go,omitempty"`
	Error string `json:"error,omitempty"`
}

// answer is what the script brings from a passkey.
type answer struct {
	ID         string          `json:"id"`
	Name       string          `json:"name"`
	Back       string          `json:"back"`
	Credential json.RawMessage `json:"credential"`
}

func (r *request) answer() (a answer, err error) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(body, &a)
	}
	if err != nil {
		return a, fmt.Errorf("reading what a passkey says: %w", errBadRequest)
	}
	return a, nil
}

func sendJSON(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(b) // A reader who left is no concern of ours.
	return nil
}

func sendCeremony(w http.ResponseWriter, c Ceremony) error {
	return sendJSON(w, http.StatusOK, struct {
		ID      string          `json:"id"`
		Options json.RawMessage `json:"options"`
	}{c.ID, c.Options})
}

func (s *site) beginPasskey(w http.ResponseWriter, r *request) error {
	c, err := s.Access.BeginPasskey(r.Context())
	if err != nil {
		return fmt.Errorf("beginning a sign-in by passkey: %w", err)
	}
	return sendCeremony(w, c)
}

func (s *site) finishPasskey(w http.ResponseWriter, r *request) error {
	a, err := r.answer()
	if err != nil {
		return err
	}
	v, err := s.Access.FinishPasskey(r.Context(), a.ID, a.Credential, s.caller(r))
	if err != nil {
		said, err := s.refused(w, r, err, "passkey.wrong")
		if err != nil {
			return err
		}
		return sendJSON(w, refusal(w), proved{Error: said})
	}
	if err := s.enter(w, r, v); err != nil {
		return err
	}
	return sendJSON(w, http.StatusOK, proved{Go: local(a.Back)})
}

// recoverPage is for those who forgot their password.
func (s *site) recoverPage(w http.ResponseWriter, r *request) error {
	return s.showRecover(w, r, http.StatusOK, signPage{})
}

func (s *site) showRecover(w http.ResponseWriter, r *request, status int, p signPage) error {
	p.Frame = s.frame(r, "")
	p.Here = "/recover"
	var err error
	if p.Title, err = r.locale.Plain("recover"); err != nil {
		return err
	}
	return s.render(w, status, "recover", p)
}

// recover sets a new password by the recovery code and shows the next code.
func (s *site) recover(w http.ResponseWriter, r *request) error {
	form, err := r.form()
	if err != nil {
		return err
	}
	p := signPage{Tried: form.Get("address")}
	if form.Get("password") != form.Get("again") {
		if p.Error, err = r.locale.Plain("password.differ"); err != nil {
			return err
		}
		return s.showRecover(w, r, http.StatusUnprocessableEntity, p)
	}
	v, code, err := s.Access.Recover(r.Context(), p.Tried, form.Get("code"), form.Get("password"), s.caller(r))
	if err != nil {
		if p.Error, err = s.refused(w, r, err, "recover.wrong"); err != nil {
			return err
		}
		return s.showRecover(w, r, refusal(w), p)
	}
	if err := s.enter(w, r, v); err != nil {
		return err
	}
	r.viewer = v
	return s.showSecret(w, r, Secret{Kind: "recovery", Code: code, Next: "/"})
}

func (s *site) signOut(w http.ResponseWriter, r *request) error {
	if r.viewer != nil {
		if err := s.Access.SignOut(r.Context(), r.viewer.Token); err != nil {
			return fmt.Errorf("signing out: %w", err)
		}
	}
	s.setSession(w, "")
	w.Header().Set("Clear-Site-Data", `"cache", "storage"`)
	http.Redirect(w, r.Request, "/sign-in", http.StatusSeeOther)
	return nil
}

// language keeps the language that was chosen in a cookie for a year.
func (s *site) language(w http.ResponseWriter, r *request) error {
	form, err := r.form()
	if err != nil {
		return err
	}
	s.setLanguage(w, s.views.Locale("", form.Get("lang")).Tag)
	http.Redirect(w, r.Request, r.back("/"), http.StatusSeeOther)
	return nil
}

func (s *site) setLanguage(w http.ResponseWriter, tag string) {
	http.SetCookie(w, &http.Cookie{
		Name: languageCookie, Value: tag, Path: "/", MaxAge: 365 * 24 * 3600,
		HttpOnly: true, Secure: s.Secure, SameSite: http.SameSiteLaxMode,
	})
}
