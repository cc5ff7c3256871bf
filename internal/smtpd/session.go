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
	accounts   []int64
	journal    bool // a recipient is a journal address
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
	switch {
	case s.mail:
		return replyMailTwice
	case !s.g.exempt && s.g.messages >= limits.Messages:
		return replyTooManyMessages
	case !ascii(from) && !o.UTF8:
		return replyNeedsUTF8
	case from != "" && !plausible(from):
		return replyBadSender
	case !s.g.srv.peers.message(s.g.peer, time.Now()):
		return replyMessageRate
	}
	s.g.messages++
	s.transaction = transaction{mail: true, utf8: o.UTF8, size: o.Size, from: quote(from)}
	return nil
}

// Rcpt adds a recipient that is an account.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	switch {
	case !ascii(to) && !s.utf8:
		return replyNeedsUTF8
	case !plausible(to):
		return replyBadRecipient
	}
	srv := s.g.srv
	journal := srv.journal[strings.ToLower(to)]
	if journal && !srv.mayJournal(s.g.peer) {
		return replyJournalClosed
	}
	ctx, cancel := context.WithTimeout(srv.ctx, lookupTime)
	defer cancel()
	account, refusal := srv.lookup(ctx, to)
	if refusal != nil {
		return refusal
	}
	s.journal = s.journal || journal
	s.to = append(s.to, quote(to))
	s.hold(account)
	return nil
}

// hold adds an account unless it is there.
func (s *session) hold(account int64) {
	if !slices.Contains(s.accounts, account) {
		s.accounts = append(s.accounts, account)
	}
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
	r := s.deliver()
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
func (s *Server) lookup(ctx context.Context, address string) (int64, reply) {
	account, err := s.opt.Directory.Lookup(ctx, address)
	switch {
	case err == nil:
		return account, nil
	case errors.Is(err, people.ErrForeign):
		return 0, replyForeign
	case errors.Is(err, fs.ErrNotExist):
		return 0, replyUnknown
	}
	s.opt.Log.Error("recipient lookup failed", "err", err)
	return 0, replyLookup
}
