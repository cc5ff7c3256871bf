package outbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sijill/internal/db"
)

// A server that takes one connection at a time gets everything over one, and
// nothing is put off.
func TestServerTakesOneConnection(t *testing.T) {
	f := newOffice(t, nil)
	var greeted atomic.Int32
	s := newSink(t, "mx.abroad.example", func(s *sink) {
		s.answer = func(line string) string {
			if line == "" && greeted.Add(1) > 1 {
				return "421 4.7.0 too many connections"
			}
			if line == "." {
				time.Sleep(2 * time.Millisecond)
			}
			return ""
		}
	})
	f.domain("abroad.example", "192.0.2.1", s)
	f.fill(40, 1, 100)
	f.dns.set("d0.example", f.dns.zone["abroad.example"].([]any)[0])
	f.run()
	f.empty()
	if st, _ := f.o.Stats(t.Context()); st.Deferred != 0 || st.Delivered != 40 {
		t.Errorf("%+v", st)
	}
}

// No destination keeps the others from having a connection, nor goes beyond its
// own share.
func TestShares(t *testing.T) {
	f := newOffice(t, func(o *Options) { o.Limits.Connections, o.Limits.PerDestination = 4, 4 })
	var open, most atomic.Int32
	answers := make(chan struct{}) // Each lets one letter of the others go.
	slow := func(s *sink) {
		s.answer = func(line string) string {
			switch {
			case strings.HasPrefix(line, "MAIL"):
				n := open.Add(1)
				for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
				}
			case line == ".":
				<-answers
				open.Add(-1)
			}
			return ""
		}
	}
	f.domain("d0.example", "192.0.2.1", newSink(t, "mx.d0.example", slow))
	late := newSink(t, "mx.late.example", nil)
	f.domain("late.example", "192.0.2.2", late)
	f.fill(150, 1, 100)
	f.run()
	f.await("the first to leave", func() bool { return most.Load() == 4 })
	sent := f.send(letterTo("a@late.example"))
	f.await("the late one to want a connection", func() bool { return f.o.wanting.Load() > 0 })
	answers <- struct{}{}
	f.ends(sent, 1) // One of the others ended, and the late one has what was free.
	close(answers)
	f.empty()
	if n := most.Load(); n != 4 {
		t.Errorf("%d at once", n)
	}
}

func TestRate(t *testing.T) {
	f := newOffice(t, func(o *Options) { o.Limits.PerMinute = 600 })
	f.domain("abroad.example", "192.0.2.1", newSink(t, "mx.abroad.example", nil))
	var last int64
	for range 5 {
		last = f.send(letterTo("a@abroad.example"))
	}
	began := time.Now()
	f.run()
	f.ends(last, 1)
	f.empty()
	if took := time.Since(began); took < 400*time.Millisecond {
		t.Errorf("5 messages at 600 a minute took %v", took)
	}
}

