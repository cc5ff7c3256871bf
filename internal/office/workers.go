package office

import (
	"context"
	"errors"
	"time"

	"sijill/internal/outbox"
)

// deliverAll empties the queue while this process serves. Another process that
// serves the same directory may be the one that delivers; then it stands by.
func (o *Office) deliverAll(ctx context.Context) error {
	for {
		err := o.Outbox.Run(ctx)
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

// Workers are what an office does besides answering, while it is served: delivering,
// following the register, answering by rules, looking after keys and closing months.
// Each works until its ctx ends; one that returns an error can't go on.
func (o *Office) Workers() []func(context.Context) error {
	return []func(context.Context) error{
		o.Follower.Run,
		o.deliverAll,
		o.replies.run,
		func(ctx context.Context) error { return o.signers.watch(ctx, o.Lookup()) },
		o.coolDaily,
		func(ctx context.Context) error {
			return o.Mailbox.Keep(ctx, func(err error) {
				o.Log.Error("the register could not be told what became of mail; it is told later", "error", err)
			})
		},
	}
}
