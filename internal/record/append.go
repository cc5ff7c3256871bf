package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/vault"
)

// Draft is what is to become an entry.
type Draft struct {
	Kind sijill.Kind
	// Actor is the pseudonym of who acts, or the name of the door that does.
	Actor string
	// Holders are the accounts whose compartments hold the message; for
	// an entry without a message, the accounts that it is about. One that is
	// named twice counts once.
	Holders []int64
	// Class is that of the compartments: sijill.Office unless set. A personal
	// message has exactly one holder, and is sealed so that only he can open it.
	Class sijill.Class
	// Content is sealed; nil for an entry without a message.
	Content *Content
	// Detail is sealed like a message for an entry that has no message: what
	// must be provable and not public. Any JSON value; nil for none.
	Detail any
	// Fields stands in the entry for everyone who reads the register: counts
	// and names of the program's own, never anything of a person. A JSON
	// object; nil for none.
	Fields any
	// Patient lets the draft wait a moment for company, since somebody sends
	// many: a large batch costs much less than as many small ones.
	Patient bool
	// Mark, if not empty, is a name under which Progress gives the entry's
	// number from then on: it is saved in the entry's own transaction.
	Mark string
	// With, if not nil, runs in the entry's own transaction and is given the
	// entry's number: for what must be true exactly when the entry is there. It
	// must be quick, and an error of it refuses the whole batch.
	With func(tx *db.Tx, entry int64) error
	// Once appends nothing if the first holder has the very same message
	// already through an earlier draft that said Once.
	Once bool
}

// Receipt says what became of a draft.
type Receipt struct {
	Entry   int64 // The number of the entry; of the earlier one if Already.
	Time    time.Time
	Already bool // Nothing was appended: the same content is there.
}

// group is what one call appends: all of it or nothing.
type group struct {
	jobs   []*job
	answer chan answer
}

type answer struct {
	receipts []Receipt
	err      error
}

// job is a draft, sealed, on its way through the committer.
type job struct {
	draft    Draft
	accounts []string
	fields   json.RawMessage
	sealed   *vault.Sealed // nil without content
	once     digest        // zero unless draft.Once
}

// Append seals a draft and returns when its entry is durable. It may be called
// from any number of goroutines; their drafts are committed together. Sealing
// runs in the caller's goroutine. After an error nothing was appended that
// anybody was promised, and the register stays usable: errors.Is finds
// syscall.ENOSPC when the disk is full. Errors: ErrBehind, ErrClosed, ctx's, and
// vault.ErrNoRoots for personal mail of an account that has no roots.
func (r *Register) Append(ctx context.Context, d Draft) (Receipt, error) {
	receipts, err := r.AppendAll(ctx, []Draft{d})
	if err != nil {
		return Receipt{}, err
	}
	return receipts[0], nil
}

// AppendAll appends all of the drafts or none, one after the other in the
// register: a message for an office and a personal recipient becomes two entries
// at once. Receipts are in the order of the drafts. It is otherwise like Append;
// more than 512 drafts are an error.
func (r *Register) AppendAll(ctx context.Context, drafts []Draft) ([]Receipt, error) {
	if err := r.Behind(); err != nil {
		return nil, err
	}
	if len(drafts) == 0 || len(drafts) > maxBatch {
		return nil, fmt.Errorf("appending %d drafts at once: between 1 and %d are possible", len(drafts), maxBatch)
	}
	for {
		g, err := r.send(ctx, drafts)
		if err != nil {
			return nil, err
		}
		// From here the entries may become durable whatever the caller does, so
		// that the answer is waited for: a sender who was cut off is told nothing.
		a := <-g.answer
		if !errors.Is(a.err, errStale) {
			return a.receipts, a.err
		}
	}
}

// errStale says that a personal message was sealed to roots that its holder has
// just replaced. It is sealed anew.
var errStale = errors.New("the holder has new roots")

// send seals drafts and hands them to the committer, who knows meanwhile that
// they are coming.
func (r *Register) send(ctx context.Context, drafts []Draft) (*group, error) {
	r.coming.Add(1)
	defer r.coming.Add(-1)
	g := &group{jobs: make([]*job, len(drafts)), answer: make(chan answer, 1)}
	for i, d := range drafts {
		var err error
		if g.jobs[i], err = r.prepare(ctx, d); err != nil {
			return nil, err
		}
	}
	return g, r.enqueue(ctx, g)
}

