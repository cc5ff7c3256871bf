// Package server serves an office: it opens the doors, gets certificates for them, runs
// what the office does besides answering, and stops gracefully.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sijill/internal/certs"
	"sijill/internal/config"
	"sijill/internal/imapd"
	"sijill/internal/office"
	"sijill/internal/office/desk"
	"sijill/internal/office/programs"
	"sijill/internal/setup"
	"sijill/internal/smtpd"
	"sijill/internal/web"
)

// graceful is how long a stopping server lets sessions finish.
const graceful = 10 * time.Second

// Server is an office with its doors. Run it once.
type Server struct {
	o         *office.Office
	certs     *certs.Certs
	smtpd     *smtpd.Server
	imapd     *imapd.Server
	pages     *http.Server // With TLS.
	plain     *http.Server // Without.
	metrics   *http.Server
	listeners map[string]net.Listener // By door.
}

// New binds the addresses of the doors and makes what stands behind them,
// so that whatever is wrong with them is said before anything is served. The
// addresses come first: a certificate authority is asked at once, and its
// challenges come to these doors. o must stay open while the server runs.
func New(ctx context.Context, o *office.Office) (_ *Server, err error) {
	s := &Server{o: o, listeners: map[string]net.Listener{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.closeListeners())
		}
	}()
	if err := s.listenAll(); err != nil {
		return nil, err
	}
	if s.certs, err = s.newCerts(ctx); err != nil {
		return nil, err
	}
	if s.smtpd, err = newSMTP(o, s.certs); err != nil {
		return nil, err
	}
	if s.imapd, err = imapd.New(imapd.Options{Backend: programs.IMAP(o), TLS: s.certs.Config(), MaxSize: o.Config.SMTP.MaxSize, Log: o.Log}); err != nil {
		return nil, err
	}
	handler, err := newWeb(o)
	if err != nil {
		return nil, err
	}
	news := endless(handler)
	s.pages = httpServer(news, ordinary, o.Log)
	s.plain = httpServer(s.certs.Challenges(sendOn(o, news)), ordinary, o.Log)
	for _, h := range []*http.Server{s.pages, s.plain} {
		h.RegisterOnShutdown(news.end)
	}
	s.metrics = httpServer(metricsHandler(s), ordinary, o.Log)
	return s, nil
}

func (s *Server) newCerts(ctx context.Context) (*certs.Certs, error) {
	o := s.o
	c, opts := o.Config.TLS, o.Certificates()
	if c.ACME {
		roots, err := certs.Roots(c.Roots)
		if err != nil {
			return nil, err
		}
		opts.ACME = &certs.ACME{Email: c.Email, Directory: c.Directory, Roots: roots, HTTP: s.opened("http"), TLS: s.opened("https")}
		if why := unreached(o.Config); why != "" {
			o.Log.Warn("the certificate authority may not find its answers", "why", why)
		}
	}
	return certs.New(ctx, opts)
}

// unreached says why challenges may not come to the doors of the web, unless
// something in front passes them on; empty where all is well.
func unreached(c config.Config) string {
	if len(c.HTTP.Proxies) > 0 || config.Port(c.HTTP.Listen) == 80 && outside(c.HTTP.Listen) || config.Port(c.HTTP.TLSListen) == 443 && outside(c.HTTP.TLSListen) {
		return ""
	}
	if c.HTTP.Listen == "" && c.HTTP.TLSListen == "" {
		return "the web is closed: ports 80 and 443 are opened for each challenge, which the server must be allowed to"
	}
	return "it asks at port 80 (http) or 443 (https) of the server's names, and neither listen nor tls_listen under [http] is there: something in front must pass them on"
}

// outside tells whether others than this machine can come to an address.
func outside(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip, bad := netip.ParseAddr(host)
	return err == nil && host != "localhost" && (bad != nil || !ip.IsLoopback())
}

func newSMTP(o *office.Office, certs *certs.Certs) (*smtpd.Server, error) {
	c := o.Config
	check, err := o.Checks()
	if err != nil {
		return nil, err
	}
	opts := smtpd.Options{
		Hostname: c.ServerName(), Directory: o.Directory(), Appender: o.Appender(), Check: check, Submitter: programs.Submission(o), TLS: certs.Config(),
		Journal: c.SMTP.Journal, JournalPeers: c.SMTP.JournalPeers, Postmaster: "postmaster@" + c.Domain, MaxSize: c.SMTP.MaxSize, Log: o.Log,
	}
	if c.Checks.Greylist {
		opts.Greylist = smtpd.NewGreyMemory(maxGrey)
	}
	return smtpd.New(opts)
}

// maxGrey is how many strangers greylisting remembers.
const maxGrey = 100_000

func newWeb(o *office.Office) (http.Handler, error) {
	d := desk.New(o)
	c := o.Config
	pages, err := web.New(web.Config{
		Access: d, Mailbox: d, Search: d, Records: d, Post: d, Settings: d, Admin: d, Watcher: d, Log: o.Log,
		Office: c.Office, Secure: c.HTTP.TLSListen != "" || len(c.HTTP.Proxies) > 0,
		Proxies: c.HTTP.Proxies, Health: func(context.Context) error { return health(o) },
	})
	if err != nil {
		return nil, err
	}
	help := setup.New(setup.Options{Office: c.Office, Host: o.Host(), Domains: o.People.Domains, STS: setup.STSMode(c.Delivery.STS)})
	m := http.NewServeMux()
	m.Handle("/", desk.Attended(pages))
	for _, path := range setup.Paths {
		m.Handle(path, help)
	}
	return m, nil
}

