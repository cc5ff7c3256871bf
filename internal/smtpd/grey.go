package smtpd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// GreyTable remembers when a peer first asked to send from an address to a
// mailbox (RFC 6647 section 2.3). It is called from many goroutines.
type GreyTable interface {
	// First returns when key was first noted; it is noted now if it is new or
	// was not asked for since the time given. Every call counts as asking.
	First(ctx context.Context, key string, now, since time.Time) (time.Time, error)
}

// greyKept is how long a key is remembered after it was last asked for.
const greyKept = 35 * 24 * time.Hour

// grey tells a stranger to come back, which senders of junk often don't. It is
// off without a table, and a table that fails lets everyone in.
func (s *session) grey(to string) reply {
	o := &s.g.srv.opt
	if o.Greylist == nil || s.g.exempt || s.g.role.plain.LMTP {
		return nil
	}
	ctx, cancel := context.WithTimeout(s.g.srv.ctx, lookupTime)
	defer cancel()
	now := time.Now()
	first, err := o.Greylist.First(ctx, greyKey(s.g.peer, s.from, to), now, now.Add(-greyKept))
	if err != nil {
		o.Log.Error("greylist not asked", "err", err)
		return nil
	}
	if now.Sub(first) < o.GreyDelay {
		return replyGrey
	}
	return nil
}

// greyKey is a digest, so that the table holds no addresses. Large senders try
// again from a neighbouring machine.
func greyKey(peer netip.Addr, from, to string) string {
	bits := 24
	if peer.Is6() {
		bits = 64
	}
	net, _ := peer.Prefix(bits) // fails only for a bad length
	sum := sha256.Sum256([]byte(net.String() + "\x00" + strings.ToLower(from) + "\x00" + strings.ToLower(to)))
	return hex.EncodeToString(sum[:16])
}

// GreyMemory is a GreyTable that a restart forgets. It holds a bounded number
// of keys and drops those that were not asked for longest.
type GreyMemory struct {
	most int

	mu         sync.Mutex // guards what follows
	young, old map[string]greyTimes
}

type greyTimes struct{ first, last time.Time }

// NewGreyMemory makes a table of at most 2·most keys.
func NewGreyMemory(most int) *GreyMemory {
	return &GreyMemory{most: max(most, 1), young: make(map[string]greyTimes)}
}

// First implements GreyTable. Keys asked for move to the young half; when that
// is full, it becomes the old one, and what is left of the old one is dropped.
func (g *GreyMemory) First(_ context.Context, key string, now, since time.Time) (time.Time, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t, ok := g.young[key]
	if !ok {
		t, ok = g.old[key]
	}
	if !ok || t.last.Before(since) {
		t.first = now
	}
	t.last = now
	if len(g.young) >= g.most {
		g.old, g.young = g.young, make(map[string]greyTimes)
	}
	g.young[key] = t
	return t.first, nil
}
