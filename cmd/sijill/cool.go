package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"text/tabwriter"
	"time"

	"sijill/internal/db"
	"sijill/internal/mailbox"
	"sijill/internal/record"
	"sijill/internal/vault"
)

// CoolCmd closes old months.
type CoolCmd struct {
	DryRun bool `help:"Change nothing: tell which months would be closed, and which must stay open and why."`
}

// Run implements the command.
func (c *CoolCmd) Run(ctx context.Context, g *Globals, out Out) error {
	return with(ctx, g, out, func(o *office) error {
		before := o.coldBefore(time.Now())
		if c.DryRun {
			cooled, err := o.vault.Coolable(ctx, before)
			if err != nil {
				return err
			}
			return o.reportCooled(ctx, g, out, cooled, before, true)
		}
		if err := o.follower.CatchUp(ctx); err != nil {
			return err
		}
		cooled, err := o.cool(ctx, time.Now())
		if err != nil {
			return err
		}
		return o.reportCooled(ctx, g, out, cooled, before, false)
	})
}

// whyOpen says why a month stays open.
var whyOpen = map[vault.Reason]string{
	vault.NoDeep:   "its person has never signed in on the web, so there is no deep root to open it with",
	vault.NoHolder: "its person has neither a recovery code nor a passkey that opens it",
}

// cooledRow is a month of one person and class, for programs.
type cooledRow struct {
	Account string `json:"account"`
	Class   string `json:"class"`
	Month   string `json:"month"`
	Why     string `json:"why,omitempty"`
}

func (o *office) cooledRow(ctx context.Context, c vault.Compartment, why string) (cooledRow, error) {
	a, err := o.people.Get(ctx, c.Account)
	return cooledRow{Account: a.SignIn, Class: string(c.Class), Month: fmt.Sprintf("%d-%02d", c.Year, c.Month), Why: why}, err
}

func (o *office) reportCooled(ctx context.Context, g *Globals, out Out, c vault.Cooled, before time.Time, dry bool) error {
	closed, left := []cooledRow{}, []cooledRow{}
	for _, x := range c.Closed {
		r, err := o.cooledRow(ctx, x, "")
		if err != nil {
			return err
		}
		closed = append(closed, r)
	}
	for _, x := range c.Left {
		r, err := o.cooledRow(ctx, x.Compartment, whyOpen[x.Why])
		if err != nil {
			return err
		}
		left = append(left, r)
	}
	if g.JSON {
		return json.NewEncoder(out).Encode(map[string]any{"dry_run": dry, "before": before.UTC().Format("2006-01"), "closed": closed, "left": left})
	}
	done := "closed"
	if dry {
		done = "would be closed"
	}
	fmt.Fprintf(out, "Months before %s. %d %s, %d stay open.\n", before.UTC().Format("2006-01"), len(closed), done, len(left))
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, r := range closed {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.Month, r.Class, r.Account, done)
	}
	for _, r := range left {
		fmt.Fprintf(w, "%s\t%s\t%s\tstays open: %s\n", r.Month, r.Class, r.Account, r.Why)
	}
	return w.Flush()
}

// coldBefore is the moment before which months have to have ended to be closed.
func (o *office) coldBefore(now time.Time) time.Time {
	return now.AddDate(0, 0, -o.config.HotDays())
}

// coolDaily closes old months, at the start and once a day. What a stop has left
// half done is done then.
func (o *office) coolDaily(ctx context.Context) error {
	for {
		next := 24 * time.Hour
		err := o.caughtUp(ctx)
		if err == nil {
			_, err = o.cool(ctx, time.Now())
		}
		if err != nil && ctx.Err() == nil {
			next = 10 * time.Minute
			o.log.Error("old months could not be closed, or not all of what they hold was forgotten; it is tried again in ten minutes", "error", err)
		}
		select {
		case <-time.After(next):
		case <-ctx.Done():
			return nil
		}
	}
}

// caughtUp waits until all that is in the register now has been placed.
func (o *office) caughtUp(ctx context.Context) error {
	size, _ := o.register.Head()
	for {
		next, err := o.follower.Cursors(ctx)
		if err != nil || next[o.mailbox.Name()] >= size && next[o.search.Name()] >= size {
			return err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// cool closes the months that ended more than hot_days before now, and takes what
// closed months hold out of lists and index.
func (o *office) cool(ctx context.Context, now time.Time) (vault.Cooled, error) {
	// Nothing is closed that the records office should open and can't yet.
	if _, err := o.vault.EnsureWraps(ctx); err != nil {
		return vault.Cooled{}, err
	}
	cooled, err := o.register.Cool(ctx, "keep", o.coldBefore(now))
	if err != nil && !errors.Is(err, record.ErrTraces) { // With traces, the keys are deleted all the same.
		return cooled, err
	}
	for _, l := range cooled.Left {
		o.log.Warn("a month stays open: nobody could open it later; its person needs a recovery code or a passkey", "month", fmt.Sprintf("%d-%02d", l.Year, l.Month), "why", l.Why)
	}
	if n := len(cooled.Closed); n > 0 {
		o.log.Info("months were closed", "compartments", n)
	}
	return cooled, errors.Join(err, o.forgetCold(ctx))
}

// forgetAtOnce is how many messages one transaction forgets: others have to write too.
const forgetAtOnce = 500

// forgetCold takes all that closed months hold out of lists and index, and then
// out of the file. It looks at all of them each time, and not only at those that
// were closed just now: the machine may have stopped since the keys were deleted,
// or mail.db may be a copy that is older than that.
func (o *office) forgetCold(ctx context.Context) error {
	accounts, err := o.people.List(ctx)
	if err != nil {
		return err
	}
	for _, a := range accounts {
		cold, err := o.vault.ColdOf(ctx, a.ID, 0, math.MaxInt64)
		if err != nil || len(cold) == 0 {
			if err != nil {
				return err
			}
			continue
		}
		if _, err := o.mailbox.Cool(ctx, a.ID, cold); err != nil {
			return err
		}
		if err := o.forgetFacts(ctx, cold); err != nil {
			return err
		}
	}
	return o.purge(ctx)
}

func (o *office) forgetFacts(ctx context.Context, cold []int64) error {
	known, err := o.mailbox.WithFacts(ctx, cold)
	if err != nil {
		return err
	}
	for part := range slices.Chunk(known, forgetAtOnce) {
		err := o.mail.Write(ctx, func(tx *db.Tx) error {
			rows, err := o.mailbox.Facts().Remove(ctx, tx, part)
			if err != nil {
				return err
			}
			return o.search.Remove(ctx, tx, rows)
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
func (o *office) purge(ctx context.Context) error {
	owed, err := o.search.Removed(ctx)
	if err != nil || !owed {
		return err
	}
	began := time.Now()
	err = o.mail.Write(ctx, func(tx *db.Tx) error {
		if err := o.mailbox.Facts().Prune(ctx, tx); err != nil {
			return err
		}
		return o.search.Purge(ctx, tx)
	})
	if err == nil {
		err = o.mail.Shrink(ctx)
	}
	if err == nil {
		err = o.mail.Truncate(ctx)
	}
	if err != nil {
		return err
	}
	o.log.Info("what closed months hold has left the lists and the index", "seconds", time.Since(began).Seconds())
	return o.mail.Write(ctx, func(tx *db.Tx) error { return o.search.Purged(ctx, tx) })
}

// cooling is what the mailbox asks about cold mail.
func (o *office) cooling() mailbox.Cooling {
	return mailbox.Cooling{Cold: o.vault.ColdOf, Notice: o.notice}
}
