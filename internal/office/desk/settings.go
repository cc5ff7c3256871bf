package desk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"sijill"
	"sijill/internal/access"
	"sijill/internal/office"
	"sijill/internal/people"
	"sijill/internal/post"
	"sijill/internal/setup"
	"sijill/internal/web"
)

// SetPreferences implements web.Settings, as do the methods below.
func (d *Desk) SetPreferences(ctx context.Context, v *web.Viewer, language, digits string) error {
	err := d.o.People.SetLanguage(ctx, v.Account, language)
	if err == nil {
		err = d.o.People.SetDigits(ctx, v.Account, digits)
	}
	return pageError(err)
}

func passkey(k access.Passkey) web.Passkey {
	return web.Passkey{ID: strconv.FormatInt(k.ID, 10), Name: k.Name, Opens: k.Deep, Everyday: k.Everyday, Created: k.Created, Used: k.Used}
}

func (d *Desk) Credentials(ctx context.Context, v *web.Viewer) (c web.Credentials, err error) {
	keys, err := d.o.Access.Passkeys(ctx, v.Account)
	if err != nil {
		return c, err
	}
	for _, k := range keys {
		c.Passkeys = append(c.Passkeys, passkey(k))
	}
	if c.TOTP, err = d.o.People.HasTOTP(ctx, v.Account); err != nil {
		return c, err
	}
	_, c.Recovery, err = d.o.People.RecoveryCredential(ctx, v.Account)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return c, err
}

func (d *Desk) ChangePassword(ctx context.Context, v *web.Viewer, old, fresh string) (string, error) {
	code, err := d.o.Access.ChangePassword(ctx, visitOf(v).Session, old, fresh, d.by(ctx, v))
	return code, provenError(err)
}

func (d *Desk) BeginRegister(ctx context.Context, v *web.Viewer) (web.Ceremony, error) {
	return ceremony(d.o.Access.BeginRegister(ctx, visitOf(v).Session))
}

func (d *Desk) FinishRegister(ctx context.Context, v *web.Viewer, id, name string, answer []byte) (web.Passkey, *web.Ceremony, error) {
	k, next, err := d.o.Access.FinishRegister(ctx, visitOf(v).Session, id, answer, name, d.by(ctx, v))
	if err != nil || next == nil {
		return passkey(k), nil, provenError(err)
	}
	c, err := ceremony(*next, nil)
	return passkey(k), &c, err
}

func (d *Desk) FinishOpening(ctx context.Context, v *web.Viewer, id string, answer []byte) (web.Passkey, error) {
	k, err := d.o.Access.FinishOpening(ctx, visitOf(v).Session, id, answer, d.by(ctx, v))
	return passkey(k), provenError(err)
}

// number reads the id of something of the viewer's.
func number(id string) (int64, error) {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return 0, fs.ErrNotExist
	}
	return n, nil
}

func (d *Desk) RenamePasskey(ctx context.Context, v *web.Viewer, id, name string) error {
	n, err := number(id)
	if err != nil {
		return err
	}
	return provenError(d.o.Access.RenamePasskey(ctx, visitOf(v).Session, n, name))
}

func (d *Desk) RemovePasskey(ctx context.Context, v *web.Viewer, id string) error {
	n, err := number(id)
	if err != nil {
		return err
	}
	return provenError(d.o.Access.RemovePasskey(ctx, visitOf(v).Session, n, d.by(ctx, v)))
}

func (d *Desk) BeginTOTP(ctx context.Context, v *web.Viewer) (web.TOTP, error) {
	t, err := d.o.Access.BeginTOTP(ctx, visitOf(v).Session)
	return web.TOTP{Secret: t.Secret, URI: t.URI}, provenError(err)
}

func (d *Desk) ConfirmTOTP(ctx context.Context, v *web.Viewer, code string) error {
	return provenError(d.o.Access.ConfirmTOTP(ctx, visitOf(v).Session, code, d.by(ctx, v)))
}

func (d *Desk) RemoveTOTP(ctx context.Context, v *web.Viewer, code string) error {
	return provenError(d.o.Access.RemoveTOTP(ctx, visitOf(v).Session, code, d.by(ctx, v)))
}

func (d *Desk) NewRecovery(ctx context.Context, v *web.Viewer) (string, error) {
	code, err := d.o.Access.NewRecovery(ctx, visitOf(v).Session, d.by(ctx, v))
	return code, provenError(err)
}

func appPassword(a people.AppPassword) web.AppPassword {
	return web.AppPassword{ID: strconv.FormatInt(a.ID, 10), Label: a.Label, Office: a.Scope.Has(sijill.Office), Personal: a.Scope.Has(sijill.Personal),
		Created: a.Created, Used: a.Used, UsedFrom: a.Network}
}