// streams ends the requests that would go on for ever, those for news, when the
// Server stops: others are let to their end.
type streams struct {
	http.Handler
	ctx context.Context
	end context.CancelFunc
}

func endless(h http.Handler) *streams {
	s := &streams{Handler: h}
	s.ctx, s.end = context.WithCancel(context.Background())
	return s
}

// ServeHTTP implements http.Handler.
func (s *streams) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/events" {
		s.Handler.ServeHTTP(w, r)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	s.Handler.ServeHTTP(w, r.WithContext(ctx))
}

// sendOn sends browsers that come without TLS to where there is TLS, if that
// door is open and no proxy stands in front. Programs get the policy and the
// settings that they look for here, too.
func sendOn(o *office.Office, h http.Handler) http.Handler {
	if o.Config.HTTP.TLSListen == "" || len(o.Config.HTTP.Proxies) > 0 {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" || slices.ContainsFunc(setup.Paths, func(p string) bool { return strings.HasPrefix(r.URL.Path, p) }) {
			h.ServeHTTP(w, r)
			return
		}
		http.Redirect(w, r, o.Config.URL()+r.URL.RequestURI(), http.StatusPermanentRedirect)
	})
}

func httpServer(h http.Handler, p pace, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: p.kept(h), ReadHeaderTimeout: p.header, ReadTimeout: p.read, WriteTimeout: p.write,
		IdleTimeout: p.idle, MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// Run serves until ctx is done, then stops gracefully: sessions have ten seconds to
// finish, deliveries that have begun fifteen, and rules for what these brought five
// more. ready is called when all doors are open. It returns the error of a door or
// worker that could not go on, if there was one.
func (s *Server) Run(ctx context.Context, ready func()) error {
	g, ctx := errgroup.WithContext(ctx)
	s.door(g, "smtp", s.smtpd.Serve, smtpd.ErrClosed)
	s.door(g, "lmtp", s.smtpd.ServeLMTP, smtpd.ErrClosed)
	s.door(g, "submission", s.smtpd.ServeSubmission, smtpd.ErrClosed)
	s.door(g, "submissions", s.smtpd.ServeSubmissions, smtpd.ErrClosed)
	s.door(g, "imap", s.imapd.Serve, imapd.ErrClosed)
	s.door(g, "imaps", s.imapd.ServeTLS, imapd.ErrClosed)
	s.door(g, "http", s.plain.Serve, http.ErrServerClosed)
	s.door(g, "https", s.servePages, http.ErrServerClosed)
	s.door(g, "metrics", s.metrics.Serve, http.ErrServerClosed)
	s.work(ctx, g)
	complain(ctx, s.o)
	ready()
	return g.Wait()
}

// work starts the office's workers, and has ctx stop the server: the doors close and
// nothing is begun; what sessions wait for ends when they and all else have.
func (s *Server) work(ctx context.Context, g *errgroup.Group) {
	workers := s.o.Workers()
	late, end := context.WithCancel(context.WithoutCancel(ctx))
	var own sync.WaitGroup
	for _, work := range workers.Own {
		own.Add(1)
		g.Go(func() error {
			defer own.Done()
			return work(ctx)
		})
	}
	for _, work := range workers.Awaited {
		g.Go(func() error { return work(late) })
	}
	g.Go(func() error {
		defer end()
		<-ctx.Done()
		err := s.stop()
		own.Wait()
		return err
	})
}

// door serves one door unless it is closed; over is what it returns when it was
// stopped.
func (s *Server) door(g *errgroup.Group, name string, serve func(net.Listener) error, over error) {
	l, ok := s.listeners[name]
	if !ok {
		return
	}
	g.Go(func() error {
		if err := serve(l); err != nil && !errors.Is(err, over) {
			return fmt.Errorf("serving %s: %w", name, err)
		}
		return nil
	})
}

func (s *Server) servePages(l net.Listener) error {
	return s.pages.Serve(tls.NewListener(l, s.certs.Config("h2", "http/1.1")))
}

// stop closes all doors at once and lets the sessions finish.
func (s *Server) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), graceful)
	defer cancel()
	closing := []func(context.Context) error{s.smtpd.Shutdown, s.imapd.Shutdown, closeWeb(s.pages), closeWeb(s.plain), closeWeb(s.metrics)}
	ended := make(chan error, len(closing))
	for _, end := range closing {
		go func() { ended <- end(ctx) }()
	}
	var err error
	for range closing {
		err = errors.Join(err, <-ended)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		s.o.Log.Warn("some sessions did not end in time and were cut")
		return nil
	}
	return err
}

// closeWeb lets requests finish until ctx ends and cuts the others.
func closeWeb(h *http.Server) func(context.Context) error {
	return func(ctx context.Context) error {
		err := h.Shutdown(ctx)
		if err != nil {
			err = errors.Join(err, h.Close())
		}
		return err
	}
}

// Announce tells the log which doors are open, and whoever reads out where the web is.
func (s *Server) Announce(out io.Writer) {
	for _, d := range doors {
		if l, ok := s.listeners[d]; ok {
			s.o.Log.Info("open", "door", d, "address", l.Addr().String())
		}
	}
	if s.certs.SelfSigned {
		s.o.Log.Warn("the certificate is signed by the server itself: mail programs and browsers will warn; docs/install.md tells how to get a real one")
	}
	for _, d := range []string{"http", "https"} {
		if l, ok := s.listeners[d]; ok {
			fmt.Fprintf(out, "%s: %s://%s\n", s.o.Config.Office, d, l.Addr())
		}
	}
}
