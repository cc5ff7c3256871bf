package main

import (
	"context"
	"errors"
	"time"

	"sijill/internal/db"
	"sijill/internal/outbox"
)

// deliverAll empties the queue while this process serves. Another process that
// serves the same directory may be the one that delivers; then it stands by.
func (o *office) deliverAll(ctx context.Context) error {
	for {
		err := o.outbox.Run(ctx)
		if !errors.Is(err, outbox.ErrRunning) {
			return err
		}
		select {
		case <-time.After(5 * time.Second):
		case <-ctx.Done():
			return nil
		}
	}
}

// hotDays is after how many days a month is closed, unless it is set.
const hotDays = 180

// coolDaily closes old months, once a day.
func (o *office) coolDaily(ctx context.Context) error {
	for {
		if err := o.cool(ctx, time.Now()); err != nil && ctx.Err() == nil {
			o.log.Error("old months could not be closed; it is tried again tomorrow", "error", err)
		}
		select {
		case <-time.After(24 * time.Hour):
		case <-ctx.Done():
			return nil
		}
	}
}

// cool closes the months that ended more than hot_days before now, and takes
// what they hold out of lists and index.
func (o *office) cool(ctx context.Context, now time.Time) error {
	days := o.config.Keep.HotDays
	if days == 0 {
		days = hotDays
	}
	cooled, err := o.register.Cool(ctx, "keep", now.AddDate(0, 0, -days))
	if err != nil {
		return err
	}
	for _, l := range cooled.Left {
		o.log.Warn("a month stays open: nobody could open it later; its person needs a recovery code or a passkey", "month", l.Month, "why", l.Why)
	}
	for _, c := range cooled.Closed {
		if err := o.forget(ctx, c.ID); err != nil {
			return err
		}
	}
	return nil
}

// forget takes the messages of a closed compartment out of lists and index.
func (o *office) forget(ctx context.Context, compartment int64) error {
	entries, err := o.vault.Held(ctx, compartment)
	if err != nil || len(entries) == 0 {
		return err
	}
	return o.mail.WriteSynced(ctx, func(tx *db.Tx) error {
		rows, err := o.mailbox.Facts().Remove(ctx, tx, entries)
		if err != nil {
			return err
		}
		return o.search.Remove(ctx, tx, rows)
	})
}