func (d *Desk) AppPasswords(ctx context.Context, v *web.Viewer) (out []web.AppPassword, err error) {
	list, err := d.o.Access.AppPasswords(ctx, v.Account)
	for _, a := range list {
		out = append(out, appPassword(a))
	}
	return out, err
}

func (d *Desk) MakeAppPassword(ctx context.Context, v *web.Viewer, label string, office, personal bool) (web.NewAppPassword, error) {
	var scope people.Scope
	if office {
		scope |= people.ScopeOffice
	}
	if personal {
		scope |= people.ScopePersonal
	}
	made, err := d.o.Access.MakeAppPassword(ctx, visitOf(v).Session, label, scope, d.by(ctx, v))
	if err != nil {
		return web.NewAppPassword{}, provenError(err)
	}
	h := d.o.Host()
	out := web.NewAppPassword{AppPassword: appPassword(made.AppPassword), Password: made.Password, Name: v.Address,
		IMAP: reached(h, h.IMAPS, h.IMAP), Submission: reached(h, h.Submissions, h.Submission)}
	if scope == people.ScopeBoth {
		a, err := d.o.People.Get(ctx, v.Account)
		if err != nil {
			return out, err
		}
		out.Name = a.SignIn
		return out, nil
	}
	identities, err := d.Identities(ctx, v)
	for _, i := range identities {
		if scope.Has(i.Class) {
			out.Name = i.Address
			break
		}
	}
	return out, err
}

// reached is the better of two ways to a door.
func reached(h setup.Host, tls, starttls int) web.Server {
	if tls != 0 {
		return web.Server{Host: h.Name, Port: tls, TLS: "SSL/TLS"}
	}
	return web.Server{Host: h.Name, Port: starttls, TLS: "STARTTLS"}
}

func (d *Desk) RevokeAppPassword(ctx context.Context, v *web.Viewer, id string) error {
	n, err := number(id)
	if err != nil {
		return err
	}
	return pageError(d.o.Access.RevokeAppPassword(ctx, d.by(ctx, v), v.Account, n))
}

func (d *Desk) Sessions(ctx context.Context, v *web.Viewer) (out []web.SessionInfo, err error) {
	list, err := d.o.Access.Sessions(ctx, v.Account)
	for _, s := range list {
		out = append(out, web.SessionInfo{ID: strconv.FormatInt(s.ID, 10), Agent: s.Agent, From: s.Network, Started: s.Created, Used: s.Used,
			Current: s.ID == visitOf(v).Session.ID})
	}
	return out, err
}

func (d *Desk) EndSession(ctx context.Context, v *web.Viewer, id string) error {
	n, err := number(id)
	if err != nil {
		return err
	}
	return d.o.Access.EndSession(ctx, v.Account, n)
}

// closed tells whether the mail of a class is closed in a viewer's session. Then
// nothing of that identity is set or written either: who has the password alone may
// be somebody else.
func closed(v *web.Viewer, class sijill.Class) bool {
	return class == sijill.Personal && !visitOf(v).Session.Open()
}

// rule reads the rule of one of the viewer's identities, unless that is closed.
func (d *Desk) rule(ctx context.Context, v *web.Viewer, class sijill.Class) (post.Rule, error) {
	if !visitOf(v).Scope.Has(class) {
		return post.Rule{}, fs.ErrNotExist
	}
	if closed(v, class) {
		return post.Rule{}, fmt.Errorf("a personal rule: %w", web.ErrClosed)
	}
	return d.o.Post.Rule(ctx, v.Account, class)
}

func (d *Desk) setRule(ctx context.Context, v *web.Viewer, class sijill.Class, change func(*post.Rule)) error {
	r, err := d.rule(ctx, v, class)
	if err != nil {
		return err
	}
	change(&r)
	s, err := d.o.Sender(ctx, v.Account, class)
	if err != nil {
		return err
	}
	err = d.o.Post.SetRule(ctx, s, r)
	switch {
	case errors.Is(err, post.ErrForward):
		return fmt.Errorf("%w: %w", web.ErrForbidden, err)
	case errors.Is(err, post.ErrRule):
		return fmt.Errorf("%w: %w", web.ErrUnsuited, err)
	}
	return err
}

func (d *Desk) Vacation(ctx context.Context, v *web.Viewer, class sijill.Class) (web.Vacation, error) {
	r, err := d.rule(ctx, v, class)
	a := r.Vacation
	until := a.Until
	if !until.IsZero() {
		until = until.AddDate(0, 0, -1) // People name the last day.
	}
	return web.Vacation{Class: class, On: a.On, Subject: a.Subject, Text: a.Text, From: a.From, Until: until}, err
}

