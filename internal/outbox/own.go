package outbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"sijill/internal/db"
)

// deliverOwn captures a letter for addresses of this server. The queue learns
// of it in the transaction of the capture, so that not even a crash doubles it.
func (o *Outbox) deliverOwn(ctx context.Context, l *letter, group []*recipient) {
	group, err := o.claim(group, 0)
	if err != nil {
		o.trouble(ctx, "the queue can't be written", err)
		return
	}
	if len(group) == 0 {
		return
	}
	weight := min(l.size, o.opts.Limits.Memory)
	if o.memory.Acquire(ctx, weight) != nil {
		return
	}
	defer o.memory.Release(weight)
	o.stats.attempts.Add(1)
	msg, err := o.whole(ctx, l)
	if err != nil {
		o.trouble(ctx, "a queued letter can't be read", err)
		o.settleAll(ctx, l, group, result{status: deferred, reply: reply{status: "4.3.0", text: "the letter can't be read"}})
		return
	}
	err = o.capture(ctx, l, group, msg)
	if err == nil || len(group) == 1 || !errors.Is(err, fs.ErrNotExist) {
		o.settleAll(ctx, l, group, captured(err))
		return
	}
	defer o.settling(l.entry)()
	for _, r := range group { // One of them is nobody's address.
		o.settle(ctx, l, r, captured(o.capture(ctx, l, []*recipient{r}, msg)))
	}
}

// capture lets the message arrive.
func (o *Outbox) capture(ctx context.Context, l *letter, group []*recipient, msg []byte) error {
	d := Delivery{From: l.sender, Message: msg}
	for _, r := range group {
		d.To = append(d.To, r.address)
	}
	entry := int64(0)
	d.With = func(tx *db.Tx, n int64) error {
		entry = n
		for _, r := range group {
			if _, err := tx.Exec("UPDATE outbox_recipient SET state = ?, captured = ? WHERE id = ?", int64(arrived), n, r.id); err != nil {
				return fmt.Errorf("noting an arrival: %w", err)
			}
		}
		return nil
	}
	err := o.opts.Deliver(ctx, d)
	if err == nil {
		for _, r := range group {
			r.captured = entry
		}
	}
	return err
}

// captured says what came of a capture.
func captured(err error) result {
	switch {
	case err == nil:
		return result{status: delivered, reply: reply{250, "2.1.5", "captured"}}
	case errors.Is(err, fs.ErrNotExist):
		return result{status: failed, reply: reply{550, "5.1.1", "there is no such address here"}}
	}
	return result{status: deferred, reply: reply{451, "4.3.0", "the message can't be captured now"}}
}

// conclude appends the outcomes of what had arrived at own addresses, which a
// crash kept from being appended.
func (o *Outbox) conclude(ctx context.Context) error {
	var list []*recipient
	err := o.opts.DB.Read(ctx, func(tx *db.Tx) (err error) {
		list, err = recipients(tx, "state = ? ORDER BY id", int64(arrived))
		return err
	})
	if err != nil {
		return fmt.Errorf("recovering the queue: %w", err)
	}
	for _, r := range list {
		l, err := o.letterOf(ctx, r.entry())
		if err != nil && !errors.Is(err, errSpool) {
			return fmt.Errorf("recovering the queue: %w", err)
		}
		o.settle(ctx, l, r, captured(nil))
	}
	return nil
}

// concludeActs finishes, or undoes, acts that a crash has cut off, of this
// process or another: what was to be withdrawn is, other items are given back.
func (o *Outbox) concludeActs(ctx context.Context) error {
	if err := o.unclaimOld(); err != nil {
		return err
	}
	var entries []int64
	err := o.opts.DB.Read(ctx, func(tx *db.Tx) error {
		return tx.Each("SELECT DISTINCT id >> 20 FROM outbox_recipient WHERE state = ? AND began < ?",
			[]any{int64(withdrawing), micro(o.now().Add(-tooLong))}, func(row db.Row) error {
				var entry int64
				err := row.Scan(&entry)
				entries = append(entries, entry)
				return err
			})
	})
	for _, entry := range entries {
		if err == nil {
			err = o.finishWithdrawal(ctx, entry)
		}
	}
	return err
}
