// Package web is the door through which people read their mail: pages in Arabic
// and English, right to left and left to right, with or without a script.
//
// It promises that an account is shown nothing that it does not hold; that no
// page runs anything a message brought, and no page fetches anything a message
// names unless its reader asked for that message's images just then; that the
// bytes it hands out as original are the bytes that were sealed; and that a
// reader never sees the text of an internal error.
//
// Each handler is in a file of its own: authorise, load, act, render. The only
// thing written from here is which messages were read.
package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"sijill/internal/mailbox"
	"sijill/internal/message"
	"sijill/internal/people"
	"sijill/internal/search"
	"sijill/internal/view"
)

// People signs people in. *people.People is one.
type People interface {
	// SignIn starts a session. It returns people.ErrCredentials for a wrong
	// address or password, and people.ErrSlowDown after too many tries.
	SignIn(ctx context.Context, address, password string, from netip.Addr) (people.Session, error)
	// Session gives the account of a session; fs.ErrNotExist when it's over.
	Session(ctx context.Context, token string) (people.Account, error)
	// SignOut ends a session. One that's over already is no error.
	SignOut(ctx context.Context, token string) error
}

// Mailbox gives the lists. *mailbox.Mailbox is one and says what they promise.
type Mailbox interface {
	Folders(ctx context.Context, account int64) ([]mailbox.Folder, error)
	List(ctx context.Context, account, folder, offset, n int64) ([]mailbox.Row, error)
	Position(ctx context.Context, account, folder, row int64) (int64, error)
	Get(ctx context.Context, account, entry int64) (mailbox.Row, error)
	Thread(ctx context.Context, account, thread int64) ([]mailbox.Row, error)
	MarkSeen(ctx context.Context, account, entry int64, seen bool) error
}

// Finder answers queries. *search.Search is one.
type Finder interface {
	Query(ctx context.Context, account int64, q string, o search.Options) (*search.Result, error)
}

// Records gives what the register holds. Every method that takes an account
// returns fs.ErrNotExist for an entry which that account doesn't hold.
type Records interface {
	// Original gives the sealed bytes and what is known besides them.
	Original(ctx context.Context, account, entry int64) ([]byte, message.Envelope, error)
	// Seal says when and how an entry was sealed.
	Seal(ctx context.Context, account, entry int64) (SealInfo, error)
	// Proof gives the .tlog-proof of an entry with what proves its message.
	Proof(ctx context.Context, account, entry int64) ([]byte, error)
	// Checkpoint gives the newest signed checkpoint.
	Checkpoint(ctx context.Context) ([]byte, error)
	// Tile gives a tile by its path, "tile/0/x001/067" (C2SP tlog-tiles), or
	// fs.ErrNotExist.
	Tile(ctx context.Context, path string) ([]byte, error)
	// Key gives the register's public keys, one vkey a line (C2SP signed-note).
	Key() string
}

// SealInfo is what the register says of one entry.
type SealInfo struct {
	Entry      int64     // The entry's number.
	Time       time.Time // When it was sealed.
	Size       int64     // Entries under the checkpoint; 0 while no checkpoint covers the entry.
	Checkpoint string    // The signed checkpoint.
	Commitment string    // The message's commitment, base64.
}

// Config is what the pages need. All but Proxies, Health, Now and Location must
// be given.
type Config struct {
	People  People
	Mailbox Mailbox
	Search  Finder
	Records Records
	Log     *slog.Logger

	// Office is the office's name as pages show it.
	Office string
	// Secure says that readers come by https, here or at a proxy in front. It
	// makes the session cookie a __Host- one and asks browsers never to come
	// by http again.
	Secure bool
	// Proxies are the peers whose X-Forwarded-For is believed.
	Proxies []netip.Prefix
	// Health says whether the server can do its work; nil means it always can.
	Health func(context.Context) error
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Location is where dates are told; nil means time.Local.
	Location *time.Location
}

// site is the handler's state. It is read-only after New.
type site struct {
	Config
	views   *view.Views
	letters *cleaner
}

// New makes the handler of all pages. It parses every template; an error means
// that the program was built wrongly or the configuration lacks something.
func New(c Config) (http.Handler, error) {
	if c.People == nil || c.Mailbox == nil || c.Search == nil || c.Records == nil || c.Log == nil {
		return nil, errors.New("making the web pages: the configuration lacks a part")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Location == nil {
		c.Location = time.Local
	}
	views, err := view.New()
	if err != nil {
		return nil, err
	}
	s := &site{Config: c, views: views, letters: newCleaner()}
	return s.protect(s.routes()), nil
}

func (s *site) routes() *http.ServeMux {
	m := http.NewServeMux()
	m.Handle("GET "+view.Prefix, s.views.Static())
	m.Handle("GET /favicon.ico", s.open(s.favicon))
	m.HandleFunc("GET /healthz", s.health)
	m.Handle("GET /log/{path...}", s.open(s.log))
	m.Handle("GET /sign-in", s.open(s.signInPage))
	m.Handle("POST /sign-in", s.open(s.signIn))
	m.Handle("POST /sign-out", s.open(s.signOut))
	m.Handle("POST /language", s.open(s.language))
	m.Handle("GET /register", s.open(s.register))
	m.Handle("GET /verify", s.open(s.verifyFiles))
	m.Handle("GET /help", s.open(s.help))

	m.Handle("GET /{$}", s.signed(s.home))
	m.Handle("GET /folders", s.signed(s.folders))
	m.Handle("GET /f/{folder}", s.signed(s.folder))
	m.Handle("GET /rows", s.signed(s.rows))
	m.Handle("GET /search", s.signed(s.search))
	m.Handle("GET /m/{entry}", s.signed(s.message))
	m.Handle("GET /m/{entry}/body", s.signed(s.body))
	m.Handle("GET /m/{entry}/part/{part}", s.signed(s.part))
	m.Handle("GET /m/{entry}/cid/{part}", s.signed(s.inline))
	m.Handle("GET /m/{entry}/original.eml", s.signed(s.original))
	m.Handle("GET /m/{entry}/presented.eml", s.signed(s.presented))
	m.Handle("GET /m/{entry}/proof", s.signed(s.proof))
	m.Handle("GET /m/{entry}/verify", s.signed(s.verify))
	m.Handle("POST /m/{entry}/unread", s.signed(s.unread))
	m.Handle("/", s.open(s.absent))
	return m
}
