package smtpd

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sijill"
	"sijill/internal/door"
	"sijill/internal/people"

	"github.com/emersion/go-smtp"
)

// lookupTime bounds the Directory's work for one command or journal report.
const lookupTime = 30 * time.Second

// session is what go-smtp knows of the mail transaction. All is called on the
// guard's goroutine.
type session struct {
	conn *smtp.Conn
	g    *guard
	transaction
}

// transaction is what RSET forgets.
type transaction struct {
	mail, utf8 bool // MAIL was accepted; with SMTPUTF8
	size       int64
	from       string
	to         []string
	holders    []Holder
	journal    bool // a recipient is a journal address

	// Of a submission.
	recipients []Recipient
	ret, id    string
	requireTLS bool
}

func newSession(c *smtp.Conn) (smtp.Session, error) {
	g, ok := c.Conn().(*guard)
	if !ok {
		return nil, errors.New("connection without guard") // can't be: serve makes them all
	}
	g.session = &session{conn: c, g: g}
	return g.session, nil
}

// Mail begins a transaction.
func (s *session) Mail(from string, o *smtp.MailOptions) error {
	limits := &s.g.srv.opt.Limits
	if s.g.role.submits {
		if r := s.maySubmit(); r != nil {
			return r
		}
	}
	switch {
	case s.mail:
		return replyMailTwice
	case !s.g.exempt && s.g.messages >= limits.Messages:
		return replyTooManyMessages
	case !ascii(from) && !o.UTF8:
		return replyNeedsUTF8
	case from != "" && !plausible(from):
		return replyBadSender
	case !s.g.srv.peers.Message(s.g.peer, time.Now()):
		return replyMessageRate
	}
	t := transaction{mail: true, utf8: o.UTF8, size: o.Size, from: quote(from)}
	if s.g.role.submits {
		if r := s.beginSubmission(from); r != nil {
			return r
		}
		t.ret, t.id, t.requireTLS = string(o.Return), o.EnvelopeID, o.RequireTLS
	}
	s.g.messages++
	s.transaction = t
	return nil
}

// Rcpt adds a recipient: an account or, in a submission, anyone.
func (s *session) Rcpt(to string, o *smtp.RcptOptions) error {
	var r reply
	switch {
	case !ascii(to) && !s.utf8:
		r = replyNeedsUTF8
	case !plausible(to):
		r = replyBadRecipient
	case s.g.role.submits:
		r = s.addSubmission(to, o)
	default:
		r = s.addAccount(to)
	}
	if r != nil {
		return r
	}
	return nil
}

// addAccount adds a recipient that is an account.
func (s *session) addAccount(to string) reply {
	srv := s.g.srv
	journal := srv.journal[strings.ToLower(to)]
	if journal && !srv.mayJournal(s.g.peer) {
		return replyJournalClosed
	}
	ctx, cancel := context.WithTimeout(srv.ctx, lookupTime)
	defer cancel()
	mailbox, refusal := srv.lookup(ctx, to)
	if (refusal == replyForeign || refusal == replyUnknown) && srv.opt.Postmaster != "" &&
		reserved(to, srv.opt.Hostname, door.Addr(s.g.raw.LocalAddr())) {
		mailbox, refusal = srv.lookup(ctx, srv.opt.Postmaster)
	}
	if journal && (refusal == replyUnknown || refusal == replyForeign) {
		refusal = replyNoJournal // A slip in the settings must not cost copies: they come again.
	}
	if refusal == nil {
		refusal = s.grey(to)
	}
	if refusal != nil {
		return refusal
	}
	s.journal = s.journal || journal
	given := quote(to)
	s.to = append(s.to, given)
	h := s.hold(mailbox)
	h.To = append(h.To, given)
	return nil
}

// hold returns the holder that a mailbox is, added unless it is there.
func (s *session) hold(m Mailbox) *Holder {
	i := slices.IndexFunc(s.holders, func(h Holder) bool { return h.Account == m.Account && h.Class == m.Class })
	if i < 0 {
		i = len(s.holders)
		s.holders = append(s.holders, Holder{Account: m.Account, Class: m.Class, Address: m.Address})
	}
	return &s.holders[i]
}

// accounts returns the accounts of the holders.
func (s *session) accounts() []int64 {
	accounts := make([]int64, 0, len(s.holders))
	for i := range s.holders {
		if !slices.Contains(accounts, s.holders[i].Account) {
			accounts = append(accounts, s.holders[i].Account)
		}
	}
	return accounts
}

// Data takes the message from the guard, not from go-smtp's reader, and has the
// guard answer. go-smtp only learns that the data is over.
func (s *session) Data(io.Reader) error {
	g := s.g
	defer g.letter.drop(g.srv.memory)
	g.feed = endOfData
	if !g.chunks {
		g.letter.begin(s.size)
		if err := g.receiveData(); err != nil {
			g.end(err)
			g.muted = true
			return nil
		}
	}
	deliver := s.deliver
	if g.role.submits {
		deliver = s.submit
	}
	r := deliver()
	before := g.errors
	for range s.copies() {
		g.answer(r)
	}
	g.errors = min(g.errors, before+1) // one refusal, however often it is said
	g.muted = true
	return nil
}

// copies is how many replies the end of the data has: in LMTP one for each
// recipient (RFC 2033 section 4.2).
func (s *session) copies() int {
	if s.g.role.plain.LMTP {
		return len(s.to)
	}
	return 1
}

// Reset forgets the transaction.
func (s *session) Reset() {
	s.transaction = transaction{}
	s.g.chunks = false
	s.g.letter.drop(s.g.srv.memory)
}

// Logout is called before the guard is closed, which does all there is to do.
func (s *session) Logout() error { return nil }

// mayJournal reports whether a peer may send to the journal addresses.
func (s *Server) mayJournal(peer netip.Addr) bool {
	return len(s.opt.JournalPeers) == 0 || !peer.IsValid() || within(s.opt.JournalPeers, peer)
}

// lookup asks the Directory and turns its error into a reply.
func (s *Server) lookup(ctx context.Context, address string) (Mailbox, reply) {
	m, err := s.resolve(ctx, address)
	switch {
	case err == nil:
		return m, nil
	case errors.Is(err, people.ErrForeign):
		return Mailbox{}, replyForeign
	case errors.Is(err, fs.ErrNotExist):
		return Mailbox{}, replyUnknown
	}
	s.opt.Log.Error("recipient lookup failed", "err", err)
	return Mailbox{}, replyLookup
}

func (s *Server) resolve(ctx context.Context, address string) (Mailbox, error) {
	if r, ok := s.opt.Directory.(Resolver); ok {
		return r.Resolve(ctx, address)
	}
	account, err := s.opt.Directory.Lookup(ctx, address)
	return Mailbox{Account: account, Class: sijill.Office, Address: address}, err
}
