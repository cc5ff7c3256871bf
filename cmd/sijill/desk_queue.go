package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"syscall"
	"time"

	"sijill/internal/outbox"
	"sijill/internal/reports"
	"sijill/internal/web"
)

// queueShown is how much of the queue a page shows.
const queueShown = 500

// Queue implements web.Admin, as do the methods below.
func (d *desk) Queue(ctx context.Context, v *web.Viewer) ([]web.Outgoing, error) {
	if err := d.administrator(v); err != nil {
		return nil, err
	}
	list, err := d.o.outbox.List(ctx, outbox.Filter{Limit: queueShown})
	var out []web.Outgoing
	for _, i := range list {
		w := web.Outgoing{ID: strconv.FormatInt(i.ID, 10), Entry: i.Entry, Class: i.Class, To: i.To, Size: i.Size, Tries: i.Attempts,
			Since: i.NotBefore, Next: i.Due, LastAnswer: strings.TrimSpace(i.Host + " " + i.Answer), State: web.OutWaiting}
		if w.To == "" {
			w.To = i.Domain
		}
		switch {
		case i.State == "held":
			w.State = web.OutHeld
		case i.State == "delivering" || i.State == "ending":
			w.State = web.OutGoing
		case i.Attempts > 0:
			w.State = web.OutDeferred
		}
		out = append(out, w)
	}
	return out, err
}

func (d *desk) Hold(ctx context.Context, v *web.Viewer, id string, held bool) error {
	n, err := d.queued(v, id)
	if err != nil {
		return err
	}
	if held {
		return d.o.outbox.Hold(ctx, n, visitOf(v).actor(), "held by an administrator")
	}
	return d.o.outbox.Release(ctx, n)
}

func (d *desk) Retry(ctx context.Context, v *web.Viewer, id string) error {
	n, err := d.queued(v, id)
	if err != nil {
		return err
	}
	err = d.o.outbox.Retry(ctx, n)
	d.o.outbox.Kick()
	return err
}

func (d *desk) Drop(ctx context.Context, v *web.Viewer, id, reason string) error {
	n, err := d.queued(v, id)
	if err != nil {
		return err
	}
	return d.o.outbox.Drop(ctx, n, visitOf(v).actor(), reason)
}

func (d *desk) queued(v *web.Viewer, id string) (int64, error) {
	if err := d.administrator(v); err != nil {
		return 0, err
	}
	return number(id)
}

// lowDisk is below which part of the disk's room a page warns.
const lowDisk = 0.1

// Health implements web.Admin.
func (d *desk) Health(ctx context.Context, v *web.Viewer) ([]web.Vital, error) {
	if err := d.administrator(v); err != nil {
		return nil, err
	}
	size, _ := d.o.register.Head()
	list := []web.Vital{{Name: "register", Good: d.o.register.Behind() == nil, Said: fmt.Sprintf("%d", size)}}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(d.o.dir, &disk); err == nil && disk.Blocks > 0 {
		share := float64(disk.Bavail) / float64(disk.Blocks)
		list = append(list, web.Vital{Name: "disk", Good: share > lowDisk, Said: fmt.Sprintf("%.0f %% (%d GiB)", 100*share, int64(disk.Bavail)*disk.Bsize>>30)})
	}
	q, err := d.o.outbox.Stats(ctx)
	if err != nil {
		return nil, err
	}
	list = append(list, web.Vital{Name: "queue", Good: q.Held == 0, Said: fmt.Sprintf("%d / %d", q.Waiting, q.Held)})
	next, err := d.o.follower.Cursors(ctx)
	if err != nil {
		return nil, err
	}
	for name, n := range next {
		list = append(list, web.Vital{Name: name, Good: size-n < lagShown, Said: fmt.Sprintf("%d", max(0, size-n))})
	}
	files, err := d.o.wall.Count(ctx)
	if err != nil {
		return nil, err
	}
	return append(list, web.Vital{Name: "filing", Good: files.Overdue == 0, Said: fmt.Sprintf("%d / %d", files.Due, files.Overdue)}), nil
}

// lagShown is how far a projection may be behind before a page warns.
const lagShown = 1000

// How far back reports are read, and how many of the newest messages of a folder
// are looked at for them.
const (
	reportDays  = 30
	reportsRead = 300
)

// Reports reads the reports that came to the viewer's own office mail: they are
// mail like any other, and open to whom they came.
func (d *desk) Reports(ctx context.Context, v *web.Viewer) ([]web.Report, error) {
	if err := d.administrator(v); err != nil {
		return nil, err
	}
	folders, err := visitOf(v).folders(ctx)
	if err != nil {
		return nil, err
	}
	since := time.Now().AddDate(0, 0, -reportDays)
	var out []web.Report
	for _, f := range folders {
		rows, err := visitOf(v).view().List(ctx, f.ID, 0, reportsRead)
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
			out = append(out, found...)
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

func (d *desk) report(ctx context.Context, v *web.Viewer, entry int64) (out []web.Report, err error) {
	it, err := visitOf(v).item(ctx, entry)
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
