package desk

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"time"

	"sijill/internal/office"
	"sijill/internal/people"
	"sijill/internal/reports"
	"sijill/internal/web"
)

// How far back reports are read, and how many of the newest messages of a folder
// are looked at for them.
const (
	daysRead    = 30
	reportsRead = 300
)

// Reports reads the reports that came to the viewer's own mail: they are mail like
// any other, and open to whom they came. So it also says to whom they come.
func (d *Desk) Reports(ctx context.Context, v *web.Viewer) (web.Reports, error) {
	out := web.Reports{Days: daysRead}
	if err := d.administrator(v); err != nil {
		return out, err
	}
	names, err := d.o.People.Domains(ctx)
	if err != nil {
		return out, err
	}
	for _, name := range names {
		to, err := d.reportsTo(ctx, v, name)
		if err != nil {
			return out, err
		}
		out.To = append(out.To, to)
	}
	folders, err := visitOf(v).Folders(ctx)
	if err != nil {
		return out, err
	}
	since := time.Now().AddDate(0, 0, -daysRead)
	for _, f := range folders {
		found, err := d.reportsIn(ctx, v, f.ID, since)
		if err != nil {
			return out, err
		}
		out.List = append(out.List, found...)
	}
	return out, nil
}

// reportsTo says whose the address is that reports on a domain go to.
func (d *Desk) reportsTo(ctx context.Context, v *web.Viewer, domain string) (web.ReportsTo, error) {
	to := web.ReportsTo{Domain: domain, Address: office.ReportsAt(domain), Whose: web.ReportsNobody}
	a, err := d.o.People.Lookup(ctx, to.Address)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, people.ErrForeign):
		return to, nil
	case err != nil:
		return to, err
	case a.ID == v.Account:
		to.Whose = web.ReportsMine
	default:
		to.Whose, to.Holder = web.ReportsOther, a.Name
		if a.Name == "" {
			to.Holder = a.SignIn
		}
	}
	return to, nil
}

// reportsIn reads the reports of one folder: those that came since a time, and are
// not of days before it.
func (d *Desk) reportsIn(ctx context.Context, v *web.Viewer, folder int64, since time.Time) (out []web.Report, err error) {
	rows, err := visitOf(v).View().List(ctx, folder, 0, reportsRead)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		if r.Date.Before(since) {
			break
		}
		if r.Attachments == 0 || !mayBeReport(r.Subject) {
			continue
		}
		found, err := d.report(ctx, v, r.Entry)
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			if !f.End.Before(since) {
				out = append(out, f)
			}
		}
	}
	return out, nil
}

// mayBeReport tells by its subject whether a message may be a report (RFC 7489,
// section 7.2.1.1; RFC 8460, section 5.3).
func mayBeReport(subject string) bool {
	s := strings.ToLower(subject)
	return strings.HasPrefix(s, "report domain:") || strings.Contains(s, "report-id:") || strings.Contains(s, "tls report")
}

func (d *Desk) report(ctx context.Context, v *web.Viewer, entry int64) (out []web.Report, err error) {
	it, err := visitOf(v).Item(ctx, entry)
	if err != nil {
		return nil, err
	}
	m, err := it.Parsed()
	if err != nil {
		return nil, ignoreClosed(err)
	}
	found, err := reports.Read(m)
	if err != nil {
		return nil, nil // It looked like a report and is none.
	}
	for _, a := range found.DMARC {
		pass, fail := a.Totals()
		out = append(out, web.Report{Kind: "dmarc", From: a.Org, Domain: a.Domain, Begin: a.Begin, End: a.End, Good: pass, Wrong: fail})
	}
	for _, r := range found.TLS {
		for _, p := range r.Policies {
			out = append(out, web.Report{Kind: "tls", From: r.Org, Domain: p.Domain, Begin: r.Begin, End: r.End, Good: p.Succeeded, Wrong: p.Failed})
		}
	}
	return out, nil
}

// ignoreClosed passes over what can't be opened any more.
func ignoreClosed(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
