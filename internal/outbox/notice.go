package outbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/message"
	"sijill/internal/record"
)

// noticeEvery is how often notices are tried again that could not be given.
const noticeEvery = 15 * time.Second

// noticeLoop gives senders the notices that they are owed, until ctx ends.
func (o *Outbox) noticeLoop(ctx, hard context.Context) {
	again := time.NewTicker(noticeEvery)
	defer again.Stop()
	for {
		if err := o.noticeAll(ctx, hard); err != nil && ctx.Err() == nil {
			o.opts.Log.Error("a notice can't be given now", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-o.owing:
		case <-again.C:
		}
	}
}

// noticeAll goes through all letters of which a notice is owed.
func (o *Outbox) noticeAll(ctx, hard context.Context) (failed error) {
	for next := int64(0); ctx.Err() == nil; {
		var id int64
		err := o.opts.DB.Read(ctx, func(tx *db.Tx) error {
			return tx.One("SELECT id FROM outbox_recipient WHERE owed <> 0 AND id >= ? ORDER BY id LIMIT 1", []any{next}, &id)
		})
		if errors.Is(err, fs.ErrNotExist) {
			return failed
		}
		if err != nil {
			return err
		}
		entry := id >> numberBits
		more := false
		if !o.isSettling(entry) {
			if more, err = o.noticeOf(hard, entry); err != nil {
				failed = err
			}
		}
		if next, _ = span(entry); err != nil || !more {
			next, _ = span(entry + 1)
		}
	}
	return failed
}

// maxNotice is how many recipients one notice is about.
const maxNotice = 500

// noticeOf gives one notice about a letter. more says that others are owed.
func (o *Outbox) noticeOf(ctx context.Context, entry int64) (more bool, err error) {
	l, err := o.letterOf(ctx, entry)
	if err != nil && !errors.Is(err, errSpool) {
		return false, err
	}
	var list []*recipient
	first, last := span(entry)
	err = o.opts.DB.Read(ctx, func(tx *db.Tx) (err error) {
		list, err = recipients(tx, "owed <> 0 AND id BETWEEN ? AND ? ORDER BY id LIMIT ?", first, last, maxNotice)
		return err
	})
	if err != nil || len(list) == 0 {
		return false, err
	}
	act, same := actionOf(list[0].owed), []*recipient(nil)
	for _, r := range list {
		if actionOf(r.owed) == act {
			same = append(same, r)
		}
	}
	if err := o.give(ctx, l, o.report(ctx, l, act, same), same); err != nil {
		return false, err
	}
	o.stats.notices.Add(1)
	return len(same) < len(list) || len(list) == maxNotice, nil
}

func actionOf(what owed) action {
	switch what {
	case owesDelay:
		return actionDelayed
	case owesDelivered:
		return actionDelivered
	case owesRelayed:
		return actionRelayed
	}
	return actionFailed
}

// report composes a notice, with what can be had of the letter.
func (o *Outbox) report(ctx context.Context, l *letter, act action, list []*recipient) []byte {
	n := &notice{
		hostname: o.opts.Hostname, now: o.now(), until: fromMicro(l.start).Add(o.opts.Schedule.Lifetime),
		letter: l, action: act, list: list,
	}
	if act == actionFailed && l.ret == "FULL" && l.size <= int64(o.opts.Limits.Return) {
		if b, err := o.whole(ctx, l); err == nil {
			n.whole = b
		}
	}
	n.header = n.whole
	if n.whole == nil {
		n.header, _ = o.head(ctx, l)
	}
	n.header = n.header[:message.Parse(n.header).Root.BodyStart]
	return n.compose()
}

// maxHeader is how much of a letter's header a notice gives back.
const maxHeader = 128 << 10

// head reads the beginning of a letter, to the end of a line.
func (o *Outbox) head(ctx context.Context, l *letter) ([]byte, error) {
	s, err := o.open(ctx, l)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(s, maxHeader))
	return b[:bytes.LastIndexByte(b, '\n')+1], err
}

// give hands a notice to the sender, and notes that in the same transaction.
func (o *Outbox) give(ctx context.Context, l *letter, msg []byte, list []*recipient) error {
	paid := func(tx *db.Tx, _ int64) error {
		for _, r := range list {
			if err := settleDebt(tx, r); err != nil {
				return err
			}
		}
		return forget(tx, l.entry)
	}
	local, err := o.opts.Local(ctx, l.sender)
	if err != nil {
		return fmt.Errorf("asking whose address the sender's is: %w", err)
	}
	if !local {
		return o.mail(ctx, l, msg, paid)
	}
	err = o.opts.Deliver(ctx, Delivery{To: []string{l.sender}, Message: msg, With: paid})
	if errors.Is(err, fs.ErrNotExist) {
		// The address is gone: nobody is left to be told.
		o.stats.lost.Add(1)
		o.opts.Log.Warn("a notice of delivery is lost: the sender's address is gone", "sent", l.entry)
		return o.writes.do(func(tx *db.Tx) error { return paid(tx, 0) })
	}
	return err
}

// settleDebt notes that a notice was given.
func settleDebt(tx *db.Tx, r *recipient) error {
	var err error
	if r.state == over {
		_, err = tx.Exec("DELETE FROM outbox_recipient WHERE id = ? AND state = ?", r.id, int64(over))
	} else {
		_, err = tx.Exec("UPDATE outbox_recipient SET owed = 0 WHERE id = ? AND owed = ?", r.id, int64(r.owed))
	}
	if err != nil {
		return fmt.Errorf("noting that a notice was given: %w", err)
	}
	return nil
}

// mail sends a notice to a sender elsewhere: for a letter that was forwarded.
// Like all mail it is sealed before it leaves.
func (o *Outbox) mail(ctx context.Context, l *letter, msg []byte, paid func(*db.Tx, int64) error) error {
	signed := msg
	if o.opts.Sign != nil {
		var err error
		if signed, err = o.opts.Sign(msg); err != nil {
			return fmt.Errorf("signing a notice: %w", err)
		}
	}
	p, err := o.Prepare(Letter{
		Account: l.account, Class: l.class, To: []Recipient{{Address: l.sender, Notify: []string{"NEVER"}}},
		Language: l.language, Message: signed, SMTPUTF8: !ascii(l.sender),
	})
	if err != nil {
		return err
	}
	d := record.Draft{
		Kind: sijill.Sent, Actor: actor, Holders: []int64{l.account}, Class: l.class,
		Content: &record.Content{
			Envelope: message.Envelope{Door: actor, To: []string{l.sender}, Time: o.now().UTC().Truncate(time.Millisecond)},
			Message:  signed,
		},
		With: func(tx *db.Tx, entry int64) error { return errors.Join(p.Enqueue(tx, entry), paid(tx, entry)) },
	}
	if l.class == sijill.Personal {
		d.Fields = map[string]any{"class": l.class}
	}
	if _, err := o.opts.Ledger.Append(ctx, d); err != nil {
		return fmt.Errorf("sealing a notice: %w", err)
	}
	o.Kick()
	return nil
}