func (r *Register) enqueue(ctx context.Context, g *group) error {
	r.sending.RLock()
	defer r.sending.RUnlock()
	if r.closed {
		return ErrClosed
	}
	select {
	case r.queue <- g:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Register) prepare(ctx context.Context, d Draft) (*job, error) {
	if d.Class == "" {
		d.Class = sijill.Office
	}
	d.Holders = unique(d.Holders)
	j := &job{draft: d}
	for _, a := range d.Holders {
		p, err := r.holders.pseudonym(ctx, r.opts.Accounts, a)
		if err != nil {
			return nil, fmt.Errorf("finding the pseudonym of a holder: %w", err)
		}
		j.accounts = append(j.accounts, p)
	}
	if err := r.seal(ctx, j); err != nil {
		return nil, err
	}
	var err error
	if j.fields, err = fields(d.Fields); err == nil {
		j.fields, err = classed(j.fields, d.Class, j.sealed != nil)
	}
	if err != nil {
		return nil, err
	}
	// Tried here, so that a draft that can't become an entry is refused alone
	// and not with a whole batch. The time is as long at any time.
	if _, err := j.entry(time.Now()).Marshal(); err != nil {
		return nil, fmt.Errorf("encoding an entry: %w", err)
	}
	return j, nil
}

// seal seals what a draft has to seal.
func (r *Register) seal(ctx context.Context, j *job) error {
	d := j.draft
	envelope, msg, err := payload(d)
	if err != nil || envelope == nil && msg == nil {
		return err
	}
	if j.sealed, err = r.opts.Vault.Seal(ctx, d.Class, d.Holders, envelope, msg); err != nil {
		if errors.Is(err, syscall.ENOSPC) { // The first message of a month makes keys.
			r.tell(err)
		}
		return fmt.Errorf("sealing: %w", err)
	}
	if d.Once {
		j.once = r.digest(d.Holders[0], d.Class, msg)
	}
	return nil
}

// unique drops what comes again: two addresses of a message may be one account's.
func unique(accounts []int64) []int64 {
	var out []int64
	for _, a := range accounts {
		if !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

// entry is what becomes of a job at a time.
func (j *job) entry(at time.Time) *sijill.Entry {
	e := &sijill.Entry{Time: at, Kind: j.draft.Kind, Actor: j.draft.Actor, Accounts: j.accounts, Fields: j.fields}
	if j.sealed != nil {
		e.Message = &j.sealed.Public
	}
	return e
}

// fields encodes what stands in the entry. The kinds that come by the thousand
// encode themselves.
func fields(v any) (json.RawMessage, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case interface {
		Marshal() (json.RawMessage, error)
	}:
		return v.Marshal()
	}
	return sijill.MarshalFields(v)
}

// payload gives the two sealed parts of a draft.
func payload(d Draft) (envelope, msg []byte, err error) {
	switch {
	case d.Content != nil:
		envelope, err = json.Marshal(d.Content.Envelope)
		msg = d.Content.Message
	case d.Detail != nil:
		envelope, err = json.Marshal(d.Detail)
		msg = []byte{}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("encoding what is sealed beside the message: %w", err)
	}
	return envelope, msg, nil
}

// holders remembers pseudonyms both ways: they never change.
type holders struct {
	byAccount   sync.Map // int64 → string
	byPseudonym sync.Map // string → int64
}

func (h *holders) pseudonym(ctx context.Context, from Accounts, account int64) (string, error) {
	if p, ok := h.byAccount.Load(account); ok {
		return p.(string), nil
	}
	p, err := from.Pseudonym(ctx, account)
	if err == nil {
		h.byAccount.Store(account, p)
		h.byPseudonym.Store(p, account)
	}
	return p, err
}

func (h *holders) account(ctx context.Context, from Accounts, pseudonym string) (int64, error) {
	if a, ok := h.byPseudonym.Load(pseudonym); ok {
		return a.(int64), nil
	}
	a, err := from.ByPseudonym(ctx, pseudonym)
	if err == nil {
		h.byPseudonym.Store(pseudonym, a)
	}
	return a, err
}
