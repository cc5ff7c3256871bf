package web

import (
	"net/http"

	"sijill/internal/view"
)

// choosePage is where a person chooses a password in the place of one that somebody
// else knows. Until then there is no other page for them.
type choosePage struct {
	view.Frame
	Username string // For the browser's own list of passwords.
	Proven   bool   // Who is there was shown by passkey or code: the given password isn't asked for.
	Error    string
}

// owned serves a page to anyone but those whose account somebody else can still open:
// they choose a password first. What they see the other may see, too, and what they
// change the other may change back.
func (s *site) owned(h handler) http.Handler {
	return s.open(func(w http.ResponseWriter, r *request) error {
		if r.viewer == nil || !r.viewer.Fresh || s.Settings == nil {
			return h(w, r)
		}
		return leadTo(w, r, "/settings/password")
	})
}

// leadTo leads to a page; a script, which can't follow, is told to go there.
func leadTo(w http.ResponseWriter, r *request, to string) error {
	if r.partial() {
		w.Header().Set("HX-Redirect", to)
		w.WriteHeader(http.StatusUnauthorized)
		return nil
	}
	http.Redirect(w, r.Request, to, http.StatusSeeOther)
	return nil
}

func (s *site) choosePassword(w http.ResponseWriter, r *request) error {
	if !r.viewer.Fresh {
		http.Redirect(w, r.Request, "/settings/security#password-change", http.StatusSeeOther)
		return nil
	}
	return s.showChoose(w, r, http.StatusOK, "")
}

func (s *site) showChoose(w http.ResponseWriter, r *request, status int, wrong string) error {
	p := choosePage{Frame: s.frame(r, ""), Username: r.viewer.Address, Proven: !r.viewer.Deep.IsZero(), Error: wrong}
	var err error
	if p.Title, err = r.locale.Plain("choose"); err != nil {
		return err
	}
	p.Here = "/settings/password"
	return s.render(w, status, "choose", p)
}

// chosen goes on with who has chosen a password: to the mail, by way of the new
// recovery code if there is one.
func (s *site) chosen(w http.ResponseWriter, r *request, code string, cause error) error {
	if cause != nil {
		wrong, err := s.refused(w, r, cause, "choose.wrong")
		if err != nil {
			return err
		}
		return s.showChoose(w, r, refusal(w), wrong)
	}
	if code == "" {
		return s.said(w, r, "password.changed", "/")
	}
	r.viewer.Fresh = false
	return s.showSecret(w, r, Secret{Kind: "recovery", Code: code, Next: "/"})
}
