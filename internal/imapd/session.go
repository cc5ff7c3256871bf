package imapd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"syscall"

	"sijill/internal/access"
	"sijill/internal/mailbox"
	"sijill/internal/people"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// session is what the library asks about one connection.
type session struct {
	srv  *Server
	g    *guard
	conn *imapserver.Conn
	ctx  context.Context
	user User // nil before sign-in

	mu      sync.Mutex // guards what follows against Idle, which runs beside Close
	sel     *selected
	saved   imap.UIDSet // result of the last SEARCH RETURN (SAVE) in sel
	unwatch func()      // Ends watch; nil while nobody is signed in.
}

var (
	_            imapserver.SessionIMAP4rev2      = (*session)(nil)
	_            imapserver.SessionUnauthenticate = (*session)(nil)
	_            imapserver.SessionAppendLimit    = (*session)(nil)
	errNoSession                                  = errors.New("imapd: not a connection of this server")
	errReadOnly  error                            = no("", "The folder is open for reading only")
)

func (s *Server) newSession(c *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
	g, ok := c.NetConn().(*guard)
	if !ok {
		return nil, nil, errNoSession
	}
	g.lib = c
	return &session{srv: s, g: g, conn: c, ctx: g.ctx}, nil, nil
}

// no is a refusal in words for people.
func no(code imap.ResponseCode, text string) *imap.Error {
	return &imap.Error{Type: imap.StatusResponseTypeNo, Code: code, Text: text}
}

// refuse turns an error of the backend into a response. Clients never read
// internal text.
func (s *session) refuse(doing string, err error) error {
	var own *imap.Error
	var slow people.ErrSlowDown
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		return own
	case errors.Is(err, people.ErrCredentials):
		return no(imap.ResponseCodeAuthenticationFailed, "Name or app password is wrong")
	case errors.As(err, &slow):
		return no(imap.ResponseCodeUnavailable, "Too many sign-ins failed; try again later")
	case errors.Is(err, mailbox.ErrWall):
		return no(imap.ResponseCodeCannot, "Office mail and personal mail are kept apart: a message stays on its side")
	case errors.Is(err, mailbox.ErrNotice):
		return no(imap.ResponseCodeCannot, "The server keeps this message here; it goes when no older mail is closed")
	case errors.Is(err, access.ErrClosed):
		return no(imap.ResponseCodeCannot, "Personal mail is closed to this app password: make another one on the web")
	case errors.Is(err, mailbox.ErrName):
		return no(imap.ResponseCodeCannot, "No folder can have this name")
	case errors.Is(err, mailbox.ErrRole):
		return no(imap.ResponseCodeCannot, "This folder stays where it is")
	case errors.Is(err, mailbox.ErrNotEmpty):
		return no(imap.ResponseCodeCannot, "Only an empty folder can be deleted; move its messages first")
	case errors.Is(err, mailbox.ErrKeyword):
		return no(imap.ResponseCodeLimit, "These keywords can't be used, or are too many")
	case errors.Is(err, fs.ErrNotExist):
		return no(imap.ResponseCodeNonExistent, "There is no such folder")
	case errors.Is(err, fs.ErrExist):
		return no(imap.ResponseCodeAlreadyExists, "There is such a folder already")
	case errors.Is(err, syscall.ENOSPC):
		return no(imap.ResponseCodeUnavailable, "The server has no room left")
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return no(imap.ResponseCodeUnavailable, "The server is busy or shutting down; try again later")
	}
	s.srv.opt.Log.Error("imap command failed", "doing", doing, "error", err)
	return no(imap.ResponseCodeServerBug, "Something failed on the server; it was noted")
}

// failed is refuse for what was done in the open folder. Where that was deleted
// elsewhere the connection ends with a word (RFC 2180, section 3.3): nothing the
// client knows of the folder is true any more. Called with mu held.
func (s *session) failed(doing string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := s.user.Changes(s.ctx, s.sel.folder.ID, s.sel.cursor); errors.Is(err, fs.ErrNotExist) {
			s.g.bye("The folder that was open is not there any more; connect again")
			return errGone
		}
	}
	return s.refuse(doing, err)
}

// Login signs in.
func (s *session) Login(name, password string) error {
	user, err := s.srv.opt.Backend.Login(s.ctx, name, password, s.g.peer)
	if err != nil {
		s.srv.stats.failed.Add(1)
		s.g.failures.Add(1)
		return s.refuse("signing in", err)
	}
	s.srv.stats.signedIn.Add(1)
	s.user = user
	s.g.signedIn.Store(true)
	s.watch(user)
	return nil
}

// ending is a User whose sign-in may end while it is used: its password was
// revoked, its account suspended.
type ending interface {
	// Done is closed when the sign-in is over, by Close too.
	Done() <-chan struct{}
}

// watch cuts the connection when the sign-in ends elsewhere.
func (s *session) watch(user User) {
	e, ok := user.(ending)
	if !ok {
		return
	}
	stop := make(chan struct{})
	s.unwatch = func() { close(stop) }
	go func() {
		select {
		case <-e.Done():
			select {
			case <-stop: // It was closed here.
			default:
				s.g.Close()
			}
		case <-stop:
		}
	}()
}

// Unauthenticate forgets who signed in (RFC 8437).
func (s *session) Unauthenticate() error {
	s.Close()
	s.g.signedIn.Store(false)
	return nil
}

// Close ends the session; its user too.
func (s *session) Close() error {
	err := s.Unselect()
	if s.unwatch != nil {
		s.unwatch()
		s.unwatch = nil
	}
	if s.user != nil {
		s.user.Close()
		s.user = nil
	}
	return err
}

// AppendLimit is the largest message that APPEND takes (RFC 7889).
func (s *session) AppendLimit() uint32 { return uint32(s.srv.opt.MaxSize) }

// rev2 tells whether the client asked for IMAP4rev2.
func (s *session) rev2() bool { return s.conn.EnabledCaps().Has(imap.CapIMAP4rev2) }

// hold waits until there is room for n octets and returns what gives it back.
func (s *session) hold(n int64) (release func(), err error) {
	n = min(max(n, 1), s.srv.opt.Memory)
	ctx, cancel := context.WithTimeout(s.ctx, s.srv.opt.Limits.MemoryWait)
	defer cancel()
	if err := s.srv.memory.Acquire(ctx, n); err != nil {
		return nil, fmt.Errorf("wait for memory: %w", err)
	}
	return func() { s.srv.memory.Release(n) }, nil
}
