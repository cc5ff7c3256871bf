package outbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/record"
)

// state is what is going on with a recipient.
type state int64

const (
	waiting     state = 0 // For its time; the number stands in an index and in queries.
	held        state = 1 // By an administrator.
	claimed     state = 2 // By an attempt; given back at start if that was cut off.
	arrived     state = 3 // Captured for an own address; the outcome is to be appended.
	withdrawing state = 4 // The sender has withdrawn it; the outcome is to be appended.
	over        state = 5 // The outcome is on record; a notice is owed.
	acting      state = 6 // Claimed by an administrator's act, perhaps of another process; given back when that has taken too long.
)

// owed is the notice that the sender of a recipient's letter has to get.
type owed int64

const (
	owesNothing owed = iota
	owesFailure
	owesDelay
	owesDelivered // Into a mailbox of this server.
	owesRelayed   // To a server that sends no such notices.
)

// Bits of what has been told once.
const (
	toldDeferred = 1
	toldDelay    = 2
)

// letter is a row of the queue.
type letter struct {
	entry, account int64
	class          sijill.Class
	sender         string
	language       string
	ret, envid     string
	flags          flag
	hops           int
	sentTo         int // How many recipients it had.
	size           int64
	start          int64
	key            [32]byte
}

// recipient is a row of one.
type recipient struct {
	id               int64
	address, domain  string
	notify, orcpt    string
	state            state
	due              int64
	attempts         int
	tried            int64
	doubt            int64
	told             int64
	owed             owed
	code             int
	status           string
	answer, lastHost string
	captured         int64
}

func (r *recipient) entry() int64 { return r.id >> numberBits }

// span gives the first and the last id of what belongs to an entry.
func span(entry int64) (first, last int64) {
	return entry << numberBits, entry<<numberBits + maxNumber
}

const letterColumns = "entry, account, class, sender, language, ret, envid, flags, hops, sent_to, size, start, key"

func (o *Outbox) readLetter(tx *db.Tx, entry int64) (*letter, error) {
	l, wrapped := &letter{}, []byte(nil)
	err := tx.One("SELECT "+letterColumns+" FROM outbox_letter WHERE entry = ?", []any{entry},
		&l.entry, &l.account, &l.class, &l.sender, &l.language, &l.ret, &l.envid, &l.flags, &l.hops, &l.sentTo, &l.size, &l.start, &wrapped)
	if err != nil {
		return nil, fmt.Errorf("reading a queued letter: %w", err)
	}
	l.key, err = unwrapKey(o.opts.Key, wrapped, entry)
	return l, err
}

const recipientColumns = "id, address, domain, notify, orcpt, state, due, attempts, tried, doubt, told, owed, code, status, answer, host, captured"

func scanRecipient(row db.Row) (*recipient, error) {
	r := &recipient{}
	err := row.Scan(&r.id, &r.address, &r.domain, &r.notify, &r.orcpt, &r.state, &r.due, &r.attempts, &r.tried,
		&r.doubt, &r.told, &r.owed, &r.code, &r.status, &r.answer, &r.lastHost, &r.captured)
	return r, err
}

