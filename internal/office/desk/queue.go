package desk

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"sijill/internal/outbox"
	"sijill/internal/web"
)

// queueShown is how much of the queue a page shows.
const queueShown = 500

// Queue implements web.Admin, as do the methods below.
func (d *Desk) Queue(ctx context.Context, v *web.Viewer) ([]web.Outgoing, error) {
	if err := d.administrator(v); err != nil {
		return nil, err
	}
	list, err := d.o.Outbox.List(ctx, outbox.Filter{Limit: queueShown})
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

func (d *Desk) Hold(ctx context.Context, v *web.Viewer, id string, held bool) error {
	n, err := d.queued(v, id)
	if err != nil {
		return err
	}
	if held {
		return d.o.Outbox.Hold(ctx, n, visitOf(v).Actor(), "held by an administrator")
	}
	return d.o.Outbox.Release(ctx, n)
}

func (d *Desk) Retry(ctx context.Context, v *web.Viewer, id string) error {
	n, err := d.queued(v, id)
	if err != nil {
		return err
	}
	err = d.o.Outbox.Retry(ctx, n)
	d.o.Outbox.Kick()
	return err
}

func (d *Desk) Drop(ctx context.Context, v *web.Viewer, id, reason string) error {
	n, err := d.queued(v, id)
	if err != nil {
		return err
	}
	return d.o.Outbox.Drop(ctx, n, visitOf(v).Actor(), reason)
}

func (d *Desk) queued(v *web.Viewer, id string) (int64, error) {
	if err := d.administrator(v); err != nil {
		return 0, err
	}
	return number(id)
}

// lowDisk is below which part of the disk's room a page warns.
const lowDisk = 0.1

// certificateShown is how long before a certificate ends a page warns. Authorities'
// are made anew a month before.
const certificateShown = 14 * 24 * time.Hour

// Health implements web.Admin.
func (d *Desk) Health(ctx context.Context, v *web.Viewer) ([]web.Vital, error) {
	if err := d.administrator(v); err != nil {
		return nil, err
	}
	size, _ := d.o.Register.Head()
	list := []web.Vital{{Name: "register", Good: d.o.Register.Health() == nil, Figures: []int64{size}}}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(d.o.Dir, &disk); err == nil && disk.Blocks > 0 {
		share := float64(disk.Bavail) / float64(disk.Blocks)
		list = append(list, web.Vital{Name: "disk", Good: share > lowDisk, Figures: []int64{int64(100*share + .5), int64(disk.Bavail) * disk.Bsize >> 30}})
	}
	end, err := d.o.Certificates().Ends()
	if left := time.Until(end); err != nil || !end.IsZero() {
		list = append(list, web.Vital{Name: "tls", Good: err == nil && left > certificateShown, Figures: []int64{max(0, int64(left/(24*time.Hour)))}})
	}
	q, err := d.o.Outbox.Stats(ctx)
	if err != nil {
		return nil, err
	}
	list = append(list, web.Vital{Name: "queue", Good: q.Held == 0, Figures: []int64{int64(q.Waiting), int64(q.Held)}})
	next, err := d.o.Follower.Cursors(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(next)) {
		list = append(list, web.Vital{Name: name, Good: size-next[name] < lagShown, Figures: []int64{max(0, size-next[name])}})
	}
	files, err := d.o.Wall.Count(ctx)
	if err != nil {
		return nil, err
	}
	return append(list, web.Vital{Name: "filing", Good: files.Overdue == 0, Figures: []int64{int64(files.Due), int64(files.Overdue)}}), nil
}

// lagShown is how far a projection may be behind before a page warns.
const lagShown = 1000
