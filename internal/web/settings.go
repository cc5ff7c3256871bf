package web

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"sijill"
	"sijill/internal/view"
)

// Longest names and texts of settings, in bytes.
const (
	maxName = 200
	maxText = 16 << 10
)

// settingsPage is what a person chooses.
type settingsPage struct {
	view.Frame
	Tab        string
	Identities []Identity
	Language   string
	Digits     string
	Vacations  []Vacation
	Forwards   []Forwarding
	Closed     bool // Personal mail is, and with it what is set for it.
	Error      string
	ErrorAt    string // The form that is wrong.
}

func (s *site) settings(w http.ResponseWriter, r *request) error {
	return s.showSettings(w, r, http.StatusOK, settingsPage{})
}

func (s *site) showSettings(w http.ResponseWriter, r *request, status int, p settingsPage) error {
	var err error
	if p.Frame, _, err = s.framed(r, "settings", 0); err != nil {
		return err
	}
	if p.Title, err = r.locale.Plain("settings"); err != nil {
		return err
	}
	p.Tab, p.Here = "settings", "/settings"
	p.Language, p.Digits = r.viewer.Language, r.viewer.Digits
	if s.Post != nil {
		if p.Identities, err = s.Post.Identities(r.Context(), r.viewer); err != nil {
			return fmt.Errorf("loading the identities: %w", err)
		}
	}
	p.Closed = r.viewer.Personal && !r.viewer.Open
	p.Identities = slices.DeleteFunc(p.Identities, func(i Identity) bool { return p.Closed && i.Class == sijill.Personal })
	for _, class := range []sijill.Class{sijill.Office, sijill.Personal} {
		if !r.viewer.sees(class) || p.Closed && class == sijill.Personal {
			continue
		}
		v, err := s.Settings.Vacation(r.Context(), r.viewer, class)
		if err != nil {
			return fmt.Errorf("loading the vacation answer: %w", err)
		}
		f, err := s.Settings.Forwarding(r.Context(), r.viewer, class)
		if err != nil {
			return fmt.Errorf("loading the forwarding: %w", err)
		}
		p.Vacations, p.Forwards = append(p.Vacations, v), append(p.Forwards, f)
	}
	return s.render(w, status, "settings", p)
}

// settled says what became of a change on the first page of settings.
func (s *site) settled(w http.ResponseWriter, r *request, at string, err error) error {
	wrong := "settings.unsuited"
	switch {
	case err == nil:
		return s.said(w, r, "settings.saved", "/settings")
	case errors.Is(err, ErrForbidden):
		wrong = "forwarding.forbidden"
	case errors.Is(err, ErrUnsuited):
	default:
		return fmt.Errorf("changing settings: %w", err)
	}
	p := settingsPage{ErrorAt: at}
	if p.Error, err = r.locale.Plain(wrong); err != nil {
		return err
	}
	return s.showSettings(w, r, http.StatusUnprocessableEntity, p)
}

func (s *site) setIdentity(w http.ResponseWriter, r *request) error {
	form, err := r.form()
	if err != nil {
		return err
	}
	i := Identity{
		Address: form.Get("address"), Class: classOf(sijill.Class(form.Get("class"))),
		Name:      strings.Join(strings.Fields(form.Get("name")), " "),
		Signature: strings.TrimRight(strings.ReplaceAll(form.Get("signature"), "\r\n", "\n"), "\n "),
	}
	if len(i.Name) > maxName || len(i.Signature) > maxText {
		return s.settled(w, r, "identities", ErrUnsuited)
	}
	return s.settled(w, r, "identities", s.Settings.SetIdentity(r.Context(), r.viewer, i))
}

func (s *site) setPreferences(w http.ResponseWriter, r *request) error {
	form, err := r.form()
	if err != nil {
		return err
	}
	language, digits := form.Get("language"), form.Get("digits")
	if language != "" {
		language = s.views.Locale("", language).Tag
	}
	if digits != "" && digits != view.ArabicIndic && digits != view.Latin {
		return errBadRequest
	}
	err = s.Settings.SetPreferences(r.Context(), r.viewer, language, digits)
	if err == nil && language != "" {
		s.setLanguage(w, language)
		r.locale = s.views.Locale("", language).WithDigits(digits)
	}
	return s.settled(w, r, "preferences", err)
}

// dayOf reads a day as a browser sends it; an empty one is zero.
func (s *site) dayOf(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.ParseInLocation(time.DateOnly, latinDigits(text), s.Location)
	if err != nil {
		return t, ErrUnsuited
	}
	return t, nil
}

func (s *site) setVacation(w http.ResponseWriter, r *request) error {
	form, err := r.form()
	if err != nil {
		return err
	}
	v := Vacation{
		Class: classOf(sijill.Class(form.Get("class"))), On: form.Get("on") != "",
		Subject: strings.Join(strings.Fields(form.Get("subject")), " "), Text: strings.ReplaceAll(form.Get("text"), "\r\n", "\n"),
	}
	var err2 error
	v.From, err = s.dayOf(form.Get("from"))
	v.Until, err2 = s.dayOf(form.Get("until"))
	wrong := err != nil || err2 != nil || !v.Until.IsZero() && v.Until.Before(v.From) || len(v.Subject) > maxName || len(v.Text) > maxText ||
		v.On && strings.TrimSpace(v.Text) == ""
	if wrong {
		return s.settled(w, r, "vacation", ErrUnsuited)
	}
	return s.settled(w, r, "vacation", s.Settings.SetVacation(r.Context(), r.viewer, v))
}

func (s *site) setForwarding(w http.ResponseWriter, r *request) error {
	form, err := r.form()
	if err != nil {
		return err
	}
	f := Forwarding{Class: classOf(sijill.Class(form.Get("class"))), To: strings.TrimSpace(form.Get("to"))}
	if f.To != "" && !isAddress(f.To) {
		return s.settled(w, r, "forwarding", ErrUnsuited)
	}
	return s.settled(w, r, "forwarding", s.Settings.SetForwarding(r.Context(), r.viewer, f))
}
