package programs

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"sijill"
	"sijill/internal/access"
	"sijill/internal/db"
	"sijill/internal/mailbox"
	"sijill/internal/message"
	"sijill/internal/office"
	"sijill/internal/outbox"
	"sijill/internal/people"
	"sijill/internal/post"
	"sijill/internal/smtpd"
)

// submission lets senders in.
type submission struct{ o *office.Office }

// Submission lets mail programs send, from the addresses of their account and of the
// classes that their app password is for.
func Submission(o *office.Office) smtpd.Submitter { return submission{o} }

// Authenticate implements smtpd.Submitter.
func (d submission) Authenticate(ctx context.Context, user, password string, from netip.Addr) (smtpd.Sender, error) {
	s, err := d.o.Access.Application(ctx, user, password, "submission", from)
	if err != nil {
		return nil, err
	}
	return &submitter{d.o, s}, nil
}

// submitter is a mail program that is signed in to send.
type submitter struct {
	o *office.Office
	s *access.Session
}

// Account implements smtpd.Sender, as do the methods below.
func (u *submitter) Account() int64 { return u.s.Account.ID }

func (u *submitter) Class(from string) sijill.Class {
	a, err := u.o.People.Sender(context.Background(), u.s.Account.ID, from)
	if err != nil {
		return sijill.Office
	}
	return a.Class
}

// MaySend wants one of the account's own addresses, of the credential's classes.
func (u *submitter) MaySend(ctx context.Context, from string) error {
	_, err := u.o.MayWrite(ctx, u.s, from)
	return err
}

func (u *submitter) Submit(ctx context.Context, m *smtpd.Submission) (smtpd.Receipt, error) {
	l, err := u.letter(ctx, m)
	if err != nil {
		return smtpd.Receipt{}, err
	}
	sent, err := u.o.Post.Send(ctx, l)
	if err != nil {
		return smtpd.Receipt{}, refusal(err)
	}
	return smtpd.Receipt{Entry: sent.Entry}, nil
}

// letter makes of a submission what is sent, as the identity of its author.
func (u *submitter) letter(ctx context.Context, m *smtpd.Submission) (*post.Letter, error) {
	author, err := u.o.MayWrite(ctx, u.s, m.HeaderFrom)
	if err != nil {
		return nil, err
	}
	if m.From != "" {
		if err := u.same(ctx, author, m.From, "the envelope sender and From are of different identities: use one of them for both"); err != nil {
			return nil, err
		}
	}
	for _, address := range m.HeaderOthers {
		// The wall asks about the class of From: nobody else may be the author of a
		// letter that it lets through.
		if err := u.same(ctx, author, address, "From, Sender and their Resent- fields are of different identities: use one of them for all"); err != nil {
			return nil, err
		}
	}
	s, err := u.o.Sender(ctx, u.s.Account.ID, author.Class)
	if err != nil {
		return nil, err
	}
	l := &post.Letter{Sender: s, From: m.From, Return: m.Return, EnvelopeID: m.EnvelopeID, SMTPUTF8: m.SMTPUTF8, RequireTLS: m.RequireTLS,
		Envelope: m.Envelope, Original: m.Original, ToSend: m.ToSend}
	for _, r := range m.To {
		to := outbox.Recipient{Address: r.Address, Notify: r.Notify}
		if r.Original != "" {
			to.ORCPT = r.OriginalType + ";" + r.Original
		}
		l.To = append(l.To, to)
	}
	if l.Class == sijill.Personal {
		// The mailbox can't read it by itself, and is to know the copy that the
		// program puts into Sent next.
		a := mailbox.Arrival{Flags: mailbox.FlagSeen, MessageID: message.Parse(m.Original).MessageID()}
		l.With = func(tx *db.Tx, entry int64) error { return mailbox.Arrive(tx, entry, l.Account, a) }
	}
	return l, nil
}

// same refuses an address that the account may not write from, or that is of
// another class than the author's.
func (u *submitter) same(ctx context.Context, author people.Address, address, otherwise string) error {
	a, err := u.o.MayWrite(ctx, u.s, address)
	if err == nil && a.Class != author.Class {
		err = &smtpd.Refusal{Code: 550, Enhanced: [3]int{5, 7, 1}, Text: otherwise}
	}
	return err
}

// refusal says an error of post in the words of SMTP.
func refusal(err error) error {
	var crosses *post.Crosses
	var recipient *outbox.AddressError
	switch {
	case errors.As(err, &crosses):
		return &smtpd.Refusal{Code: 550, Enhanced: [3]int{5, 7, 1}, Text: crosses.Error()}
	case errors.As(err, &recipient):
		return &smtpd.Refusal{Code: 550, Enhanced: [3]int{5, 1, 3}, Text: fmt.Sprintf("no mail can be sent to the address %.100q", recipient.Address)}
	case errors.Is(err, outbox.ErrLetter):
		return &smtpd.Refusal{Code: 550, Enhanced: [3]int{5, 6, 0}, Text: strings.TrimSuffix(err.Error(), ": "+outbox.ErrLetter.Error())}
	}
	return err
}

// Done is closed when the app password is revoked or the account suspended.
func (u *submitter) Done() <-chan struct{} { return u.s.Done() }

// Close implements smtpd.Sender.
func (u *submitter) Close() { u.s.Close() }
