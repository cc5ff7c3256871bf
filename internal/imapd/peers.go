package imapd

import (
	"net/netip"
	"sync"
	"time"
)

// window is the time over which connections are counted.
const window = time.Minute

// peers counts connections by client address.
type peers struct {
	limits Limits

	mu    sync.Mutex // guards what follows
	seen  map[netip.Prefix]*peer
	swept time.Time
}

// peer is what one address has open now and has opened since began.
type peer struct {
	open, connects int
	began          time.Time
}

func newPeers(l Limits) *peers {
	return &peers{limits: l, seen: make(map[netip.Prefix]*peer)}
}

// enter counts a connection and tells whether it may stay; leave must be
// called only if it may.
func (p *peers) enter(a netip.Addr, now time.Time) bool {
	if p.limits.exempts(a) {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sweep(now)
	e := p.seen[network(a)]
	if e == nil {
		e = &peer{began: now}
		p.seen[network(a)] = e
	}
	if now.Sub(e.began) >= window {
		e.began, e.connects = now, 0
	}
	if e.open >= p.limits.PerAddress || e.connects >= p.limits.ConnectRate {
		return false
	}
	e.open++
	e.connects++
	return true
}

func (p *peers) leave(a netip.Addr) {
	if p.limits.exempts(a) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen[network(a)].open--
}

// sweep forgets, once in a window, the addresses that have nothing open and
// whose window is over.
func (p *peers) sweep(now time.Time) {
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

// network is what counts as one address: an IPv6 host has a /64 to itself.
func network(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	n, _ := a.Prefix(bits) // fails only for a bad length
	return n
}
