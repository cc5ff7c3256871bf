package office

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"sijill/internal/db"
	"sijill/internal/mailbox"
	"sijill/internal/record"
	"sijill/internal/vault"
)

// ColdBefore is the moment before which a month must have ended for Cool to close it
// at the time now.
func (o *Office) ColdBefore(now time.Time) time.Time {
	return now.AddDate(0, 0, -o.Config.HotDays())
}

// catchUpFor is how long closing old months waits for lists and index.
const catchUpFor = 10 * time.Minute

// errBehind says that lists and index did not come to the end of the register in time.
var errBehind = errors.New("lists and index are behind the register")

// coolDaily closes old months, at the start and once a day. What a stop has left
// half done is done then.
func (o *Office) coolDaily(ctx context.Context) error {
	for {
		next := 24 * time.Hour
		err := o.caughtUp(ctx, catchUpFor)
		if err == nil {
			_, err = o.Cool(ctx, time.Now())
		}
		if err != nil && ctx.Err() == nil {
			next = 10 * time.Minute
			o.Log.Error("old months could not be closed, or not all of what they hold was forgotten; it is tried again in ten minutes", "error", err)
		}
		select {
		case <-time.After(next):
		case <-ctx.Done():
			return nil
		}
	}
}

// caughtUp waits until all that is in the register now has been placed; errBehind when
// that takes longer than within.
func (o *Office) caughtUp(ctx context.Context, within time.Duration) error {
	size, _ := o.Register.Head()
	late := time.NewTimer(within)
	defer late.Stop()
	for {
		next, err := o.Follower.Cursors(ctx)
		if err != nil || next[o.Mailbox.Name()] >= size && next[o.Search.Name()] >= size {
			return err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-late.C:
			return errBehind
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Cool closes the months that ended more than hot_days before now, and takes what
// closed months hold out of lists and index. It tells which were closed and which had
// to stay open, also with an error: then what was left undone is done by the next
// call.
func (o *Office) Cool(ctx context.Context, now time.Time) (vault.Cooled, error) {
	// Nothing is closed that the records office should open and can't yet.
	if _, err := o.Vault.EnsureWraps(ctx); err != nil {
		return vault.Cooled{}, err
	}
	cooled, err := o.Register.Cool(ctx, "keep", o.ColdBefore(now))
	if err != nil && !errors.Is(err, record.ErrTraces) { // With traces, the keys are deleted all the same.
		return cooled, err
	}
	for _, l := range cooled.Left {
		o.Log.Warn("a month stays open: nobody could open it later; its person needs a recovery code or a passkey", "month", fmt.Sprintf("%d-%02d", l.Year, l.Month), "why", l.Why)
	}
	if n := len(cooled.Closed); n > 0 {
		o.Log.Info("months were closed", "compartments", n)
	}
	return cooled, errors.Join(err, o.forgetCold(ctx))
}

// forgetAtOnce is how many messages one transaction forgets: others have to write too.
const forgetAtOnce = 500

// forgetCold takes all that closed months hold out of lists and index, and then
// out of the file. It looks at all of them each time, and not only at those that
// were closed just now: the machine may have stopped since the keys were deleted,
// or mail.db may be a copy that is older than that.
func (o *Office) forgetCold(ctx context.Context) error {
	accounts, err := o.People.List(ctx)
	if err != nil {
		return err
	}
	for _, a := range accounts {
		cold, err := o.Vault.ColdOf(ctx, a.ID, 0, math.MaxInt64)
		if err != nil || len(cold) == 0 {
			if err != nil {
				return err
			}
			continue
		}
		if _, err := o.Mailbox.Cool(ctx, a.ID, cold); err != nil {
			return err
		}
		if err := o.forgetFacts(ctx, cold); err != nil {
			return err
		}
	}
	return o.purge(ctx)
}

func (o *Office) forgetFacts(ctx context.Context, cold []int64) error {
	known, err := o.Mailbox.WithFacts(ctx, cold)
	if err != nil {
		return err
	}
	for part := range slices.Chunk(known, forgetAtOnce) {
		err := o.Mail.Write(ctx, func(tx *db.Tx) error {
			rows, err := o.Mailbox.Facts().Remove(ctx, tx, part)
			if err != nil {
				return err
			}
			return o.Search.Remove(ctx, tx, rows)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// purge rewrites the index and the file without what was removed, if anything
// was: deleted words stay in the index until it is merged, and in the pages of the
// file until these are used again. Others can't write meanwhile; it happens once a
// month.
func (o *Office) purge(ctx context.Context) error {
	owed, err := o.Search.Removed(ctx)
	if err != nil || !owed {
		return err
	}
	began := time.Now()
	err = o.Mail.Write(ctx, func(tx *db.Tx) error {
		if err := o.Mailbox.Facts().Prune(ctx, tx); err != nil {
			return err
		}
		return o.Search.Purge(ctx, tx)
	})
	if err == nil {
		err = o.Mail.Shrink(ctx)
	}
	if err == nil {
		err = o.Mail.Truncate(ctx)
	}
	if err != nil {
		return err
	}
	o.Log.Info("what closed months hold has left the lists and the index", "seconds", time.Since(began).Seconds())
	return o.Mail.Write(ctx, func(tx *db.Tx) error { return o.Search.Purged(ctx, tx) })
}

// cooling is what the mailbox asks about cold mail.
func (o *Office) cooling() mailbox.Cooling {
	return mailbox.Cooling{Cold: o.Vault.ColdOf, Notice: o.notice}
}
