package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
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

// events sends the counts of the folders whenever they change (server-sent
// events). It ends when the session does.
func (s *site) events(w http.ResponseWriter, r *request) error {
	if s.Watcher == nil {
		return fs.ErrNotExist
	}
	if r.viewer == nil { // 204 tells a browser not to ask again (HTML, section 9.2).
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
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
		if _, err := s.Access.Resume(r.Context(), r.viewer.Token); err != nil {
			return nil
		}
	}
}

// tell sends one event. It gives false when there's nobody to send it to.
func (s *site) tell(w http.ResponseWriter, r *request, c *http.ResponseController) bool {
	folders, err := s.Mailbox.Folders(r.Context(), r.viewer)
	if err != nil {
		if r.Context().Err() == nil {
			s.Log.WarnContext(r.Context(), "counting for events failed", "error", err)
		}
		return false
	}
	n := news{Folders: []folderNews{}}
	for _, f := range folders {
		n.Folders = append(n.Folders, folderNews{f.ID, f.Total, f.Unseen})
		if f.Role == roleInbox {
			n.Unseen += f.Unseen
		}
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
	return c.Flush() == nil
}
