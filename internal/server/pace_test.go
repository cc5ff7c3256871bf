package server

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener without a network, so that time passes as fast as it can.
type pipes struct {
	conns chan net.Conn
	over  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	if c, ok := <-p.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (p *pipes) Close() error   { p.over.Do(func() { close(p.conns) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{} }

// atPace tests a handler at the web's own pace, on the clock of a bubble; test gets
// what connects to it.
func atPace(t *testing.T, h http.HandlerFunc, test func(t *testing.T, dial func() net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &pipes{conns: make(chan net.Conn)}
		s := httpServer(h, ordinary, slog.New(slog.DiscardHandler))
		s.Protocols = new(http.Protocols)
		s.Protocols.SetHTTP1(true)
		s.Protocols.SetUnencryptedHTTP2(true)
		go s.Serve(l)
		var conns []net.Conn
		defer func() {
			for _, c := range conns {
				c.Close()
			}
			s.Close()
			time.Sleep(24 * time.Hour) // Until all that it has begun has ended.
		}()
		test(t, func() net.Conn {
			here, there := net.Pipe()
			l.conns <- there
			conns = append(conns, here)
			return here
		})
	})
}

// drip gives size bytes, so many a second.
type drip struct {
	size, rate int
}

func (d *drip) Read(p []byte) (int, error) {
	if d.size == 0 {
		return 0, io.EOF
	}
	n := min(len(p), d.size)
	time.Sleep(time.Duration(n) * time.Second / time.Duration(d.rate))
	d.size -= n
	return n, nil
}

// post sends a body of a size at a rate, in bytes a second, by HTTP/1.1, and gives the
// status; 0 when it is cut.
func post(t *testing.T, c net.Conn, size, rate int) int {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://office.example/compose", &drip{size, rate})
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = int64(size)
	go req.Write(c)
	res, err := http.ReadResponse(bufio.NewReader(c), req)
	if err != nil {
		return 0
	}
	res.Body.Close()
	return res.StatusCode
}

// take reads a whole body and answers 400 where that fails, as handlers do.
func take(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		http.Error(w, "the form can't be read", http.StatusBadRequest)
	}
}

// A large letter may take as long as a slow line needs.
func TestSlowUpload(t *testing.T) {
	atPace(t, take, func(t *testing.T, dial func() net.Conn) {
		began := time.Now()
		if status := post(t, dial(), 25<<20, 16<<10); status != http.StatusOK {
			t.Errorf("status %d after %v", status, time.Since(began))
		}
		if took := time.Since(began); took < 10*time.Minute {
			t.Errorf("it took only %v", took)
		}
	})
}

// So it may over HTTP/2, as browsers come.
func TestSlowUploadOverHTTP2(t *testing.T) {
	atPace(t, take, func(t *testing.T, dial func() net.Conn) {
		p := new(http.Protocols)
		p.SetUnencryptedHTTP2(true)
		tr := &http.Transport{Protocols: p, DialContext: func(context.Context, string, string) (net.Conn, error) { return dial(), nil }}
		defer tr.CloseIdleConnections()
		began := time.Now()
		res, err := (&http.Client{Transport: tr}).Post("http://office.example/compose", "text/plain", &drip{25 << 20, 16 << 10})
		if err != nil || res.StatusCode != http.StatusOK || time.Since(began) < 20*time.Minute {
			t.Fatalf("%+v after %v: %v", res, time.Since(began), err)
		}
		res.Body.Close()
	})
}

// A trickle is cut within a minute or two, wherever it begins.
func TestTrickle(t *testing.T) {
	for name, rate := range map[string]int{"from the start": 900, "almost nothing": 1} {
		t.Run(name, func(t *testing.T) {
			atPace(t, take, func(t *testing.T, dial func() net.Conn) {
				began := time.Now()
				if status := post(t, dial(), 1<<20, rate); status != 0 && status != http.StatusBadRequest {
					t.Errorf("status %d", status)
				}
				if took := time.Since(began); took > 61*time.Second {
					t.Errorf("it was cut after %v", took)
				}
			})
		})
	}
	t.Run("after a good start", func(t *testing.T) {
		atPace(t, take, func(t *testing.T, dial func() net.Conn) {
			c := dial()
			fmt.Fprintf(c, "POST /compose HTTP/1.1\r\nHost: office.example\r\nContent-Length: %d\r\n\r\n", 1<<20)
			began := time.Now()
			go func() {
				c.Write(make([]byte, 512<<10))
				io.Copy(c, &drip{512 << 10, 500})
			}()
			if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			if took := time.Since(began); took > 2*time.Minute {
				t.Errorf("it was cut after %v", took)
			}
		})
	})
}

// body is what downloads give.
var body = bytes.Repeat([]byte("0123456789abcdef"), 2<<16)

// download reads an answer so many bytes a second, and tells how many came.
func download(c io.Reader, rate int) (n int64, err error) {
	for {
		time.Sleep(time.Second)
		got, err := io.CopyN(io.Discard, c, int64(rate))
		n += got
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// A large download may take as long as a slow line needs, however its handler writes
// it, and is cut when nothing goes.
func TestSlowDownload(t *testing.T) {
	whole := func(w http.ResponseWriter, _ *http.Request) { w.Write(body) }
	inPieces := func(w http.ResponseWriter, _ *http.Request) { io.Copy(w, struct{ io.Reader }{bytes.NewReader(body)}) }
	for name, h := range map[string]http.HandlerFunc{"whole": whole, "in pieces": inPieces} {
		t.Run(name, func(t *testing.T) {
			var ended chan error // Of each bubble its own.
			noted := func(w http.ResponseWriter, r *http.Request) { h(w, r); ended <- r.Context().Err() }
			atPace(t, noted, func(t *testing.T, dial func() net.Conn) {
				ended = make(chan error, 1)
				c := dial()
				go fmt.Fprint(c, "GET /file HTTP/1.1\r\nHost: office.example\r\nConnection: close\r\n\r\n")
				began := time.Now()
				n, err := download(c, 2<<10)
				if err != nil || n < int64(len(body)) || time.Since(began) < 15*time.Minute {
					t.Errorf("%d bytes of %d after %v: %v", n, len(body), time.Since(began), err)
				}
				if err := <-ended; err != nil {
					t.Errorf("the request was taken for abandoned: %v", err)
				}
			})
			atPace(t, noted, func(t *testing.T, dial func() net.Conn) {
				ended = make(chan error, 1)
				c := dial()
				fmt.Fprint(c, "GET /file HTTP/1.1\r\nHost: office.example\r\n\r\n")
				began := time.Now()
				<-ended
				if took := time.Since(began); took > 11*time.Minute {
					t.Errorf("a reader who takes nothing was cut after %v", took)
				}
			})
		})
	}
}

// A request that says nothing more is not abandoned: news come over it for hours.
func TestLongRequest(t *testing.T) {
	news := func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		for i := range 60 {
			select {
			case <-time.After(time.Minute):
			case <-r.Context().Done():
				return
			}
			// As the pages' stream does it: see web's events.
			c.SetWriteDeadline(time.Now().Add(10 * time.Second))
			fmt.Fprintln(w, i)
			c.Flush()
			c.SetWriteDeadline(time.Time{})
		}
	}
	for name, protocol := range map[string]func(*http.Protocols, bool){"HTTP/1.1": (*http.Protocols).SetHTTP1, "HTTP/2": (*http.Protocols).SetUnencryptedHTTP2} {
		t.Run(name, func(t *testing.T) {
			atPace(t, news, func(t *testing.T, dial func() net.Conn) {
				p := new(http.Protocols)
				protocol(p, true)
				tr := &http.Transport{Protocols: p, DialContext: func(context.Context, string, string) (net.Conn, error) { return dial(), nil }}
				defer tr.CloseIdleConnections()
				res, err := (&http.Client{Transport: tr}).Get("http://office.example/events")
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close()
				lines := 0
				for s := bufio.NewScanner(res.Body); s.Scan(); {
					lines++
				}
				if lines != 60 {
					t.Errorf("of 60 events %d came", lines)
				}
			})
		})
	}
}

// What a handler refuses to read is not read to its end: the connection closes.
func TestRefusedBody(t *testing.T) {
	refuse := func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<10)); err != nil {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		}
	}
	atPace(t, refuse, func(t *testing.T, dial func() net.Conn) {
		began := time.Now()
		if status := post(t, dial(), 100<<20, 1<<20); status != http.StatusRequestEntityTooLarge {
			t.Errorf("status %d", status)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}
