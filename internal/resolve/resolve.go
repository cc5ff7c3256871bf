// Package resolve asks DNS.
//
// A Client is a stub: it asks recursive servers (the settings' or the
// system's) over UDP with EDNS0, over TCP where an answer was cut, one server
// after another and in rounds. Answers are kept for as long as their TTL
// allows, those that say no as well (RFC 2308), in bounded memory; one question
// asked by many at once goes out once.
//
// Three promises hold for everybody who decides by DNS. An answer is Authentic
// only when the server that gave it said so (the AD bit, RFC 6840 section 5.8)
// and is one whose word can't be changed on the way: on loopback, or declared
// trusted. "There is none" (NotFound) and "nobody knows now" (Failure) are
// different errors, and the second never passes for the first. And Exchange
// gives the answer's wire bytes, so that what was decided by it can be proven
// later.
package resolve

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Options configures a Client. The zero value is fit for use.
type Options struct {
	// Servers are recursive servers as address or address:port, asked in this
	// order. Empty: those of the system (/etc/resolv.conf).
	Servers []string
	// Trusted declares that what Servers say about DNSSEC is to be believed
	// though they are not on loopback: the way to them can't be tampered with.
	Trusted bool
	// Timeout bounds one attempt at one server; 0 means 3 seconds.
	Timeout time.Duration
	// Attempts is how often every server is asked; 0 means 2.
	Attempts int
	// CacheBytes bounds the memory for answers, roughly; 0 means 16 MiB,
	// negative keeps none.
	CacheBytes int
}

// systemConfig is where the system names its servers.
const systemConfig = "/etc/resolv.conf"

// A server and whether its AD bit counts.
type server struct {
	addr    string
	trusted bool
}

// New returns a client. It fails where a server's address can't be read, or
// where none is given and the system names none.
func New(o Options) (*Client, error) {
	servers, trusted := o.Servers, o.Trusted
	if len(servers) == 0 {
		var err error
		if servers, trusted, err = system(systemConfig); err != nil {
			return nil, err
		}
		trusted = trusted || o.Trusted
	}
	c := &Client{
		timeout:  orDuration(o.Timeout, 3*time.Second),
		attempts: o.Attempts,
		cache:    newCache(o.CacheBytes),
		now:      time.Now,
	}
	if c.attempts <= 0 {
		c.attempts = 2
	}
	for _, s := range servers {
		addr, err := parseServer(s)
		if err != nil {
			return nil, err
		}
		c.servers = append(c.servers, server{addr.String(), trusted || addr.Addr().IsLoopback()})
	}
	return c, nil
}

func orDuration(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

func parseServer(s string) (netip.AddrPort, error) {
	if addr, err := netip.ParseAddrPort(s); err == nil {
		return addr, nil
	}
	addr, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("resolve: reading a server's address: %w", err)
	}
	return netip.AddrPortFrom(addr, 53), nil
}

// system reads the servers of resolv.conf, and its option trust-ad, which says
// that the way to them is safe (resolv.conf(5)).
func system(file string) (servers []string, trusted bool, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, false, fmt.Errorf("resolve: reading the system's servers: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		switch {
		case len(words) < 2:
		case words[0] == "nameserver":
			servers = append(servers, words[1])
		case words[0] == "options":
			for _, w := range words[1:] {
				trusted = trusted || w == "trust-ad"
			}
		}
	}
	if err := lines.Err(); err != nil {
		return nil, false, fmt.Errorf("resolve: reading the system's servers: %w", err)
	}
	if len(servers) == 0 {
		return nil, false, errors.New("resolve: the system names no server")
	}
	return servers, trusted, nil
}

// NotFound says that DNS has no such record. It is fs.ErrNotExist.
type NotFound struct {
	// Domain: the name doesn't exist at all (NXDOMAIN), nor any below it.
	Domain bool
	// Authentic: DNSSEC proved that there is none; see Answer.
	Authentic bool
}

// Error implements error. It names no name: one may hold part of an address.
func (e *NotFound) Error() string {
	if e.Domain {
		return "resolve: no such name"
	}
	return "resolve: no such record"
}

// Is makes NotFound fs.ErrNotExist.
func (e *NotFound) Is(target error) bool { return target == fs.ErrNotExist }

// Failure says that no server could tell: all were silent, unreachable or
// failed, or DNSSEC found the answer to be forged (SERVFAIL, RFC 4035 section
// 5.5). Asking later may help.
type Failure struct {
	// Rcode is the last server's (RFC 1035 section 4.1.1); -1 where none answered.
	Rcode int
	err   error
}

// Error implements error.
func (e *Failure) Error() string {
	if e.Rcode >= 0 {
		return "resolve: the servers failed: " + dns.RcodeToString[e.Rcode]
	}
	return "resolve: no server answered"
}

// Unwrap returns what kept the last server from answering, or nil.
func (e *Failure) Unwrap() error { return e.err }

// Temporary is true: the name follows net.Error.
func (e *Failure) Temporary() bool { return true }

// Timeout tells whether the servers were silent.
func (e *Failure) Timeout() bool {
	var timeout net.Error
	return errors.Is(e.err, context.DeadlineExceeded) || errors.As(e.err, &timeout) && timeout.Timeout()
}
