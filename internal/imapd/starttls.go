package imapd

import (
	"crypto/tls"
)

// startTLS does the handshake and gives the connection, under a new guard, to
// the library's second server, so that nothing said in the clear has an effect
// after it. Octets that came after the command could have been put there by
// anyone on the way, so they end the connection (RFC 9051, section 6.2.1).
func (g *guard) startTLS() {
	if g.in.Buffered() > 0 {
		g.bye("Nothing may follow STARTTLS before the handshake")
		return
	}
	g.answer("OK Begin TLS negotiation now")
	g.mu.Lock()
	g.flush()
	g.hung, g.ended = true, errGone // whatever comes, this session is over
	g.mu.Unlock()
	secure := newGuard(g.srv, tls.Server(g.Conn, g.srv.opt.TLS), g.raw)
	secure.peer, secure.muted = g.peer, true // the library greets again; the protocol does not
	g.handed = true
	g.srv.replace(g, secure)
	if !g.srv.upgraded.Push(secure) {
		secure.Close()
	}
}
