package intake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"sijill/internal/intake/mbox"
)

// item is one thing that the reader met, in order: a message, something
// refused or no mail, or the end of a file. Settling it moves the saved
// position to after.
type item struct {
	after  position
	mail   *Mail      // until it was appended
	size   int64      // of the message
	remark *Remark    // on what was not captured; for a message, in case it is refused
	form   *mbox.Form // of a message from an mbox
	file   *fileEnd

	done    bool
	receipt Receipt
}

// fileEnd is what is known when a file was read through.
type fileEnd struct {
	format  format
	variant string // of an mbox
	stats   mbox.Stats
	remark  *Remark // why it was not read, or no further; nil otherwise
}

// pipeline appends messages, many at once, and settles items in the order of
// the source, whatever order the appends end in. What is saved is therefore
// always a whole prefix of the source.
type pipeline struct {
	im       *Importer
	key      string
	progress Progress

	ctx    context.Context // ends when something failed
	cancel context.CancelCauseFunc
	late   context.Context // ends a grace time after the caller's
	work   chan *item
	bytes  *semaphore.Weighted // of messages being appended
	slots  *semaphore.Weighted // of items not settled
	group  sync.WaitGroup

	saving sync.Mutex // held while a state is saved: saves keep their order

	mu     sync.Mutex // guards what follows
	queue  []*item    // submitted and not settled, in order
	state  state
	dirty  bool // state has changed since it was saved
	report *report
	failed error // the first failure
}

// newPipeline starts the workers. stop waits for what is under way, saves, and
// returns the first failure.
func (im *Importer) newPipeline(ctx context.Context, key string, s state, r *report, p Progress) (pl *pipeline, stop func() error) {
	pl = &pipeline{im: im, key: key, state: s, report: r, progress: p, work: make(chan *item)}
	pl.ctx, pl.cancel = context.WithCancelCause(ctx)
	pl.bytes = semaphore.NewWeighted(im.o.MaxBytes)
	pl.slots = semaphore.NewWeighted(int64(4 * im.o.InFlight))
	late, endLate := context.WithCancel(context.WithoutCancel(ctx))
	pl.late = late
	unhook := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(im.o.Grace):
			endLate()
		case <-late.Done():
		}
	})
	for range im.o.InFlight {
		pl.group.Go(pl.worker)
	}
	quit := make(chan struct{})
	var ticker sync.WaitGroup
	ticker.Go(func() { pl.tick(quit) })
	return pl, func() error {
		close(pl.work)
		pl.group.Wait()
		close(quit)
		ticker.Wait()
		err := errors.Join(pl.failure(), pl.save())
		unhook()
		endLate()
		pl.cancel(nil)
		return err
	}
}

// submit hands over the next item. It waits while too much is under way, and
// fails when the import has failed or is to stop.
func (p *pipeline) submit(it *item) error {
	if err := p.slots.Acquire(p.ctx, 1); err != nil {
		return context.Cause(p.ctx)
	}
	if it.mail == nil {
		it.done = true
		p.enqueue(it)
		return p.failure()
	}
	if err := p.bytes.Acquire(p.ctx, p.weight(it)); err != nil {
		return context.Cause(p.ctx)
	}
	p.enqueue(it)
	select {
	case p.work <- it:
		return nil
	case <-p.ctx.Done():
		return context.Cause(p.ctx)
	}
}

func (p *pipeline) weight(it *item) int64 {
	return min(it.size, p.im.o.MaxBytes)
}

func (p *pipeline) worker() {
	for it := range p.work {
		receipt, err := p.im.appender.Append(p.late, it.mail)
		p.bytes.Release(p.weight(it))
		p.mu.Lock()
		if err != nil && !errors.Is(err, ErrRefused) {
			p.fail(fmt.Errorf("appending a message: %w", err))
		} else {
			if err != nil {
				it.remark.Type, it.remark.Reason, it.remark.Detail = refused, string(notStored), err.Error()
			} else {
				it.remark = nil
			}
			it.receipt, it.done, it.mail = receipt, true, nil
			p.settle()
		}
		p.mu.Unlock()
	}
}

func (p *pipeline) enqueue(it *item) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue = append(p.queue, it)
	p.settle()
}

// settle counts the items at the front of the queue that are done.
func (p *pipeline) settle() {
	n := 0
	for n < len(p.queue) && p.queue[n].done && p.failed == nil {
		if err := p.state.count(p.queue[n], p.report); err != nil {
			p.fail(fmt.Errorf("writing the report: %w", err))
			break
		}
		p.queue[n] = nil
		n++
	}
	p.queue = p.queue[n:]
	p.dirty = p.dirty || n > 0
	p.slots.Release(int64(n))
}

func (p *pipeline) fail(err error) {
	if p.failed == nil {
		p.failed = err
		p.cancel(err)
	}
}

func (p *pipeline) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

// tick saves the state and tells the progress from time to time until quit.
func (p *pipeline) tick(quit <-chan struct{}) {
	save, show := time.NewTicker(p.im.o.SaveEvery), time.NewTicker(200*time.Millisecond)
	defer save.Stop()
	defer show.Stop()
	for {
		select {
		case <-quit:
			p.show()
			return
		case <-show.C:
			p.show()
		case <-save.C:
			if err := p.save(); err != nil {
				p.mu.Lock()
				p.fail(err)
				p.mu.Unlock()
			}
		}
	}
}

func (p *pipeline) show() {
	p.mu.Lock()
	pr := p.progress
	pr.Done, pr.Counts = p.state.Position.Stored, p.state.Counts
	p.mu.Unlock()
	p.im.o.Progress(pr)
}

// save makes the report durable and then the state that rests on it.
func (p *pipeline) save() error {
	p.saving.Lock()
	defer p.saving.Unlock()
	p.mu.Lock()
	if !p.dirty {
		p.mu.Unlock()
		return nil
	}
	p.dirty = false
	p.state.Report = p.report.written
	saved, err := json.Marshal(&p.state)
	err = errors.Join(err, p.report.flush())
	p.mu.Unlock()
	if err == nil {
		err = p.report.f.Sync()
	}
	if err != nil {
		return fmt.Errorf("saving the report: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.late), p.im.o.Grace)
	defer cancel()
	if err := p.im.ledger.Save(ctx, p.key, saved); err != nil {
		return fmt.Errorf("saving progress: %w", err)
	}
	return nil
}
