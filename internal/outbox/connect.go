package outbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// connect gives a connection to a server of the destination, a kept one if
// there is any. strict asks for one that is fit for REQUIRETLS.
func (o *Outbox) connect(ctx context.Context, domain string, strict bool) (*conn, *failure) {
	if o.opts.Smarthost != nil {
		return o.connectSmarthost(ctx)
	}
	hops, f := o.route(ctx, domain)
	if f != nil {
		return nil, f
	}
	sts, err := o.sts(ctx, domain)
	if err != nil {
		return nil, temporarily("4.3.0", "the policy for the destination can't be read")
	}
	tries := &tries{ends: o.patience()}
	for _, h := range hops {
		c, f := o.connectHop(ctx, domain, h, sts, strict)
		if c != nil {
			return c, nil
		}
		tries.add(f)
		if tries.over(ctx) {
			break
		}
	}
	return nil, tries.last
}

// patience is until when servers of one destination are tried one after the
// other: silent ones would keep others' letters waiting.
func (o *Outbox) patience() time.Time { return time.Now().Add(3 * o.opts.Limits.Connect) }

// tries collects what was wrong with each server. The whole is permanent only
// if each of them is.
type tries struct {
	last *failure
	ends time.Time // When trying has taken too long.
}

func (t *tries) add(f *failure) {
	if t.last == nil || t.last.perm || !f.perm {
		t.last = f
	}
}

func (t *tries) over(ctx context.Context) bool { return ctx.Err() != nil || time.Now().After(t.ends) }

func (o *Outbox) connectHop(ctx context.Context, domain string, h hop, sts *policy, strict bool) (*conn, *failure) {
	if sts != nil && sts.mode == "enforce" && !sts.allows(h.host) {
		f := temporarily("4.7.5", "the server is not one that the domain's policy allows (MTA-STS)")
		f.host = h.host
		return nil, f
	}
	addrs, canonical, authentic, f := o.addresses(ctx, h)
	if f != nil {
		return nil, f
	}
	sec, f := o.secure(ctx, domain, h, canonical, authentic, sts)
	if f != nil {
		return nil, f
	}
	if strict {
		if sec, f = requireTLS(sec, h, sts); f != nil {
			return nil, f
		}
	}
	return o.connectAny(ctx, h.host, addrs, sec)
}

// requireTLS raises a policy to what RFC 8689 section 4.2.1 asks for: the server
// is known by DNSSEC or MTA-STS, and its certificate is valid.
func requireTLS(sec security, h hop, sts *policy) (security, *failure) {
	switch {
	case len(sec.tlsa) > 0:
		return sec, nil
	case h.authentic || sts != nil && sts.allows(h.host):
		return security{policy: "requiretls", must: true, pkix: true}, nil
	}
	f := permanently(550, "5.7.30", "REQUIRETLS was asked for, and nothing proves which server takes the domain's mail")
	f.host = h.host
	return sec, f
}

func (o *Outbox) connectAny(ctx context.Context, host string, addrs []netip.Addr, sec security) (*conn, *failure) {
	key := host + " " + sec.key()
	c, err := o.pool.take(ctx, host, key)
	if c != nil {
		return c, nil
	}
	if err != nil {
		return nil, temporarily("4.4.1", "the server is stopping")
	}
	tries := &tries{ends: o.patience()}
	for _, a := range addrs {
		at := netip.AddrPortFrom(a, uint16(o.opts.Port))
		c, err := o.open1(ctx, host, at.String(), sec)
		if err == nil {
			c.key, c.host, c.addr, c.sec = key, host, at, sec
			if o.ourselves(c) {
				c.bad = true
				c.close()
				o.pool.end(host)
				return nil, permanently(554, "5.4.6", "mail for the domain leads back to this server")
			}
			return c, nil
		}
		tries.add(explain(err, host))
		if tries.over(ctx) {
			break
		}
	}
	o.pool.end(host)
	return nil, tries.last
}

// ourselves tells whether the server gives itself our name.
func (o *Outbox) ourselves(c *conn) bool {
	return strings.EqualFold(strings.TrimSuffix(c.name, "."), strings.TrimSuffix(o.opts.Hostname, "."))
}

// open1 opens one connection. Where nothing forbids it and TLS fails, it is
// opened again without (RFC 7435: some protection is better than none).
func (o *Outbox) open1(ctx context.Context, host, at string, sec security) (*conn, error) {
	c, err := o.dial(ctx, host, at, sec, true)
	var bad errTLS
	if err != nil && errors.As(err, &bad) && !sec.must {
		o.stats.plain.Add(1)
		return o.dial(ctx, host, at, sec, false)
	}
	return c, err
}

func (o *Outbox) dial(ctx context.Context, host, at string, sec security, secure bool) (*conn, error) {
	c, err := o.socket(ctx, at)
	if err != nil {
		return nil, err
	}
	if err := c.begin(o.opts.Hostname); err != nil {
		c.close()
		return nil, err
	}
	if !secure || !c.offers("STARTTLS") {
		if sec.must {
			c.quit()
			return nil, errTLS{errors.New("the server does not offer TLS")}
		}
		return c, nil
	}
	verified := false
	if err := c.startTLS(ctx, o.opts.Hostname, o.config(&sec, host, &verified)); err != nil {
		c.close()
		return nil, err
	}
	c.tls.Policy, c.tls.Verified = sec.policy, verified
	return c, nil
}

