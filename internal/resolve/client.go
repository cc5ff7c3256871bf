package resolve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/idna"
	"golang.org/x/sync/singleflight"
)

// Client asks servers and keeps what they say. It is safe for concurrent use.
type Client struct {
	servers  []server
	timeout  time.Duration
	attempts int
	cache    *cache
	flight   singleflight.Group
	now      func() time.Time
}

// entry is one answer, kept or just come. It is never changed.
type entry struct {
	wire      []byte   // as it came, but for its id, which is 0
	msg       *dns.Msg // the same, read
	authentic bool
	at        time.Time // when it came
	until     time.Time // it may be given until then
	failed    *Failure  // nobody could tell
}

// Exchange returns the answer to one question as it came over the wire, with
// the id set to 0; whether it is authentic; and when it came, which is earlier
// than now where it was kept. That there is no such name or record is an
// answer too. The error is a *Failure, an unusable name or ctx's.
func (c *Client) Exchange(ctx context.Context, name string, qtype uint16) (wire []byte, authentic bool, at time.Time, err error) {
	e, err := c.ask(ctx, name, qtype)
	if err != nil {
		return nil, false, time.Time{}, err
	}
	return e.wire, e.authentic, e.at, nil
}

func (c *Client) ask(ctx context.Context, name string, qtype uint16) (*entry, error) {
	name, err := Name(name)
	if err != nil {
		return nil, err
	}
	key := strconv.Itoa(int(qtype)) + " " + name
	if e := c.cache.get(key, c.now()); e != nil {
		return e.result()
	}
	// Whoever asked first may go away; the others still want the answer.
	ch := c.flight.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Duration(c.attempts*len(c.servers))*2*c.timeout)
		defer cancel()
		e := c.rounds(ctx, name, qtype)
		c.cache.put(key, e)
		return e, nil
	})
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("resolve: asking: %w", context.Cause(ctx))
	case r := <-ch:
		return r.Val.(*entry).result()
	}
}

func (e *entry) result() (*entry, error) {
	if e.failed != nil {
		return nil, e.failed
	}
	return e, nil
}

// rounds asks every server in turn, several times.
func (c *Client) rounds(ctx context.Context, name string, qtype uint16) *entry {
	failed := &Failure{Rcode: -1}
	for range c.attempts {
		for _, s := range c.servers {
			wire, in, err := c.query(ctx, s.addr, name, qtype)
			if err != nil {
				if failed.Rcode < 0 {
					failed.err = err
				}
				continue
			}
			if in.Rcode == dns.RcodeSuccess || in.Rcode == dns.RcodeNameError {
				return c.answer(wire, in, s.trusted)
			}
			failed = &Failure{Rcode: in.Rcode}
		}
		if failed.Rcode == dns.RcodeServerFailure {
			break // servers try hard before they say so
		}
	}
	now := c.now()
	return &entry{failed: failed, at: now, until: now.Add(failureTTL)}
}

// answer makes an entry of a message.
func (c *Client) answer(wire []byte, in *dns.Msg, trusted bool) *entry {
	in.Id, wire[0], wire[1] = 0, 0, 0
	now := c.now()
	return &entry{wire: wire, msg: in, authentic: in.AuthenticatedData && trusted, at: now, until: now.Add(ttl(in))}
}

// udpSize is how long an answer over UDP may be: 1232 bytes pass without fragments.
const udpSize = 1232

// query asks one server once, over TCP where UDP gave a part only.
func (c *Client) query(ctx context.Context, addr, name string, qtype uint16) ([]byte, *dns.Msg, error) {
	q := new(dns.Msg)
	q.SetQuestion(name, qtype)
	q.AuthenticatedData = true // RFC 6840 section 5.7: we understand the bit
	// DO brings the signatures, which are evidence, and AD from servers that
	// give it for DO alone.
	q.SetEdns0(udpSize, true)
	for _, network := range []string{"udp", "tcp"} {
		wire, in, err := c.exchange(ctx, network, addr, q)
		if err != nil {
			return nil, nil, fmt.Errorf("resolve: asking a server: %w", err)
		}
		if !in.Truncated {
			return wire, in, nil
		}
	}
	return nil, nil, errors.New("resolve: an answer was cut")
}

