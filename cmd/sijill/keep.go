package main

import (
	"context"
	"errors"
	"time"

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
