// Package post sends the letters of the office's people, and what the server
// writes or passes on for them.
//
// It promises that a letter is sealed before anybody is told that it was sent,
// and queued in the same transaction; that a letter which crosses the wall
// between office and personal mail is not sent unless its sender decided so, and
// then a copy is on the office's register in the same transaction; and that what
// the server sends by itself can't loop.
package post

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/message"
	"sijill/internal/outbox"
	"sijill/internal/record"
	"sijill/internal/wall"
)

//go:embed sqlite
var migrations embed.FS

// Register appends; *record.Register is one.
type Register interface {
	AppendAll(ctx context.Context, drafts []record.Draft) ([]record.Receipt, error)
}

// Options says what a Post stands on. All are needed unless said otherwise.
type Options struct {
	DB       *db.DB // The register's.
	Register Register
	Outbox   *outbox.Outbox
	Wall     *wall.Wall
	// Sign gives the DKIM-Signature fields of a message from a domain; none for
	// a domain that has no keys.
	Sign func(ctx context.Context, domain string, message []byte) ([]byte, error)
	// Arrive says, in the transaction of an entry, into which folder it goes:
	// the one with a role, of a class.
	Arrive func(tx *db.Tx, entry, account int64, class sijill.Class, role string) error
	// Hostname is the domain of the Message-IDs that the server makes.
	Hostname string
	// Key makes digests of whom the server has answered.
	Key [32]byte
	// Forward lets office mail be forwarded to outside.
	Forward bool
	Now     func() time.Time // nil means time.Now
	Log     *slog.Logger
}

// Post is safe for concurrent use.
type Post struct {
	o Options

	mu    sync.Mutex // Guards what follows.
	ruled map[int64]bool
	read  time.Time
}

// Open migrates the tables.
func Open(ctx context.Context, o Options) (*Post, error) {
	if err := o.DB.Migrate(ctx, "post", migrations); err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Post{o: o}, nil
}

// Sender is who sends, as which identity.
type Sender struct {
	Account  int64
	Actor    string // The account's pseudonym.
	Class    sijill.Class
	Language string // Of notices to the sender.
	// Own are the sender's addresses of both classes, each as
	// message.CanonicalAddress has it.
	Own map[string]sijill.Class
}

// Letter is a message to be sent.
type Letter struct {
	Sender
	From                 string // MAIL FROM
	To                   []outbox.Recipient
	Return, EnvelopeID   string
	SMTPUTF8, RequireTLS bool
	Envelope             message.Envelope
	Original             []byte // As the sender's program gave it: this is sealed.
	ToSend               []byte // As others get it, but for signatures.
	// Delay is for how long it waits before it leaves, so that it can be
	// withdrawn.
	Delay time.Duration
	// File sends a letter that crosses the wall, and files a copy of it.
	File bool
	// With, if not nil, runs in the transaction of the sent entry.
	With func(tx *db.Tx, entry int64) error

	automatic bool // Nobody has written it: the wall has nothing to ask.
}

// Crosses is the error of a letter that crosses the wall and may not be sent
// without a decision.
type Crosses struct{ Crossing wall.Crossing }

// Error implements error.
func (e *Crosses) Error() string {
	if e.Crossing == wall.Answers {
		return "this answers office mail from a personal address: send it from the office address, or add that to the recipients"
	}
	return "this goes from a personal address to a contact of the office: send it from the office address, or add that to the recipients"
}

// Sent says what became of a letter.
type Sent struct {
	Entry  int64     // The sent entry.
	Filed  int64     // The entry of the copy that was filed; 0 for none.
	Leaves time.Time // When it leaves at the earliest.
}

// Check says how a letter crosses the wall.
func (p *Post) Check(ctx context.Context, l *Letter) (wall.Crossing, error) {
	m := message.Parse(l.Original)
	w := &wall.Letter{Account: l.Account, Class: l.Class, Answers: m.Answers()}
	for _, r := range l.To {
		w.To = append(w.To, r.Address)
		// An address in quotes is nobody's here: a copy to it would come back.
		if !strings.Contains(r.Address, `"`) && l.Own[message.CanonicalAddress(r.Address)] == sijill.Office {
			w.Copied = true
		}
	}
	return p.o.Wall.Check(ctx, w)
}

// Send seals a letter and queues it. The error is a *Crosses, wraps
// outbox.ErrLetter, or is a failure after which nothing was sent.
func (p *Post) Send(ctx context.Context, l *Letter) (Sent, error) {
	crossing, err := wall.None, error(nil)
	if !l.automatic {
		crossing, err = p.Check(ctx, l)
	}
	if err != nil {
		return Sent{}, err
	}
	if crossing != wall.None && !l.File {
		return Sent{}, &Crosses{crossing}
	}
	s := Sent{Leaves: p.o.Now().Add(l.Delay)}
	sent, err := p.draft(ctx, l, s.Leaves)
	if err != nil {
		return Sent{}, err
	}
	drafts := []record.Draft{sent}
	if crossing != wall.None {
		drafts = append(drafts, p.copyOf(l))
	}
	receipts, err := p.o.Register.AppendAll(ctx, drafts)
	if err != nil {
		return Sent{}, fmt.Errorf("sealing a letter: %w", err)
	}
	p.o.Outbox.Kick()
	s.Entry = receipts[0].Entry
	if len(receipts) > 1 {
		s.Filed = receipts[1].Entry
	}
	return s, nil
}