// exchange sends q and waits for its reply. Over UDP anybody may send
// datagrams that look like one: those that don't fit are passed over.
func (c *Client) exchange(ctx context.Context, network, addr string, q *dns.Msg) ([]byte, *dns.Msg, error) {
	dialer := dns.Client{Net: network, Timeout: c.timeout}
	conn, err := dialer.DialContext(ctx, addr)
	if err != nil {
		return nil, nil, fmt.Errorf("connecting: %w", err)
	}
	defer conn.Close()
	conn.UDPSize = udpSize
	deadline := time.Now().Add(c.timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, nil, fmt.Errorf("setting the time limit: %w", err)
	}
	if err := conn.WriteMsg(q); err != nil {
		return nil, nil, fmt.Errorf("sending: %w", err)
	}
	for {
		wire, err := conn.ReadMsgHeader(nil)
		if err != nil && !errors.Is(err, dns.ErrShortRead) {
			return nil, nil, fmt.Errorf("receiving: %w", err)
		}
		in := new(dns.Msg)
		err = in.Unpack(wire)
		if (err == nil || in.Truncated) && answers(in, q) {
			return wire, in, nil
		}
		if network == "tcp" {
			return nil, nil, errors.New("the reply can't be read or is to another question")
		}
	}
}

// answers tells whether in is a reply to q (RFC 5452 section 9.1).
func answers(in, q *dns.Msg) bool {
	return in.Response && in.Id == q.Id && len(in.Question) == 1 &&
		in.Question[0].Qtype == q.Question[0].Qtype &&
		in.Question[0].Qclass == dns.ClassINET &&
		strings.EqualFold(in.Question[0].Name, q.Question[0].Name)
}

// Bounds on how long an answer is kept, whatever its TTL.
const (
	maxTTL     = time.Hour
	noTTL      = 5 * time.Minute // for "there is none" (RFC 2308 section 5)
	failureTTL = 5 * time.Second // RFC 9520 section 3.2
)

// ttl is how long in may be kept: the least of its records' TTLs, and for
// negative answers that of the SOA (RFC 2308 section 5).
func ttl(in *dns.Msg) time.Duration {
	least := maxTTL
	if len(in.Answer) == 0 || in.Rcode == dns.RcodeNameError {
		least = 0 // without SOA, not at all
		for _, rr := range in.Ns {
			if soa, ok := rr.(*dns.SOA); ok {
				least = min(noTTL, time.Duration(min(soa.Minttl, soa.Hdr.Ttl))*time.Second)
			}
		}
	}
	for _, rr := range in.Answer {
		least = min(least, time.Duration(rr.Header().Ttl)*time.Second)
	}
	return least
}

// names turns what people write into what DNS has; underscores are allowed.
var names = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false))

// Name returns name as DNS has it: ASCII, in lower case, with a dot at the
// end. A name that can't be in DNS is not found.
func Name(name string) (string, error) {
	for i := range len(name) {
		if name[i] >= 0x80 {
			ascii, err := names.ToASCII(name)
			if err != nil {
				return "", &NotFound{Domain: true}
			}
			name = ascii
			break
		}
	}
	name = strings.ToLower(strings.ReplaceAll(name, `\`, `\\`))
	if !strings.HasSuffix(name, ".") {
		name += "."
	}
	if name == "." || net.ParseIP(strings.TrimSuffix(name, ".")) != nil {
		return "", &NotFound{Domain: true}
	}
	// Packing finds what can't be a name; what comes out is how the library
	// writes names that it reads, other characters escaped.
	var wire [256]byte
	n, err := dns.PackDomainName(name, wire[:], 0, nil, false)
	if err != nil {
		return "", &NotFound{Domain: true}
	}
	name, _, err = dns.UnpackDomainName(wire[:n], 0)
	if err != nil {
		return "", &NotFound{Domain: true}
	}
	return name, nil
}
