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
	"fmt"
	"strings"
	"time"

	"sijill"
	"sijill/internal/db"
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
	// stands for those below it as well.
	Contacts []string
	// Conversations is asked what a letter answers.
	Conversations Conversations
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Wall is safe for concurrent use.
type Wall struct {
	db       *db.DB
	contacts map[string]bool
	options  Options
}

// Open migrates the tables in d, the database of the register.
func Open(ctx context.Context, d *db.DB, o Options) (*Wall, error) {
	if err := d.Migrate(ctx, "wall", migrations); err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	w := &Wall{db: d, contacts: map[string]bool{}, options: o}
	for _, c := range o.Contacts {
		w.contacts[strings.ToLower(strings.TrimSpace(c))] = true
	}
	return w, nil
}

// Contact tells whether the office does business with an address.
func (w *Wall) Contact(address string) bool {
	address = strings.ToLower(address)
	if w.contacts[address] {
		return true
	}
	_, domain, _ := strings.Cut(address, "@")
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
	Answers []string     // Message-IDs of In-Reply-To and References, without angle brackets.
	// Copied says that an office address of the sender is among the
	// recipients: the copy comes into the register by itself.
	Copied bool
}

// maxAnswers is how many Message-IDs are asked about: the last ones, since the
// message that is answered stands last.
const maxAnswers = 32

// Check says whether a letter crosses.
func (w *Wall) Check(ctx context.Context, l *Letter) (Crossing, error) {
	if l.Class != sijill.Personal || l.Copied {
		return None, nil
	}
	if ids := l.Answers[max(0, len(l.Answers)-maxAnswers):]; len(ids) > 0 {
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
