package outbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"sijill/internal/db"
)

// attempt delivers groups one after the other; c is its connection, if any.
type attempt struct {
	o *Outbox
	d *destination
	c *conn
}

// status is what became of a recipient in an attempt.
type status int

const (
	delivered status = iota
	deferred
	failed
)

// result is that, with what was answered.
type result struct {
	status status
	reply
	host, addr string
	tls        *TLS
	doubt      bool // Nobody knows.
	reports    bool // The server sends notices of success itself.
}

// drop gives the connection back.
func (a *attempt) drop() {
	if a.c != nil {
		a.d.connected.Add(-1)
		a.o.pool.give(a.c, a.o.now())
		a.c = nil
	}
}

// deliver makes an attempt for recipients of one letter. enough says that
// nothing was done, since the other side takes no further connection.
func (a *attempt) deliver(ctx context.Context, group []*recipient) (enough bool) {
	l, err := a.o.letterOf(ctx, group[0].entry())
	if errors.Is(err, errSpool) {
		a.o.opts.Log.Error("a queued letter can't be opened: is the server's key another?", "entry", l.entry)
		a.o.settleAll(ctx, l, group, result{status: deferred, reply: reply{status: "4.3.0", text: "the letter can't be opened"}})
		return false
	}
	if err != nil {
		a.o.trouble(ctx, "a queued letter can't be read", err)
		return false
	}
	own, other, err := a.o.split(ctx, group)
	if err != nil { // No attempt was made: they stay due.
		a.o.trouble(ctx, "nobody knows whether an address is one of this server", err)
		return false
	}
	if l.hops > a.o.opts.Limits.Hops {
		text := "the letter has passed too many servers: it goes in circles"
		a.o.reject(ctx, l, group, result{status: failed, reply: reply{554, "5.4.6", text}})
		return false
	}
	if len(own) > 0 {
		a.o.deliverOwn(ctx, l, own)
	}
	if len(other) > 0 {
		return a.send(ctx, l, other)
	}
	return false
}

// split tells recipients of this server from those of others.
func (o *Outbox) split(ctx context.Context, group []*recipient) (own, other []*recipient, err error) {
	for _, r := range group {
		local, err := o.opts.Local(ctx, r.address)
		switch {
		case err != nil:
			return nil, nil, err
		case local:
			own = append(own, r)
		default:
			other = append(other, r)
		}
	}
	return own, other, nil
}

// trouble logs what is wrong with the queue itself, and waits, so that it isn't
// logged a thousand times a second.
func (o *Outbox) trouble(ctx context.Context, what string, err error) {
	if ctx.Err() == nil {
		o.opts.Log.Error(what, "error", err)
		sleepFor(ctx, time.Second)
	}
}

func (o *Outbox) letterOf(ctx context.Context, entry int64) (l *letter, err error) {
	err = o.opts.DB.Read(ctx, func(tx *db.Tx) (err error) {
		l, err = o.readLetter(tx, entry)
		return err
	})
	return l, err
}

// send hands a letter to another server.
func (a *attempt) send(ctx context.Context, l *letter, group []*recipient) (enough bool) {
	claimed := false
	for {
		if f := a.ready(ctx, l); f != nil {
			if f.busy && !claimed {
				return true
			}
			a.o.fail(ctx, l, group, f)
			return false
		}
		fit := group
		if !claimed {
			if fit = a.fitting(ctx, l, group); len(fit) == 0 {
				return false
			}
			got, err := a.o.claim(fit, micro(a.o.now()))
			if err != nil {
				a.o.trouble(ctx, "the queue can't be written", err)
				return false
			}
			if len(got) == 0 {
				return false
			}
			group, claimed = got, true
		}
		if a.transact(ctx, l, group) {
			return false
		}
	}
}

// ready makes sure of a connection that is fit for the letter.
func (a *attempt) ready(ctx context.Context, l *letter) *failure {
	strict := l.flags&flagRequire != 0 && a.o.opts.Smarthost == nil
	if a.c != nil && (a.c.bad || a.c.used >= a.o.opts.Limits.PerConnection || strict && !a.c.sec.proves()) {
		a.drop()
	}
	if a.c != nil {
		return nil
	}
	key := a.d.domain
	if a.o.opts.Smarthost != nil {
		key = "smarthost"
	}
	if strict {
		key = strictKey(key)
	}
	if f := a.o.isDown(key); f != nil {
		return f
	}
	c, f := a.o.connect(ctx, a.d.domain, strict)
	if f != nil {
		if a.d.connected.Load() > 0 && !f.perm && ctx.Err() == nil {
			f.busy = true
		} else if ctx.Err() == nil {
			a.o.setDown(key, f)
		}
		return f
	}
	a.c = c
	a.d.connects()
	return nil
}

