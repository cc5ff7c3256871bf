package smtpd

import "sync/atomic"

// Stats are counts since the server was made, but for Open, which is the
// number of connections now.
type Stats struct {
	Sessions   int64 // connections admitted
	Open       int64 // connections now
	TurnedAway int64 // connections refused by a limit
	TLS        int64 // TLS handshakes completed
	Accepted   int64 // messages sealed, submitted ones among them
	Refused    int64 // messages that the arrival check refused
	Bytes      int64 // bytes of messages sealed
	Temporary  int64 // replies 4yz, to whatever command
	Permanent  int64 // replies 5yz, to whatever command

	SignIns, SignInFailures int64 // AUTH that ended well, and that did not
}

type counters struct {
	sessions, open, turnedAway, tls, accepted, refused, bytes, temporary, permanent atomic.Int64
	signIns, signInFailures                                                         atomic.Int64
}

// Stats returns the counts; they are read one after another.
func (s *Server) Stats() Stats {
	c := &s.stats
	return Stats{
		Sessions:   c.sessions.Load(),
		Open:       c.open.Load(),
		TurnedAway: c.turnedAway.Load(),
		TLS:        c.tls.Load(),
		Accepted:   c.accepted.Load(),
		Refused:    c.refused.Load(),
		Bytes:      c.bytes.Load(),
		Temporary:  c.temporary.Load(),
		Permanent:  c.permanent.Load(),

		SignIns: c.signIns.Load(), SignInFailures: c.signInFailures.Load(),
	}
}

// reply counts a reply by the class of its code.
func (c *counters) reply(code int) {
	switch code / 100 {
	case 4:
		c.temporary.Add(1)
	case 5:
		c.permanent.Add(1)
	}
}
