// Package wall keeps an office's business and a person's own mail apart: it
// says when a letter is about to cross from one to the other, and keeps count of
// what came in on the wrong side.
//
// It promises that nothing is sent or filed by it: it only says what crosses,
// and the person decides; and that it remembers of a personal message no more
// than when it came and that it came from a contact of the office.
package wall

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/message"
)

//go:embed sqlite
var migrations embed.FS

// Deadline is how long a person has to file a copy of office business that was
// done from a personal account: 20 days (44 U.S.C. 2911).
const Deadline = 20 * 24 * time.Hour

// Conversations tells which messages belong to the office's mail of an account.
type Conversations interface {
	// Holds tells whether the account holds an office message with one of
	// these Message-IDs (without angle brackets), or one that names them.
	Holds(ctx context.Context, account int64, class sijill.Class, ids []string) (bool, error)
}

// Options are the rules of an office.
type Options struct {
	// Contacts are domains and addresses with which the office does its
	// business: "ministry.example", "someone@elsewhere.example". A domain
	// stands for those below it as well. Each may be spelt in any way that
	// message.CanonicalAddress knows; one that is neither is ErrContact.
	Contacts []string
	// Conversations is asked what a letter answers.
	Conversations Conversations
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Wall is safe for concurrent use.
type Wall struct {
	db       *db.DB
	contacts map[string]bool // Canonical: see place.
	options  Options
}

// ErrContact says that a contact is neither a domain nor an address.
var ErrContact = errors.New("a contact is a domain or an address")

// Open migrates the tables in d, the database of the register. It is ErrContact
// where one of the contacts can't be one.
func Open(ctx context.Context, d *db.DB, o Options) (*Wall, error) {
	w := &Wall{db: d, contacts: map[string]bool{}, options: o}
	for _, c := range o.Contacts {
		key, err := contact(c)
		if err != nil {
			return nil, err
		}
		w.contacts[key] = true
	}
	if err := d.Migrate(ctx, "wall", migrations); err != nil {
		return nil, err
	}
	if w.options.Now == nil {
		w.options.Now = time.Now
	}
	return w, nil
}

// contact is a contact of the settings in the form in which addresses are looked
// for among them.
func contact(given string) (string, error) {
	key, domain := place(given)
	local, isAddress := strings.CutSuffix(key, "@"+domain)
	if domain == "" || isAddress && local == "" || strings.HasPrefix(domain, ".") || strings.Contains(domain, "..") ||
		strings.ContainsFunc(domain, notInDomain) || !strings.Contains(given, `"`) && strings.ContainsAny(local, " ,;:<>()@") {
		return "", fmt.Errorf("[wall] contacts: %q: %w", given, ErrContact)
	}
	return key, nil
}

// notInDomain tells what no domain has: mail goes to names with letters of any
// script, digits, hyphens and underscores.
func notInDomain(r rune) bool {
	return r != '-' && r != '_' && r != '.' && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
}

// maxDomain is how many bytes of a domain are looked at. DNS has no name as long.
const maxDomain = 1024

// place returns an address, or a domain, in the one form that is compared, and the
// domain of it; "" for what is too long to be one. Dots at the end, of which DNS
// allows one, do not make it another: some servers deliver to it all the same.
func place(address string) (key, domain string) {
	key = strings.TrimRight(message.CanonicalAddress(address), ".")
	if domain = key[strings.LastIndexByte(key, '@')+1:]; len(domain) > maxDomain {
		return key, ""
	}
	if domain == key { // A domain alone; as the local part it isn't mapped.
		domain = strings.TrimRight(message.CanonicalDomain(address), ".")
		key = domain
	}
	return key, domain
}

// Contact tells whether the office does business with an address, however it is
// spelt.
func (w *Wall) Contact(address string) bool {
	key, domain := place(address)
	if w.contacts[key] {
		return true
	}
	for domain != "" {
		if w.contacts[domain] {
			return true
		}
		_, domain, _ = strings.Cut(domain, ".")
	}
	return false
}

// Crossing says how a letter crosses the wall.
type Crossing string

// The crossings.
const (
	// None: it stays on its side.
	None Crossing = ""
	// Answers: it answers the office's mail from a personal address.
	Answers Crossing = "answers"
	// Writes: it goes from a personal address to a contact of the office.
	Writes Crossing = "writes"
)

// Letter is what is about to be sent, as far as the wall asks.
type Letter struct {
	Account int64
	Class   sijill.Class // Of the address that it is from.
	To      []string     // Every recipient.
	// Answers are the Message-IDs of every References and then of every
	// In-Reply-To field, without angle brackets. Of more than 256, the first and
	// the last count.
	Answers []string
	// Copied says that an office address of the sender is among the
	// recipients: the copy comes into the register by itself.
	Copied bool
}

// maxAnswers is how many Message-IDs are asked about. Conversations are shorter: it
// bounds the work only.
const maxAnswers = 256

// asked are the Message-IDs that are asked about: the first, which began the
// conversation, and the last, among which is the message that is answered.
func asked(ids []string) []string {
	if len(ids) <= maxAnswers {
		return ids
	}
	return slices.Concat(ids[:1], ids[len(ids)-maxAnswers+1:])
}

// Check says whether a letter crosses.
func (w *Wall) Check(ctx context.Context, l *Letter) (Crossing, error) {
	if l.Class != sijill.Personal || l.Copied {
		return None, nil
	}
	if ids := asked(l.Answers); len(ids) > 0 {
		held, err := w.options.Conversations.Holds(ctx, l.Account, sijill.Office, ids)
		if err != nil {
			return None, fmt.Errorf("asking what a letter answers: %w", err)
		}
		if held {
			return Answers, nil
		}
	}
	for _, a := range l.To {
		if w.Contact(a) {
			return Writes, nil
		}
	}
	return None, nil
}
