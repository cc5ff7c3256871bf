package record

import (
	"errors"
	"fmt"
	"syscall"
)

// errRetired says that another process has retired the register: this one never
// appends again.
var errRetired = fmt.Errorf("the register was retired by another process: %w", ErrClosed)

// Health is nil, or says why nothing is appended: Behind's error, or that of the
// last append that failed for want of a working disk, until one succeeds. One that
// wraps ErrClosed stays. What is refused for a reason of its own (a draft that
// can't become an entry, a recipient without roots, a caller that gave up) says
// nothing of the register. It remembers and asks no disk: where nobody appends,
// it doesn't know that nobody could.
func (r *Register) Health() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.behind != nil {
		return r.behind
	}
	return r.failed
}

// tell remembers how the last append went, for Health.
func (r *Register) tell(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !errors.Is(r.failed, ErrClosed) {
		r.failed = err
	}
}

// tellBatch remembers how a batch went. One in which nothing was new proves
// nothing, nor one that a draft's own With refused, unless that was the disk's
// doing.
func (r *Register) tellBatch(b *batchWrite, err error) {
	switch {
	case err == nil && len(b.fresh) > 0:
		r.tell(nil)
	case err != nil && (!b.vetoed || errors.Is(err, syscall.ENOSPC)):
		r.tell(err)
	}
}
