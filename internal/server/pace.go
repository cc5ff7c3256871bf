package server

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// pace bounds how slowly a peer may send a request and take an answer, and not how
// long it may: a letter of 35 MB is ten minutes on a line that is none too bad.
type pace struct {
	header time.Duration // For the header of a request.
	read   time.Duration // For each stretch of a body.
	write  time.Duration // For each stretch of an answer. What makes it takes its time of this.
	idle   time.Duration // Between two requests.
	rate   int64         // Bytes a second that make a stretch: rate times its duration.
}

// ordinary is the pace of the web.
var ordinary = pace{header: 10 * time.Second, read: time.Minute, write: 10 * time.Minute, idle: 2 * time.Minute, rate: 1 << 10}

// stretch is how many bytes must pass within d.
func (p pace) stretch(d time.Duration) int64 {
	return max(1, int64(float64(p.rate)*d.Seconds()))
}

// kept serves with the pace of a server whose ReadTimeout and WriteTimeout are those
// of p: they bound the first stretch, and each one that is done gives time for the
// next.
func (p pace) kept(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		if r.Body != nil && r.Body != http.NoBody {
			r = r.WithContext(r.Context()) // The server still asks its own request for its body.
			r.Body = &pacedBody{ReadCloser: r.Body, c: c, pace: p, left: p.stretch(p.read)}
		}
		h.ServeHTTP(&pacedWriter{ResponseWriter: w, c: c, pace: p, left: p.stretch(p.write)}, r)
	})
}

// pacedBody moves the deadline on as a body comes. One that can't be moved stays as it
// is.
type pacedBody struct {
	io.ReadCloser
	c    *http.ResponseController
	pace pace
	left int64 // Bytes of this stretch.
}

// Read implements io.Reader.
func (b *pacedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	ended := errors.Is(err, io.EOF)
	if b.left > 0 && !ended {
		return n, err
	}
	b.left = b.pace.stretch(b.pace.read)
	now := time.Now()
	if !ended { // Afterwards the server reads on without end, to learn whether the peer has gone.
		_ = b.c.SetReadDeadline(now.Add(b.pace.read))
	}
	_ = b.c.SetWriteDeadline(now.Add(b.pace.write)) // The answer has not begun.
	return n, err
}

// pacedWriter moves the deadline on as an answer goes. One that can't be moved stays
// as it is.
type pacedWriter struct {
	http.ResponseWriter
	c    *http.ResponseController
	pace pace
	left int64 // Bytes of this stretch.
}

// Unwrap is for http.ResponseController: it flushes and sets deadlines beneath.
func (w *pacedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Write implements io.Writer. A write may be longer than a stretch.
func (w *pacedWriter) Write(p []byte) (written int, err error) {
	for {
		n, err := w.ResponseWriter.Write(p[:min(int64(len(p)), w.left)])
		written, w.left, p = written+n, w.left-int64(n), p[n:]
		if w.left <= 0 {
			w.left = w.pace.stretch(w.pace.write)
			_ = w.c.SetWriteDeadline(time.Now().Add(w.pace.write))
		}
		if err != nil || len(p) == 0 {
			return written, err
		}
	}
}
