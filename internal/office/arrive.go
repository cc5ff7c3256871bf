package office

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/junk"
	"sijill/internal/mailbox"
	"sijill/internal/message"
	"sijill/internal/outbox"
	"sijill/internal/people"
	"sijill/internal/record"
	"sijill/internal/smtpd"
)

// door appends what arrives, by SMTP, by LMTP or from one's own outbox. Mail for
// both classes becomes entries of its own for each: they share nothing.
type door struct{ o *Office }

// Appender is where the SMTP door brings mail: it is sealed when Append returns, and
// given to the rules of those who hold it.
func (o *Office) Appender() smtpd.Appender { return door{o} }

// Append implements smtpd.Appender.
func (d door) Append(ctx context.Context, m *smtpd.Mail) (smtpd.Receipt, error) {
	a := &arrival{Mail: m, o: d.o}
	if err := a.read(ctx); err != nil {
		return smtpd.Receipt{}, err
	}
	receipts, err := d.o.Register.AppendAll(ctx, a.drafts())
	if err != nil {
		return smtpd.Receipt{}, err
	}
	d.o.replies.offer(a)
	return smtpd.Receipt{Entry: receipts[0].Entry}, nil
}

// arrival is mail on its way into the register.
type arrival struct {
	*smtpd.Mail
	o       *Office
	junk    map[int64]bool // Accounts whose own filter takes it for junk.
	contact bool           // It comes from a contact of the office.
	with    func(tx *db.Tx, entry int64) error
}

// read finds out what the drafts need to know.
func (a *arrival) read(ctx context.Context) error {
	a.Envelope.Time = a.Envelope.Time.UTC().Truncate(time.Millisecond)
	if slices.ContainsFunc(a.Holders, func(h smtpd.Holder) bool { return h.Class == sijill.Personal }) {
		a.contact = a.fromContact()
	}
	if !a.Envelope.Junk && a.Envelope.Journal == nil {
		return a.filter(ctx)
	}
	return nil
}

// fromContact tells whether the author, or who sent it, is a contact of the
// office.
func (a *arrival) fromContact() bool {
	if a.o.Wall.Contact(a.Envelope.From) {
		return true
	}
	return slices.ContainsFunc(message.Parse(a.Message).From(), func(from message.Address) bool { return a.o.Wall.Contact(from.Addr) })
}

// filter asks each holder's own filter. One that fails lets the mail in.
func (a *arrival) filter(ctx context.Context) error {
	for _, h := range a.Holders {
		r, err := a.o.bayes.Score(ctx, &junk.Mail{Account: h.Account, From: a.Envelope.From, To: a.Envelope.To, Message: a.Message})
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			a.o.Log.Warn("a junk filter failed; the mail was let in", "error", err)
		}
		if r.Junk {
			if a.junk == nil {
				a.junk = map[int64]bool{}
			}
			a.junk[h.Account] = true
		}
	}
	return nil
}

// isJunk tells whether the mail goes to an account's junk folder.
func (a *arrival) isJunk(account int64) bool { return a.Envelope.Junk || a.junk[account] }

// drafts makes one entry for the office's holders, and one for each person.
func (a *arrival) drafts() []record.Draft {
	var list []record.Draft
	var office []smtpd.Holder
	for _, h := range a.Holders {
		if h.Class != sijill.Personal {
			office = append(office, h)
		}
	}
	if len(office) > 0 {
		list = append(list, a.draft(sijill.Office, office))
	}
	for _, h := range a.Holders {
		if h.Class == sijill.Personal {
			list = append(list, a.draft(sijill.Personal, []smtpd.Holder{h}))
		}
	}
	if a.with != nil {
		first := list[0].With
		list[0].With = func(tx *db.Tx, entry int64) error { return errors.Join(first(tx, entry), a.with(tx, entry)) }
	}
	return list
}

func (a *arrival) draft(class sijill.Class, holders []smtpd.Holder) record.Draft {
	e := a.Envelope
	var to []string
	var accounts []int64
	for _, h := range holders {
		to, accounts = append(to, h.To...), append(accounts, h.Account)
	}
	if len(to) > 0 {
		e.To = to // Nobody learns from his mail to whom of the others it went.
	}
	if class == sijill.Personal && len(a.Evidence) > 0 {
		// What DNS was asked tells with whom somebody corresponds.
		e.EvidenceBody = a.Evidence
	}
	d := record.Draft{Kind: sijill.Captured, Actor: e.Door, Holders: accounts, Class: class, Content: &record.Content{Envelope: e, Message: a.Message}}
	d.With = func(tx *db.Tx, entry int64) error { return a.note(tx, entry, class, accounts) }
	return d
}

// note writes, in the transaction of an entry, what goes with it.
func (a *arrival) note(tx *db.Tx, entry int64, class sijill.Class, accounts []int64) error {
	if class == sijill.Office && len(a.Evidence) > 0 {
		if err := a.o.evidence.Keep(tx, a.Evidence); err != nil {
			return err
		}
	}
	for _, account := range accounts {
		if class == sijill.Personal && a.contact && !a.isJunk(account) {
			if err := a.o.Wall.Arrived(tx, entry, account); err != nil {
				return err
			}
		}
		if a.isJunk(account) {
			if err := a.o.arrive(tx, entry, account, class, mailbox.RoleJunk); err != nil {
				return err
			}
		}
	}
	return nil
}

// deliver implements outbox.Options.Deliver: mail from one of the office to
// another arrives like any other.
func (o *Office) deliver(ctx context.Context, d outbox.Delivery) error {
	now := time.Now().UTC().Truncate(time.Millisecond)
	m := &smtpd.Mail{Message: d.Message, Envelope: message.Envelope{Door: "local", From: d.From, To: d.To, Time: now}}
	m.Envelope.Trace = "Return-Path: <" + d.From + ">\r\nReceived: by " + o.Config.ServerName() + " id " + rand.Text() +
		";\r\n\t" + now.Format(time.RFC1123Z) + "\r\n"
	for _, to := range d.To {
		r, err := o.People.Resolve(ctx, to)
		if errors.Is(err, people.ErrForeign) {
			// Its domain was ours a moment ago. That nobody has it can't be said:
			// the next attempt goes to whoever takes its mail now.
			err = errors.New("an address of another server")
		}
		if err != nil {
			return err
		}
		m.Holders = addHolder(m.Holders, r, to)
	}
	a := &arrival{Mail: m, o: o, with: d.With}
	if err := a.read(ctx); err != nil {
		return err
	}
	if _, err := o.Register.AppendAll(ctx, a.drafts()); err != nil {
		return err
	}
	o.replies.offer(a)
	return nil
}

// addHolder adds a recipient to those who get a message; one account in one
// class gets it once.
func addHolder(list []smtpd.Holder, r people.Recipient, to string) []smtpd.Holder {
	for i := range list {
		if list[i].Account == r.Account && list[i].Class == r.Class {
			list[i].To = append(list[i].To, to)
			return list
		}
	}
	return append(list, smtpd.Holder{Account: r.Account, Class: r.Class, Address: r.Address, To: []string{to}})
}
