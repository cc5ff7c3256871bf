package web

import (
	"fmt"
	"net/http"

	"sijill/internal/view"
)

// openPage is where older mail, and personal mail that is closed, is opened.
type openPage struct {
	view.Frame
	Back, Error string
}

func (s *site) openPage(w http.ResponseWriter, r *request) error {
	return s.showOpen(w, r, http.StatusOK, openPage{Back: local(r.URL.Query().Get("back"))})
}

func (s *site) showOpen(w http.ResponseWriter, r *request, status int, p openPage) error {
	var err error
	if p.Frame, _, err = s.framed(r, "open", 0); err != nil {
		return err
	}
	if p.Title, err = r.locale.Plain("open.title"); err != nil {
		return err
	}
	p.Here, p.Scripts = "/open", []string{"passkey.js"}
	return s.render(w, status, "open", p)
}

// openByCode opens older mail by the recovery code.
func (s *site) openByCode(w http.ResponseWriter, r *request) error {
	form, err := r.form()
	if err != nil {
		return err
	}
	if err := s.Access.StepUpByCode(r.Context(), r.viewer, form.Get("code")); err != nil {
		p := openPage{Back: r.back("/")}
		if p.Error, err = s.refused(w, r, err, "recover.wrong"); err != nil {
			return err
		}
		return s.showOpen(w, r, refusal(w), p)
	}
	return s.said(w, r, "open.done", r.back("/"))
}

func (s *site) beginStepUp(w http.ResponseWriter, r *request) error {
	c, err := s.Access.BeginStepUp(r.Context(), r.viewer)
	if err != nil {
		return fmt.Errorf("beginning to open older mail: %w", err)
	}
	return sendCeremony(w, c)
}

func (s *site) finishStepUp(w http.ResponseWriter, r *request) error {
	a, err := r.answer()
	if err != nil {
		return err
	}
	if err := s.Access.FinishStepUp(r.Context(), r.viewer, a.ID, a.Credential); err != nil {
		said, err := s.refused(w, r, err, "passkey.wrong")
		if err != nil {
			return err
		}
		return sendJSON(w, refusal(w), proved{Error: said})
	}
	text, err := r.locale.Plain("open.done")
	if err != nil {
		return err
	}
	return sendJSON(w, http.StatusOK, proved{Go: withDeed(local(a.Back), s.did(r, deed{text: text}))})
}
