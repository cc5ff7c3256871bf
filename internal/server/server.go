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
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// certsDir is where certificates are kept in the data directory.
const certsDir = "tls"

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
	for door, address := range listenOf(o.Config) {
		if err := s.listen(door, address); err != nil {
			return nil, err
		}
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
	s.pages = httpServer(news, o.Log)
	s.plain = httpServer(s.certs.Challenges(sendOn(o, news)), o.Log)
	for _, h := range []*http.Server{s.pages, s.plain} {
		h.RegisterOnShutdown(news.end)
	}
	s.metrics = httpServer(metricsHandler(s), o.Log)
	return s, nil
}

// doors are the names of all doors, in the order in which they are told.
var doors = []string{"smtp", "submission", "submissions", "imap", "imaps", "lmtp", "http", "https", "metrics"}

// listenOf are the addresses of the doors.
func listenOf(c config.Config) map[string]string {
	return map[string]string{
		"smtp": c.SMTP.Listen, "submission": c.Submission.Listen, "submissions": c.Submission.TLSListen,
		"imap": c.IMAP.Listen, "imaps": c.IMAP.TLSListen, "lmtp": c.LMTP.Listen,
		"http": c.HTTP.Listen, "https": c.HTTP.TLSListen, "metrics": c.Metrics.Listen,
	}
}

func (s *Server) newCerts(ctx context.Context) (*certs.Certs, error) {
	o := s.o
	c := o.Config.TLS
	opts := certs.Options{Cert: c.Cert, Key: c.Key, Names: append([]string{o.Config.ServerName()}, c.Names...),
		Dir: filepath.Join(o.Dir, certsDir), Log: o.Log}
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

// opened is the address of a door that is open on the network; empty for one
// that isn't.
func (s *Server) opened(door string) string {
	if l, ok := s.listeners[door]; ok && l.Addr().Network() == "tcp" {
		return l.Addr().String()
	}
	return ""
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
		Proxies: c.HTTP.Proxies, Health: func(context.Context) error { return o.Register.Behind() }, // Whether mail can be sealed.
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

func httpServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, WriteTimeout: 10 * time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

func (s *Server) listen(door, address string) error {
	if address == "" {
		return nil
	}
	network := "tcp"
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
		if err := removeSocket(path); err != nil {
			return err
		}
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return fmt.Errorf("opening the %s door: %w", door, err)
	}
	s.listeners[door] = l
	return nil
}

// removeSocket removes a socket that a killed server left, and nothing else.
func removeSocket(path string) error {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != os.ModeSocket {
		return nil
	}
	return os.Remove(path)
}

// Addr is the address of a door ("smtp", "submission", "submissions", "imap", "imaps",
// "lmtp", "http", "https" or "metrics"), nil for one that is closed.
func (s *Server) Addr(door string) net.Addr {
	if l, ok := s.listeners[door]; ok {
		return l.Addr()
	}
	return nil
}

func (s *Server) closeListeners() error {
	var errs []error
	for _, l := range s.listeners {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// Run serves until ctx is done, then stops gracefully: sessions have ten seconds to
// finish. ready is called when all doors are open. It returns the error of a door or
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
	for _, work := range s.o.Workers() {
		g.Go(func() error { return work(ctx) })
	}
	g.Go(func() error {
		<-ctx.Done()
		return s.stop()
	})
	if err := s.o.Register.Behind(); err != nil {
		s.o.Log.Error("the register refuses to append; see docs/backup.md", "error", err)
	}
	ready()
	return g.Wait()
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

func (s *Server) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), graceful)
	defer cancel()
	err := errors.Join(s.smtpd.Shutdown(ctx), s.imapd.Shutdown(ctx), s.pages.Shutdown(ctx), s.plain.Shutdown(ctx), s.metrics.Shutdown(ctx))
	if errors.Is(err, context.DeadlineExceeded) {
		s.o.Log.Warn("some sessions did not end in time and were cut")
		return nil
	}
	return err
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
