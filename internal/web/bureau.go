package web

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"

	"sijill"
	"sijill/internal/view"
)

// Pages of those who run the server.
type (
	accountsPage struct {
		view.Frame
		Tab      string
		Accounts []Account
		Tried    NewAccount
		Error    string
	}
	accountPage struct {
		view.Frame
		Tab     string
		Account Account
		Error   string
	}
	domainsPage struct {
		view.Frame
		Tab     string
		Domains []Domain
		Error   string
		Tried   string // The domain that couldn't be added.
		Catch   Domain // The catch-all that was tried; its name is "" for none.
	}
	queuePage struct {
		view.Frame
		Tab   string
		Queue []Outgoing
		Error string
	}
	healthPage struct {
		view.Frame
		Tab     string
		Vitals  []Vital
		Reports Reports
	}
)

// bureau is the frame of a page of those who run the server.
func (s *site) bureau(r *request, key string) (view.Frame, error) {
	f, _, err := s.framed(r, "admin", 0)
	if err == nil {
		f.Title, err = r.locale.Plain(key)
	}
	return f, err
}

func (s *site) accounts(w http.ResponseWriter, r *request) error {
	return s.showAccounts(w, r, http.StatusOK, accountsPage{})
}

func (s *site) showAccounts(w http.ResponseWriter, r *request, status int, p accountsPage) error {
	var err error
	if p.Frame, err = s.bureau(r, "admin.accounts"); err != nil {
		return err
	}
	p.Tab, p.Here = "accounts", "/admin"
	if p.Accounts, err = s.Admin.Accounts(r.Context(), r.viewer); err != nil {
		return fmt.Errorf("listing the accounts: %w", err)
	}
	return s.render(w, status, "accounts", p)
}

// wrongs says what is wrong with what an administrator asked for; "" for an
// error that isn't theirs.
func wrongs(err error) string {
	switch {
	case errors.Is(err, ErrTaken):
		return "admin.taken"
	case errors.Is(err, ErrFormer):
		return "admin.former"
	case errors.Is(err, ErrUnsuited):
		return "admin.unsuited"
	case errors.Is(err, ErrForbidden):
		return "admin.forbidden"
	}
	return ""
}

func (s *site) makeAccount(w http.ResponseWriter, r *request) error {
	form, err := r.form()
	if err != nil {
		return err
	}
	a := NewAccount{Name: strings.TrimSpace(form.Get("name")), SignIn: strings.TrimSpace(form.Get("signin")), Roles: rolesOf(form["role"])}
	for _, class := range []sijill.Class{sijill.Office, sijill.Personal} {
		for _, address := range strings.Fields(strings.NewReplacer(",", " ", "،", " ", ";", " ").Replace(form.Get(string(class)))) {
			a.Addresses = append(a.Addresses, Identity{Address: address, Class: class})
		}
	}
	var made Made
	if err = ErrUnsuited; a.Name != "" && len(a.Addresses) > 0 {
		made, err = s.Admin.MakeAccount(r.Context(), r.viewer, a)
	}
	if key := wrongs(err); key != "" {
		p := accountsPage{Tried: a}
		if p.Error, err = r.locale.Plain(key); err != nil {
			return err
		}
		return s.showAccounts(w, r, http.StatusUnprocessableEntity, p)
	}
	if err != nil {
		return fmt.Errorf("making an account: %w", err)
	}
	return s.showSecret(w, r, Secret{Kind: "account", Name: a.Name, Made: &made, Next: "/admin"})
}

func rolesOf(names []string) (r Roles) {
	for _, n := range names {
		switch n {
		case "owner":
			r.Owner = true
		case "administrator":
			r.Administrator = true
		case "records":
			r.Records = true
		}
	}
	return r
}

func (s *site) account(w http.ResponseWriter, r *request) error {
	id, err := r.number("account", 0)
	if err != nil {
		return err
	}
	return s.showAccount(w, r, http.StatusOK, id, "")
}

func (s *site) showAccount(w http.ResponseWriter, r *request, status int, id int64, wrong string) error {
	p := accountPage{Tab: "accounts", Error: wrong}
	var err error
	if p.Account, err = s.accountOf(r, id); err != nil {
		return err
	}
	if p.Frame, err = s.bureau(r, "admin.account"); err != nil {
		return err
	}
	p.Title = p.Account.Name
	return s.render(w, status, "account", p)
}

func (s *site) accountOf(r *request, id int64) (Account, error) {
	all, err := s.Admin.Accounts(r.Context(), r.viewer)
	if err != nil {
		return Account{}, fmt.Errorf("listing the accounts: %w", err)
	}
	for _, a := range all {
		if a.ID == id {
			return a, nil
		}
	}
	return Account{}, fmt.Errorf("finding an account: %w", fs.ErrNotExist)
}

