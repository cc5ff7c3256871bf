package smtpd

import (
	"bytes"
	"crypto/tls"
	"io"
	"strings"
	"time"
)

const handshakeTime = 30 * time.Second

// startTLS does the handshake and gives the connection, under a new guard, to
// the role's secure server. Octets that came after the command in the clear
// could have been put there by anyone on the way, so they end the connection.
func (g *guard) startTLS(text []byte) {
	switch {
	case !bytes.EqualFold(text, []byte("STARTTLS")):
		g.answer(replyTLSArgument)
	case g.srv.opt.TLS == nil || g.tls != "":
		g.answer(replyNoTLS)
	case g.session == nil:
		g.answer(replyGreetFirst)
	case len(g.in) > 0:
		g.end(replyTLSInjected)
	default:
		g.upgrade()
	}
}

func (g *guard) upgrade() {
	g.answer(replyTLSGo)
	g.flush()
	if secure := g.handshake(); secure != nil {
		secure.muted = true // go-smtp greets again; the protocol does not
		g.push(secure)
	}
}

// secureFirst does the handshake of a connection that begins with TLS.
func (g *guard) secureFirst() {
	if secure := g.handshake(); secure != nil {
		g.push(secure)
	}
	g.Close()
}

// handshake makes the guard over TLS, or returns nil.
func (g *guard) handshake() *guard {
	g.ended = io.EOF // whatever comes, this session is over
	c := tls.Server(g.Conn, g.srv.opt.TLS)
	g.raw.SetDeadline(time.Now().Add(handshakeTime))
	if err := c.HandshakeContext(g.srv.ctx); err != nil {
		g.srv.opt.Log.Debug("tls handshake failed")
		return nil
	}
	g.raw.SetDeadline(time.Time{})
	g.srv.stats.tls.Add(1)
	g.handed = true
	secure := newGuard(g.srv, g.role, c, g.raw)
	secure.peer, secure.exempt = g.peer, g.exempt
	secure.tls = describe(c.ConnectionState())
	secure.errors, secure.idle, secure.messages = g.errors, g.idle, g.messages
	g.srv.replace(g, secure)
	return secure
}

// push gives the connection to the role's secure server.
func (g *guard) push(secure *guard) {
	if !g.role.upgraded.Push(secure) {
		secure.Close()
	}
}

// describe names the TLS version and cipher suite, such as
// "TLS1.3 TLS_AES_128_GCM_SHA256".
func describe(cs tls.ConnectionState) string {
	return strings.ReplaceAll(tls.VersionName(cs.Version), " ", "") + " " + tls.CipherSuiteName(cs.CipherSuite)
}
