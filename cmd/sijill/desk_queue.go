package main

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"sijill/internal/outbox"
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
	list := []web.Vital{{Name: "register", Good: d.o.register.Behind() == nil, Figures: []int64{size}}}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(d.o.dir, &disk); err == nil && disk.Blocks > 0 {
		share := float64(disk.Bavail) / float64(disk.Blocks)
		list = append(list, web.Vital{Name: "disk", Good: share > lowDisk, Figures: []int64{int64(100*share + .5), int64(disk.Bavail) * disk.Bsize >> 30}})
	}
	q, err := d.o.outbox.Stats(ctx)
	if err != nil {
		return nil, err
	}
	list = append(list, web.Vital{Name: "queue", Good: q.Held == 0, Figures: []int64{int64(q.Waiting), int64(q.Held)}})
	next, err := d.o.follower.Cursors(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(next)) {
		list = append(list, web.Vital{Name: name, Good: size-next[name] < lagShown, Figures: []int64{max(0, size-next[name])}})
	}
	files, err := d.o.wall.Count(ctx)
	if err != nil {
		return nil, err
	}
	return append(list, web.Vital{Name: "filing", Good: files.Overdue == 0, Figures: []int64{int64(files.Due), int64(files.Overdue)}}), nil
}

// lagShown is how far a projection may be behind before a page warns.
const lagShown = 1000