// changeAccount does what do says to an account.
func (s *site) changeAccount(w http.ResponseWriter, r *request) error {
	form, err := r.form()
	if err != nil {
		return err
	}
	id, err := r.number("account", 0)
	if err != nil {
		return err
	}
	ctx, here := r.Context(), fmt.Sprintf("/admin/accounts/%d", id)
	key := ""
	switch form.Get("do") {
	case "suspend":
		key, err = "admin.suspended", s.Admin.Suspend(ctx, r.viewer, id, true)
	case "resume":
		key, err = "admin.resumed", s.Admin.Suspend(ctx, r.viewer, id, false)
	case "roles":
		key, err = "admin.roles.set", s.Admin.SetRoles(ctx, r.viewer, id, rolesOf(form["role"]))
	case "add":
		key, err = "admin.address.added", s.Admin.AddAddress(ctx, r.viewer, id, strings.TrimSpace(form.Get("address")), classOf(sijill.Class(form.Get("class"))))
	case "remove":
		key, err = "admin.address.removed", s.Admin.RemoveAddress(ctx, r.viewer, id, form.Get("address"))
	case "factor":
		key, err = "admin.factor.ended", s.Admin.EndFactor(ctx, r.viewer, id)
	case "reset":
		return s.resetPassword(w, r, id)
	default:
		return errBadRequest
	}
	if wrong := wrongs(err); wrong != "" {
		text, err := r.locale.Plain(wrong)
		if err != nil {
			return err
		}
		return s.showAccount(w, r, http.StatusUnprocessableEntity, id, text)
	}
	if err != nil {
		return fmt.Errorf("changing an account: %w", err)
	}
	return s.said(w, r, key, here)
}

// resetPassword asks first: personal mail closes by it.
func (s *site) resetPassword(w http.ResponseWriter, r *request, id int64) error {
	a, err := s.accountOf(r, id)
	if err != nil {
		return err
	}
	here := fmt.Sprintf("/admin/accounts/%d", id)
	if r.PostForm.Get("sure") == "" {
		c := Confirm{Action: here, Fields: []NamedText{{Name: "do", Value: "reset"}, {Name: "sure", Value: "1"}}}
		var err, err2, err3 error
		c.Heading, err = r.locale.Plain("admin.reset.title", a.Name)
		c.Text, err2 = r.locale.Plain("admin.reset.text")
		c.Button, err3 = r.locale.Plain("admin.reset")
		if err := errors.Join(err, err2, err3); err != nil {
			return err
		}
		return s.confirm(w, r, c, here)
	}
	password, err := s.Admin.ResetPassword(r.Context(), r.viewer, id)
	if err != nil {
		return fmt.Errorf("resetting a password: %w", err)
	}
	return s.showSecret(w, r, Secret{Kind: "account", Name: a.Name, Made: &Made{Account: id, Password: password}, Next: here})
}

func (s *site) domains(w http.ResponseWriter, r *request) error {
	return s.showDomains(w, r, http.StatusOK, domainsPage{})
}

func (s *site) showDomains(w http.ResponseWriter, r *request, status int, p domainsPage) error {
	f, err := s.bureau(r, "admin.domains")
	if err != nil {
		return err
	}
	p.Frame, p.Tab = f, "domains"
	p.Here = "/admin/domains"
	if p.Domains, err = s.Admin.Domains(r.Context(), r.viewer); err != nil {
		return fmt.Errorf("listing the domains: %w", err)
	}
	return s.render(w, status, "domains", p)
}

func (s *site) addDomain(w http.ResponseWriter, r *request) error {
	form, err := r.form()
	if err != nil {
		return err
	}
	name := strings.TrimSpace(form.Get("name"))
	err = s.Admin.AddDomain(r.Context(), r.viewer, name)
	key := wrongs(err)
	if errors.Is(err, ErrUnsuited) { // What is said of accounts doesn't fit.
		key = "domains.unsuited"
	}
	if key != "" {
		wrong, err := r.locale.Plain(key, name)
		if err != nil {
			return err
		}
		return s.showDomains(w, r, http.StatusUnprocessableEntity, domainsPage{Error: wrong, Tried: name})
	}
	if err != nil {
		return fmt.Errorf("adding a domain: %w", err)
	}
	return s.said(w, r, "admin.domain.added", "/admin/domains", name)
}

// removeDomain removes a domain in which nobody has an address.
func (s *site) removeDomain(w http.ResponseWriter, r *request) error {
	form, err := r.form()
	if err != nil {
		return err
	}
	name := form.Get("name")
	err = s.Admin.RemoveDomain(r.Context(), r.viewer, name)
	if errors.Is(err, ErrForbidden) {
		wrong, err := r.locale.Plain("domains.remove.used", name)
		if err != nil {
			return err
		}
		return s.showDomains(w, r, http.StatusUnprocessableEntity, domainsPage{Error: wrong})
	}
	if err != nil {
		return fmt.Errorf("removing a domain: %w", err)
	}
	return s.said(w, r, "domains.removed", "/admin/domains", name)
}

