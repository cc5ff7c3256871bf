package imapd

import (
	"context"
	"errors"
	"runtime"
	"slices"
)

// opening opens messages of a batch ahead of their turn, several at once. They
// come out in order.
type opening struct {
	cancel  context.CancelFunc
	queue   chan *openedMessage
	current *openedMessage
}

type openedMessage struct {
	open    func() ([]byte, error)
	ready   chan struct{}
	raw     []byte
	err     error
	release func()
}

// ahead is how many messages wait opened for their turn.
func ahead() int { return 2 * runtime.GOMAXPROCS(0) }

// openMessages begins to open the messages of a list.
func (s *session) openMessages(list []numbered) (*opening, error) {
	entries := make([]int64, len(list))
	for i := range list {
		entries[i] = list[i].place.Entry
	}
	return s.openEntries(entries)
}

// openEntries begins to open messages by their entries.
func (s *session) openEntries(entries []int64) (*opening, error) {
	sizes, err := s.user.Sizes(s.ctx, entries)
	if err != nil {
		return nil, err
	}
	return s.openAll(entries, sizes), nil
}

// openAll begins to open messages. Memory is taken in their order, so that what
// is next to be written never waits for what comes after it.
func (s *session) openAll(entries []int64, sizes map[int64]int64) *opening {
	ctx, cancel := context.WithCancel(s.ctx)
	q := &opening{cancel: cancel, queue: make(chan *openedMessage, ahead())}
	if len(entries) == 1 {
		s.openBatch(ctx, q, entries, sizes, (*openedMessage).read)
		close(q.queue)
		return q
	}
	go func() {
		defer close(q.queue)
		// A goroutine for each message would grow its stack for each message.
		work := make(chan *openedMessage, ahead())
		defer close(work)
		for range min(runtime.GOMAXPROCS(0), len(entries)) {
			go func() {
				for m := range work {
					m.read()
				}
			}()
		}
		for part := range slices.Chunk(entries, readySize) {
			if !s.openBatch(ctx, q, part, sizes, func(m *openedMessage) { work <- m }) {
				return
			}
		}
	}()
	return q
}

// openBatch queues a batch and has run read each of it. It returns false once
// nobody waits for them any more.
func (s *session) openBatch(ctx context.Context, q *opening, entries []int64, sizes map[int64]int64, run func(*openedMessage)) bool {
	open, err := s.user.Ready(ctx, entries)
	for i, entry := range entries {
		m := s.reserve(sizes[entry])
		m.err = errors.Join(m.err, err)
		m.open = func() ([]byte, error) { return open(i) }
		select {
		case q.queue <- m:
		case <-ctx.Done():
			m.release()
			return false
		}
		run(m)
	}
	return true
}

// unknownSize is what a message is reckoned with whose size isn't known.
const unknownSize = 1 << 20

// reserve waits for memory for a message.
func (s *session) reserve(size int64) *openedMessage {
	if size == 0 {
		size = unknownSize
	}
	m := &openedMessage{ready: make(chan struct{}), release: func() {}}
	if release, err := s.hold(size); err != nil {
		m.err = err
	} else {
		m.release = release
	}
	return m
}

// read opens the message, unless it is known that it can't be.
func (m *openedMessage) read() {
	defer close(m.ready)
	if m.err == nil {
		m.raw, m.err = m.open()
	}
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
