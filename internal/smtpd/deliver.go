package smtpd

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"time"

	"sijill/internal/message"
)

// maxJournalled is how many addresses one journal report may name.
const maxJournalled = 10000

// deliver seals the letter and returns the reply to it.
func (s *session) deliver() reply {
	g := s.g
	if r := s.sound(); r != nil {
		return r
	}
	raw := g.letter.bytes
	m := &Mail{Envelope: s.envelope(time.Now().UTC()), Message: raw}
	if s.journal {
		if r := s.unpack(raw, &m.Envelope); r != nil {
			return r
		}
	}
	m.Accounts, m.Holders = s.accounts(), s.holders
	if r := s.judge(m); r != nil {
		return r
	}
	receipt, err := g.srv.opt.Appender.Append(g.srv.ctx, m)
	if err != nil {
		return g.srv.unsealed(err)
	}
	return s.accepted(receipt)
}

// sound returns what is wrong with the letter whatever it says.
func (s *session) sound() reply {
	l := &s.g.letter
	if l.refusal != nil {
		return l.refusal
	}
	if r := inspect(l.bytes); r != nil {
		return r
	}
	if hops(l.bytes) > s.g.srv.opt.Limits.Hops {
		return replyLoop
	}
	return nil
}

// accepted counts a sealed letter and gives the reply to it.
func (s *session) accepted(receipt Receipt) reply {
	g, n := s.g, len(s.g.letter.bytes)
	g.errors, g.idle = 0, 0
	g.srv.stats.accepted.Add(1)
	g.srv.stats.bytes.Add(int64(n))
	g.srv.opt.Log.Debug("message sealed", "entry", receipt.Entry, "bytes", n, "door", g.role.door)
	return sealed(receipt.Entry)
}

// unsealed turns an error of the Appender into a reply.
func (s *Server) unsealed(err error) reply {
	s.opt.Log.Error("message not sealed", "err", err)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return replyFull
	}
	return replyUnsealed
}

// envelope says what is known of the transaction at time now.
func (s *session) envelope(now time.Time) message.Envelope {
	e := message.Envelope{
		Door:  s.g.role.door,
		From:  s.from,
		To:    s.to,
		Hello: s.conn.Hostname(),
		TLS:   s.g.tls,
		Time:  now,
	}
	if s.g.peer.IsValid() {
		e.Client = s.g.peer.String()
	}
	e.Trace = s.trace(&e)
	return e
}

// unpack notes what a journal report says and adds the accounts that it names:
// those of the sender and all recipients. Mail to a journal address that is no
// report is a blind copy; only its own header tells whose it is.
func (s *session) unpack(raw []byte, e *message.Envelope) reply {
	ctx, cancel := context.WithTimeout(s.g.srv.ctx, lookupTime)
	defer cancel()
	var names []string
	if j, ok := message.DetectJournal(raw); ok {
		e.Journal = j
		names = append(append(names, j.Sender), j.Recipients...)
	} else {
		m := message.Parse(raw)
		for _, list := range [][]message.Address{m.From(), m.To(), m.Cc()} {
			for _, a := range list {
				names = append(names, a.Addr)
			}
		}
	}
	return s.addNamed(ctx, names)
}

// addNamed adds the accounts of those names that are addresses of the office.
func (s *session) addNamed(ctx context.Context, names []string) reply {
	seen := make(map[string]bool)
	for _, name := range names {
		key := strings.ToLower(name)
		if seen[key] || !plausible(name) {
			continue
		}
		if seen[key] = true; len(seen) > maxJournalled {
			return replyManyJournal
		}
		switch mailbox, r := s.g.srv.lookup(ctx, name); r {
		case nil:
			s.hold(mailbox)
		case replyForeign, replyUnknown: // other people's addresses are to be expected
		default:
			return r
		}
	}
	return nil
}
