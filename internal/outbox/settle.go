package outbox

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/record"
)

// actor is who acts in entries of the engine.
const actor = "outbox"

// The words of OutcomeFields.Result.
const (
	ResultDelivered = "delivered" // Another server took it, or it was captured for an own address.
	ResultDeferred  = "deferred"  // The first attempt failed; further ones follow.
	ResultBounced   = "bounced"   // It was refused for good.
	ResultExpired   = "expired"   // It was refused, or nobody was there, for Schedule.Lifetime.
	ResultHeld      = "held"      // An administrator stopped it.
	ResultDropped   = "dropped"   // An administrator took it out of the queue.
	ResultWithdrawn = "withdrawn" // The sender took it back in time.
)

// OutcomeFields are the fields of an *outcome* entry.
type OutcomeFields = sijill.OutcomeFields

// Outcome is what an *outcome* entry seals.
type Outcome struct {
	To       []string  `json:"to"`
	Code     int       `json:"code,omitempty"`   // The server's answer (RFC 5321 section 4.2); 0 without one.
	Status   string    `json:"status,omitempty"` // Enhanced status code (RFC 3463).
	Answer   string    `json:"answer,omitempty"`
	Host     string    `json:"host,omitempty"`
	Address  string    `json:"address,omitempty"`  // IP address of the host.
	TLS      *TLS      `json:"security,omitempty"` // nil in plain text.
	Captured int64     `json:"captured,omitempty"` // Number of the *captured* entry, for an own address; 0 for none.
	Reason   string    `json:"reason,omitempty"`   // An administrator's.
	Next     time.Time `json:"next,omitzero"`      // The next attempt.
}

// settle records what became of a recipient: in its entry and in the queue at
// once. Somebody else may have taken a recipient who was not claimed.
func (o *Outbox) settle(ctx context.Context, l *letter, r *recipient, res result) {
	now := o.now()
	r.tried, r.code, r.answer, r.lastHost = micro(now), res.code, res.text, res.host
	r.attempts++
	if res.doubt {
		r.doubt++
	}
	life := fromMicro(l.start).Add(o.opts.Schedule.Lifetime)
	switch {
	case res.status == delivered:
		r.status = statusClass('2', res.reply.status)
		o.stats.delivered.Add(1)
		o.final(ctx, l, r, res, ResultDelivered, o.owesSuccess(l, r, res))
	case res.status == failed:
		r.status = statusClass('5', res.reply.status)
		o.stats.bounced.Add(1)
		o.final(ctx, l, r, res, ResultBounced, owesOf(l, r, owesFailure))
	case !now.Before(life):
		if !o.claimLate(r) {
			return
		}
		r.status = statusClass('5', res.reply.status)
		o.stats.expired.Add(1)
		o.final(ctx, l, r, res, ResultExpired, owesOf(l, r, owesFailure))
	default:
		r.status = statusClass('4', res.reply.status)
		o.stats.deferred.Add(1)
		o.again(ctx, l, r, res, life)
	}
}

// claimLate claims a recipient whose time has run out, unless an attempt has.
func (o *Outbox) claimLate(r *recipient) bool {
	if r.state == claimed {
		return true
	}
	got, err := o.claim([]*recipient{r}, 0)
	if err != nil {
		o.opts.Log.Error("the queue can't be written", "error", err)
	}
	return len(got) == 1
}

// owesSuccess tells whether the sender is owed a notice of success: one that
// was asked for, and that nobody further on will send (RFC 3461 section 5.2.2).
func (o *Outbox) owesSuccess(l *letter, r *recipient, res result) owed {
	switch {
	case res.host == "":
		return owesOf(l, r, owesDelivered)
	case res.reports:
		return owesNothing
	}
	return owesOf(l, r, owesRelayed)
}

// owesOf gives what is owed, if the sender wants to know (RFC 3461 section
// 4.1). A notice never gets one (RFC 5321 section 6.1).
func owesOf(l *letter, r *recipient, what owed) owed {
	word := map[owed]string{owesFailure: "FAILURE", owesDelay: "DELAY", owesDelivered: "SUCCESS", owesRelayed: "SUCCESS"}[what]
	asked := strings.Contains(","+r.notify+",", ","+word+",")
	if l.sender == "" || !asked && (r.notify != "" || word == "SUCCESS") {
		return owesNothing
	}
	return what
}

// final records the end of a recipient.
func (o *Outbox) final(ctx context.Context, l *letter, r *recipient, res result, word string, owes owed) {
	d := o.draft(l, r, res, word)
	d.With = func(tx *db.Tx, _ int64) error { return finish(tx, r, owes) }
	if o.append(ctx, d) != nil {
		return
	}
	o.stats.finished.Add(1)
}

// draft is an outcome for one recipient.
func (o *Outbox) draft(l *letter, r *recipient, res result, word string) record.Draft {
	d := o.outcome(l, word, 1)
	f := d.Fields.(OutcomeFields)
	f.Recipient, f.Status, f.Attempts, f.Doubt = r.id&maxNumber, r.status, int64(r.attempts), r.doubt
	d.Fields = f
	d.Detail = Outcome{
		To: []string{r.address}, Code: r.code, Status: r.status, Answer: r.answer,
		Host: res.host, Address: res.addr, TLS: res.tls, Captured: r.captured,
	}
	return d
}