// draft makes the sent entry, with the letter in the queue.
func (p *Post) draft(ctx context.Context, l *Letter, leaves time.Time) (record.Draft, error) {
	signed, err := p.sign(ctx, l)
	if err != nil {
		return record.Draft{}, err
	}
	out := outbox.Letter{
		Account: l.Account, Class: l.Class, From: l.From, To: l.To, Language: l.Language, Message: signed,
		Ret: l.Return, EnvID: l.EnvelopeID, SMTPUTF8: l.SMTPUTF8, RequireTLS: l.RequireTLS,
	}
	if l.Delay > 0 {
		out.NotBefore = leaves
	}
	parcel, err := p.o.Outbox.Prepare(out)
	if err != nil {
		return record.Draft{}, err
	}
	d := record.Draft{
		Kind: sijill.Sent, Actor: l.Actor, Holders: []int64{l.Account}, Class: l.Class,
		Content: &record.Content{Envelope: l.Envelope, Message: l.Original},
	}
	d.With = func(tx *db.Tx, entry int64) error {
		if err := parcel.Enqueue(tx, entry); err != nil {
			return err
		}
		if l.With == nil {
			return nil
		}
		return l.With(tx, entry)
	}
	return d, nil
}

// sign puts signatures before what is to be sent, and into the envelope, so that
// the register shows what left.
func (p *Post) sign(ctx context.Context, l *Letter) ([]byte, error) {
	m := message.Parse(l.ToSend)
	from := m.From()
	if len(from) == 0 {
		return nil, fmt.Errorf("a letter without an author: %w", outbox.ErrLetter)
	}
	fields, err := p.o.Sign(ctx, message.CanonicalDomain(domainOf(from[0].Addr)), l.ToSend)
	if err != nil {
		return nil, fmt.Errorf("signing a letter: %w", err)
	}
	l.Envelope.Trace = string(fields) + l.Envelope.Trace
	return append(fields, l.ToSend...), nil
}

// copyOf is the office's copy of a personal letter that crosses the wall.
func (p *Post) copyOf(l *Letter) record.Draft {
	e := l.Envelope
	e.Door = doorFiled
	return record.Draft{
		Kind: sijill.Filed, Actor: l.Actor, Holders: []int64{l.Account}, Class: sijill.Office,
		Content: &record.Content{Envelope: e, Message: l.Original},
		With: func(tx *db.Tx, entry int64) error {
			return p.o.Arrive(tx, entry, l.Account, sijill.Office, "sent")
		},
	}
}

// doorFiled is the door of what people put on the register themselves.
const doorFiled = "filed"

// ErrNotPersonal says that a message is on the office's register already.
var ErrNotPersonal = errors.New("the message is office mail already")

// File puts a copy of a personal message on the office's register: the message
// of it, which only its owner could open. It returns the new entry.
func (p *Post) File(ctx context.Context, s Sender, it *record.Item) (int64, error) {
	if it.Class != sijill.Personal {
		return 0, ErrNotPersonal
	}
	c, err := it.Content()
	if err != nil {
		return 0, fmt.Errorf("opening a message to be filed: %w", err)
	}
	e := c.Envelope
	e.Door = doorFiled
	receipts, err := p.o.Register.AppendAll(ctx, []record.Draft{{
		Kind: sijill.Filed, Actor: s.Actor, Holders: []int64{s.Account}, Class: sijill.Office,
		Content: &record.Content{Envelope: e, Message: c.Message},
		With: func(tx *db.Tx, entry int64) error {
			if err := p.o.Wall.Filed(tx, s.Account, it.Index); err != nil {
				return err
			}
			return p.o.Arrive(tx, entry, s.Account, sijill.Office, "inbox")
		},
	}})
	if err != nil {
		return 0, fmt.Errorf("filing a copy: %w", err)
	}
	return receipts[0].Entry, nil
}

// Keep puts on the register that its owner found a message to be personal, of
// which a copy was due.
func (p *Post) Keep(ctx context.Context, s Sender, entry int64) error {
	_, err := p.o.Register.AppendAll(ctx, []record.Draft{{
		Kind: sijill.Sorted, Actor: s.Actor, Holders: []int64{s.Account}, Class: sijill.Personal,
		Fields: map[string]any{"entry": entry, "class": string(sijill.Personal)},
		With:   func(tx *db.Tx, _ int64) error { return p.o.Wall.Keep(tx, s.Account, entry) },
	}})
	if err != nil {
		return fmt.Errorf("keeping a message as personal: %w", err)
	}
	return nil
}
