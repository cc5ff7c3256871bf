package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"sync"
	"time"
)

// Times of the stream of events.
const (
	heartbeat = 25 * time.Second       // Proxies cut what is silent for longer.
	gather    = 100 * time.Millisecond // How long changes are gathered for one event.
	writeFor  = 10 * time.Second       // How long a reader may take to take one.
)

// news is one event.
type news struct {
	Unseen  int64        `json:"unseen"` // Of all inboxes.
	Folders []folderNews `json:"folders"`
}

type folderNews struct {
	ID     int64 `json:"id"`
	Total  int64 `json:"total"`
	Unseen int64 `json:"unseen"`
}

// streams counts the streams that are open: each holds a connection for as long
// as its page is open.
type streams struct {
	mu  sync.Mutex
	all int           // Guarded by mu, as is of.
	of  map[int64]int // By account.
}

// take counts a stream of an account. It gives 0, or the status for one too many:
// 429 when it is the account's, 503 when it is everyone's (RFC 6585, section 4;
// RFC 9110, section 15.6.4).
func (t *streams) take(account int64, each, all int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.of[account] >= each:
		return http.StatusTooManyRequests
	case t.all >= all:
		return http.StatusServiceUnavailable
	}
	if t.of == nil {
		t.of = map[int64]int{}
	}
	t.all++
	t.of[account]++
	return 0
}

func (t *streams) give(account int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all--
	if t.of[account]--; t.of[account] == 0 {
		delete(t.of, account)
	}
}

// events sends the counts of the folders whenever they change (server-sent
// events). It ends when the session does. Beyond so many streams it refuses; the
// page then asks for the counts now and again, and for a stream each time.
func (s *site) events(w http.ResponseWriter, r *request) error {
	if s.Watcher == nil {
		return fs.ErrNotExist
	}
	if r.viewer == nil { // 204 tells a browser not to ask again (HTML, section 9.2).
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if status := s.streams.take(r.viewer.Account, s.AccountStreams, s.Streams); status != 0 {
		retryAfter(w, s.StreamRetry)
		http.Error(w, "too many pages listen for news already", status)
		return nil
	}
	defer s.streams.give(r.viewer.Account)
	changed, stop := s.Watcher.Watch(r.viewer)
	defer stop()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	c := http.NewResponseController(w)
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		if !s.tell(w, r, c) {
			return nil // The answer has begun: there's no other way to say it.
		}
		select {
		case <-r.Context().Done():
			return nil
		case <-changed:
			select { // One event for what comes together.
			case <-time.After(gather):
			case <-r.Context().Done():
				return nil
			}
		case <-tick.C:
		}
		if s.Access.Lasts(r.Context(), r.viewer) != nil {
			return nil
		}
	}
}

// eventNow gives the counts once.
func (s *site) eventNow(w http.ResponseWriter, r *request) error {
	if s.Watcher == nil {
		return fs.ErrNotExist
	}
	if r.viewer == nil {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	n, err := s.news(r)
	if err != nil {
		return err
	}
	return sendJSON(w, http.StatusOK, n)
}

func (s *site) news(r *request) (news, error) {
	folders, err := s.Mailbox.Folders(r.Context(), r.viewer)
	if err != nil {
		return news{}, fmt.Errorf("counting for events: %w", err)
	}
	n := news{Folders: []folderNews{}}
	for _, f := range folders {
		n.Folders = append(n.Folders, folderNews{f.ID, f.Total, f.Unseen})
		if f.Role == roleInbox {
			n.Unseen += f.Unseen
		}
	}
	return n, nil
}

// tell sends one event. It gives false when there's nobody to send it to.
func (s *site) tell(w http.ResponseWriter, r *request, c *http.ResponseController) bool {
	n, err := s.news(r)
	if err != nil {
		if r.Context().Err() == nil {
			s.Log.WarnContext(r.Context(), "counting for events failed", "error", err)
		}
		return false
	}
	b, err := json.Marshal(n)
	if err != nil {
		return false
	}
	if err := c.SetWriteDeadline(time.Now().Add(writeFor)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return false
	}
	if _, err := fmt.Fprintf(w, "event: counts\ndata: %s\n\n", b); err != nil {
		return false
	}
	if c.Flush() != nil {
		return false
	}
	// Nothing is to be written until the next one. HTTP/2 ends a stream whose deadline
	// passes, whether or not anybody writes.
	_ = c.SetWriteDeadline(time.Time{})
	return true
}
