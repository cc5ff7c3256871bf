package outbox

import (
	"context"
	"fmt"
	"sync/atomic"

	"sijill/internal/db"
)

// counters counts since Open.
type counters struct {
	attempts, connections, plain, doubts        atomic.Int64
	delivered, deferred, bounced, expired       atomic.Int64
	dropped, withdrawn, notices, lost, finished atomic.Int64
}

// Stats are counts since Open, and the length of the queue.
type Stats struct {
	Attempts    int64 // Transactions begun with other servers, and captures for own addresses.
	Connections int64 // To other servers.
	Plain       int64 // Fallbacks to plain text after TLS had failed.
	Doubts      int64 // Transactions of which nobody knows how they ended.

	// Recipients, by what became of them.
	Delivered, Deferred, Bounced, Expired, Dropped, Withdrawn int64

	Notices int64 // Sent to senders.
	Lost    int64 // Notices that nobody could be given: the sender's own address is gone.

	Waiting, Held int64 // Recipients in the queue now.
	Owed          int64 // Notices that senders have to get.
}

// Stats gives the counts.
func (o *Outbox) Stats(ctx context.Context) (Stats, error) {
	c := &o.stats
	s := Stats{
		Attempts: c.attempts.Load(), Connections: c.connections.Load(), Plain: c.plain.Load(), Doubts: c.doubts.Load(),
		Delivered: c.delivered.Load(), Deferred: c.deferred.Load(), Bounced: c.bounced.Load(), Expired: c.expired.Load(),
		Dropped: c.dropped.Load(), Withdrawn: c.withdrawn.Load(), Notices: c.notices.Load(), Lost: c.lost.Load(),
	}
	err := o.opts.DB.Read(ctx, func(tx *db.Tx) error {
		for query, into := range map[string]*int64{
			"SELECT count(*) FROM outbox_recipient WHERE state = 0":                &s.Waiting,
			"SELECT count(*) FROM outbox_recipient WHERE state <> 0 AND state = 1": &s.Held,
			"SELECT count(*) FROM outbox_recipient WHERE owed <> 0":                &s.Owed,
		} {
			if err := tx.One(query, nil, into); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return s, fmt.Errorf("counting the queue: %w", err)
	}
	return s, nil
}
