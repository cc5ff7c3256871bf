// Package door has what the doors for mail programs and other servers share: who
// may come in how often, and the way from a listener in the clear to the server
// that speaks within TLS.
package door

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// window is the time over which the rates are counted.
const window = time.Minute

// Limits bound what one address may do. An IPv6 host has a /64 to itself.
type Limits struct {
	PerAddress  int // connections open at once
	ConnectRate int // connections opened in a minute
	MessageRate int // messages begun in a minute
	Exempt      []netip.Prefix
}

// Loopback are the networks of this machine, which have no limits unless a door
// says otherwise.
func Loopback() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

// Addr is the IP address of a peer; the zero Addr where it has none.
func Addr(a net.Addr) netip.Addr {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

// Exempts tells whether an address has no limits. Who has no address, behind a
// socket on this machine, has none.
func (l Limits) Exempts(a netip.Addr) bool {
	if !a.IsValid() {
		return true
	}
	for _, p := range l.Exempt {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// Peers counts connections and messages by address. It is safe for concurrent
// use, and holds no more than the addresses that came within two minutes or are
// connected.
type Peers struct {
	limits Limits

	mu    sync.Mutex // Guards what follows.
	seen  map[netip.Prefix]*peer
	swept time.Time
}

// peer is what one address has open now and has done since began.
type peer struct {
	open               int
	began              time.Time
	connects, messages int
}

// NewPeers counts against limits.
func NewPeers(l Limits) *Peers { return &Peers{limits: l, seen: map[netip.Prefix]*peer{}} }

// Enter counts a connection and tells whether it may stay; Leave must be called
// only if it may.
func (p *Peers) Enter(a netip.Addr, now time.Time) bool {
	if p.limits.Exempts(a) {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sweep(now)
	e := p.at(a, now)
	if e.open >= p.limits.PerAddress || e.connects >= p.limits.ConnectRate {
		return false
	}
	e.open++
	e.connects++
	return true
}

// Leave says that a connection is over.
func (p *Peers) Leave(a netip.Addr) {
	if p.limits.Exempts(a) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen[network(a)].open--
}

// Message counts the beginning of a message and tells whether it may come now.
func (p *Peers) Message(a netip.Addr, now time.Time) bool {
	if p.limits.Exempts(a) {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.at(a, now)
	if e.messages >= p.limits.MessageRate {
		return false
	}
	e.messages++
	return true
}

// at returns the counts of an address, its window begun anew if it is over.
func (p *Peers) at(a netip.Addr, now time.Time) *peer {
	e := p.seen[network(a)]
	if e == nil {
		e = &peer{began: now}
		p.seen[network(a)] = e
	}
	if now.Sub(e.began) >= window {
		e.began, e.connects, e.messages = now, 0, 0
	}
	return e
}

// sweep forgets, once in a window, the addresses that have nothing open and
// whose window is over.
func (p *Peers) sweep(now time.Time) {
	if now.Sub(p.swept) < window {
		return
	}
	p.swept = now
	for a, e := range p.seen {
		if e.open == 0 && now.Sub(e.began) >= window {
			delete(p.seen, a)
		}
	}
}

// network is what counts as one address.
func network(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	n, _ := a.Prefix(bits) // Fails only for a bad length.
	return n
}

// Handoff is a listener that gives the connections pushed into it: those that
// have turned to TLS.
type Handoff struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

// NewHandoff makes a Handoff.
func NewHandoff() *Handoff {
	return &Handoff{conns: make(chan net.Conn), done: make(chan struct{})}
}

// Push reports whether the connection was taken; it isn't after Close.
func (h *Handoff) Push(c net.Conn) bool {
	select {
	case h.conns <- c:
		return true
	case <-h.done:
		return false
	}
}

// Accept implements net.Listener.
func (h *Handoff) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. It may be called again.
func (h *Handoff) Close() error {
	h.once.Do(func() { close(h.done) })
	return nil
}

// Addr implements net.Listener: there is none on the network.
func (h *Handoff) Addr() net.Addr { return &net.UnixAddr{Name: "starttls"} }
