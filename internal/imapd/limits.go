package imapd

import (
	"cmp"
	"net/netip"
	"time"

	"sijill/internal/door"
)

// Limits bound what one peer may take. A field that is zero means its default.
type Limits struct {
	// Connections is how many may be open at once, all peers together; 5,000.
	Connections int
	// PerAddress is how many may be open at once from one address; 200, since a
	// whole office may come from one and each program opens several. An IPv6
	// peer counts with its /64 network.
	PerAddress int
	// ConnectRate is how many connections one address may open in a minute; 600.
	ConnectRate int
	// Exempt are the networks free of PerAddress and ConnectRate; nil means
	// loopback. Peers without an IP address (Unix sockets) always are.
	Exempt []netip.Prefix

	// Failures is how many sign-ins may fail on one connection; 5. Slowing down
	// those who guess from many is the backend's.
	Failures int
	// Errors is how many commands in a row may be refused as not understood; 50.
	Errors int

	// Login is how long a peer may take to sign in; 1 minute between commands.
	Login time.Duration
	// Idle is how long one that is signed in may be silent, in IDLE too; 35
	// minutes. RFC 9051, section 5.4, wants 30 at least.
	Idle time.Duration
	// Command is how long a command may take to arrive once it has begun, and
	// the longest pause within a message that is being appended; 5 minutes.
	Command time.Duration
	// Write is how long a piece of at most 64 KiB may take to be sent; 2 minutes.
	Write time.Duration
	// MemoryWait is how long a message may wait for memory; 20 seconds.
	MemoryWait time.Duration
}

func (l Limits) orDefault() Limits {
	l.Connections = cmp.Or(l.Connections, 5000)
	l.PerAddress = cmp.Or(l.PerAddress, 200)
	l.ConnectRate = cmp.Or(l.ConnectRate, 600)
	l.Failures = cmp.Or(l.Failures, 5)
	l.Errors = cmp.Or(l.Errors, 50)
	l.Login = cmp.Or(l.Login, time.Minute)
	l.Idle = cmp.Or(l.Idle, 35*time.Minute)
	l.Command = cmp.Or(l.Command, 5*time.Minute)
	l.Write = cmp.Or(l.Write, 2*time.Minute)
	l.MemoryWait = cmp.Or(l.MemoryWait, 20*time.Second)
	if l.Exempt == nil {
		l.Exempt = door.Loopback()
	}
	return l
}

// peers are the limits per address.
func (l Limits) peers() door.Limits {
	return door.Limits{PerAddress: l.PerAddress, ConnectRate: l.ConnectRate, Exempt: l.Exempt}
}
