package web

import (
	"errors"
	"fmt"
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

// signPage is the sign-in page.
type signPage struct {
	view.Frame
	Back, Tried string
	Error       string
}

func (s *site) signInPage(w http.ResponseWriter, r *request) error {
	back := local(r.URL.Query().Get("back"))
	if r.account != nil {
		http.Redirect(w, r.Request, back, http.StatusSeeOther)
		return nil
	}
	return s.showSignIn(w, r, http.StatusOK, signPage{Back: back})
}

func (s *site) showSignIn(w http.ResponseWriter, r *request, status int, p signPage) error {
	p.Frame = s.frame(r, "")
	p.Here = "/sign-in"
	var err error
	if p.Title, err = r.locale.Plain("signin"); err != nil {
		return err
	}
	return s.render(w, status, "sign-in", p)
}

// signIn starts a session. A session that the browser had ends, and the new one
// has a token of its own, so that nobody can plant one beforehand.
func (s *site) signIn(w http.ResponseWriter, r *request) error {
	if err := r.ParseForm(); err != nil {
		return fmt.Errorf("reading the sign-in form: %w", errBadRequest)
	}
	p := signPage{Back: local(r.PostForm.Get("back")), Tried: r.PostForm.Get("address")}
	n, err := s.People.SignIn(r.Context(), p.Tried, r.PostForm.Get("password"), s.peer(r.Request))
	if err != nil {
		return s.refuseSignIn(w, r, p, err)
	}
	if r.token != "" {
		if err := s.People.SignOut(r.Context(), r.token); err != nil {
			return fmt.Errorf("ending the session before: %w", err)
		}
	}
	s.setSession(w, n.Token)
	http.Redirect(w, r.Request, p.Back, http.StatusSeeOther)
	return nil
}

func (s *site) refuseSignIn(w http.ResponseWriter, r *request, p signPage, cause error) error {
	var slow people.ErrSlowDown
	var err error
	status := http.StatusUnprocessableEntity
	switch {
	case errors.As(cause, &slow):
		status = http.StatusTooManyRequests
		p.Error, err = s.wait(w, r, slow.RetryAfter)
	case errors.Is(cause, people.ErrCredentials):
		p.Error, err = r.locale.Plain("signin.wrong")
	default:
		return fmt.Errorf("signing in: %w", cause)
	}
	if err != nil {
		return err
	}
	return s.showSignIn(w, r, status, p)
}

// wait says in the reader's language when to try again.
func (s *site) wait(w http.ResponseWriter, r *request, d time.Duration) (string, error) {
	seconds := retryAfter(w, d)
	if seconds < 120 {
		return r.locale.Plain("signin.slow", seconds)
	}
	return r.locale.Plain("signin.slower", (seconds+59)/60)
}

func (s *site) signOut(w http.ResponseWriter, r *request) error {
	if r.token != "" {
		if err := s.People.SignOut(r.Context(), r.token); err != nil {
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
	if err := r.ParseForm(); err != nil {
		return fmt.Errorf("reading the language form: %w", errBadRequest)
	}
	l := s.views.Locale("", r.PostForm.Get("lang"))
	http.SetCookie(w, &http.Cookie{
		Name: languageCookie, Value: l.Tag, Path: "/", MaxAge: 365 * 24 * 3600,
		HttpOnly: true, Secure: s.Secure, SameSite: http.SameSiteLaxMode,
	})
	http.Redirect(w, r.Request, local(r.PostForm.Get("back")), http.StatusSeeOther)
	return nil
}
