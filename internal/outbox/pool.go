package outbox

import (
	"context"
	"sync"
	"time"
)

// pool keeps connections that are not in use for a moment, and counts those to
// each host.
type pool struct {
	limits Limits

	mu    sync.Mutex // Guards what follows.
	idle  map[string][]*conn
	open  map[string]int // By host, idle ones included.
	freed chan struct{}  // Closed, and made anew, when a connection ends or becomes idle.
	ended bool           // Nothing is kept any more.
}

func newPool(l Limits) *pool {
	return &pool{limits: l, idle: map[string][]*conn{}, open: map[string]int{}, freed: make(chan struct{})}
}

// take gives an idle connection of that key, or nil and the right to open one
// to host. It waits while the host has as many as it may. Give the right back by
// end.
func (p *pool) take(ctx context.Context, host, key string) (*conn, error) {
	for {
		p.mu.Lock()
		if list := p.idle[key]; len(list) > 0 {
			c := list[len(list)-1]
			p.idle[key] = list[:len(list)-1]
			p.mu.Unlock()
			return c, nil
		}
		if p.open[host] < p.limits.PerDestination {
			p.open[host]++
			p.mu.Unlock()
			return nil, nil
		}
		freed := p.freed
		other := p.another(host)
		p.mu.Unlock()
		if other != nil {
			other.quit()
			p.end(host)
			continue
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// another takes an idle connection to host that was made under another policy.
// The caller holds p.mu.
func (p *pool) another(host string) *conn {
	for key, list := range p.idle {
		if len(list) > 0 && list[0].host == host {
			p.idle[key] = list[1:]
			return list[0]
		}
	}
	return nil
}

// end says that a connection to host is over, or came to nothing.
func (p *pool) end(host string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open[host]--; p.open[host] <= 0 {
		delete(p.open, host)
	}
	p.wakeAll()
}

func (p *pool) wakeAll() {
	close(p.freed)
	p.freed = make(chan struct{})
}

// give takes a connection back: it is kept for a moment if it is still good.
func (p *pool) give(c *conn, now time.Time) {
	if c == nil {
		return
	}
	p.mu.Lock()
	if !c.bad && c.used < p.limits.PerConnection && !p.ended {
		c.idle = now
		p.idle[c.key] = append(p.idle[c.key], c)
		p.wakeAll()
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	c.quit()
	p.end(c.host)
}

// sweep ends connections that have been idle for too long, or all of them.
func (p *pool) sweep(now time.Time, all bool) {
	var old []*conn
	p.mu.Lock()
	p.ended = p.ended || all
	for key, list := range p.idle {
		kept := list[:0]
		for _, c := range list {
			if all || now.Sub(c.idle) >= p.limits.Idle {
				old = append(old, c)
			} else {
				kept = append(kept, c)
			}
		}
		if p.idle[key] = kept; len(kept) == 0 {
			delete(p.idle, key)
		}
	}
	p.mu.Unlock()
	for _, c := range old {
		c.quit()
		p.end(c.host)
	}
}