// recipients reads those that where, SQL after WHERE, selects.
func recipients(tx *db.Tx, where string, args ...any) (list []*recipient, err error) {
	err = tx.Each("SELECT "+recipientColumns+" FROM outbox_recipient WHERE "+where, args, func(row db.Row) error {
		r, err := scanRecipient(row)
		list = append(list, r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the queue: %w", err)
	}
	return list, nil
}

// due reads recipients of a domain who are due, the longest first.
func (o *Outbox) due(ctx context.Context, domain string, limit int) (list []*recipient, err error) {
	err = o.opts.DB.Read(ctx, func(tx *db.Tx) (err error) {
		list, err = recipients(tx, "state = 0 AND domain = ? AND due <= ? ORDER BY due, id LIMIT ?", domain, micro(o.now()), limit)
		return err
	})
	return list, err
}

// wake makes sure that a domain is looked at when something of it is due.
func wake(tx *db.Tx, domain string, due int64) error {
	_, err := tx.Exec(`INSERT INTO outbox_destination (domain, due) VALUES (?, ?)
		ON CONFLICT (domain) DO UPDATE SET due = excluded.due WHERE excluded.due < outbox_destination.due`, domain, due)
	if err != nil {
		return fmt.Errorf("noting when a destination is due: %w", err)
	}
	return nil
}

// rest notes when a domain has something due next, or that it has nothing.
func rest(tx *db.Tx, domain string) error {
	var due *int64
	err := tx.One("SELECT min(due) FROM outbox_recipient WHERE state = 0 AND domain = ?", []any{domain}, &due)
	if err == nil && due == nil {
		_, err = tx.Exec("DELETE FROM outbox_destination WHERE domain = ?", domain)
	} else if err == nil {
		_, err = tx.Exec(`INSERT INTO outbox_destination (domain, due) VALUES (?, ?)
			ON CONFLICT (domain) DO UPDATE SET due = excluded.due`, domain, *due)
	}
	if err != nil {
		return fmt.Errorf("noting when a destination is due: %w", err)
	}
	return nil
}

// destinations gives the domains that are due first.
func (o *Outbox) destinations(ctx context.Context, limit int) (domains []string, dues []int64, err error) {
	err = o.opts.DB.Read(ctx, func(tx *db.Tx) error {
		return tx.Each("SELECT domain, due FROM outbox_destination ORDER BY due LIMIT ?", []any{limit}, func(row db.Row) error {
			var domain string
			var due int64
			err := row.Scan(&domain, &due)
			domains, dues = append(domains, domain), append(dues, due)
			return err
		})
	})
	return domains, dues, err
}

// claim takes waiting recipients for an attempt, durably, and returns those
// that it got: others may have been held, dropped or withdrawn meanwhile. began
// is when handing over begins, from when on the end is in doubt; 0 for not.
func (o *Outbox) claim(list []*recipient, began int64) (got []*recipient, err error) {
	err = o.writes.do(func(tx *db.Tx) error {
		got = got[:0]
		for _, r := range list {
			n, err := tx.Exec("UPDATE outbox_recipient SET state = ?, began = ? WHERE id = ? AND state = 0", int64(claimed), began, r.id)
			if err != nil {
				return fmt.Errorf("claiming a recipient: %w", err)
			}
			if n == 1 {
				got = append(got, r)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, r := range got {
		r.state = claimed
	}
	return got, nil
}

// take claims one recipient for an act. Errors: fs.ErrNotExist, ErrBusy.
func (o *Outbox) take(id int64) error {
	return o.writes.do(func(tx *db.Tx) error {
		n, err := tx.Exec("UPDATE outbox_recipient SET state = ?, held = CASE state WHEN 1 THEN 1 ELSE 0 END, began = ? WHERE id = ? AND state IN (0, 1)",
			int64(acting), micro(o.now()), id)
		if err != nil || n == 1 {
			return err
		}
		return whyNot(tx, id)
	})
}

// whyNot explains that a recipient is in another state than it should be.
func whyNot(tx *db.Tx, id int64) error {
	var s state
	err := tx.One("SELECT state FROM outbox_recipient WHERE id = ?", []any{id}, &s)
	if err != nil {
		return err
	}
	if s == over {
		return fs.ErrNotExist
	}
	return ErrBusy
}

// tooLong is after how long an act that has not ended has been cut off.
const tooLong = 10 * time.Minute

// unclaim gives an item back that was claimed by an act.
func unclaim(tx *db.Tx, r *recipient) error {
	_, err := tx.Exec("UPDATE outbox_recipient SET state = held, held = 0, began = 0 WHERE id = ? AND state = ?", r.id, int64(acting))
	if err != nil {
		return fmt.Errorf("giving a recipient back: %w", err)
	}
	return wake(tx, r.domain, r.due)
}

// unclaimOld gives back what acts claimed that were cut off.
func (o *Outbox) unclaimOld() error {
	return o.writes.do(func(tx *db.Tx) error {
		list, err := recipients(tx, "state = ? AND began < ?", int64(acting), micro(o.now().Add(-tooLong)))
		for _, r := range list {
			err = errors.Join(err, unclaim(tx, r))
		}
		return err
	})
}

// finish takes a recipient out of the queue, or leaves it there for the notice
// that is owed. With the last one the letter goes, and the key with it.
func finish(tx *db.Tx, r *recipient, owes owed) error {
	if owes != owesNothing {
		_, err := tx.Exec("UPDATE outbox_recipient SET state = ?, owed = ?, tried = ?, code = ?, status = ?, answer = ?, host = ? WHERE id = ?",
			int64(over), int64(owes), r.tried, r.code, r.status, r.answer, r.lastHost, r.id)
		if err != nil {
			return fmt.Errorf("noting a notice that is owed: %w", err)
		}
		return nil
	}
	if _, err := tx.Exec("DELETE FROM outbox_recipient WHERE id = ?", r.id); err != nil {
		return fmt.Errorf("taking a recipient out of the queue: %w", err)
	}
	return forget(tx, r.entry())
}

// forget removes a letter that has no recipient left. The server's key opens what
// waits, so of personal mail nothing may be left when it has gone.
func forget(tx *db.Tx, entry int64) error {
	first, last := span(entry)
	var left, personal bool
	err := tx.One(`SELECT EXISTS (SELECT 1 FROM outbox_recipient WHERE id BETWEEN ? AND ?),
		EXISTS (SELECT 1 FROM outbox_letter WHERE entry = ? AND class = ?)`,
		[]any{first, last, entry, string(sijill.Personal)}, &left, &personal)
	if err != nil || left {
		return err
	}
	if _, err = tx.Exec("DELETE FROM outbox_letter WHERE entry = ?", entry); err == nil {
		_, err = tx.Exec("DELETE FROM outbox_part WHERE id BETWEEN ? AND ?", first, last)
	}
	if err == nil && personal {
		err = record.Owe(tx)
	}
	if err != nil {
		return fmt.Errorf("taking a letter out of the queue: %w", err)
	}
	return nil
}

// recoverRows gives back what was claimed when the last process ended, says of
// what was being handed over that its end is in doubt, and makes the list of
// destinations anew.
func (o *Outbox) recoverRows() error {
	return o.writes.do(func(tx *db.Tx) error {
		for _, query := range []string{
			"UPDATE outbox_recipient SET state = 0, began = 0, attempts = attempts + 1, doubt = doubt + 1 WHERE state = 2 AND began <> 0",
			"UPDATE outbox_recipient SET state = 0 WHERE state = 2",
			"DELETE FROM outbox_destination",
			"INSERT INTO outbox_destination (domain, due) SELECT domain, min(due) FROM outbox_recipient WHERE state = 0 GROUP BY domain",
		} {
			if _, err := tx.Exec(query); err != nil {
				return fmt.Errorf("recovering the queue: %w", err)
			}
		}
		return nil
	})
}
