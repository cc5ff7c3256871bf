package web

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sijill"
	"sijill/internal/web/webtest"
)

// listen opens a stream of events and waits for its first, until end is called.
func (o *office) listen(tb testing.TB, c *http.Client) (res *http.Response, end func()) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), webtest.Patience)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, o.URL+"/events", nil)
	if err != nil {
		tb.Fatal(err)
	}
	if res, err = c.Do(req); err != nil {
		tb.Fatal(err)
	}
	end = func() {
		cancel()
		res.Body.Close()
	}
	tb.Cleanup(end)
	if line, err := bufio.NewReader(res.Body).ReadString('\n'); res.StatusCode == http.StatusOK && (err != nil || line != "event: counts\n") {
		tb.Fatalf("a stream begins with %q, %v", line, err)
	}
	return res, end
}

// An account has so many streams and no more, and so has the server. What ends
// makes room.
func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	o.config.Streams, o.config.AccountStreams, o.config.StreamRetry = 5, 3, 7*time.Second
	o.swap(t, o.config.Records)
	c, hers := o.signIn(t, records), o.signIn(t, noura)
	want := func(c *http.Client, status int) func() {
		t.Helper()
		res, end := o.listen(t, c)
		if res.StatusCode != status {
			t.Fatalf("%s, not %d", res.Status, status)
		}
		if retry := res.Header.Get("Retry-After"); (status != http.StatusOK) != (retry == "7") {
			t.Errorf("%s with Retry-After %q", res.Status, retry)
		}
		return end
	}
	room := func(c *http.Client) func() {
		t.Helper()
		for range 2000 { // The server notices that somebody left a moment after.
			res, end := o.listen(t, c)
			if res.StatusCode == http.StatusOK {
				return end
			}
			end()
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatal("what ended makes no room")
		return nil
	}
	first := want(c, 200)
	want(c, 200)
	last := want(c, 200)
	want(c, 429)
	want(hers, 200)
	want(hers, 200)
	want(hers, 503)
	last()
	room(hers)
	want(c, 503)
	first()
	room(c)
	want(hers, 429)
	a := get(t, c, o.URL+"/events/now")
	if a.StatusCode != http.StatusOK || !strings.Contains(a.body, `"folders":[{"id":`) {
		t.Errorf("asked once: %s %s", a.Status, a.body)
	}
	if a := get(t, newClient(t), o.URL+"/events/now"); a.StatusCode != http.StatusNoContent {
		t.Errorf("asked by a stranger: %s", a.Status)
	}
}

// A page that is refused a stream asks for the counts now and again, and has its
// stream once there is room.
func TestRefusedPageAsks(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "127.0.0.1:9")
	o.config.AccountStreams, o.config.StreamRetry = 1, time.Second
	o.swap(t, o.config.Records)
	inner := o.handler
	var refused, asked, heard atomic.Int64
	o.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/events/now":
			asked.Add(1)
		case "/events":
			w = &spy{ResponseWriter: w, refused: &refused, heard: &heard}
		}
		inner.ServeHTTP(w, r)
	})
	_, leave := o.listen(t, o.signIn(t, records))
	b := webtest.Open(t, o.URL)
	b.Device(1280, 800, false)
	b.Enter(records, password, "en")
	b.GoTo("/folders")
	b.Until(`document.querySelector("meta[name=sijill-live]").dataset.retry === "1"`)
	before := webtest.Ask[string](b, `document.title`)
	o.store.arrive(o.books.add(t, filler(902), ""), sijill.Office, "", false, 1)
	b.Until(fmt.Sprintf(`document.title !== %q && document.title.startsWith("(")`, before))
	if refused.Load() == 0 || asked.Load() == 0 {
		t.Errorf("refused %d times, asked %d times", refused.Load(), asked.Load())
	}
	already := heard.Load()
	leave()
	for deadline := time.Now().Add(webtest.Patience); heard.Load() == already; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it never listens again")
		}
	}
	b.Complaints() // The browser logs that it was refused.
}

// spy counts how streams are answered.
type spy struct {
	http.ResponseWriter
	refused, heard *atomic.Int64
}

func (s *spy) WriteHeader(status int) {
	if status == http.StatusTooManyRequests {
		s.refused.Add(1)
	}
	s.ResponseWriter.WriteHeader(status)
}

func (s *spy) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (s *spy) Write(b []byte) (int, error) {
	if strings.HasPrefix(string(b), "event: counts") {
		s.heard.Add(1)
	}
	return s.ResponseWriter.Write(b)
}