func (d *Desk) SetVacation(ctx context.Context, v *web.Viewer, a web.Vacation) error {
	return d.setRule(ctx, v, a.Class, func(r *post.Rule) {
		r.Vacation = post.Vacation{On: a.On, Subject: a.Subject, Text: a.Text, From: a.From, Until: a.Until}
		if !a.Until.IsZero() {
			r.Vacation.Until = a.Until.AddDate(0, 0, 1)
		}
	})
}

func (d *Desk) Forwarding(ctx context.Context, v *web.Viewer, class sijill.Class) (web.Forwarding, error) {
	r, err := d.rule(ctx, v, class)
	return web.Forwarding{Class: class, To: r.Forward, Suspended: r.Suspended, May: class == sijill.Personal || d.o.Config.Wall.Forward}, err
}

func (d *Desk) SetForwarding(ctx context.Context, v *web.Viewer, f web.Forwarding) error {
	to := strings.TrimSpace(f.To)
	before, err := d.rule(ctx, v, f.Class)
	if err == nil && to != "" && to != before.Forward { // It lets somebody read what comes, as a credential does.
		err = pageError(d.o.Access.MayChange(ctx, visitOf(v).Session))
	}
	if err != nil {
		return err
	}
	return d.setRule(ctx, v, f.Class, func(r *post.Rule) { r.Forward, r.Suspended = to, "" })
}

// administrator checks that a viewer runs the server.
func (d *Desk) administrator(v *web.Viewer) error {
	if !v.Admin || !visitOf(v).Session.Account.Role.Has(people.RoleAdministrator) {
		return web.ErrForbidden
	}
	return nil
}

// Accounts implements web.Admin, as do the methods below.
func (d *Desk) Accounts(ctx context.Context, v *web.Viewer) ([]web.Account, error) {
	if err := d.administrator(v); err != nil {
		return nil, err
	}
	list, err := d.o.People.List(ctx)
	if err != nil {
		return nil, err
	}
	var out []web.Account
	for _, a := range list {
		if a.State == people.Removed {
			continue
		}
		w := web.Account{ID: a.ID, Name: a.Name, SignIn: a.SignIn, Suspended: a.State == people.Suspended, Created: a.Created,
			Roles: web.Roles{Owner: a.Role.Has(people.RoleOwner), Administrator: a.Role.Has(people.RoleAdministrator), Records: a.Role.Has(people.RoleRecordsOfficer)}}
		addresses, err := d.o.People.Addresses(ctx, a.ID)
		if err != nil {
			return nil, err
		}
		for _, x := range addresses {
			w.Addresses = append(w.Addresses, web.Identity{Address: x.Address, Class: x.Class})
		}
		sessions, err := d.o.People.Sessions(ctx, a.ID)
		if err != nil {
			return nil, err
		}
		if w.TOTP, err = d.o.People.HasTOTP(ctx, a.ID); err != nil {
			return nil, err
		}
		for _, s := range sessions {
			if s.Used.After(w.Used) {
				w.Used = s.Used
			}
		}
		out = append(out, w)
	}
	return out, nil
}

func roleOf(r web.Roles) (role people.Role) {
	for has, is := range map[*bool]people.Role{&r.Owner: people.RoleOwner, &r.Administrator: people.RoleAdministrator, &r.Records: people.RoleRecordsOfficer} {
		if *has {
			role |= is
		}
	}
	return role
}

func (d *Desk) MakeAccount(ctx context.Context, v *web.Viewer, n web.NewAccount) (web.Made, error) {
	if err := d.administrator(v); err != nil {
		return web.Made{}, err
	}
	first := n.Addresses[0]
	var more []people.Address
	for _, a := range n.Addresses[1:] {
		more = append(more, people.Address{Address: a.Address, Class: a.Class})
	}
	made, err := d.o.Access.NewAccount(ctx, d.by(ctx, v), people.Account{Name: n.Name, SignIn: n.SignIn, Address: first.Address, Class: first.Class, Role: roleOf(n.Roles)}, "", more...)
	if err != nil {
		return web.Made{}, pageError(err)
	}
	return web.Made{Account: made.ID, Password: made.Password, Recovery: made.Recovery}, nil
}

func (d *Desk) Suspend(ctx context.Context, v *web.Viewer, account int64, suspended bool) error {
	if err := d.administrator(v); err != nil {
		return err
	}
	if suspended {
		return pageError(d.o.Access.Suspend(ctx, d.by(ctx, v), account))
	}
	return pageError(d.o.Access.Restore(ctx, d.by(ctx, v), account))
}

func (d *Desk) ResetPassword(ctx context.Context, v *web.Viewer, account int64) (string, error) {
	if err := d.administrator(v); err != nil {
		return "", err
	}
	return d.o.Access.ResetPassword(ctx, d.by(ctx, v), account, "")
}