// A long message is streamed from several parts, and a part that is not its own
// is noticed.
func TestLongMessage(t *testing.T) {
	f := newOffice(t, nil)
	s := newSink(t, "mx.abroad.example", nil)
	f.domain("abroad.example", "192.0.2.1", s)
	l := letterTo("a@abroad.example")
	l.Message = []byte(text + strings.Repeat("..\r\n.\r\n....\r\n", 60000) + "no end")
	sent := f.send(l)
	if n := f.rows("outbox_part"); n != 3 {
		t.Errorf("%d parts", n)
	}
	ctx := context.Background()
	row, err := f.o.letterOf(ctx, sent)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := f.o.whole(ctx, row); err != nil || !bytes.Equal(b, l.Message) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	swap := func() {
		err := f.home.DB.Write(ctx, func(tx *db.Tx) error {
			first, _ := span(sent)
			for _, move := range [][2]int64{{first, -1}, {first + 1, first}, {-1, first + 1}} {
				if _, err := tx.Exec("UPDATE outbox_part SET id = ? WHERE id = ?", move[1], move[0]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	swap()
	if _, err := f.o.whole(ctx, row); !errors.Is(err, errSpool) {
		t.Errorf("exchanged parts: %v", err)
	}
	swap()
	f.run()
	f.ends(sent, 1)
	if got := s.deliveries(); len(got) != 1 || string(got[0].data) != string(l.Message)+"\r\n" {
		t.Errorf("%d deliveries", len(got))
	}
	f.empty()
}

// A letter whose key another server's key wraps is not lost in silence.
func TestAnotherKey(t *testing.T) {
	f := newOffice(t, nil)
	f.domain("abroad.example", "192.0.2.1", newSink(t, "mx.abroad.example", nil))
	sent := f.send(letterTo("a@abroad.example"))
	f.o.opts.Key[0]++
	f.run()
	if e := f.ends(sent, 1); statuses(e) != "deferred" || e[0].Outcome.Status != "4.3.0" {
		t.Errorf("%+v", e)
	}
}

// Two processes don't deliver one queue.
func TestOneRuns(t *testing.T) {
	f := newOffice(t, func(o *Options) { o.Lock = filepath.Join(t.TempDir(), "lock") })
	sent := f.send(letterTo("a@diwan.example"))
	f.run()
	f.ends(sent, 1)
	other, err := Open(t.Context(), f.opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Run(t.Context()); !errors.Is(err, ErrRunning) {
		t.Errorf("a second process: %v", err)
	}
	f.stop()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := other.Run(ctx); err != nil {
		t.Errorf("after its end: %v", err)
	}
}

// What a crash cut off between two transactions is finished at the next start.
func TestConclude(t *testing.T) {
	f := newOffice(t, nil)
	s := newSink(t, "mx.abroad.example", nil)
	f.domain("abroad.example", "192.0.2.1", s)
	own, back, doubtful, kept := f.send(letterTo("a@diwan.example")), f.send(letterTo("a@abroad.example")), f.send(letterTo("b@abroad.example")), f.send(letterTo("c@abroad.example"))
	err := f.home.DB.Write(t.Context(), func(tx *db.Tx) error {
		for entry, change := range map[int64]string{own: "state = 3, captured = 77", back: "state = 4", doubtful: "state = 2, began = 5", kept: "state = 6, held = 1"} {
			if _, err := tx.Exec(fmt.Sprintf("UPDATE outbox_recipient SET %s WHERE id = ?", change), entry<<numberBits); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	f.run()
	if e := f.ends(own, 1); statuses(e) != "delivered" || e[0].Outcome.Captured != 77 || len(f.arrived()) != 0 {
		t.Errorf("%+v", e)
	}
	if e := f.ends(back, 1); statuses(e) != "withdrawn" {
		t.Errorf("%+v", e)
	}
	if e := f.ends(doubtful, 1); statuses(e) != "delivered" || e[0].Doubt != 1 || e[0].Attempts != 2 {
		t.Errorf("%+v", e)
	}
	if items, _ := f.o.List(t.Context(), Filter{}); len(items) != 1 || items[0].Entry != kept || items[0].State != "held" {
		t.Errorf("%+v", items)
	}
}

// An attempt that is cut off when the program ends is in doubt at the next
// start.
func TestEnd(t *testing.T) {
	f := newOffice(t, func(o *Options) { o.Limits.Grace = 50 * time.Millisecond })
	var asked atomic.Bool
	awake := make(chan struct{})
	s := newSink(t, "mx.abroad.example", func(s *sink) {
		s.answer = func(line string) string {
			if line == "." {
				asked.Store(true)
				<-awake
			}
			return ""
		}
	})
	f.domain("abroad.example", "192.0.2.1", s)
	sent := f.send(letterTo("a@abroad.example"))
	f.run()
	f.await("the whole message to be sent", asked.Load)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.stop()
	}()
	select {
	case <-ended: // Although the far end doesn't answer.
	case <-time.After(30 * time.Second):
		t.Error("the end waits for the far end")
	}
	close(awake)
	<-ended
	var err error
	if f.o, err = Open(t.Context(), f.opts); err != nil {
		t.Fatal(err)
	}
	f.run()
	f.pass(6 * time.Minute)
	f.await("the letter to be delivered", func() bool { return strings.HasSuffix(statuses(f.outcomes(sent)), ResultDelivered) })
	list := f.outcomes(sent)
	if e := list[len(list)-1]; e.Doubt != 1 {
		t.Errorf("%+v", e)
	}
}
