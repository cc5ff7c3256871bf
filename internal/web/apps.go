package web

import (
	"fmt"
	"net/http"
	"strings"

	"sijill"
	"sijill/internal/view"
)

// appsPage lists app passwords, sessionsPage sign-ins that go on.
type (
	appsPage struct {
		view.Frame
		Tab    string
		Apps   []AppPassword
		Scopes struct{ Office, Personal bool } // What this session may give away.
		Apple  []Identity                      // For whose addresses there is a profile.
		Error  string
	}
	sessionsPage struct {
		view.Frame
		Tab      string
		Sessions []SessionInfo
	}
)

func (s *site) apps(w http.ResponseWriter, r *request) error {
	return s.showApps(w, r, http.StatusOK, "")
}

func (s *site) showApps(w http.ResponseWriter, r *request, status int, wrong string) error {
	f, _, err := s.framed(r, "settings", 0)
	if err != nil {
		return err
	}
	p := appsPage{Frame: f, Tab: "apps", Error: wrong}
	p.Scopes.Office, p.Scopes.Personal = r.viewer.Office, r.viewer.Personal
	if p.Title, err = r.locale.Plain("apps"); err != nil {
		return err
	}
	p.Here = "/settings/apps"
	if p.Apps, err = s.Settings.AppPasswords(r.Context(), r.viewer); err != nil {
		return fmt.Errorf("loading the app passwords: %w", err)
	}
	if s.Post != nil {
		if p.Apple, err = s.Post.Identities(r.Context(), r.viewer); err != nil {
			return fmt.Errorf("loading the identities: %w", err)
		}
	}
	return s.render(w, status, "apps", p)
}

func (s *site) makeApp(w http.ResponseWriter, r *request) error {
	form, err := r.form()
	if err != nil {
		return err
	}
	label := strings.Join(strings.Fields(form.Get("label")), " ")
	office := form.Get("scope") != "personal" && r.viewer.sees(sijill.Office)
	personal := form.Get("scope") != "office" && r.viewer.sees(sijill.Personal)
	if label == "" || len(label) > maxName || !office && !personal {
		wrong, err := r.locale.Plain("apps.unsuited")
		if err != nil {
			return err
		}
		return s.showApps(w, r, http.StatusUnprocessableEntity, wrong)
	}
	a, err := s.Settings.MakeAppPassword(r.Context(), r.viewer, label, office, personal)
	if err != nil {
		return fmt.Errorf("making an app password: %w", err)
	}
	return s.showSecret(w, r, Secret{Kind: "app", Code: a.Password, App: &a, Next: "/settings/apps"})
}

func (s *site) revokeApp(w http.ResponseWriter, r *request) error {
	form, err := r.form()
	if err != nil {
		return err
	}
	if err := s.Settings.RevokeAppPassword(r.Context(), r.viewer, form.Get("id")); err != nil {
		return fmt.Errorf("revoking an app password: %w", err)
	}
	return s.said(w, r, "apps.revoked", "/settings/apps")
}

func (s *site) sessions(w http.ResponseWriter, r *request) error {
	f, _, err := s.framed(r, "settings", 0)
	if err != nil {
		return err
	}
	p := sessionsPage{Frame: f, Tab: "sessions"}
	if p.Title, err = r.locale.Plain("sessions"); err != nil {
		return err
	}
	if p.Sessions, err = s.Settings.Sessions(r.Context(), r.viewer); err != nil {
		return fmt.Errorf("loading the sessions: %w", err)
	}
	for i := range p.Sessions {
		p.Sessions[i].Agent = browserOf(p.Sessions[i].Agent)
	}
	return s.render(w, http.StatusOK, "sessions", p)
}

func (s *site) endSession(w http.ResponseWriter, r *request) error {
	form, err := r.form()
	if err != nil {
		return err
	}
	if err := s.Settings.EndSession(r.Context(), r.viewer, form.Get("id")); err != nil {
		return fmt.Errorf("ending a session: %w", err)
	}
	return s.said(w, r, "sessions.ended", "/settings/sessions")
}

// browserOf makes of a User-Agent what a person would call it, as far as that
// can be told; else it is left as it is.
func browserOf(agent string) string {
	pick := func(names ...string) string {
		for i := 0; i < len(names); i += 2 {
			if strings.Contains(agent, names[i]) {
				return names[i+1]
			}
		}
		return ""
	}
	browser := pick("Edg/", "Edge", "OPR/", "Opera", "Firefox/", "Firefox", "Chrome/", "Chrome", "CriOS/", "Chrome", "Safari/", "Safari")
	system := pick("iPhone", "iPhone", "iPad", "iPad", "Android", "Android", "Windows", "Windows", "Mac OS X", "macOS", "CrOS", "ChromeOS", "Linux", "Linux")
	if browser == "" || system == "" {
		if runes := []rune(agent); len(runes) > 80 {
			return string(runes[:80]) + "…"
		}
		return agent
	}
	return browser + " · " + system
}
