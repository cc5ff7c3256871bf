package smtpd

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	smallest = 16 << 10 // first memory of a message
	hinted   = 1 << 20  // most memory taken on the word of SIZE alone
)

// letter is a message while it comes in. Once refused it is read to its end and
// forgotten, so that the session stays in step.
type letter struct {
	bytes    []byte
	refusal  reply
	began    time.Time
	received int64 // octets on the wire
	hint     int64 // SIZE of MAIL
	held     int64 // memory taken from the budget
}

// begin starts a new letter; hint is the size that the peer declared.
func (l *letter) begin(hint int64) {
	*l = letter{began: time.Now(), hint: min(hint, hinted)}
}

// drop forgets the letter and gives its memory back.
func (l *letter) drop(budget *semaphore.Weighted) {
	if l.held > 0 {
		budget.Release(l.held)
	}
	*l = letter{}
}

// refuse gives the memory back but for a little to read the rest into.
func (l *letter) refuse(r reply, budget *semaphore.Weighted) {
	l.refusal, l.bytes = r, nil
	if l.held > 0 {
		budget.Release(l.held)
		l.held = 0
	}
}

// room makes place for n more octets, or refuses the letter.
func (g *guard) room(n int) {
	l, o := &g.letter, &g.srv.opt
	need := len(l.bytes) + n
	if need <= cap(l.bytes) {
		return
	}
	if l.refusal != nil {
		l.bytes = make([]byte, 0, inputSize+1)
		return
	}
	size := max(int64(need), 2*int64(cap(l.bytes)), l.hint, smallest)
	size = max(int64(need), min(size, o.MaxSize+smallest))
	if !g.reserve(size) {
		l.refuse(replyMemory, g.srv.memory)
		g.room(n)
		return
	}
	grown := make([]byte, len(l.bytes), size)
	copy(grown, l.bytes)
	g.srv.memory.Release(l.held)
	l.bytes, l.held = grown, size
}

// reserve takes memory from the budget, waiting for it a while. The wait is
// what slows the peers down when many messages are in flight.
func (g *guard) reserve(n int64) bool {
	if g.srv.memory.TryAcquire(n) {
		return true
	}
	ctx, cancel := context.WithTimeout(g.srv.ctx, g.srv.opt.Limits.MemoryWait)
	defer cancel()
	return g.srv.memory.Acquire(ctx, n) == nil
}

// weigh refuses a letter that has become too big, and empties a refused one.
func (g *guard) weigh() {
	l := &g.letter
	if l.refusal == nil && int64(len(l.bytes)) > g.srv.opt.MaxSize {
		l.refuse(replyTooBig, g.srv.memory)
	}
	if l.refusal != nil {
		l.bytes = l.bytes[:0]
	}
}

// receiveData reads what follows DATA to its end. An error means that the end
// did not come.
func (g *guard) receiveData() error {
	var f framing
	for done := false; !done; {
		if len(g.in) == 0 {
			if err := g.more(); err != nil {
				return err
			}
		}
		g.room(len(g.in) + 1)
		var used int
		g.letter.bytes, used, done = f.feed(g.letter.bytes, g.in)
		g.in = g.in[used:]
		g.letter.received += int64(used)
		g.weigh()
	}
	return nil
}

// receiveChunk reads the octets of one BDAT command.
func (g *guard) receiveChunk(size int64) error {
	for size > 0 {
		if len(g.in) == 0 {
			if err := g.more(); err != nil {
				return err
			}
		}
		n := int(min(size, int64(len(g.in))))
		g.room(n)
		g.letter.bytes = append(g.letter.bytes, g.in[:n]...)
		g.in = g.in[n:]
		g.letter.received += int64(n)
		size -= int64(n)
		g.weigh()
	}
	return nil
}

// skip reads and forgets the octets of a chunk that no one asked for.
func (g *guard) skip(size int64) error {
	g.letter.begin(0)
	defer g.letter.drop(g.srv.memory)
	g.letter.refusal = replyNoMail
	return g.receiveChunk(size)
}

// more reads more of a message before it is overdue.
func (g *guard) more() error {
	l := &g.letter
	err := g.fill(g.srv.opt.Limits.deadline(l.began, time.Now(), l.received))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return replySlow
	}
	return err
}
