package imapd

import "sync/atomic"

// Stats are counts since the server was made, but for Open, which is the
// number of connections now.
type Stats struct {
	Sessions   int64 // connections admitted
	Open       int64 // connections now
	TurnedAway int64 // connections refused by a limit
	TLS        int64 // handshakes completed
	SignedIn   int64 // sign-ins that succeeded
	Failed     int64 // sign-ins that did not
	Commands   int64 // command lines
	Refused    int64 // commands answered NO or BAD
	Appended   int64 // messages sealed by APPEND
	Fetched    int64 // messages opened for FETCH
	BytesIn    int64 // octets of messages appended
	BytesOut   int64 // octets of responses
}

type counters struct {
	sessions, open, turnedAway, tls, signedIn, failed, commands, refused,
	appended, fetched, bytesIn, bytesOut atomic.Int64
}

// Stats returns the counts; they are read one after another.
func (s *Server) Stats() Stats {
	c := &s.stats
	return Stats{
		Sessions: c.sessions.Load(), Open: c.open.Load(), TurnedAway: c.turnedAway.Load(), TLS: c.tls.Load(),
		SignedIn: c.signedIn.Load(), Failed: c.failed.Load(),
		Commands: c.commands.Load(), Refused: c.refused.Load(),
		Appended: c.appended.Load(), Fetched: c.fetched.Load(),
		BytesIn: c.bytesIn.Load(), BytesOut: c.bytesOut.Load(),
	}
}
