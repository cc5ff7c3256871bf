package outbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Run delivers until ctx ends; then no attempt begins any more, those under way
// have Limits.Grace to end, and Run returns nil. What is cut off then is in
// doubt, as after a crash. It returns ErrRunning when another process delivers.
func (o *Outbox) Run(ctx context.Context) error {
	unlock, err := o.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := o.recoverRows(); err != nil {
		return err
	}
	// Attempts outlive ctx for a while.
	hard, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(o.opts.Limits.Grace):
			cut()
		case <-hard.Done():
		}
	})
	defer stop()
	if err := errors.Join(o.conclude(hard), o.concludeActs(hard)); err != nil {
		return err
	}
	var all sync.WaitGroup
	for _, work := range []func(){
		func() { o.schedule(ctx, hard, &all) },
		func() { o.noticeLoop(ctx, hard) },
		func() { o.tidyLoop(ctx) },
	} {
		all.Add(1)
		go func() { defer all.Done(); work() }()
	}
	all.Wait()
	o.wipe(hard)
	o.pool.sweep(o.now(), true)
	return nil
}

func (o *Outbox) lock() (unlock func(), err error) {
	if o.opts.Lock == "" {
		return func() {}, nil
	}
	f, err := os.OpenFile(o.opts.Lock, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the queue: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrRunning
		}
		return nil, fmt.Errorf("locking the queue: %w", err)
	}
	return func() { f.Close() }, nil
}

// How long the scheduler sleeps at most: another process may have enqueued
// something, or released it.
const longestSleep = 5 * time.Second

// schedule starts the work for destinations when they are due, until ctx ends.
func (o *Outbox) schedule(ctx, hard context.Context, all *sync.WaitGroup) {
	for {
		next, err := o.start(ctx, hard, all)
		if err != nil && ctx.Err() == nil {
			o.opts.Log.Error("the queue can't be read", "error", err)
		}
		sleep := time.NewTimer(next)
		select {
		case <-ctx.Done():
			sleep.Stop()
			return
		case <-o.kick:
			sleep.Stop()
		case <-sleep.C:
		}
	}
}

// start starts what is due, and tells when to look again.
func (o *Outbox) start(ctx, hard context.Context, all *sync.WaitGroup) (time.Duration, error) {
	o.mu.Lock()
	free := o.opts.Limits.Connections - len(o.active)
	limit := len(o.active) + free + 1
	o.mu.Unlock()
	domains, dues, err := o.destinations(ctx, limit)
	if err != nil {
		return time.Second, err
	}
	now := o.now()
	for i, domain := range domains {
		due := fromMicro(dues[i])
		if due.After(now) {
			return min(due.Sub(now), longestSleep), nil
		}
		o.mu.Lock()
		_, working := o.active[domain]
		if working || free <= 0 {
			o.mu.Unlock()
			continue
		}
		d := newDestination(o, domain)
		o.active[domain] = d
		free--
		all.Add(1)
		o.mu.Unlock()
		go func() {
			defer all.Done()
			d.run(ctx, hard)
		}()
	}
	return longestSleep, nil // Who ends kicks.
}

// Pauses of the two that clean up.
const (
	sweepEvery = time.Second
	tidyEvery  = time.Minute
)

// tidyLoop ends idle connections, finishes acts that were cut off, and moves what
// the write-ahead log holds into the database: only then are the keys of
// finished letters gone from the disk.
func (o *Outbox) tidyLoop(ctx context.Context) {
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-sweep.C:
		}
		o.pool.sweep(o.now(), false)
		if time.Since(last) < tidyEvery {
			continue
		}
		last = time.Now()
		if err := o.concludeActs(ctx); err != nil && ctx.Err() == nil {
			o.opts.Log.Error("an act that was cut off can't be finished", "error", err)
		}
		o.wipe(ctx)
	}
}

// wipe empties the write-ahead log of the letters that have left since it last did.
// Where a reader holds the log it is done in a minute again; what a crash prevents,
// vault.Open makes good for personal letters.
func (o *Outbox) wipe(ctx context.Context) {
	if n := o.stats.finished.Load(); n != o.wiped.Load() && o.opts.DB.Truncate(ctx) == nil {
		o.wiped.Store(n)
	}
}