// setCatchAll says who gets what comes to no address of a domain; "none" ends it.
func (s *site) setCatchAll(w http.ResponseWriter, r *request) error {
	form, err := r.form()
	if err != nil {
		return err
	}
	tried := Domain{Name: form.Get("domain"), CatchAll: strings.TrimSpace(form.Get("address"))}
	key := "domains.catch.set"
	if form.Get("do") == "none" {
		tried.CatchAll, key = "", "domains.catch.ended"
	} else if tried.CatchAll == "" {
		return errBadRequest
	}
	err = s.Admin.SetCatchAll(r.Context(), r.viewer, tried.Name, tried.CatchAll)
	if errors.Is(err, ErrUnsuited) {
		wrong, err := r.locale.Plain("domains.catch.nobody", tried.CatchAll)
		if err != nil {
			return err
		}
		return s.showDomains(w, r, http.StatusUnprocessableEntity, domainsPage{Error: wrong, Catch: tried})
	}
	if err != nil {
		return fmt.Errorf("setting a catch-all: %w", err)
	}
	return s.said(w, r, key, "/admin/domains", tried.Name, tried.CatchAll)
}

func (s *site) queue(w http.ResponseWriter, r *request) error {
	return s.showQueue(w, r, http.StatusOK, "")
}

func (s *site) showQueue(w http.ResponseWriter, r *request, status int, wrong string) error {
	f, err := s.bureau(r, "admin.queue")
	if err != nil {
		return err
	}
	p := queuePage{Frame: f, Tab: "queue", Error: wrong}
	p.Here = "/admin/queue"
	if p.Queue, err = s.Admin.Queue(r.Context(), r.viewer); err != nil {
		return fmt.Errorf("listing the queue: %w", err)
	}
	return s.render(w, status, "queue", p)
}

// changeQueue holds, tries again or gives up one delivery.
func (s *site) changeQueue(w http.ResponseWriter, r *request) error {
	form, err := r.form()
	if err != nil {
		return err
	}
	ctx, id, reason := r.Context(), form.Get("id"), strings.TrimSpace(form.Get("reason"))
	key := ""
	switch form.Get("do") {
	case "hold":
		key, err = "queue.held", s.Admin.Hold(ctx, r.viewer, id, true)
	case "release":
		key, err = "queue.released", s.Admin.Hold(ctx, r.viewer, id, false)
	case "retry":
		key, err = "queue.retried", s.Admin.Retry(ctx, r.viewer, id)
	case "drop":
		if reason == "" || len(reason) > maxName*4 {
			wrong, err := r.locale.Plain("queue.reason.wanted")
			if err != nil {
				return err
			}
			return s.showQueue(w, r, http.StatusUnprocessableEntity, wrong)
		}
		key, err = "queue.dropped", s.Admin.Drop(ctx, r.viewer, id, reason)
	default:
		return errBadRequest
	}
	if err != nil {
		return fmt.Errorf("changing the queue: %w", err)
	}
	return s.said(w, r, key, "/admin/queue")
}

func (s *site) vitals(w http.ResponseWriter, r *request) error {
	f, err := s.bureau(r, "admin.health")
	if err != nil {
		return err
	}
	p := healthPage{Frame: f, Tab: "health"}
	if p.Vitals, err = s.Admin.Health(r.Context(), r.viewer); err != nil {
		return fmt.Errorf("asking for the health: %w", err)
	}
	for i := range p.Vitals {
		if err := p.Vitals[i].say(r.locale); err != nil {
			return err
		}
	}
	if p.Reports, err = s.Admin.Reports(r.Context(), r.viewer); err != nil {
		return fmt.Errorf("loading the reports: %w", err)
	}
	return s.render(w, http.StatusOK, "health", p)
}

// say puts what is known of a vital into words.
func (v *Vital) say(l *view.Locale) (err error) {
	if key := "vital." + v.Name + ".said"; l.Has(key) && len(v.Figures) > 0 {
		var args []any
		for _, n := range v.Figures {
			args = append(args, n)
		}
		if v.Said, err = l.Plain(key, args...); err != nil {
			return err
		}
	}
	if key := "vital." + v.Name; l.Has(key) {
		v.Name, err = l.Plain(key)
	}
	return err
}

// RolesField is the roles of an account, to choose from.
type RolesField struct {
	L   *view.Locale
	Has Roles
}

// RolesOf gives roles to choose from.
func (p accountsPage) RolesOf(r Roles) RolesField { return RolesField{p.L, r} }

// RolesOf gives roles to choose from.
func (p accountPage) RolesOf(r Roles) RolesField { return RolesField{p.L, r} }
