package outbox

import (
	"context"
	"sync/atomic"
	"time"

	"sijill/internal/db"
)

// destination works on what is due for one domain, until nothing is.
type destination struct {
	o      *Outbox
	domain string
	limit  int // Workers; less when the other side takes no more.

	work chan []*recipient // To workers: recipients of one letter.
	done chan report
	// connected is how many workers have a connection.
	connected atomic.Int32
	alive     atomic.Int32 // Workers that have not decided to end.
	works     atomic.Bool  // A worker has connected, or has done a group.

	// What follows is the dispatcher's.
	workers int
	flying  map[int64]bool // Recipients who are with a worker.
}

// report is what a worker says when it has done a group, or ends.
type report struct {
	group  []*recipient
	ended  bool
	enough bool // The other side takes no further connection.
}

// pageSize is how many recipients are read at a time.
const pageSize = 200

func newDestination(o *Outbox, domain string) *destination {
	return &destination{
		o: o, domain: domain, limit: o.opts.Limits.PerDestination,
		work: make(chan []*recipient), done: make(chan report), flying: map[int64]bool{},
	}
}

// run dispatches until nothing is due or ctx ends; hard is for attempts.
func (d *destination) run(ctx, hard context.Context) {
	d.dispatch(ctx, hard)
	close(d.work)
	for d.workers > 0 {
		d.take(<-d.done)
	}
	if err := d.o.writes.do(func(tx *db.Tx) error { return rest(tx, d.domain) }); err != nil {
		d.o.opts.Log.Error("the queue can't be written", "error", err)
		// It stays due; without a pause it would be tried again at once.
		sleepFor(ctx, time.Second)
	}
	d.o.mu.Lock()
	delete(d.o.active, d.domain)
	d.o.mu.Unlock()
	d.o.Kick()
}

func (d *destination) dispatch(ctx, hard context.Context) {
	for ctx.Err() == nil {
		list, err := d.o.due(ctx, d.domain, pageSize+len(d.flying))
		if err != nil {
			sleepFor(ctx, time.Second)
			return
		}
		groups := d.groups(list)
		if len(groups) == 0 {
			if len(d.flying) == 0 {
				return
			}
			d.take(<-d.done)
			continue
		}
		for _, g := range groups {
			if !d.pace(ctx) || !d.hand(ctx, hard, g) {
				return
			}
		}
	}
}

// groups puts recipients of one letter together who are not with a worker.
func (d *destination) groups(list []*recipient) (groups [][]*recipient) {
	most := d.o.opts.Limits.Recipients
	for _, r := range list {
		if d.flying[r.id] {
			continue
		}
		if n := len(groups) - 1; n >= 0 && groups[n][0].entry() == r.entry() && len(groups[n]) < most {
			groups[n] = append(groups[n], r)
		} else {
			groups = append(groups, []*recipient{r})
		}
	}
	return groups
}

// hand gives a group to a worker, a new one if that is allowed and all others
// are busy.
func (d *destination) hand(ctx, hard context.Context, g []*recipient) bool {
	for _, r := range g {
		d.flying[r.id] = true
	}
	for {
		select {
		case d.work <- g:
			return true
		default:
		}
		// Ten connections at once to a server that is dead, or that takes only
		// one, would be nine too many: one shows the way.
		if (d.workers == 0 || d.workers < d.limit && d.works.Load()) && d.slot(ctx) {
			d.workers++
			d.alive.Add(1)
			go d.worker(hard)
		}
		if d.workers == 0 {
			return false
		}
		select {
		case d.work <- g:
			return true
		case r := <-d.done:
			d.take(r)
		case <-ctx.Done():
			return false
		}
	}
}

// slot takes one of the places for connections: the first worker waits for it,
// further ones are not that important.
func (d *destination) slot(ctx context.Context) bool {
	if d.workers == 0 {
		d.o.wanting.Add(1)
		defer d.o.wanting.Add(-1)
		select {
		case d.o.slots <- struct{}{}:
			return true
		case <-ctx.Done():
			return false
		}
	}
	select {
	case d.o.slots <- struct{}{}:
		return true
	default:
		return false
	}
}

func (d *destination) take(r report) {
	for _, one := range r.group {
		delete(d.flying, one.id)
	}
	if r.enough && d.workers > 1 {
		d.limit = d.workers - 1
	}
	if r.ended {
		d.workers--
	}
}

// pace waits until the domain may get another message.
func (d *destination) pace(ctx context.Context) bool {
	rate := d.o.opts.Limits.PerMinute
	if rate <= 0 {
		return true
	}
	d.o.mu.Lock()
	now := time.Now()
	for k, at := range d.o.paces {
		if at.Before(now) && k != d.domain {
			delete(d.o.paces, k)
		}
	}
	at := d.o.paces[d.domain]
	if at.Before(now) {
		at = now
	}
	d.o.paces[d.domain] = at.Add(time.Minute / time.Duration(rate))
	d.o.mu.Unlock()
	return sleepFor(ctx, at.Sub(now))
}

func sleepFor(ctx context.Context, t time.Duration) bool {
	if t <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// worker delivers groups, over one connection as long as that lasts.
func (d *destination) worker(ctx context.Context) {
	a := &attempt{o: d.o, d: d}
	ended := false
	defer func() {
		a.drop()
		<-d.o.slots
		if !ended {
			d.done <- report{ended: true}
		}
	}()
	for g := range d.work {
		enough := a.deliver(ctx, g)
		if enough && d.yield() || d.o.wanting.Load() > 0 && d.yield() {
			ended = true
			a.drop()
			d.done <- report{group: g, ended: true, enough: enough}
			return
		}
		d.works.Store(true)
		d.done <- report{group: g}
	}
}

// connects notes that a worker has a connection.
func (d *destination) connects() {
	d.connected.Add(1)
	if !d.works.Swap(true) {
		d.done <- report{} // So that the dispatcher looks.
	}
}

// yield lets a worker end if it isn't the last: another destination has none, or
// the other side takes no more.
func (d *destination) yield() bool {
	for {
		n := d.alive.Load()
		if n <= 1 {
			return false
		}
		if d.alive.CompareAndSwap(n, n-1) {
			return true
		}
	}
}
