package people

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"time"

	"sijill"
	"sijill/internal/db"
)

// span is how many names must have failed within a time to be called a spray:
// somebody who tries a few passwords at many names, from many networks, slowly
// enough for every name and network to be forgiven in between. A name counts for
// each network from which it has not signed in since: most mistyped passwords are
// mistyped once.
type span struct {
	within time.Duration
	names  int64
}

var spans = []span{{24 * time.Hour, 12}, {7 * 24 * time.Hour, 40}}

const (
	// sprayedFree takes the place of addressLimit.free while a spray goes on.
	sprayedFree = 2
	// maxMisses bounds what is kept: beyond it everybody knows anyway.
	maxMisses = 5000
)

// fail notes a failure that was counted, now that it is one: whether it makes a
// burst of its subjects, or a spray.
func (p *People) fail(ctx context.Context, try *attempt) error {
	return p.db.Write(ctx, func(tx *db.Tx) error {
		unknown := false
		for _, s := range try.subjects {
			unknown = unknown || s.name
			if !s.bursts() {
				continue
			}
			err := p.owe(tx, Event{Kind: sijill.Login, Account: s.account, Detail: Detail{Network: try.network, Agent: agentForm(try.Agent)},
				Fields: Fields{What: "burst", Door: try.Door, Failures: int64(s.reached)}})
			if err != nil {
				return err
			}
		}
		if !unknown {
			return nil
		}
		return p.miss(tx, try)
	})
}

// bursts tells whether a subject's failures are worth telling: when they begin to
// cost time, and whenever they have doubled since.
func (s subject) bursts() bool {
	for n := s.free; n <= s.reached; n *= 2 {
		if n == s.reached {
			return true
		}
	}
	return false
}

// miss remembers who failed from where, and tells of a spray.
func (p *People) miss(tx *db.Tx, try *attempt) error {
	now, name := p.now(), p.nameDigest(try.Name)
	if _, err := tx.Exec("DELETE FROM miss WHERE at < ?", now.Add(-spans[len(spans)-1].within).UnixMicro()); err != nil {
		return err
	}
	var kept int
	if err := tx.One("SELECT count(*) FROM miss", nil, &kept); err != nil {
		return err
	}
	if kept >= maxMisses {
		return nil
	}
	_, err := tx.Exec("INSERT INTO miss (name, network, at) VALUES (?, ?, ?) ON CONFLICT (name, network) DO UPDATE SET at = excluded.at",
		name[:], p.networkDigest(try.network), now.UnixMicro())
	if err != nil {
		return err
	}
	for _, s := range spans {
		if err := p.notice(tx, s, try.Door); err != nil {
			return err
		}
	}
	return nil
}

func (p *People) networkDigest(network string) []byte { return mac(p.keys.digest, "miss", network) }

// notice tells of a spray within a span: when it is one, when it has doubled, and
// again when it goes on for longer than the span.
func (p *People) notice(tx *db.Tx, s span, door string) error {
	now := p.now()
	var names, networks int64
	err := tx.One("SELECT count(DISTINCT name), count(DISTINCT network) FROM miss WHERE at > ?",
		[]any{now.Add(-s.within).UnixMicro()}, &names, &networks)
	if err != nil || names < s.names {
		return err
	}
	var at, told int64
	err = tx.One("SELECT at, names FROM spray WHERE span = ?", []any{s.within.Microseconds()}, &at, &told)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil && names < 2*told && now.Sub(time.UnixMicro(at)) < s.within {
		return nil
	}
	_, err = tx.Exec("INSERT INTO spray (span, at, names) VALUES (?, ?, ?) ON CONFLICT (span) DO UPDATE SET at = excluded.at, names = excluded.names",
		s.within.Microseconds(), now.UnixMicro(), names)
	if err != nil {
		return err
	}
	return p.owe(tx, Event{Kind: sijill.Login,
		Fields: Fields{What: "spray", Door: door, Names: names, Networks: networks, Hours: int64(s.within / time.Hour)}})
}

// sprayed tells whether a spray was noticed in the last day.
func (p *People) sprayed(tx *db.Tx) (bool, error) {
	var n int
	err := tx.One("SELECT count(*) FROM spray WHERE at > ?", []any{p.now().Add(-24 * time.Hour).UnixMicro()}, &n)
	return n > 0, err
}

// forgive forgets that a name failed from a network, since it has signed in there.
func (p *People) forgive(tx *db.Tx, name, network string) error {
	digest := p.nameDigest(name)
	_, err := tx.Exec("DELETE FROM miss WHERE name = ? AND network = ?", digest[:], p.networkDigest(network))
	return err
}

// guesses remembers for an hour which wrong app passwords were shown: a program
// whose password was revoked shows it every minute, and a whole office behind its
// network must not pay for that. Trying the same thing again is no guess. It is
// kept in memory, under a key of this process, since people type the password of
// their account there.
type guesses struct {
	key [32]byte

	mu   sync.Mutex // guards seen
	seen map[[32]byte]time.Time
}

const (
	guessFor   = time.Hour
	maxGuesses = 10_000
)

func newGuesses() *guesses {
	return &guesses{key: [32]byte(random(32)), seen: map[[32]byte]time.Time{}}
}

// again tells whether the very same was shown before, and remembers it.
func (g *guesses) again(now time.Time, name, password, network string) bool {
	k := [32]byte(mac(g.key, name, password, network))
	g.mu.Lock()
	defer g.mu.Unlock()
	at, ok := g.seen[k]
	if ok && now.Sub(at) < guessFor {
		return true
	}
	if len(g.seen) >= maxGuesses {
		clear(g.seen)
	}
	g.seen[k] = now
	return false
}
