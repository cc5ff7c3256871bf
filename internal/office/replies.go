package office

import (
	"context"
	"slices"
	"time"

	"sijill/internal/post"
	"sijill/internal/smtpd"
)

// replies gives mail that was sealed to the rules of those who hold it. It is
// done beside the doors: a sender doesn't wait for somebody's vacation.
type replies struct {
	o     *Office
	queue chan *arrival
	grace time.Duration // How long it goes on with what waits when it is to end.
}

// maxReplies is how much mail may wait for its rules; beyond that, rules are
// passed over, which is said in the log.
const maxReplies = 1000

// replyGrace is how long a stop waits for rules.
const replyGrace = 5 * time.Second

func newReplies(o *Office) *replies { return &replies{o, make(chan *arrival, maxReplies), replyGrace} }

func (r *replies) offer(a *arrival) {
	if a.Envelope.Journal != nil || !slices.ContainsFunc(a.Holders, func(h smtpd.Holder) bool { return r.o.Post.HasRules(h.Account) }) {
		return
	}
	select {
	case r.queue <- a:
	default:
		r.o.Log.Error("too much mail at once: vacation answers and forwarding were passed over for a message")
	}
}

// run works until ctx ends, and then for a moment on what still waits: nothing else
// remembers it. What is left over is said in the log.
func (r *replies) run(ctx context.Context) error {
	working, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	for ctx.Err() == nil {
		select {
		case a := <-r.queue:
			r.answer(working, a)
		case <-ctx.Done():
		}
	}
	defer time.AfterFunc(r.grace, cut).Stop()
	for end := time.Now().Add(r.grace); time.Now().Before(end); {
		select {
		case a := <-r.queue:
			r.answer(working, a)
		default:
			return nil
		}
	}
	if n := len(r.queue); n > 0 {
		r.o.Log.Error("the server stopped: vacation answers and forwarding were passed over", "messages", n)
	}
	return nil
}

// answer does for every holder of a message what his rules ask for.
func (r *replies) answer(ctx context.Context, a *arrival) {
	for _, h := range a.Holders {
		if err := r.one(ctx, a, h); err != nil {
			r.o.Log.Error("what a person's rule asks for could not be done", "error", err)
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
