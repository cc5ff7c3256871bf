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

// Workers are what an office does besides answering, while it is served. Each works
// until its ctx ends; one that returns an error can't go on.
type Workers struct {
	// Own begin things by themselves: delivering, looking after keys, closing months,
	// telling the register what it is owed. They end as soon as a stop begins.
	Own []func(context.Context) error
	// Awaited do what sessions wait for, and Own bring: they place what was sealed,
	// and answer it by rules. They end when no session is left and all Own have
	// ended; otherwise what a mail program put here is sealed and never acknowledged,
	// and the program puts it here again.
	Awaited []func(context.Context) error
}

// Workers are those of this office.
func (o *Office) Workers() Workers {
	return Workers{
		Own: []func(context.Context) error{
			o.deliverAll,
			func(ctx context.Context) error { return o.signers.watch(ctx, o.Lookup()) },
			o.coolDaily,
			func(ctx context.Context) error {
				return o.Mailbox.Keep(ctx, func(err error) {
					o.Log.Error("the register could not be told what became of mail; it is told later", "error", err)
				})
			},
		},
		Awaited: []func(context.Context) error{o.Follower.Run, o.replies.run},
	}
}
