package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"sijill/internal/smtpd"
	"sijill/internal/web"
)

// graceful is how long a stopping server lets sessions finish.
const graceful = 10 * time.Second

// ServeCmd serves. Addresses given here come before those in the settings;
// "off" closes a door.
type ServeCmd struct {
	SMTP    string `help:"Address of the SMTP door, or off." placeholder:"ADDR" name:"smtp"`
	LMTP    string `help:"Address of the LMTP door, or off; unix:PATH for a socket." placeholder:"ADDR" name:"lmtp"`
	HTTP    string `help:"Address of the web, or off." placeholder:"ADDR" name:"http"`
	Metrics string `help:"Address of the Prometheus metrics, or off." placeholder:"ADDR"`
}

// Run implements the command.
func (c *ServeCmd) Run(ctx context.Context, g *Globals, out Out) error {
	return with(ctx, g, out, func(o *office) error {
		c.apply(&o.config)
		s, err := newServer(o)
		if err != nil {
			return err
		}
		return s.run(ctx, func() { s.announce(out) })
	})
}

func (c *ServeCmd) apply(to *Config) {
	for flag, setting := range map[*string]*string{&c.SMTP: &to.SMTP.Listen, &c.LMTP: &to.LMTP.Listen, &c.HTTP: &to.HTTP.Listen, &c.Metrics: &to.Metrics.Listen} {
		switch *flag {
		case "":
		case "off":
			*setting = ""
		default:
			*setting = *flag
		}
	}
}

// server is an office with its doors.
type server struct {
	o         *office
	smtpd     *smtpd.Server
	pages     *http.Server
	metrics   *http.Server
	listeners map[string]net.Listener // By door.
}

// newServer makes the doors and binds their addresses, so that whatever is
// wrong with them is said before anything is served.
func newServer(o *office) (*server, error) {
	s := &server{o: o, listeners: map[string]net.Listener{}}
	var err error
	if s.smtpd, err = newSMTP(o); err != nil {
		return nil, err
	}
	handler, err := newWeb(o)
	if err != nil {
		return nil, err
	}
	s.pages = httpServer(handler, o.log)
	s.metrics = httpServer(metricsHandler(s), o.log)
	c := o.config
	for _, door := range [][2]string{{"smtp", c.SMTP.Listen}, {"lmtp", c.LMTP.Listen}, {"http", c.HTTP.Listen}, {"metrics", c.Metrics.Listen}} {
		if err := s.listen(door[0], door[1]); err != nil {
			return nil, errors.Join(err, s.closeListeners())
		}
	}
	return s, nil
}

func newSMTP(o *office) (*smtpd.Server, error) {
	c := o.config.SMTP
	opts := smtpd.Options{
		Hostname: o.config.Hostname, Directory: newDirectory(o.people), Appender: door{o.register},
		Journal: c.Journal, JournalPeers: c.JournalPeers, Postmaster: "postmaster@" + o.config.Domain, MaxSize: c.MaxSize, Log: o.log,
	}
	if opts.Hostname == "" {
		opts.Hostname = "mail." + o.config.Domain
	}
	if c.TLSCert != "" {
		cert, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
		if err != nil {
			return nil, fmt.Errorf("loading the SMTP certificate: %w", err)
		}
		opts.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	}
	return smtpd.New(opts)
}

func newWeb(o *office) (http.Handler, error) {
	return web.New(web.Config{
		People: o.people, Mailbox: o.mailbox, Search: o.search, Records: records{o}, Log: o.log,
		Office: o.config.Office, Secure: o.config.HTTP.TLSCert != "" || len(o.config.HTTP.Proxies) > 0,
		Proxies: o.config.HTTP.Proxies, Health: o.health,
	})
}

func httpServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, WriteTimeout: 10 * time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// health says whether mail can be sealed.
func (o *office) health(context.Context) error { return o.register.Behind() }

func (s *server) listen(door, address string) error {
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

func (s *server) closeListeners() error {
	var errs []error
	for _, l := range s.listeners {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// run serves until ctx is done, then stops gracefully. ready is called when all
// doors are open.
func (s *server) run(ctx context.Context, ready func()) error {
	g, ctx := errgroup.WithContext(ctx)
	s.door(g, "smtp", s.smtpd.Serve, smtpd.ErrClosed)
	s.door(g, "lmtp", s.smtpd.ServeLMTP, smtpd.ErrClosed)
	s.door(g, "http", s.servePages, http.ErrServerClosed)
	s.door(g, "metrics", s.metrics.Serve, http.ErrServerClosed)
	g.Go(func() error { return s.o.follower.Run(ctx) })
	g.Go(func() error {
		<-ctx.Done()
		return s.stop()
	})
	if err := s.o.register.Behind(); err != nil {
		s.o.log.Error("the register refuses to append; see docs/backup.md", "error", err)
	}
	ready()
	return g.Wait()
}

// door serves one door unless it is closed; over is what it returns when it was
// stopped.
func (s *server) door(g *errgroup.Group, name string, serve func(net.Listener) error, over error) {
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

func (s *server) servePages(l net.Listener) error {
	if c := s.o.config.HTTP; c.TLSCert != "" {
		return s.pages.ServeTLS(l, c.TLSCert, c.TLSKey)
	}
	return s.pages.Serve(l)
}

func (s *server) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), graceful)
	defer cancel()
	err := errors.Join(s.smtpd.Shutdown(ctx), s.pages.Shutdown(ctx), s.metrics.Shutdown(ctx))
	if errors.Is(err, context.DeadlineExceeded) {
		s.o.log.Warn("some sessions did not end in time and were cut")
		return nil
	}
	return err
}

func (s *server) announce(out Out) {
	for _, d := range []string{"smtp", "lmtp", "http", "metrics"} {
		if l, ok := s.listeners[d]; ok {
			s.o.log.Info("open", "door", d, "address", l.Addr().String())
		}
	}
	if l, ok := s.listeners["http"]; ok {
		scheme := "http"
		if s.o.config.HTTP.TLSCert != "" {
			scheme = "https"
		}
		fmt.Fprintf(out, "%s: %s://%s\n", s.o.config.Office, scheme, l.Addr())
	}
}
