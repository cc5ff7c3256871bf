package web

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"net/http"
	"strconv"
	"time"

	"sijill/internal/view"
)

var (
	// errBadRequest is returned for a request that no page of ours makes.
	errBadRequest = errors.New("bad request")
	// errCrossOrigin is returned for a form that another site sent.
	errCrossOrigin = errors.New("cross-origin request")
)

// problem is the page for whatever went wrong.
type problem struct {
	view.Frame
	Heading, Text string
	Closed        bool // It can be opened.
	Fresh         bool // The password is to be changed first.
}

// fail answers for an error: the only place where an error becomes a status.
// What the error says goes to the log, never to the reader.
func (s *site) fail(w http.ResponseWriter, r *request, err error) {
	status, key := http.StatusInternalServerError, "problem.internal"
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		status, key = http.StatusRequestEntityTooLarge, "problem.large"
	case errors.Is(err, fs.ErrNotExist):
		status, key = http.StatusNotFound, "problem.absent"
	case errors.Is(err, errBadRequest):
		status, key = http.StatusBadRequest, "problem.request"
	case errors.Is(err, errCrossOrigin):
		status, key = http.StatusForbidden, "problem.origin"
	case errors.Is(err, ErrProve) && r.viewer != nil:
		err := s.askProof(w, r, http.StatusForbidden, "")
		if err != nil {
			s.fail(w, r, err)
		}
		return
	case errors.Is(err, ErrFresh):
		status, key = http.StatusForbidden, "problem.fresh"
	case errors.Is(err, ErrClosed):
		status, key = http.StatusForbidden, "problem.closed"
	case errors.Is(err, ErrForbidden):
		status, key = http.StatusForbidden, "problem.forbidden"
	case errors.Is(err, context.Canceled):
		return // Nobody is left to answer.
	default:
		s.Log.ErrorContext(r.Context(), "page failed", "path", r.Pattern, "error", err)
	}
	s.explain(w, r, status, key)
}

// explain draws the page of a problem. If even that fails there's only the
// status to tell.
func (s *site) explain(w http.ResponseWriter, r *request, status int, key string) {
	p := problem{Frame: s.frame(r, ""), Closed: key == "problem.closed" && r.viewer != nil, Fresh: key == "problem.fresh"}
	var err, err2 error
	p.Heading, err = r.locale.Plain(key)
	p.Text, err2 = r.locale.Plain(key + ".text")
	p.Title = p.Heading
	part := "problem"
	if r.partial() {
		part = "problem-part"
	}
	body, err3 := s.views.Fragment("problem", part, p)
	if err := errors.Join(err, err2, err3); err != nil {
		s.Log.ErrorContext(r.Context(), "problem page failed", "error", err)
		http.Error(w, strconv.Itoa(status), status)
		return
	}
	s.html(w, status, body)
}

// absent answers for an address that there isn't.
func (s *site) absent(http.ResponseWriter, *request) error { return fs.ErrNotExist }

// retryAfter sets the header in whole seconds, at least one.
func retryAfter(w http.ResponseWriter, d time.Duration) int64 {
	seconds := max(1, int64(math.Ceil(d.Seconds())))
	w.Header().Set("Retry-After", strconv.FormatInt(seconds, 10))
	return seconds
}

// render draws a page and sends it.
func (s *site) render(w http.ResponseWriter, status int, name string, data any) error {
	body, err := s.views.Render(name, data)
	if err != nil {
		return err
	}
	s.html(w, status, body)
	return nil
}

func (s *site) html(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Add("Vary", "Cookie, Accept-Language, HX-Request")
	w.WriteHeader(status)
	w.Write(body) // A reader who left is no concern of ours.
}
