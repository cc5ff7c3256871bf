package post

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sijill/internal/db"
	"sijill/internal/message"
	"sijill/internal/outbox"
)

// Who gets a vacation answer how often (RFC 3834, section 2).
const (
	// again is for how long nobody gets a second answer.
	again = 7 * 24 * time.Hour
	// answersPerHour bounds the answers of one identity, to whomever they go:
	// whoever makes up a new sender for each message gets no further.
	answersPerHour = 100
)

// vacation answers a message, where a machine may.
func (p *Post) vacation(ctx context.Context, a *Arrival, m *message.Message, v *Vacation) error {
	proof := proofOf(a, m)
	if proof == forgeable || !answerable(m, a) {
		return nil
	}
	err := p.o.DB.Read(ctx, func(tx *db.Tx) error { return p.first(tx, a.Sender, a.From) })
	if errors.Is(err, errAnswered) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking for whom a vacation answer went to: %w", err)
	}
	subject := v.Subject
	if subject == "" {
		subject = usualSubject(a.Language, proof, m)
	}
	return p.answer(ctx, a, m, subject, v.Text)
}

// proof says how well it is known that a message came from its envelope sender.
// An answer to somebody else is unwanted mail, which others have written and the
// office has signed.
type proof int

const (
	forgeable proof = iota // The checks did not find that it did.
	unchecked              // Nothing was checked: the door trusts who brings mail, or the settings say so.
	proven
)

// proofOf reads it from the results of the checks on arrival. SPF speaks of the
// envelope sender; DMARC of the author, whose domain then has to be the same or
// above that of the sender.
func proofOf(a *Arrival, m *message.Message) proof {
	results := strings.Fields(a.Envelope.Auth)
	switch {
	case a.Envelope.Door == "local": // Who wrote it was signed in.
		return proven
	case len(results) == 0:
		return unchecked
	case slices.Contains(results, "spf=pass"):
		return proven
	case slices.Contains(results, "dmarc=pass") && authored(m, a.From):
		return proven
	}
	return forgeable
}

// authored tells whether the domain of a message's author is that of an address,
// or above it.
func authored(m *message.Message, address string) bool {
	from := m.From()
	if len(from) != 1 || len(m.Header.All("From")) != 1 {
		return false
	}
	author, sender := message.CanonicalDomain(domainOf(from[0].Addr)), message.CanonicalDomain(domainOf(address))
	return author != "" && (sender == author || strings.HasSuffix(sender, "."+author))
}

// domainOf is what follows the last @.
func domainOf(address string) string {
	if at := strings.LastIndexByte(address, '@'); at >= 0 {
		return address[at+1:]
	}
	return ""
}

// automatic is the subject of an answer that quotes nothing.
var automatic = map[string]string{"en": "Automatic reply", "ar": "رد تلقائي"}

// usualSubject is the subject of an answer to which its owner gave none: what RFC
// 3834, section 3.1.5 asks for. The words of a stranger are sent to nobody else,
// so only a sender who is proven gets his own back.
func usualSubject(language string, proof proof, m *message.Message) string {
	if subject := m.Subject(); proof == proven && subject != "" {
		return "Auto: " + subject
	}
	return cmp.Or(automatic[language], automatic["en"])
}

// answerable tells whether a machine may answer a message: it was written by a
// person, to this one (RFC 3834, section 2).
func answerable(m *message.Message, a *Arrival) bool {
	from := message.CanonicalAddress(a.From)
	local := from[:max(0, strings.LastIndexByte(from, '@'))]
	switch {
	case local == "" || a.Own[from] != "":
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
		return a.Own[message.CanonicalAddress(to.Addr)] == a.Class
	})
}

// answer sends the vacation answer to whom the message came from, from the null
// sender, so that nothing answers it.
func (p *Post) answer(ctx context.Context, a *Arrival, m *message.Message, subject, text string) error {
	d := &message.Draft{
		From: message.Address{Addr: a.To}, To: []message.Address{{Addr: a.From}}, Subject: subject, Text: text, Date: p.o.Now(), Hostname: p.o.Hostname,
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
		Envelope: message.Envelope{Door: "vacation", To: []string{a.From}, Time: p.o.Now().UTC()},
		With:     func(tx *db.Tx, _ int64) error { return p.noteAnswer(tx, a.Sender, a.From) }}
	if _, err := p.Send(ctx, l); err != nil && !errors.Is(err, errAnswered) {
		return fmt.Errorf("sending a vacation answer: %w", err)
	}
	return nil
}

// errAnswered says that somebody gets no answer now.
var errAnswered = errors.New("post: answered already")

// first returns errAnswered unless this is the first time in a week that somebody is
// answered, within what an identity answers in an hour.
func (p *Post) first(tx *db.Tx, s Sender, whom string) error {
	now := p.o.Now().Unix()
	var before, lately int
	err := tx.One("SELECT count(*) FROM post_answered WHERE account = ? AND class = ? AND whom = ? AND at >= ?",
		[]any{s.Account, s.Class, p.pseudonym(whom), now - int64(again/time.Second)}, &before)
	if err == nil {
		err = tx.One("SELECT count(*) FROM post_answered WHERE account = ? AND class = ? AND at > ?",
			[]any{s.Account, s.Class, now - int64(time.Hour/time.Second)}, &lately)
	}
	if err == nil && (before > 0 || lately >= answersPerHour) {
		err = errAnswered
	}
	return err
}

// noteAnswer notes that somebody is answered, in the transaction in which the answer
// is sealed: what is not sent is not noted.
func (p *Post) noteAnswer(tx *db.Tx, s Sender, whom string) error {
	if err := p.first(tx, s, whom); err != nil {
		return err
	}
	now := p.o.Now().Unix()
	_, err := tx.Exec("DELETE FROM post_answered WHERE account = ? AND class = ? AND at < ?", s.Account, s.Class, now-int64(again/time.Second))
	if err == nil {
		_, err = tx.Exec("INSERT INTO post_answered (account, class, whom, at) VALUES (?, ?, ?, ?)", s.Account, s.Class, p.pseudonym(whom), now)
	}
	if err != nil {
		return fmt.Errorf("noting whom a vacation answer goes to: %w", err)
	}
	return nil
}

// pseudonym is what is kept of whom somebody corresponds with.
func (p *Post) pseudonym(whom string) []byte {
	h := hmac.New(sha256.New, p.o.Key[:])
	h.Write([]byte(message.CanonicalAddress(whom)))
	return h.Sum(nil)[:16]
}
