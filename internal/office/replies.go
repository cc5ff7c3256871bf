package office

import (
	"context"

	"sijill/internal/post"
	"sijill/internal/smtpd"
)

// replies gives mail that was sealed to the rules of those who hold it. It is
// done beside the doors: a sender doesn't wait for somebody's vacation.
type replies struct {
	o     *Office
	queue chan *arrival
}

// maxReplies is how much mail may wait for its rules; beyond that, rules are
// passed over, which is said in the log.
const maxReplies = 1000

func newReplies(o *Office) *replies { return &replies{o, make(chan *arrival, maxReplies)} }

func (r *replies) offer(a *arrival) {
	if a.Envelope.Journal != nil || !r.o.Post.HasRules(a.Accounts...) {
		return
	}
	select {
	case r.queue <- a:
	default:
		r.o.Log.Error("too much mail at once: vacation answers and forwarding were passed over for a message")
	}
}

// run works until ctx ends.
func (r *replies) run(ctx context.Context) error {
	for {
		select {
		case a := <-r.queue:
			for _, h := range a.Holders {
				if err := r.one(ctx, a, h); err != nil && ctx.Err() == nil {
					r.o.Log.Error("what a person's rule asks for could not be done", "error", err)
				}
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func (r *replies) one(ctx context.Context, a *arrival, h smtpd.Holder) error {
	s, err := r.o.Sender(ctx, h.Account, h.Class)
	if err != nil {
		return err
	}
	return r.o.Post.Arrived(ctx, &post.Arrival{Sender: s, To: h.Address, From: a.Envelope.From, Envelope: a.Envelope, Message: a.Message, Junk: a.isJunk(h.Account)})
}