// fitting gives those recipients whom the server can serve, and settles the
// others: what it lacks it will lack tomorrow.
func (a *attempt) fitting(ctx context.Context, l *letter, group []*recipient) (fit []*recipient) {
	var utf8 []*recipient
	no := func(list []*recipient, code int, status, text string) {
		res := a.result(reply{code, status, text})
		res.status = failed
		a.o.reject(ctx, l, list, res)
	}
	switch limit := a.c.maxSize(); {
	case limit > 0 && l.size > limit:
		no(group, 552, "5.3.4", fmt.Sprintf("the letter is longer than the %d bytes that the server takes", limit))
		return nil
	case l.flags&flagRequire != 0 && (a.c.tls == nil || !a.c.offers("REQUIRETLS")):
		no(group, 550, "5.7.30", "REQUIRETLS was asked for, and the server does not offer it")
		return nil
	}
	for _, r := range group {
		if needsUTF8(l, r) && !a.c.offers("SMTPUTF8") {
			utf8 = append(utf8, r)
		} else {
			fit = append(fit, r)
		}
	}
	if len(utf8) > 0 {
		no(utf8, 550, "5.6.7", "the address or the header is not in ASCII, and the server takes nothing else")
	}
	return fit
}

// result is an answer with the facts of the connection.
func (a *attempt) result(r reply) result {
	res := result{reply: r, host: a.c.host, tls: a.c.tls, reports: a.c.offers("DSN")}
	if a.c.addr.IsValid() {
		res.addr = a.c.addr.Addr().String()
	}
	switch {
	case r.ok():
		res.status = delivered
	case r.temporary():
		res.status = deferred
	default:
		res.status = failed
	}
	return res
}

// transact does one transaction with claimed recipients and settles them. false
// says that the connection had died before: nothing happened yet.
func (a *attempt) transact(ctx context.Context, l *letter, group []*recipient) bool {
	a.o.stats.attempts.Add(1)
	body, err := a.o.open(ctx, l)
	if err != nil {
		a.o.trouble(ctx, "a queued letter can't be opened", err)
		return true
	}
	answers, err := a.c.send(l, group, body)
	if errors.Is(err, errStale) {
		return false
	}
	if err != nil {
		a.o.settleAll(ctx, l, group, a.broken(err))
		return true
	}
	a.o.up(a.d.domain)
	a.o.each(group, func(i int, r *recipient) { a.o.settle(ctx, l, r, a.result(answers[i])) })
	return true
}

// broken is what a connection that broke off means.
func (a *attempt) broken(err error) result {
	f := explain(err, a.c.host)
	res := a.result(f.reply)
	res.status = deferred
	if errors.Is(err, errDoubt) {
		res.doubt = true
		res.text = "the server did not answer the whole letter: it may have it, or not"
		a.o.stats.doubts.Add(1)
	}
	return res
}

// fail settles recipients of a destination that could not be talked to.
func (o *Outbox) fail(ctx context.Context, l *letter, group []*recipient, f *failure) {
	if ctx.Err() != nil {
		return // We gave up, not they: what was claimed is given back at the next start.
	}
	res := result{status: deferred, reply: f.reply, host: f.host}
	if f.perm {
		res.status = failed
		o.reject(ctx, l, group, res)
		return
	}
	o.settleAll(ctx, l, group, res)
}

// reject settles recipients for good without an attempt. They are claimed
// first, so that nobody else does.
func (o *Outbox) reject(ctx context.Context, l *letter, group []*recipient, res result) {
	got, err := o.claim(group, 0)
	if err != nil {
		o.trouble(ctx, "the queue can't be written", err)
		return
	}
	o.settleAll(ctx, l, got, res)
}

func (o *Outbox) settleAll(ctx context.Context, l *letter, group []*recipient, res result) {
	o.each(group, func(_ int, r *recipient) { o.settle(ctx, l, r, res) })
}

// statusClass makes the class of an enhanced status agree with what was decided.
func statusClass(class byte, status string) string {
	if _, rest, ok := strings.Cut(status, "."); ok {
		return string(class) + "." + rest
	}
	return string(class) + ".0.0"
}
