package record

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"sijill"
	"sijill/internal/blob"
	"sijill/internal/db"
)

// A batch is bounded in number and, so that one transaction does not wait for
// a gigabyte, in bytes.
const (
	maxBatch      = 512
	maxBatchBytes = 32 << 20
)

// commitLoop is the one goroutine that appends. It takes whatever has queued.
func (r *Register) commitLoop() {
	defer close(r.stopped)
	var spill *group
	for {
		g := spill
		spill = nil
		if g == nil {
			var ok bool
			if g, ok = <-r.queue; !ok {
				return
			}
		}
		var batch []*group
		batch, spill = r.gather(g)
		r.commit(batch)
	}
}

// How long a batch waits for more: while drafts are being sealed, which takes a
// tenth of a millisecond each, and for patient ones. A lone sender never waits.
const (
	linger   = 400 * time.Microsecond
	patience = 20 * time.Millisecond
)

// gather fills a batch with what waits or is about to come, and returns the group
// that did not fit.
func (r *Register) gather(first *group) (batch []*group, spill *group) {
	batch, bytes, jobs := []*group{first}, first.size(), len(first.jobs)
	patient, late := first.patient(), (<-chan time.Time)(nil)
	for jobs < maxBatch {
		g := r.poll()
		if g == nil && !patient && r.coming.Load() == 0 {
			return batch, nil
		}
		if g == nil {
			if late == nil {
				late = time.After(waitFor(patient))
			}
			if g = r.next(late); g == nil {
				return batch, nil
			}
		}
		bytes, jobs = bytes+g.size(), jobs+len(g.jobs)
		if bytes > maxBatchBytes || jobs > maxBatch {
			return batch, g
		}
		batch, patient = append(batch, g), patient && g.patient()
	}
	return batch, nil
}

func waitFor(patient bool) time.Duration {
	if patient {
		return patience
	}
	return linger
}

// poll takes a group that waits, or nil. A closed queue gives nil.
func (r *Register) poll() *group {
	select {
	case g := <-r.queue:
		return g
	default:
		return nil
	}
}

// next takes the next group that comes before late, or nil.
func (r *Register) next(late <-chan time.Time) *group {
	select {
	case g := <-r.queue:
		return g
	case <-late:
		return nil
	}
}

func (g *group) size() (n int) {
	for _, j := range g.jobs {
		if j.sealed != nil {
			n += len(j.sealed.Ciphertext)
		}
	}
	return n
}

func (g *group) patient() bool {
	for _, j := range g.jobs {
		if !j.draft.Patient {
			return false
		}
	}
	return true
}

// commit appends a batch and answers everyone in it.
func (r *Register) commit(batch []*group) {
	b := &batchWrite{r: r, signer: r.signer, groups: batch}
	err := r.appendBatch(context.Background(), b)
	r.tellBatch(b, err)
	for i, g := range batch {
		switch {
		case err != nil:
			g.answer <- answer{err: err}
		case b.refused[i] != nil:
			g.answer <- answer{err: b.refused[i]}
		default:
			g.answer <- answer{receipts: b.receipts[i]}
		}
	}
}

func (r *Register) appendBatch(ctx context.Context, b *batchWrite) error {
	release, err := r.turn.take()
	if err != nil {
		return fmt.Errorf("waiting for the turn to append: %w", err)
	}
	defer release()
	if err := r.recover(ctx); err != nil {
		return err
	}
	if err := r.opts.DB.Write(ctx, func(tx *db.Tx) error { return b.write(ctx, tx) }); err != nil {
		return fmt.Errorf("appending to the register: %w", err)
	}
	r.tree = b.tree
	r.remember(b)
	r.advance(b.tree.size, b.note)
	r.anchors.offer(b.note)
	return nil
}

// batchWrite is one batch within its transaction.
type batchWrite struct {
	r        *Register
	signer   *signer
	groups   []*group
	fresh    []*job      // Those that become entries, in order.
	places   []place     // Of fresh in groups.
	receipts [][]Receipt // As groups.
	refused  []error     // Of groups of which nothing becomes an entry.
	vetoed   bool        // A draft's With refused the batch.
	first    int64       // Number of the first new entry.
	entries  []*sijill.Entry
	refs     []blob.Ref // Of fresh; zero without a message.
	tree     *tree
	hashes   []tlog.Hash
	hashAt   int64
	note     []byte
}

// place says which job of which group.
type place struct{ group, job int }

func (b *batchWrite) write(ctx context.Context, tx *db.Tx) error {
	if err := b.start(tx); err != nil {
		return err
	}
	if err := b.admit(tx); err != nil {
		return err
	}
	if len(b.fresh) == 0 {
		b.note = b.r.note
		return nil
	}
	if err := b.grow(tx.Now); err != nil {
		return err
	}
	if err := b.sync(ctx, tx.Now); err != nil {
		return err
	}
	return b.insert(tx)
}

// start takes the head as the database has it: another process may have moved
// it.
func (b *batchWrite) start(tx *db.Tx) error {
	h, err := readHead(tx)
	if err != nil {
		return err
	}
	if h.origin != b.signer.origin {
		return errRetired
	}
	b.tree = b.r.tree.clone()
	if h.size != b.tree.size {
		if b.tree, err = loadTree(tx, h); err != nil {
			return err
		}
	}
	b.first = h.size
	return nil
}

// grow makes the entries and adds them to the tree.
func (b *batchWrite) grow(now time.Time) error {
	// Time never runs backwards in the register, whatever the clock does.
	at := now
	if last := time.UnixMicro(b.tree.time).UTC(); at.Before(last) {
		at = last
	}
	b.hashAt = tlog.StoredHashIndex(0, b.tree.size)
	for _, j := range b.fresh {
		e := j.entry(at)
		body, err := e.Marshal()
		if err != nil {
			return fmt.Errorf("encoding an entry: %w", err)
		}
		_, hashes, err := b.tree.add(tlog.RecordHash(body))
		if err != nil {
			return fmt.Errorf("growing the tree: %w", err)
		}
		b.entries, b.hashes = append(b.entries, e), append(b.hashes, hashes...)
	}
	b.tree.time = at.UnixMicro()
	return b.tree.settle(b.tree)
}

// sync makes the ciphertexts durable, and signs the new head while the disk is
// busy. Nobody sees the signature before the transaction has committed.
func (b *batchWrite) sync(ctx context.Context, now time.Time) error {
	signed := make(chan error, 1)
	go func() {
		var err error
		b.note, err = b.signer.sign(b.tree.size, b.tree.root, now)
		signed <- err
	}()
	err := b.appendFrames(ctx)
	return errors.Join(err, <-signed)
}

func (b *batchWrite) appendFrames(ctx context.Context) error {
	b.refs = make([]blob.Ref, len(b.fresh))
	var frames []blob.Frame
	var of []int
	for i, j := range b.fresh {
		if j.sealed != nil {
			frames = append(frames, blob.Frame{ID: j.sealed.Public.ID, Data: j.sealed.Ciphertext})
			of = append(of, i)
		}
	}
	if len(frames) == 0 {
		return nil
	}
	refs, err := b.r.opts.Blobs.Append(ctx, frames)
	if err != nil {
		return fmt.Errorf("storing sealed messages: %w", err)
	}
	for k, i := range of {
		b.refs[i] = refs[k]
	}
	return nil
}
