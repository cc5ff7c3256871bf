package remote

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// item is one message on its way.
type item struct {
	mail    *Mail
	weight  int64 // of the memory that it holds
	refused string
	receipt Receipt
	err     error
	done    chan struct{} // closed when it was appended or refused
}

// settler appends messages of one folder, many at once, and settles them in
// their order, so that what is saved is always a whole beginning of the folder.
type settler struct {
	p      *puller
	ctx    context.Context
	cancel context.CancelCauseFunc
	folder Folder
	mark   *mark
	queue  chan *item
	work   sync.WaitGroup
	ended  chan struct{}
	failed error // Read after ended.
	shown  time.Time
}

func (p *puller) settler(ctx context.Context, f Folder, m *mark) *settler {
	s := &settler{p: p, folder: f, mark: m, queue: make(chan *item, p.InFlight), ended: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	go s.run()
	return s
}

// submit starts to append an item. It waits while too many are under way.
func (s *settler) submit(it *item) error {
	select {
	case s.queue <- it:
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
	s.work.Go(func() {
		defer close(it.done)
		if it.refused == "" {
			// What has begun is finished: a sender that stops must not lose count.
			it.receipt, it.err = s.p.Appender.Append(context.WithoutCancel(s.ctx), it.mail)
			s.p.memory.Release(it.weight)
			it.mail.Message, it.weight = nil, int64(len(it.mail.Message))
		}
	})
	return nil
}

// end waits until everything is settled and tells the first failure.
func (s *settler) end() error {
	s.work.Wait()
	close(s.queue)
	<-s.ended
	s.cancel(nil)
	return s.failed
}

func (s *settler) run() {
	defer close(s.ended)
	for it := range s.queue {
		<-it.done
		if s.failed != nil {
			continue
		}
		if err := s.settle(it); err != nil {
			s.failed = err
			s.cancel(err)
		}
	}
	s.p.show(s.folder.Name)
}

func (s *settler) settle(it *item) error {
	if it.err != nil && !errors.Is(it.err, ErrRefused) {
		return fmt.Errorf("appending a message: %w", it.err)
	}
	c := &s.p.state.Counts
	c.Seen++
	switch {
	case it.err != nil || it.refused != "":
		c.Refused++
		if it.err != nil {
			it.refused = it.err.Error()
		}
		s.p.Refused(Refusal{s.folder.Name, it.mail.UID, it.refused})
	case it.receipt.Already:
		c.Already++
	default:
		c.Captured++
		c.Bytes += it.weight
	}
	s.mark.Last = it.mail.UID
	s.p.done++
	if time.Since(s.shown) > 200*time.Millisecond {
		s.shown = time.Now()
		s.p.show(s.folder.Name)
	}
	if time.Since(s.p.saved) > time.Second {
		return s.p.save(s.ctx)
	}
	return nil
}

func (p *puller) show(folder string) {
	p.Progress(Progress{Folder: folder, Done: min(p.done, p.total), Total: p.total, Counts: p.state.Counts})
}
