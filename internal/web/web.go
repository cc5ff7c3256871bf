// Package web is the door through which people read their mail: pages in Arabic
// and English, right to left and left to right, with or without a script.
//
// It promises that an account is shown nothing that it does not hold; that no
// page runs anything a message brought, and no page fetches anything a message
// names unless its reader asked for that message's images just then; that the
// bytes it hands out as original are the bytes that were sealed; and that a
// reader never sees the text of an internal error.
//
// Nor does it let mail pass from one of a person's two identities, office and
// personal, to the other without having asked; and what is being written is with
// the server, sealed, a few seconds after it was typed.
//
// Each page's handlers are in a file of their own: authorise, load, act, render.
package web

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"sijill/internal/message"
	"sijill/internal/view"
)

// Records gives what the register holds. Every method that takes a viewer
// returns fs.ErrNotExist for an entry which that account doesn't hold, and
// ErrClosed for one that this session has no key to.
type Records interface {
	// Original gives the sealed bytes and what is known besides them.
	Original(ctx context.Context, v *Viewer, entry int64) ([]byte, message.Envelope, error)
	// Seal says when and how an entry was sealed.
	Seal(ctx context.Context, v *Viewer, entry int64) (SealInfo, error)
	// Proof gives the .tlog-proof of an entry with what proves its message.
	Proof(ctx context.Context, v *Viewer, entry int64) ([]byte, error)
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

// Config is what the pages need: Access, Mailbox, Search, Records and Log. What
// else isn't given has no pages.
type Config struct {
	Access  Access
	Mailbox Mailbox
	Search  Finder
	Records Records
	Log     *slog.Logger

	Post     Post     // Writing.
	Settings Settings // A person's own.
	Admin    Admin    // For those who run the server.
	Watcher  Watcher  // News without reloading.

	// Office is the office's name as pages show it.
	Office string
	// Secure says that readers come by https, here or at a proxy in front. It
	// makes the session cookie a __Host- one and asks browsers never to come
	// by http again.
	Secure bool
	// MaxLetter is the longest letter in bytes, attachments included, that can
	// be written here; 0 means 35 MB.
	MaxLetter int64
	// Proxies are the peers whose X-Forwarded-For is believed.
	Proxies []netip.Prefix
	// Streams bounds the pages that listen for news at the same time, overall
	// and of one account; 0 means 2,000 and 12. Those beyond ask again every
	// StreamRetry, 0 meaning a minute.
	Streams, AccountStreams int
	StreamRetry             time.Duration
	// Health says whether the server can do its work; nil means it always can.
	Health func(context.Context) error
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Location is where dates are told; nil means time.Local.
	Location *time.Location
}

// site is the handler's state. All but deeds, sending and streams is read-only
// after New.
type site struct {
	Config
	views   *view.Views
	letters *cleaner
	deeds   deeds
	sending turns
	streams streams
}

// New makes the handler of all pages. It parses every template; an error means
// that the program was built wrongly or the configuration lacks something.
func New(c Config) (http.Handler, error) {
	s, err := newSite(c)
	if err != nil {
		return nil, err
	}
	return s.protect(s.routes()), nil
}

func newSite(c Config) (*site, error) {
	if c.Access == nil || c.Mailbox == nil || c.Search == nil || c.Records == nil || c.Log == nil {
		return nil, errors.New("making the web pages: the configuration lacks a part")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Location == nil {
		c.Location = time.Local
	}
	c.MaxLetter = cmp.Or(c.MaxLetter, 35<<20)
	c.Streams, c.AccountStreams = cmp.Or(c.Streams, 2000), cmp.Or(c.AccountStreams, 12)
	c.StreamRetry = cmp.Or(c.StreamRetry, time.Minute)
	views, err := view.New()
	if err != nil {
		return nil, err
	}
	return &site{Config: c, views: views, letters: newCleaner()}, nil
}

func (s *site) routes() *http.ServeMux {
	m := http.NewServeMux()
	m.Handle("GET "+view.Prefix, s.views.Static())
	m.Handle("GET /favicon.ico", s.open(s.favicon))
	m.HandleFunc("GET /healthz", s.health)
	m.Handle("GET /log/{path...}", s.open(s.log))
	m.Handle("GET /sign-in", s.open(s.signInPage))
	m.Handle("POST /sign-in", s.open(s.signIn))
	m.Handle("POST /sign-in/passkey/begin", s.open(s.beginPasskey))
	m.Handle("POST /sign-in/passkey", s.open(s.finishPasskey))
	m.Handle("GET /recover", s.open(s.recoverPage))
	m.Handle("POST /recover", s.open(s.recover))
	m.Handle("POST /sign-out", s.open(s.signOut))
	m.Handle("POST /language", s.open(s.language))
	m.Handle("GET /register", s.owned(s.register))
	m.Handle("GET /verify", s.owned(s.verifyFiles))
	m.Handle("GET /help", s.owned(s.help))
	m.Handle("/", s.owned(s.absent))

	s.routesOfMail(m)
	if s.Post != nil {
		s.routesOfPost(m)
	}
	if s.Settings != nil {
		s.routesOfSettings(m)
	}
	if s.Admin != nil {
		s.routesOfAdmin(m)
	}
	return m
}

func (s *site) routesOfMail(m *http.ServeMux) {
	m.Handle("GET /{$}", s.signed(s.home))
	m.Handle("GET /go/{role}", s.signed(s.goTo))
	m.Handle("GET /folders", s.signed(s.folders))
	m.Handle("POST /folders", s.signed(s.createFolder))
	m.Handle("POST /folders/{folder}", s.signed(s.changeFolder))
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
	m.Handle("POST /act", s.signed(s.act))
	m.Handle("POST /undo", s.signed(s.undo))
	m.Handle("GET /open", s.signed(s.openPage))
	m.Handle("POST /open", s.signed(s.openByCode))
	m.Handle("POST /open/passkey/begin", s.signed(s.beginStepUp))
	m.Handle("POST /open/passkey", s.signed(s.finishStepUp))
	m.Handle("POST /open/anew", s.signed(s.startAnew))
	m.Handle("POST /prove", s.signed(s.prove))
	m.Handle("GET /events", s.owned(s.events))
	m.Handle("GET /events/now", s.owned(s.eventNow))
}

func (s *site) routesOfPost(m *http.ServeMux) {
	m.Handle("GET /compose", s.signed(s.compose))
	m.Handle("POST /compose", s.signedOr(s.composed, s.stranded))
	m.Handle("GET /compose/people", s.signed(s.complete))
	m.Handle("GET /compose/identity", s.signed(s.suggest))
	m.Handle("GET /reminders", s.signed(s.reminders))
	m.Handle("POST /m/{entry}/copy", s.signed(s.fileCopy))
	m.Handle("POST /m/{entry}/dismiss", s.signed(s.dismiss))
}

func (s *site) routesOfSettings(m *http.ServeMux) {
	m.Handle("GET /settings", s.signed(s.settings))
	m.Handle("POST /settings/identity", s.signed(s.setIdentity))
	m.Handle("POST /settings/preferences", s.signed(s.setPreferences))
	m.Handle("POST /settings/vacation", s.signed(s.setVacation))
	m.Handle("POST /settings/forwarding", s.signed(s.setForwarding))
	m.Handle("GET /settings/security", s.signed(s.security))
	m.Handle("GET /settings/password", s.open(known(s.choosePassword, s.toSignIn)))
	m.Handle("POST /settings/password", s.open(known(s.changePassword, s.toSignIn)))
	m.Handle("POST /settings/passkey/begin", s.signed(s.beginRegister))
	m.Handle("POST /settings/passkey", s.signed(s.finishRegister))
	m.Handle("POST /settings/passkey/opening", s.signed(s.finishOpening))
	m.Handle("POST /settings/passkey/rename", s.signed(s.renamePasskey))
	m.Handle("POST /settings/passkey/remove", s.signed(s.removePasskey))
	m.Handle("POST /settings/totp/begin", s.signed(s.beginTOTP))
	m.Handle("POST /settings/totp", s.signed(s.confirmTOTP))
	m.Handle("POST /settings/totp/remove", s.signed(s.removeTOTP))
	m.Handle("POST /settings/recovery", s.signed(s.newRecovery))
	m.Handle("GET /settings/apps", s.signed(s.apps))
	m.Handle("POST /settings/apps", s.signed(s.makeApp))
	m.Handle("POST /settings/apps/revoke", s.signed(s.revokeApp))
	m.Handle("GET /settings/sessions", s.signed(s.sessions))
	m.Handle("POST /settings/sessions/end", s.signed(s.endSession))
}

func (s *site) routesOfAdmin(m *http.ServeMux) {
	m.Handle("GET /admin", s.running(s.accounts))
	m.Handle("POST /admin/accounts", s.running(s.makeAccount))
	m.Handle("GET /admin/accounts/{account}", s.running(s.account))
	m.Handle("POST /admin/accounts/{account}", s.running(s.changeAccount))
	m.Handle("GET /admin/domains", s.running(s.domains))
	m.Handle("POST /admin/domains", s.running(s.addDomain))
	m.Handle("POST /admin/domains/catch-all", s.running(s.setCatchAll))
	m.Handle("POST /admin/domains/remove", s.running(s.removeDomain))
	m.Handle("GET /admin/queue", s.running(s.queue))
	m.Handle("POST /admin/queue", s.running(s.changeQueue))
	m.Handle("GET /admin/health", s.running(s.vitals))
}
