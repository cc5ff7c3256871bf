package smtpd

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"

	"github.com/emersion/go-smtp"

	"sijill/internal/door"
)

// role is one protocol. It has two servers of go-smtp: STARTTLS moves a
// connection from plain to secure as if it were new, so that by construction
// nothing of the session before the handshake is left (RFC 3207 section 4.2).
type role struct {
	srv           *Server
	door          string // message.Envelope.Door
	submits       bool   // clients sign in and send
	implicit      bool   // TLS comes first
	plain, secure *smtp.Server
	upgraded      *door.Handoff
	once          sync.Once // starts secure
	handshakes    sync.WaitGroup
}

// protocol is what a role speaks.
type protocol uint8

const (
	exchange      protocol = iota // SMTP between servers
	localDelivery                 // LMTP
	submission                    // SMTP of clients, STARTTLS
	submissions                   // SMTP of clients over TLS
)

func newRole(s *Server, p protocol) *role {
	r := &role{srv: s, upgraded: door.NewHandoff(), submits: p >= submission, implicit: p == submissions}
	r.door = [...]string{"smtp", "lmtp", "submission", "submission"}[p]
	r.plain, r.secure = r.server(p == localDelivery), r.server(p == localDelivery)
	r.plain.TLSConfig = s.opt.TLS // only advertises; the guard does the handshake
	r.secure.EnableREQUIRETLS = r.submits
	return r
}

// server returns a go-smtp server without limits on lines and time: those are
// the guard's.
func (r *role) server(lmtp bool) *smtp.Server {
	o := r.srv.opt
	s := smtp.NewServer(smtp.BackendFunc(newSession))
	s.LMTP = lmtp
	s.Domain = o.Hostname
	s.MaxMessageBytes = o.MaxSize
	s.MaxRecipients = o.Limits.Recipients
	s.MaxLineLength = 0
	s.EnableSMTPUTF8 = true
	s.EnableDSN = r.submits
	s.AllowInsecureAuth = true // no mechanism is offered: AUTH is answered 504, or taken by the guard
	s.ErrorLog = quietLog{o.Log}
	return s
}

func (r *role) serve(l net.Listener) error {
	defer l.Close()
	if !r.srv.listening(l) {
		return ErrClosed
	}
	r.once.Do(func() { go r.secure.Serve(r.upgraded) })
	err := r.plain.Serve(&admitting{l, r})
	if r.srv.stopping() {
		return nil
	}
	return fmt.Errorf("smtpd: accept connections: %w", err)
}

// shutdown waits for the connections to end or for ctx, plain before secure as
// they move that way. What go-smtp has to say is that the listeners are closed.
func (r *role) shutdown(ctx context.Context) {
	_ = r.plain.Shutdown(ctx)
	r.upgraded.Close()
	r.waitForHandshakes(ctx)
	_ = r.secure.Shutdown(ctx)
}

// waitForHandshakes waits until no connection is between the listener and the
// secure server, or for ctx.
func (r *role) waitForHandshakes(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		r.handshakes.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// admitting is a listener that gives only the connections within the limits.
type admitting struct {
	net.Listener
	role *role
}

func (l *admitting) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		g := l.role.srv.admit(c, l.role)
		switch {
		case g == nil:
		case l.role.implicit:
			l.role.handshakes.Go(g.secureFirst)
		default:
			return g, nil
		}
	}
}

// quietLog keeps the arguments of go-smtp's log lines, among them addresses,
// out of the log: what happened is in the format.
type quietLog struct{ log *slog.Logger }

func (q quietLog) Printf(format string, _ ...any) {
	q.log.Error("smtp library reports", "event", format)
}

func (q quietLog) Println(...any) { q.log.Error("smtp library reports") }