// EndFactor is "sijill user end-factor".
func (d *Desk) EndFactor(ctx context.Context, v *web.Viewer, account int64) error {
	if err := d.administrator(v); err != nil {
		return err
	}
	return d.o.Access.EndTOTP(ctx, d.by(ctx, v), account)
}

func (d *Desk) SetRoles(ctx context.Context, v *web.Viewer, account int64, r web.Roles) error {
	if err := d.administrator(v); err != nil {
		return err
	}
	s := visitOf(v).Session
	return pageError(d.o.SetRoles(ctx, s.Ring(), d.by(ctx, v), s.Account.Pseudonym, account, roleOf(r)))
}

func (d *Desk) AddAddress(ctx context.Context, v *web.Viewer, account int64, address string, class sijill.Class) error {
	if err := d.administrator(v); err != nil {
		return err
	}
	return pageError(d.o.AddAddress(ctx, d.by(ctx, v), account, people.Address{Address: address, Class: class}))
}

func (d *Desk) RemoveAddress(ctx context.Context, v *web.Viewer, account int64, address string) error {
	if err := d.administrator(v); err != nil {
		return err
	}
	return pageError(d.o.RemoveAddress(ctx, d.by(ctx, v), account, address))
}

// dnsStates says the states of records in the words of the pages.
var dnsStates = map[setup.State]string{setup.StateRight: web.DNSGood, setup.StateMissing: web.DNSMissing, setup.StateDifferent: web.DNSWrong, setup.StateUnknown: web.DNSUnknown}

// askDNS is how long the page of domains waits for DNS.
const askDNS = 8 * time.Second

func (d *Desk) Domains(ctx context.Context, v *web.Viewer) ([]web.Domain, error) {
	if err := d.administrator(v); err != nil {
		return nil, err
	}
	names, err := d.o.People.Domains(ctx)
	if err != nil {
		return nil, err
	}
	var out []web.Domain
	for _, name := range names {
		records, err := d.o.DNSRecords(ctx, name)
		if err != nil {
			return nil, err
		}
		w := web.Domain{Name: name, Checked: time.Now(), Own: people.SameDomain(name, d.o.Config.Domain)}
		if w.CatchAll, err = d.o.People.CatchAll(ctx, name); err != nil {
			return nil, err
		}
		for _, c := range d.asked(ctx, records) {
			w.Records = append(w.Records, web.DNSRecord{Purpose: strings.ToUpper(string(c.Purpose)), Name: c.Name, Type: c.Type, Value: c.Value,
				State: dnsStates[c.State], Found: strings.Join(c.Found, "\n"), Recommended: optional[c.Purpose]})
		}
		out = append(out, w)
	}
	return out, nil
}

// optional are records without which mail goes and comes all the same.
var optional = map[setup.Purpose]bool{setup.PurposeServices: true, setup.PurposeAutoconfig: true, setup.PurposeAutodiscover: true, setup.PurposeTLSReport: true, setup.PurposeSTS: true}

// asked checks records with DNS, for as long as a page may take.
func (d *Desk) asked(ctx context.Context, records []setup.Record) []setup.Checked {
	ctx, cancel := context.WithTimeout(ctx, askDNS)
	defer cancel()
	list, _ := setup.Check(ctx, records, d.o.Lookup()) // What was not answered in time is unknown.
	return list
}

func (d *Desk) AddDomain(ctx context.Context, v *web.Viewer, name string) error {
	if err := d.administrator(v); err != nil {
		return err
	}
	return pageError(d.o.Access.AddDomain(ctx, d.by(ctx, v), name))
}

// RemoveDomain is "sijill user address remove-domain".
func (d *Desk) RemoveDomain(ctx context.Context, v *web.Viewer, name string) error {
	if err := d.administrator(v); err != nil {
		return err
	}
	err := d.o.RemoveDomain(ctx, d.by(ctx, v), name)
	switch {
	case errors.Is(err, people.ErrInUse), errors.Is(err, office.ErrOwnDomain):
		return fmt.Errorf("%w: %w", web.ErrForbidden, err)
	case errors.Is(err, people.ErrForeign), errors.Is(err, people.ErrInvalid):
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return err
}

// SetCatchAll is "sijill user address catch-all".
func (d *Desk) SetCatchAll(ctx context.Context, v *web.Viewer, domain, address string) error {
	if err := d.administrator(v); err != nil {
		return err
	}
	err := d.o.People.SetCatchAll(ctx, d.by(ctx, v), domain, address)
	switch {
	case errors.Is(err, people.ErrForeign):
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %v", web.ErrUnsuited, err)
	}
	return err
}
