package outbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/record"
)

// Filter selects items of the queue. Zero fields select all.
type Filter struct {
	Domain  string
	Entry   *int64 // Of the *sent* entry.
	Account int64
	Held    bool  // Only those that are held.
	From    int64 // Items from this ID on: the last of the page before, and 1.
	Limit   int   // 0 means 100; at most 1,000.
}

// Item is one recipient of a letter in the queue. Of personal letters it shows
// nothing but the domain: whom somebody writes to is no administrator's
// business.
type Item struct {
	ID        int64
	Entry     int64 // The *sent* entry.
	Account   int64
	Class     sijill.Class
	From, To  string
	Domain    string
	Size      int64
	State     string    // "waiting", "held", "delivering", or "ending" while its outcome is being written.
	NotBefore time.Time // Since when it may leave.
	Due       time.Time // The next attempt.
	Tried     time.Time // The last one; zero for none.
	Attempts  int
	Doubt     int64
	Code      int // The last answer.
	Status    string
	Answer    string // Empty for personal letters: servers repeat addresses.
	Host      string
}

// List shows the queue in the order of ID.
func (o *Outbox) List(ctx context.Context, f Filter) ([]Item, error) {
	limit := f.Limit
	if limit <= 0 {
		limit = 100
	}
	where, args := "r.id >= ? AND r.state <> 5", []any{f.From}
	add := func(condition string, arg any) { where, args = where+" AND "+condition, append(args, arg) }
	if f.Domain != "" {
		add("r.domain = ?", strings.ToLower(f.Domain))
	}
	if f.Entry != nil {
		add("l.entry = ?", *f.Entry)
	}
	if f.Account != 0 {
		add("l.account = ?", f.Account)
	}
	if f.Held {
		add("r.state = ?", int64(held))
	}
	args = append(args, min(limit, 1000))
	var items []Item
	err := o.opts.DB.Read(ctx, func(tx *db.Tx) error {
		return tx.Each(`SELECT r.id, l.entry, l.account, l.class, l.sender, r.address, r.domain, l.size, r.state, l.start, r.due, r.tried,
			r.attempts, r.doubt, r.code, r.status, r.answer, r.host
			FROM outbox_recipient r JOIN outbox_letter l ON l.entry = r.id >> 20 WHERE `+where+" ORDER BY r.id LIMIT ?", args, func(row db.Row) error {
			it, err := scanItem(row)
			items = append(items, it)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("listing the queue: %w", err)
	}
	return items, nil
}

func scanItem(row db.Row) (it Item, err error) {
	var s state
	var class string
	var start, due, tried int64
	err = row.Scan(&it.ID, &it.Entry, &it.Account, &class, &it.From, &it.To, &it.Domain, &it.Size, &s, &start, &due, &tried,
		&it.Attempts, &it.Doubt, &it.Code, &it.Status, &it.Answer, &it.Host)
	it.Class, it.NotBefore, it.Due, it.Tried = sijill.Class(class), fromMicro(start), fromMicro(due), fromMicro(tried)
	switch s {
	case waiting:
		it.State = "waiting"
	case held:
		it.State = "held"
	case claimed:
		it.State = "delivering"
	default:
		it.State = "ending"
	}
	if it.Class == sijill.Personal {
		it.From, it.To, it.Answer = "", "", ""
	}
	return it, err
}

// itemOf reads a recipient and his letter.
func (o *Outbox) itemOf(ctx context.Context, id int64) (l *letter, r *recipient, err error) {
	err = o.opts.DB.Read(ctx, func(tx *db.Tx) error {
		list, err := recipients(tx, "id = ?", id)
		if err == nil && len(list) == 0 {
			err = fs.ErrNotExist
		}
		if err != nil {
			return err
		}
		r = list[0]
		l, err = o.readLetter(tx, r.entry())
		if errors.Is(err, errSpool) {
			err = nil // It can still be held and dropped.
		}
		return err
	})
	if err != nil {
		err = fmt.Errorf("item %d: %w", id, err)
	}
	return l, r, err
}

// Hold stops an item until Release, and puts that on record. actor is the
// pseudonym of who does it. Errors: fs.ErrNotExist, ErrBusy.
func (o *Outbox) Hold(ctx context.Context, id int64, actor, reason string) error {
	return o.act(ctx, id, actor, reason, ResultHeld, func(tx *db.Tx, r *recipient) error {
		_, err := tx.Exec("UPDATE outbox_recipient SET state = ?, held = 0 WHERE id = ?", int64(held), r.id)
		return err
	})
}

// Drop takes an item out of the queue, and puts that on record. The sender is
// told, with the reason. Errors: fs.ErrNotExist, ErrBusy.
func (o *Outbox) Drop(ctx context.Context, id int64, actor, reason string) error {
	err := o.act(ctx, id, actor, reason, ResultDropped, func(tx *db.Tx, r *recipient) error {
		l := &letter{}
		if err := tx.One("SELECT sender FROM outbox_letter WHERE entry = ?", []any{r.entry()}, &l.sender); err != nil {
			return err
		}
		r.code, r.status, r.lastHost = 0, "5.7.0", ""
		r.answer = showable("an administrator took it out of the queue: " + reason)
		return finish(tx, r, owesOf(l, r, owesFailure))
	})
	if err == nil {
		o.stats.dropped.Add(1)
		o.stats.finished.Add(1)
		signal(o.owing)
	}
	return err
}

// act claims an item and appends what is done to it; change runs in the
// transaction of the entry.
func (o *Outbox) act(ctx context.Context, id int64, actor, reason, word string, change func(*db.Tx, *recipient) error) error {
	l, r, err := o.itemOf(ctx, id)
	if err != nil {
		return err
	}
	if err := o.take(id); err != nil {
		return fmt.Errorf("item %d: %w", id, err)
	}
	d := o.draft(l, r, result{}, word)
	d.Actor = actor
	d.Detail = Outcome{To: []string{r.address}, Code: r.code, Status: r.status, Answer: r.answer, Reason: reason}
	d.With = func(tx *db.Tx, _ int64) error { return change(tx, r) }
	if _, err := o.opts.Ledger.Append(ctx, d); err != nil {
		back := o.writes.do(func(tx *db.Tx) error { return unclaim(tx, r) })
		return errors.Join(fmt.Errorf("item %d: %w", id, err), back)
	}
	return nil
}

// Release lets an item that was held go on, at once. Errors: fs.ErrNotExist,
// ErrBusy.
func (o *Outbox) Release(ctx context.Context, id int64) error { return o.now1(ctx, id, held) }

// Retry tries an item now, whenever it was due. Errors: fs.ErrNotExist, ErrBusy
// (also for what is held).
func (o *Outbox) Retry(ctx context.Context, id int64) error { return o.now1(ctx, id, waiting) }

// now1 makes an item that is in state s due now.
func (o *Outbox) now1(ctx context.Context, id int64, s state) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	domain := ""
	err := o.writes.do(func(tx *db.Tx) error {
		now := micro(o.now())
		n, err := tx.Exec("UPDATE outbox_recipient SET state = 0, due = ? WHERE id = ? AND state = ?", now, id, int64(s))
		if err != nil {
			return err
		}
		if n == 0 {
			return whyNot(tx, id)
		}
		if err := tx.One("SELECT domain FROM outbox_recipient WHERE id = ?", []any{id}, &domain); err != nil {
			return err
		}
		return wake(tx, domain, now)
	})
	if err != nil {
		return fmt.Errorf("item %d: %w", id, err)
	}
	o.up(domain)
	o.Kick()
	return nil
}

// Withdraw takes back a whole letter before it may leave (Letter.NotBefore),
// for the account that sent it, and puts that on record. Errors: fs.ErrNotExist
// where the account has no such letter in the queue, ErrTooLate, ErrBusy while it
// is being withdrawn.
func (o *Outbox) Withdraw(ctx context.Context, entry, account int64) error {
	first, last := span(entry)
	err := o.writes.do(func(tx *db.Tx) error {
		var owner, start int64
		if err := tx.One("SELECT account, start FROM outbox_letter WHERE entry = ?", []any{entry}, &owner, &start); err != nil {
			return err
		}
		if owner != account {
			return fs.ErrNotExist
		}
		var begun int
		err := tx.One("SELECT count(*) FROM outbox_recipient WHERE id BETWEEN ? AND ? AND (attempts > 0 OR state NOT IN (0, 1, 4))", []any{first, last}, &begun)
		if err != nil {
			return err
		}
		if begun > 0 || start <= micro(o.now()) {
			return ErrTooLate
		}
		n, err := tx.Exec("UPDATE outbox_recipient SET state = ?, began = ? WHERE id BETWEEN ? AND ? AND (state <> ? OR began < ?)",
			int64(withdrawing), micro(o.now()), first, last, int64(withdrawing), micro(o.now().Add(-tooLong)))
		if err == nil && n == 0 {
			err = ErrBusy
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("withdrawing a letter: %w", err)
	}
	return o.finishWithdrawal(ctx, entry)
}

// finishWithdrawal appends the outcome of a withdrawal that is decided: one for
// all recipients, so that it is done as a whole.
func (o *Outbox) finishWithdrawal(ctx context.Context, entry int64) error {
	l, err := o.letterOf(ctx, entry)
	if err != nil && !errors.Is(err, errSpool) {
		return err
	}
	first, last := span(entry)
	var list []*recipient
	err = o.opts.DB.Read(ctx, func(tx *db.Tx) (err error) {
		list, err = recipients(tx, "id BETWEEN ? AND ? AND state = ?", first, last, int64(withdrawing))
		return err
	})
	if err != nil {
		return err
	}
	d := o.outcome(l, ResultWithdrawn, len(list))
	var detail Outcome
	for _, r := range list {
		detail.To = append(detail.To, r.address)
	}
	d.Detail = detail
	d.With = func(tx *db.Tx, _ int64) error {
		if _, err := tx.Exec("DELETE FROM outbox_recipient WHERE id BETWEEN ? AND ? AND state = ?", first, last, int64(withdrawing)); err != nil {
			return err
		}
		return forget(tx, entry)
	}
	if _, err := o.opts.Ledger.Append(ctx, record.Draft(d)); err != nil {
		return fmt.Errorf("withdrawing a letter: %w", err)
	}
	o.stats.withdrawn.Add(int64(len(list)))
	o.stats.finished.Add(1)
	return nil
}
