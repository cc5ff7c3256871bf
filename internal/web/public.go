package web

import (
	"fmt"
	"net/http"
	"strings"

	"sijill/internal/view"
)

// health answers a watcher: 200 while the server can do its work.
func (s *site) health(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if s.Health != nil {
		if err := s.Health(r.Context()); err != nil {
			s.Log.WarnContext(r.Context(), "health check failed", "error", err)
			http.Error(w, "unhealthy", http.StatusServiceUnavailable)
			return
		}
	}
	fmt.Fprintln(w, "ok")
}

// log serves the register's checkpoint and tiles to anyone (C2SP tlog-tiles).
// The entries themselves are not served.
func (s *site) log(w http.ResponseWriter, r *request) error {
	path := r.PathValue("path")
	h := w.Header()
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("Access-Control-Allow-Origin", "*")
	if path == "checkpoint" {
		b, err := s.Records.Checkpoint(r.Context())
		if err != nil {
			return fmt.Errorf("reading the checkpoint: %w", err)
		}
		h.Set("Content-Type", "text/plain; charset=utf-8")
		h.Set("Cache-Control", "no-store")
		w.Write(b)
		return nil
	}
	if !strings.HasPrefix(path, "tile/") || strings.HasPrefix(path, "tile/entries") {
		return s.absent(w, r)
	}
	b, err := s.Records.Tile(r.Context(), path)
	if err != nil {
		return fmt.Errorf("reading a tile: %w", err)
	}
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Cache-Control", "public, max-age=604800, immutable")
	w.Write(b)
	return nil
}

// favicon is for documents that name no icon: those in frames, and files.
func (s *site) favicon(w http.ResponseWriter, r *request) error {
	to, err := s.views.Static().URL("seal.svg")
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "public, max-age=86400")
	http.Redirect(w, r.Request, to, http.StatusFound)
	return nil
}

// helpPage explains the query syntax and the keys.
type helpPage struct {
	view.Frame
	Help []QueryHelp
}

func (s *site) help(w http.ResponseWriter, r *request) error {
	f, _, err := s.framed(r, "help", 0)
	if err != nil {
		return err
	}
	p := helpPage{Frame: f}
	if p.Help, err = queryHelp(r.locale); err != nil {
		return err
	}
	if p.Title, err = r.locale.Plain("nav.help"); err != nil {
		return err
	}
	return s.render(w, http.StatusOK, "help", p)
}
