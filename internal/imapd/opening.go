package imapd

import (
	"context"
	"errors"
	"runtime"
	"slices"

	"sijill/internal/mailbox"
)

// opening opens messages of a batch ahead of their turn, several at once. They
// come out in order.
type opening struct {
	cancel  context.CancelFunc
	queue   chan *openedMessage
	current *openedMessage
}

type openedMessage struct {
	ready   chan struct{}
	raw     []byte
	err     error
	release func()
}

// ahead is how many messages wait opened for their turn.
func ahead() int { return 2 * runtime.GOMAXPROCS(0) }

// openAll begins to open messages. Memory is taken in their order, so that what
// is next to be written never waits for what comes after it.
func (s *session) openAll(list []numbered, summaries map[int64]*mailbox.Summary) *opening {
	ctx, cancel := context.WithCancel(s.ctx)
	q := &opening{cancel: cancel, queue: make(chan *openedMessage, ahead())}
	if len(list) == 1 {
		s.openBatch(ctx, q, list, summaries, func(f func()) { f() })
		close(q.queue)
		return q
	}
	go func() {
		defer close(q.queue)
		for part := range slices.Chunk(list, readySize) {
			if !s.openBatch(ctx, q, part, summaries, func(f func()) { go f() }) {
				return
			}
		}
	}()
	return q
}

// openBatch queues a batch and has run open each of it. It returns false once
// nobody waits for them any more.
func (s *session) openBatch(ctx context.Context, q *opening, list []numbered, summaries map[int64]*mailbox.Summary, run func(func())) bool {
	entries := make([]int64, len(list))
	for i := range list {
		entries[i] = list[i].place.Entry
	}
	open, err := s.user.Ready(ctx, entries)
	for i := range list {
		m := s.reserve(summaries[entries[i]])
		m.err = errors.Join(m.err, err)
		select {
		case q.queue <- m:
		case <-ctx.Done():
			m.release()
			return false
		}
		run(func() {
			defer close(m.ready)
			if m.err == nil {
				m.raw, m.err = open(i)
			}
		})
	}
	return true
}

// unknownSize is what a message is reckoned with of which there is no summary.
const unknownSize = 1 << 20

// reserve waits for memory for a message.
func (s *session) reserve(sum *mailbox.Summary) *openedMessage {
	size := int64(unknownSize)
	if sum != nil {
		size = sum.Size
	}
	m := &openedMessage{ready: make(chan struct{}), release: func() {}}
	if release, err := s.hold(size); err != nil {
		m.err = err
	} else {
		m.release = release
	}
	return m
}

// next waits for the next message. done is to be called when it was written;
// after an error it isn't.
func (q *opening) next() ([]byte, error) {
	m, ok := <-q.queue
	if !ok {
		return nil, context.Canceled
	}
	<-m.ready
	if m.err != nil {
		m.release()
		return nil, m.err
	}
	q.current = m
	return m.raw, nil
}

func (q *opening) done() {
	q.current.release()
	q.current = nil
}

// stop gives back what is left.
func (q *opening) stop() {
	q.cancel()
	if q.current != nil {
		q.done()
	}
	for m := range q.queue {
		<-m.ready
		m.release()
	}
}
