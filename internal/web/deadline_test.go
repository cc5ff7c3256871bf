package web

import (
	"net/http"
	"testing"
	"time"

	"sijill/internal/web/webtest"
)

// deadlines tells which deadlines an answer gets.
type deadlines struct {
	http.ResponseWriter
	set chan time.Time
}

func (d *deadlines) Unwrap() http.ResponseWriter { return d.ResponseWriter }

func (d *deadlines) SetWriteDeadline(t time.Time) error {
	d.set <- t
	return http.NewResponseController(d.ResponseWriter).SetWriteDeadline(t)
}

// A stream of events may be silent for as long as nothing happens: the time that a
// reader has to take an event ends with it.
func TestStreamOutlastsItsEvents(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	inner, set := o.handler, make(chan time.Time, 100)
	c := o.signIn(t, records)
	o.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { inner.ServeHTTP(&deadlines{w, set}, r) })
	o.listen(t, c)
	for _, bounded := range []bool{true, false} {
		select {
		case at := <-set:
			if at.IsZero() == bounded {
				t.Errorf("the deadline is %v", at)
			}
		case <-time.After(webtest.Patience):
			t.Fatalf("no deadline is set: bounded %v", bounded)
		}
	}
}
