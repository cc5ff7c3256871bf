package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/junk"
	"sijill/internal/mailauth"
	"sijill/internal/mailbox"
	"sijill/internal/message"
	"sijill/internal/outbox"
	"sijill/internal/people"
	"sijill/internal/post"
	"sijill/internal/record"
	"sijill/internal/smtpd"
)

// door appends what arrives, by SMTP, by LMTP or from one's own outbox. Mail for
// both classes becomes entries of its own for each: they share nothing.
type door struct{ o *office }

// Append implements smtpd.Appender.
func (d door) Append(ctx context.Context, m *smtpd.Mail) (smtpd.Receipt, error) {
	a := &arrival{Mail: m, o: d.o}
	if err := a.read(ctx); err != nil {
		return smtpd.Receipt{}, err
	}
	receipts, err := d.o.register.AppendAll(ctx, a.drafts())
	if err != nil {
		return smtpd.Receipt{}, err
	}
	d.o.replies.offer(a)
	return smtpd.Receipt{Entry: receipts[0].Entry}, nil
}

// arrival is mail on its way into the register.
type arrival struct {
	*smtpd.Mail
	o       *office
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
	if a.o.wall.Contact(a.Envelope.From) {
		return true
	}
	return slices.ContainsFunc(message.Parse(a.Message).From(), func(from message.Address) bool { return a.o.wall.Contact(from.Addr) })
}

