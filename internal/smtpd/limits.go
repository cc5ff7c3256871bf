package smtpd

import (
	"cmp"
	"net/netip"
	"time"

	"sijill/internal/door"
)

// Limits bound what one peer may take. A field that is zero means its default.
type Limits struct {
	// Connections is how many may be open at once, all peers together; 1,000.
	Connections int
	// PerAddress is how many may be open at once from one address; 50. An
	// IPv6 peer counts with its /64 network.
	PerAddress int
	// ConnectRate is how many connections one address may open in a minute; 300.
	ConnectRate int
	// MessageRate is how many messages one address may begin in a minute; 1,000.
	MessageRate int
	// Messages is how many messages one connection may carry; 1,000.
	Messages int
	// Exempt are the networks free of PerAddress, the two rates and Messages;
	// nil means loopback. Peers without an IP address (Unix sockets) always
	// are. Behind a proxy on this machine every peer looks exempt.
	Exempt []netip.Prefix

	// Recipients is how many one message may have; 1,000.
	Recipients int
	// Errors is how many refusals a connection may collect without a message
	// being accepted between them; 50. Commands that lead nowhere (NOOP, RSET,
	// EHLO and the like) have the same limit.
	Errors int

	// Idle is how long a command line may take from its first wait to its
	// end, and the longest pause within a message; 5 minutes, the least that
	// RFC 5321 section 4.5.3.2.7 allows.
	Idle time.Duration
	// Data is how long one message may take to arrive; 30 minutes.
	Data time.Duration
	// MinRate is how many bytes a second a message must keep up, after Idle
	// has passed once; 1,024.
	MinRate int
	// MemoryWait is how long a message may wait for memory; 20 seconds.
	MemoryWait time.Duration
	// Check is how long the arrival check of one message may take; a minute.
	Check time.Duration
	// Hops is how many Received fields a message may have; 100, the least that
	// RFC 5321 section 6.3 recommends.
	Hops int

	// SenderMessages and SenderRecipients are how many messages and recipients
	// one account may submit in an hour; 500 and 2,000.
	SenderMessages, SenderRecipients int
	// SignIns is how many failures to sign in end a connection; 5.
	SignIns int
	// SignInPause is how long the answer to a failed sign-in is held back; a
	// second. It doubles with each, up to five seconds.
	SignInPause time.Duration
}

func (l Limits) orDefault() Limits {
	l.Connections = cmp.Or(l.Connections, 1000)
	l.PerAddress = cmp.Or(l.PerAddress, 50)
	l.ConnectRate = cmp.Or(l.ConnectRate, 300)
	l.MessageRate = cmp.Or(l.MessageRate, 1000)
	l.Messages = cmp.Or(l.Messages, 1000)
	l.Recipients = cmp.Or(l.Recipients, 1000)
	l.Errors = cmp.Or(l.Errors, 50)
	l.MinRate = cmp.Or(l.MinRate, 1024)
	l.Hops = cmp.Or(l.Hops, 100)
	l.SenderMessages = cmp.Or(l.SenderMessages, 500)
	l.SenderRecipients = cmp.Or(l.SenderRecipients, 2000)
	l.SignIns = cmp.Or(l.SignIns, 5)
	l.SignInPause = cmp.Or(l.SignInPause, time.Second)
	l.Check = cmp.Or(l.Check, time.Minute)
	l.Idle = cmp.Or(l.Idle, 5*time.Minute)
	l.Data = cmp.Or(l.Data, 30*time.Minute)
	l.MemoryWait = cmp.Or(l.MemoryWait, 20*time.Second)
	if l.Exempt == nil {
		l.Exempt = door.Loopback()
	}
	return l
}

// peers are the limits per address.
func (l Limits) peers() door.Limits {
	return door.Limits{PerAddress: l.PerAddress, ConnectRate: l.ConnectRate, MessageRate: l.MessageRate, Exempt: l.Exempt}
}

// deadline is when the next bytes of a message must have come, given when the
// message began and how much of it is here.
func (l *Limits) deadline(began, now time.Time, received int64) time.Time {
	d := now.Add(l.Idle)
	for _, other := range []time.Time{
		began.Add(l.Data),
		began.Add(l.Idle + time.Duration(received/int64(l.MinRate))*time.Second),
	} {
		if other.Before(d) {
			d = other
		}
	}
	return d
}

func within(networks []netip.Prefix, a netip.Addr) bool {
	for _, p := range networks {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