func (o *Outbox) outcome(l *letter, result string, count int) record.Draft {
	f := OutcomeFields{Sent: l.entry, Result: result, Count: int64(count), Notice: l.sender == ""}
	if l.class == sijill.Personal {
		f.Class = l.class
	}
	return record.Draft{Kind: sijill.Outcome, Actor: actor, Holders: []int64{l.account}, Class: l.class, Fields: f}
}

// again notes when the next attempt is. The first time it is an outcome.
func (o *Outbox) again(ctx context.Context, l *letter, r *recipient, res result, life time.Time) {
	late := owesNothing
	if r.told&toldDelay == 0 && o.now().Sub(fromMicro(l.start)) >= o.opts.Schedule.Delay {
		late = owesOf(l, r, owesDelay)
	}
	due := o.pause(l, r, life)
	first := r.told&toldDeferred == 0
	r.told |= toldDeferred
	if late != owesNothing {
		r.told |= toldDelay
	}
	r.due = micro(due)
	update := func(tx *db.Tx, _ int64) error { return postpone(tx, r, late) }
	if first {
		d := o.draft(l, r, res, ResultDeferred)
		detail := d.Detail.(Outcome)
		detail.Next = due.UTC()
		d.Detail, d.With = detail, update
		_ = o.append(ctx, d)
	} else if err := o.writes.do(func(tx *db.Tx) error { return update(tx, 0) }); err != nil {
		o.trouble(ctx, "the queue can't be written", err)
	}
}

// pause gives the time of the next attempt: after a pause that doubles, a little
// longer by chance so that letters don't come all at once; at the end of the
// lifetime at the latest, and when it is time to tell the sender of the delay.
func (o *Outbox) pause(l *letter, r *recipient, life time.Time) time.Time {
	s, now := &o.opts.Schedule, o.now()
	pause := s.Longest
	if n := r.attempts - 1; n < 20 {
		pause = min(s.First<<max(n, 0), s.Longest)
	}
	due := now.Add(pause + o.opts.Jitter(pause/4))
	if tell := fromMicro(l.start).Add(s.Delay); r.told&toldDelay == 0 && tell.After(now.Add(s.First)) && due.After(tell) {
		due = tell
	}
	if due.After(life) {
		due = life
	}
	return due
}

// postpone gives a recipient back for a later attempt. Who is held meanwhile
// stays held.
func postpone(tx *db.Tx, r *recipient, late owed) error {
	_, err := tx.Exec(`UPDATE outbox_recipient SET state = CASE state WHEN 2 THEN 0 ELSE state END, began = 0, due = ?, attempts = ?, tried = ?,
		doubt = ?, told = ?, owed = CASE ? WHEN 0 THEN owed ELSE 2 END, code = ?, status = ?, answer = ?, host = ? WHERE id = ? AND state IN (0, 1, 2)`,
		r.due, r.attempts, r.tried, r.doubt, r.told, int64(late), r.code, r.status, r.answer, r.lastHost, r.id)
	return err
}

// Pauses between attempts to append to a register that refuses.
const (
	appendPause   = 100 * time.Millisecond
	longestAppend = 10 * time.Second
)

// append appends an entry, however long that takes: what has happened has to be
// on record before anything else does. It fails only when ctx ends; then the
// next start finds the recipient in doubt.
func (o *Outbox) append(ctx context.Context, d record.Draft) error {
	for pause := appendPause; ; pause = min(2*pause, longestAppend) {
		_, err := o.opts.Ledger.Append(ctx, d)
		if err == nil || ctx.Err() != nil || errors.Is(err, record.ErrClosed) {
			return err
		}
		o.opts.Log.Error("an outcome can't be recorded; trying again", "error", err)
		if !sleepFor(ctx, pause) {
			return ctx.Err()
		}
	}
}

// settling keeps notices about a letter back until all recipients of an attempt
// are settled, so that its sender gets one and not many.
func (o *Outbox) settling(entry int64) (end func()) {
	o.mu.Lock()
	o.unsettled[entry]++
	o.mu.Unlock()
	return func() {
		o.mu.Lock()
		if o.unsettled[entry]--; o.unsettled[entry] == 0 {
			delete(o.unsettled, entry)
		}
		o.mu.Unlock()
		signal(o.owing)
	}
}

func (o *Outbox) isSettling(entry int64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.unsettled[entry] > 0
}

// together is how many outcomes of one letter are appended at once.
const together = 32

// each calls do for every recipient, several at once, so that their entries
// share a transaction.
func (o *Outbox) each(group []*recipient, do func(i int, r *recipient)) {
	if len(group) == 0 {
		return
	}
	defer o.settling(group[0].entry())()
	if len(group) == 1 {
		do(0, group[0])
		return
	}
	var all sync.WaitGroup
	places := make(chan struct{}, together)
	for i, r := range group {
		places <- struct{}{}
		all.Add(1)
		go func() {
			defer func() { <-places; all.Done() }()
			do(i, r)
		}()
	}
	all.Wait()
}