// filter asks each holder's own filter. One that fails lets the mail in.
func (a *arrival) filter(ctx context.Context) error {
	for _, h := range a.Holders {
		r, err := a.o.bayes.Score(ctx, &junk.Mail{Account: h.Account, From: a.Envelope.From, To: a.Envelope.To, Message: a.Message})
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			a.o.log.Warn("a junk filter failed; the mail was let in", "error", err)
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
			if err := a.o.wall.Arrived(tx, entry, account); err != nil {
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
func (o *office) deliver(ctx context.Context, d outbox.Delivery) error {
	now := time.Now().UTC().Truncate(time.Millisecond)
	m := &smtpd.Mail{Message: d.Message, Envelope: message.Envelope{Door: "local", From: d.From, To: d.To, Time: now}}
	m.Envelope.Trace = "Return-Path: <" + d.From + ">\r\nReceived: by " + o.config.ServerName() + " id " + rand.Text() +
		";\r\n\t" + now.Format(time.RFC1123Z) + "\r\n"
	for _, to := range d.To {
		r, err := o.people.Resolve(ctx, to)
		if errors.Is(err, people.ErrForeign) {
			err = fmt.Errorf("an address of another server: %w", fs.ErrNotExist)
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
	if _, err := o.register.AppendAll(ctx, a.drafts()); err != nil {
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

// judge looks at arriving mail before it is sealed.
type judge struct {
	o         *office
	dns       mailauth.DNS
	overrides mailauth.Overrides
	exempt    []netip.Prefix
	rspamd    junk.Scorer // nil without one
}

// Refusals of the checks.
var (
	refusedAuthors = &smtpd.Refusal{Code: 550, Enhanced: [3]int{5, 6, 0}, Text: "a message has one From field (RFC 5322 section 3.6)"}
	refusedPolicy  = &smtpd.Refusal{Code: 550, Enhanced: [3]int{5, 7, 26}, Text: "the author's domain asks to refuse what it did not send (DMARC)"}
	refusedJunk    = &smtpd.Refusal{Code: 550, Enhanced: [3]int{5, 7, 1}, Text: "this message looks like junk"}
	deferredJunk   = &smtpd.Refusal{Code: 451, Enhanced: [3]int{4, 7, 1}, Text: "come back later"}
)

// check implements smtpd.Options.Check.
func (j *judge) check(ctx context.Context, a *smtpd.Arrival) smtpd.Verdict {
	if a.Door != "smtp" || a.Journal || slices.ContainsFunc(j.exempt, func(p netip.Prefix) bool { return p.Contains(a.Peer) }) {
		return smtpd.Verdict{}
	}
	r := mailauth.Judge(ctx, mailauth.Options{DNS: j.dns, AuthservID: j.o.config.ServerName()}, a.Message,
		mailauth.Peer{IP: a.Peer, Helo: a.Hello, MailFrom: a.From})
	v := smtpd.Verdict{Trace: r.Header, Facts: authFacts(r)}
	d, why := r.Disposition(j.overrides)
	switch {
	case why == mailauth.ReasonFroms:
		return smtpd.Verdict{Refuse: refusedAuthors}
	case d == mailauth.Reject:
		return smtpd.Verdict{Refuse: refusedPolicy}
	case d == mailauth.Quarantine:
		v.Junk = true
		v.Facts["policy"] = string(why)
	}
	var err error
	if v.Evidence, err = r.Evidence.Bytes(); err != nil {
		j.o.log.Error("the evidence of a message can't be kept", "error", err)
	}
	return j.score(ctx, a, v)
}

// score asks rspamd, where there is one. If it fails, mail is let in.
func (j *judge) score(ctx context.Context, a *smtpd.Arrival, v smtpd.Verdict) smtpd.Verdict {
	if j.rspamd == nil {
		return v
	}
	s, err := j.rspamd.Score(ctx, &junk.Mail{Peer: a.Peer, Hello: a.Hello, From: a.From, To: a.To, Message: a.Message})
	if err != nil {
		j.o.log.Warn("rspamd gave no answer; the mail was let in", "error", err)
	}
	v.Facts["rspamd"] = s.Mark
	switch {
	case s.Reject:
		return smtpd.Verdict{Refuse: refusedJunk}
	case s.Defer:
		return smtpd.Verdict{Refuse: deferredJunk}
	}
	v.Junk = v.Junk || s.Junk
	return v
}

// authFacts are the results in words.
func authFacts(r *mailauth.Result) map[string]string {
	dkim := mailauth.None
	for _, s := range r.Signatures {
		if dkim != mailauth.Pass {
			dkim = s.Result
		}
	}
	return map[string]string{"spf": string(r.SPF.Result), "dkim": string(dkim), "dmarc": string(r.DMARC.Result), "arc": string(r.ARC.Result)}
}

// replies gives mail that was sealed to the rules of those who hold it. It is
// done beside the doors: a sender doesn't wait for somebody's vacation.
type replies struct {
	o     *office
	queue chan *arrival
}

// maxReplies is how much mail may wait for its rules; beyond that, rules are
// passed over, which is said in the log.
const maxReplies = 1000

func newReplies(o *office) *replies { return &replies{o, make(chan *arrival, maxReplies)} }

func (r *replies) offer(a *arrival) {
	if a.Envelope.Journal != nil || !r.o.post.HasRules(a.Accounts...) {
		return
	}
	select {
	case r.queue <- a:
	default:
		r.o.log.Error("too much mail at once: vacation answers and forwarding were passed over for a message")
	}
}

// run works until ctx ends.
func (r *replies) run(ctx context.Context) error {
	for {
		select {
		case a := <-r.queue:
			for _, h := range a.Holders {
				if err := r.one(ctx, a, h); err != nil && ctx.Err() == nil {
					r.o.log.Error("what a person's rule asks for could not be done", "error", err)
				}
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func (r *replies) one(ctx context.Context, a *arrival, h smtpd.Holder) error {
	s, err := r.o.sender(ctx, h.Account, h.Class)
	if err != nil {
		return err
	}
	return r.o.post.Arrived(ctx, &post.Arrival{Sender: s, To: h.Address, From: a.Envelope.From, Envelope: a.Envelope, Message: a.Message, Junk: a.isJunk(h.Account)})
}

// sender is an account as one of its identities.
func (o *office) sender(ctx context.Context, account int64, class sijill.Class) (post.Sender, error) {
	a, err := o.people.Get(ctx, account)
	if err != nil {
		return post.Sender{}, err
	}
	list, err := o.people.Addresses(ctx, account)
	if err != nil {
		return post.Sender{}, err
	}
	s := post.Sender{Account: account, Actor: a.Pseudonym, Class: class, Language: a.Language, Own: map[string]sijill.Class{}}
	if s.Language == "" {
		s.Language = "en"
	}
	for _, x := range list {
		s.Own[strings.ToLower(x.Address)] = x.Class
	}
	return s, nil
}
