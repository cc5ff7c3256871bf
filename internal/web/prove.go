package web

import (
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"

	"sijill/internal/view"
)

// provePage asks who is there before credentials are changed, and then goes on
// with what was asked for.
type provePage struct {
	view.Frame
	Next   string      // The form that waits; empty when there's none.
	Fields []NamedText // What it said.
	Error  string
}

// provable are the forms that may wait for a proof: those that change credentials.
func provable(form string) bool {
	return strings.HasPrefix(form, "/settings/") && path.Clean(form) == form && !strings.ContainsAny(form, "?#\\") || form == "/open/anew"
}

// askProof asks for the password. What the request said is kept in the page.
func (s *site) askProof(w http.ResponseWriter, r *request, status int, wrong string) error {
	p := provePage{Error: wrong, Next: r.URL.Path}
	if r.URL.Path == "/prove" {
		p.Next = r.PostForm.Get("next")
	}
	if !provable(p.Next) {
		p.Next = ""
	}
	var names []string
	for name := range r.PostForm {
		if name != "proof" && name != "next" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		for _, v := range r.PostForm[name] {
			p.Fields = append(p.Fields, NamedText{Name: name, Value: v})
		}
	}
	var err error
	if p.Frame, _, err = s.framed(r, "settings", 0); err != nil {
		return err
	}
	if p.Title, err = r.locale.Plain("prove"); err != nil {
		return err
	}
	p.Here = "/settings/security"
	return s.render(w, status, "prove", p)
}

// prove takes the password and sends the form that waited on its way again: 307
// keeps what it says (RFC 9110, section 15.4.8).
func (s *site) prove(w http.ResponseWriter, r *request) error {
	form, err := r.form()
	if err != nil {
		return err
	}
	if err := s.Access.Prove(r.Context(), r.viewer, form.Get("proof"), s.caller(r)); err != nil {
		wrong, err := s.refused(w, r, err, "password.wrong")
		if err != nil {
			return err
		}
		return s.askProof(w, r, refusal(w), wrong)
	}
	// A passkey begins with a script, which can't be sent on its way.
	if next := form.Get("next"); provable(next) && !strings.Contains(next, "/passkey/begin") {
		http.Redirect(w, r.Request, next, http.StatusTemporaryRedirect)
		return nil
	}
	return s.said(w, r, "prove.done", "/settings/security")
}

// startAnew gives up the personal mail that came until now, for someone who has
// no other way, and who says so.
func (s *site) startAnew(w http.ResponseWriter, r *request) error {
	form, err := r.form()
	if err != nil {
		return err
	}
	if form.Get("agreed") == "" {
		return fmt.Errorf("starting anew without agreeing: %w", errBadRequest)
	}
	code, err := s.Access.StartAnew(r.Context(), r.viewer, s.caller(r))
	if err != nil {
		return fmt.Errorf("starting anew: %w", err)
	}
	return s.showSecret(w, r, Secret{Kind: "recovery", Code: code, Next: "/"})
}
