package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"text/tabwriter"
	"time"

	"sijill"
	"sijill/internal/office"
	"sijill/internal/outbox"
)

// QueueCmd groups the commands about outgoing mail.
type QueueCmd struct {
	List    QueueListCmd    `cmd:"" default:"1" help:"List what waits; of personal letters the domain alone."`
	Hold    QueueHoldCmd    `cmd:"" help:"Hold a recipient; with a reason, on record."`
	Release QueueReleaseCmd `cmd:"" help:"Let a held recipient go."`
	Retry   QueueRetryCmd   `cmd:"" help:"Try a recipient now."`
	Drop    QueueDropCmd    `cmd:"" help:"Give a recipient up; with a reason, on record and told to the sender."`
}

// QueueListCmd lists the queue.
type QueueListCmd struct {
	Domain string `help:"Only this domain."`
	Held   bool   `help:"Only what is held."`
	Limit  int    `help:"How many." default:"100"`
}

// Run implements the command.
func (c *QueueListCmd) Run(ctx context.Context, g *Globals, out Out) error {
	return with(ctx, g, out, func(o *office.Office) error {
		list, err := o.Outbox.List(ctx, outbox.Filter{Domain: c.Domain, Held: c.Held, Limit: c.Limit})
		if err != nil {
			return err
		}
		if g.JSON {
			return json.NewEncoder(out).Encode(queuedOf(list))
		}
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		for _, i := range list {
			to := i.To
			if to == "" {
				to = i.Domain
			}
			fmt.Fprintf(w, "%d\tentry %d\t%s\t%s\t%d tries\tnext %s\t%d %s %s\n", i.ID, i.Entry, to, i.State, i.Attempts,
				i.Due.Format(time.DateTime), i.Code, i.Host, i.Answer)
		}
		if len(list) == 0 {
			fmt.Fprintln(out, "Nothing waits.")
		}
		return w.Flush()
	})
}

// queued is what --json says of a recipient in the queue.
type queued struct {
	ID        int64        `json:"id"`
	Entry     int64        `json:"entry"`
	Account   int64        `json:"account"`
	Class     sijill.Class `json:"class"`
	From      string       `json:"from"`
	To        string       `json:"to"` // Empty for personal letters, as From and Answer.
	Domain    string       `json:"domain"`
	Size      int64        `json:"size"`
	State     string       `json:"state"`
	NotBefore time.Time    `json:"not_before"`
	Due       time.Time    `json:"due"`
	Tried     time.Time    `json:"tried,omitzero"`
	Attempts  int          `json:"attempts"`
	Doubt     int64        `json:"doubt"`
	Code      int          `json:"code"`
	Status    string       `json:"status"`
	Answer    string       `json:"answer"`
	Host      string       `json:"host"`
}

// queuedOf is an empty list, not none, where nothing waits.
func queuedOf(list []outbox.Item) []queued {
	rows := make([]queued, len(list))
	for i, q := range list {
		rows[i] = queued(q)
	}
	return rows
}

// queueOp runs fn on one item of the queue and says what is done then, with advice
// when it isn't there.
func queueOp(ctx context.Context, g *Globals, out Out, done string, fn func(*outbox.Outbox) error) error {
	return with(ctx, g, out, func(o *office.Office) error {
		err := fn(o.Outbox)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return errors.New("nothing of that number waits; \"sijill queue\" lists what does")
		case errors.Is(err, outbox.ErrBusy):
			return errors.New("it is being delivered right now: look again in a minute")
		case err != nil:
			return err
		}
		_, err = fmt.Fprintln(out, done)
		return err
	})
}

// QueueHoldCmd holds a recipient.
type QueueHoldCmd struct {
	ID     int64  `arg:"" help:"Number in the queue."`
	Reason string `help:"Why; it is put on record." required:""`
}

// Run implements the command.
func (c *QueueHoldCmd) Run(ctx context.Context, g *Globals, out Out) error {
	return queueOp(ctx, g, out, "It stays in the queue until \"sijill queue release\" or \"sijill queue drop\".", func(q *outbox.Outbox) error { return q.Hold(ctx, c.ID, "administrator", c.Reason) })
}

// QueueReleaseCmd releases a recipient.
type QueueReleaseCmd struct {
	ID int64 `arg:"" help:"Number in the queue."`
}

// Run implements the command.
func (c *QueueReleaseCmd) Run(ctx context.Context, g *Globals, out Out) error {
	return queueOp(ctx, g, out, "The running server tries it within seconds.", func(q *outbox.Outbox) error { return q.Release(ctx, c.ID) })
}

// QueueRetryCmd tries a recipient now.
type QueueRetryCmd struct {
	ID int64 `arg:"" help:"Number in the queue."`
}

// Run implements the command.
func (c *QueueRetryCmd) Run(ctx context.Context, g *Globals, out Out) error {
	return queueOp(ctx, g, out, "The running server tries it within seconds.", func(q *outbox.Outbox) error { return q.Retry(ctx, c.ID) })
}

// QueueDropCmd gives a recipient up.
type QueueDropCmd struct {
	ID     int64  `arg:"" help:"Number in the queue."`
	Reason string `help:"Why; it is put on record and told to the sender." required:""`
}

// Run implements the command.
func (c *QueueDropCmd) Run(ctx context.Context, g *Globals, out Out) error {
	return queueOp(ctx, g, out, "It is given up; its sender gets a notice with the reason.", func(q *outbox.Outbox) error { return q.Drop(ctx, c.ID, "administrator", c.Reason) })
}