func (o *Outbox) socket(ctx context.Context, at string) (*conn, error) {
	dialing, cancel := context.WithTimeout(ctx, o.opts.Limits.Connect)
	defer cancel()
	n, err := o.opts.Dial(dialing, "tcp", at)
	if err != nil {
		return nil, errUnreachable
	}
	o.stats.connections.Add(1)
	return newConn(ctx, n, &o.opts.Limits), nil
}

var errUnreachable = errors.New("the server can't be reached")

// explain says what kept a connection from being made. A refusal in the
// greeting is no word on anybody's mail, so that it counts as temporary.
func explain(err error, host string) *failure {
	f := temporarily("4.4.2", "the connection to the server broke off")
	var no refused
	var timeout net.Error
	switch {
	case errors.Is(err, errUnreachable):
		f = temporarily("4.4.1", "the server can't be reached")
	case errors.Is(err, errUnproven):
		f = temporarily("4.7.5", "the server's certificate does not prove what the policy asks for")
	case errors.As(err, &errTLS{}):
		f = temporarily("4.7.5", "the server can't be talked to securely, as the policy asks for")
	case errors.As(err, &no):
		f = temporarily("4"+no.status[1:], no.text)
		f.code = no.code
	case errors.Is(err, errReply):
		f = temporarily("4.5.0", "the server's answer can't be understood")
	case errors.As(err, &timeout) && timeout.Timeout():
		f = temporarily("4.4.2", "the server did not answer in time")
	}
	f.host = host
	return f
}

// check says what is wrong with the settings of a smarthost.
func (s *Smarthost) check() error {
	if s == nil {
		return nil
	}
	host, port, err := net.SplitHostPort(s.Addr)
	if n, perr := strconv.ParseUint(port, 10, 16); err != nil || host == "" || perr != nil || n == 0 {
		return errors.New("the smarthost's address is not host:port")
	}
	switch {
	case s.TLS != "" && s.TLS != "starttls" && s.TLS != "implicit" && s.TLS != "none":
		return errors.New("the smarthost's TLS is not starttls, implicit or none")
	case s.TLS == "none" && s.User != "":
		return errors.New("a password is sent to the smarthost within TLS only")
	}
	return nil
}

func (o *Outbox) connectSmarthost(ctx context.Context) (*conn, *failure) {
	s := o.opts.Smarthost
	host, _, _ := net.SplitHostPort(s.Addr)
	c, err := o.pool.take(ctx, host, "smarthost")
	if c != nil {
		return c, nil
	}
	if err != nil {
		return nil, temporarily("4.4.1", "the server is stopping")
	}
	if c, err = o.dialSmarthost(ctx, host); err != nil {
		o.pool.end(host)
		return nil, explain(err, host)
	}
	c.key, c.host = "smarthost", host
	if a, ok := c.net.RemoteAddr().(*net.TCPAddr); ok {
		c.addr = a.AddrPort()
	}
	return c, nil
}

func (o *Outbox) dialSmarthost(ctx context.Context, host string) (*conn, error) {
	s := o.opts.Smarthost
	sec := security{policy: "smarthost", must: s.TLS != "none", pkix: s.TLS != "none"}
	var c *conn
	var err error
	if s.TLS == "implicit" {
		c, err = o.dialImplicit(ctx, host, sec)
	} else {
		c, err = o.open1(ctx, host, s.Addr, sec)
	}
	if err != nil {
		return nil, err
	}
	c.sec = sec
	if s.User != "" {
		if err := c.signIn(s.User, s.Password); err != nil {
			c.close()
			return nil, fmt.Errorf("signing in to the smarthost: %w", err)
		}
	}
	return c, nil
}

func (o *Outbox) dialImplicit(ctx context.Context, host string, sec security) (*conn, error) {
	c, err := o.socket(ctx, o.opts.Smarthost.Addr)
	if err != nil {
		return nil, err
	}
	verified := false
	if err = c.handshake(ctx, o.config(&sec, host, &verified)); err == nil {
		c.tls.Policy, c.tls.Verified = sec.policy, verified
		err = c.begin(o.opts.Hostname)
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// down remembers for a moment that a destination could not be reached, so that
// a thousand letters to it don't wait a thousand times.
type down struct {
	failure *failure
	until   time.Time
}

// downFor is how long.
const downFor = time.Minute

func (o *Outbox) isDown(key string) *failure {
	o.mu.Lock()
	defer o.mu.Unlock()
	d, ok := o.downs[key]
	if !ok || !o.now().Before(d.until) {
		delete(o.downs, key)
		return nil
	}
	return d.failure
}

func (o *Outbox) setDown(key string, f *failure) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.now()
	for k, d := range o.downs {
		if !now.Before(d.until) {
			delete(o.downs, k)
		}
	}
	o.downs[key] = down{f, now.Add(min(downFor, o.opts.Schedule.First/2))}
}

// up forgets that a destination could not be reached.
func (o *Outbox) up(domain string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.downs, domain)
	delete(o.downs, strictKey(domain))
}

func strictKey(domain string) string { return domain + " requiretls" }
