package post

import (
	"context"
	"fmt"
	"slices"
	"strings"

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
	if err != nil || a.Junk || r.Forward == "" && !r.Vacation.active(p.o.Now()) {
		return err
	}
	m := message.Parse(a.Message)
	if r.Forward != "" && !loops(m, r.Forward) {
		if err := p.forward(ctx, a, r.Forward); err != nil {
			return err
		}
	}
	if !r.Vacation.active(p.o.Now()) || !answerable(m, a) {
		return nil
	}
	ok, err := p.first(ctx, a.Sender, a.From)
	if err != nil || !ok {
		return err
	}
	return p.answer(ctx, a, m, &r.Vacation)
}

// forwarded is the field that tells where a message was passed on to, so that it
// isn't again.
const forwarded = "X-Sijill-Forwarded"

func loops(m *message.Message, to string) bool {
	for _, f := range m.Header.Values(forwarded) {
		if strings.EqualFold(strings.TrimSpace(f), to) {
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

// answerable tells whether a machine may answer a message: it was written by a
// person, to this one (RFC 3834, section 2).
func answerable(m *message.Message, a *Arrival) bool {
	from := strings.ToLower(a.From)
	local, _, _ := strings.Cut(from, "@")
	switch {
	case from == "" || a.Own[from] != "":
		return false
	case slices.Contains([]string{"mailer-daemon", "postmaster", "listserv", "majordomo", "no-reply", "noreply", "donotreply"}, local),
		strings.HasPrefix(local, "owner-"), strings.HasSuffix(local, "-request"), strings.HasSuffix(local, "-bounces"):
		return false
	}
	for _, f := range m.Header.Values("Auto-Submitted") {
		if word, _, _ := strings.Cut(f, ";"); !strings.EqualFold(strings.TrimSpace(word), "no") {
			return false
		}
	}
	for _, name := range []string{"List-Id", "List-Unsubscribe", "List-Post", "X-Auto-Response-Suppress"} {
		if m.Header.Lookup(name) != nil {
			return false
		}
	}
	for _, f := range m.Header.Values("Precedence") {
		if word := strings.ToLower(strings.TrimSpace(f)); word == "bulk" || word == "list" || word == "junk" {
			return false
		}
	}
	return slices.ContainsFunc(slices.Concat(m.To(), m.Cc()), func(to message.Address) bool {
		return a.Own[strings.ToLower(to.Addr)] == a.Class
	})
}

// answer sends the vacation answer to whom the message came from, from the null
// sender, so that nothing answers it.
func (p *Post) answer(ctx context.Context, a *Arrival, m *message.Message, v *Vacation) error {
	subject := v.Subject
	if subject == "" {
		subject = "Auto: " + m.Subject()
	}
	d := &message.Draft{
		From: message.Address{Addr: a.To}, To: []message.Address{{Addr: a.From}}, Subject: subject, Text: v.Text, Date: p.o.Now(), Hostname: p.o.Hostname,
		Fields: []message.HeaderField{{Name: "Auto-Submitted", Value: "auto-replied"}},
	}
	if id := m.MessageID(); id != "" {
		d.InReplyTo, d.References = []string{id}, append(m.References(), id)
	}
	b, err := message.Compose(d)
	if err != nil {
		return fmt.Errorf("writing a vacation answer: %w", err)
	}
	l := &Letter{Sender: a.Sender, To: []outbox.Recipient{{Address: a.From, Notify: []string{"NEVER"}}}, Original: b, ToSend: b, automatic: true,
		Envelope: message.Envelope{Door: "vacation", To: []string{a.From}, Time: p.o.Now().UTC()}}
	if _, err := p.Send(ctx, l); err != nil {
		return fmt.Errorf("sending a vacation answer: %w", err)
	}
	return nil
}
