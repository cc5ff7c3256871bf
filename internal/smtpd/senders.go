package smtpd

import (
	"sync"
	"time"
)

// hour is the time over which the limits of a sender are counted.
const hour = time.Hour

// senders counts what each account has sent in its hour. Like the rates of
// peers, the counts are of this process and begin anew with it.
type senders struct {
	messages, recipients int

	mu    sync.Mutex // guards what follows
	seen  map[int64]*sending
	swept time.Time
}

// sending is what one account has done since began.
type sending struct {
	began                time.Time
	messages, recipients int
}

func newSenders(l Limits) *senders {
	return &senders{messages: l.SenderMessages, recipients: l.SenderRecipients, seen: make(map[int64]*sending)}
}

// message counts the beginning of a message and tells whether it may come now.
func (s *senders) message(account int64, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.at(account, now)
	if e.messages >= s.messages || e.recipients >= s.recipients {
		return false
	}
	e.messages++
	return true
}

// recipient counts one recipient and tells whether it may be added now.
func (s *senders) recipient(account int64, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.at(account, now)
	if e.recipients >= s.recipients {
		return false
	}
	e.recipients++
	return true
}

// at returns the counts of an account, begun anew if its hour is over. Once an
// hour the others that are over are forgotten.
func (s *senders) at(account int64, now time.Time) *sending {
	if now.Sub(s.swept) >= hour {
		s.swept = now
		for a, e := range s.seen {
			if now.Sub(e.began) >= hour {
				delete(s.seen, a)
			}
		}
	}
	e := s.seen[account]
	if e == nil || now.Sub(e.began) >= hour {
		e = &sending{began: now}
		s.seen[account] = e
	}
	return e
}
