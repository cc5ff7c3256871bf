package post

import (
	"context"
	"fmt"

	"sijill"
	"sijill/internal/message"
	"sijill/internal/outbox"
)

// Arrival is mail that has just been sealed for an identity.
type Arrival struct {
	Sender          // Whose it is.
	To       string // The address of theirs that it came to.
	From     string // MAIL FROM
	Envelope message.Envelope
	Message  []byte
	Junk     bool
}

// Arrived does what the rule of an identity says about a message: it is called
// once it is sealed. What goes wrong is for the log: the message is there.
func (p *Post) Arrived(ctx context.Context, a *Arrival) error {
	r, err := p.Rule(ctx, a.Account, a.Class)
	if err != nil {
		return err
	}
	forwards, answers := r.Forward != "" && p.mayForward(a.Class), r.Vacation.active(p.o.Now())
	if a.Junk || !forwards && !answers {
		return nil
	}
	m := message.Parse(a.Message)
	if forwards && !loops(m, r.Forward) {
		if err := p.forward(ctx, a, r.Forward); err != nil {
			return err
		}
	}
	if !answers {
		return nil
	}
	return p.vacation(ctx, a, m, &r.Vacation)
}

// mayForward tells whether mail of a class may be passed on. It is asked of each
// message: the office may have taken back what it allowed when the rule was set.
func (p *Post) mayForward(class sijill.Class) bool {
	return class == sijill.Personal || p.o.Forward
}

// forwarded is the field that tells where a message was passed on to, so that it
// isn't again.
const forwarded = "X-Sijill-Forwarded"

func loops(m *message.Message, to string) bool {
	for _, f := range m.Header.Values(forwarded) {
		if message.CanonicalAddress(f) == message.CanonicalAddress(to) {
			return true
		}
	}
	return false
}

// forward passes a message on, under an address of its own: the author's server
// would not let us use the author's.
func (p *Post) forward(ctx context.Context, a *Arrival, to string) error {
	mark := forwarded + ": " + to + "\r\n"
	msg := append([]byte(mark), a.Message...)
	l := &Letter{Sender: a.Sender, From: a.To, To: []outbox.Recipient{{Address: to, Notify: []string{"NEVER"}}}, Original: msg, ToSend: msg,
		automatic: true, Envelope: message.Envelope{Door: "forward", From: a.To, To: []string{to}, Time: p.o.Now().UTC()}}
	if _, err := p.Send(ctx, l); err != nil {
		return fmt.Errorf("passing a message on: %w", err)
	}
	return nil
}
