package outbox

import (
	"errors"
	"io/fs"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestWithdraw(t *testing.T) {
	f := newOffice(t, nil)
	s := newSink(t, "mx.abroad.example", nil)
	f.domain("abroad.example", "192.0.2.1", s)
	l := letterTo("a@abroad.example", "b@abroad.example")
	l.NotBefore = f.now().Add(time.Hour)
	one, two := f.send(l), f.send(l)
	f.run()
	if err := f.o.Withdraw(t.Context(), one, 2); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("somebody else: %v", err)
	}
	if err := f.o.Withdraw(t.Context(), one, 1); err != nil {
		t.Fatal(err)
	}
	e := f.outcomes(one)
	if statuses(e) != "withdrawn" || e[0].Count != 2 || len(e[0].Outcome.To) != 2 {
		t.Errorf("%+v", e)
	}
	if err := f.o.Withdraw(t.Context(), one, 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("again: %v", err)
	}
	f.ends(f.send(letterTo("c@abroad.example")), 1) // What may leave before it has left by then.
	if len(s.deliveries()) != 1 {
		t.Fatal("a letter left before its time")
	}
	f.pass(time.Hour)
	if err := f.o.Withdraw(t.Context(), two, 1); !errors.Is(err, ErrTooLate) && !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("too late: %v", err)
	}
	if e := f.ends(two, 2); statuses(e) != "delivered delivered" {
		t.Errorf("%+v", e)
	}
	f.empty()
	if len(s.deliveries()) != 2 {
		t.Error("a letter that was withdrawn has left")
	}
}

func TestHoldReleaseDropRetry(t *testing.T) {
	f := newOffice(t, nil)
	var works atomic.Bool
	s := newSink(t, "mx.abroad.example", func(s *sink) {
		s.answer = func(line string) string {
			if strings.HasPrefix(line, "MAIL") && !works.Load() {
				return "451 4.3.2 later"
			}
			return ""
		}
	})
	f.domain("abroad.example", "192.0.2.1", s)
	sent := f.send(letterTo("a@abroad.example", "b@abroad.example", "c@abroad.example"))
	items, err := f.o.List(t.Context(), Filter{Domain: "ABROAD.example", Account: 1, Entry: &sent})
	if err != nil || len(items) != 3 || items[0].To != "a@abroad.example" || items[0].From != "hind@diwan.example" || items[0].Attempts != 0 {
		t.Fatalf("%+v %v", items, err)
	}
	a, b, c := items[0].ID, items[1].ID, items[2].ID
	if err := f.o.Hold(t.Context(), a, "00000000000000000000000000000001", "asked by phone"); err != nil {
		t.Fatal(err)
	}
	e := f.outcomes(sent)
	if statuses(e) != "held" || e[0].Actor != "00000000000000000000000000000001" || e[0].Outcome.Reason != "asked by phone" {
		t.Errorf("%+v", e)
	}
	f.run()
	f.ends(sent, 3) // Held, and two that were deferred.
	items, _ = f.o.List(t.Context(), Filter{Held: true})
	if len(items) != 1 || items[0].ID != a || items[0].State != "held" || items[0].Attempts != 0 {
		t.Errorf("%+v", items)
	}
	if items, _ = f.o.List(t.Context(), Filter{From: a + 1, Limit: 1}); len(items) != 1 || items[0].ID != b || items[0].Answer != "later" || items[0].Code != 451 {
		t.Errorf("%+v", items)
	}
	if err := f.o.Retry(t.Context(), a); !errors.Is(err, ErrBusy) {
		t.Errorf("retry of what is held: %v", err)
	}
	if err := f.o.Release(t.Context(), b); !errors.Is(err, ErrBusy) {
		t.Errorf("release of what isn't: %v", err)
	}
	if err := f.o.Drop(t.Context(), c, "00000000000000000000000000000001", "sent by mistake"); err != nil {
		t.Fatal(err)
	}
	_, plain, _, status, _ := parts(t, f.notice(1))
	wants(t, "text", plain, "c@abroad.example", "an administrator took it out of the queue: sent by mistake")
	wants(t, "status", status, "Status: 5.7.0\r\n", "Diagnostic-Code: x-sijill; an administrator")
	works.Store(true)
	if err := errors.Join(f.o.Release(t.Context(), a), f.o.Retry(t.Context(), b)); err != nil {
		t.Fatal(err)
	}
	if e := f.ends(sent, 6); statuses(e[3:]) != "dropped delivered delivered" {
		t.Errorf("%s", statuses(e))
	}
	f.empty()
	for _, err := range []error{f.o.Hold(t.Context(), a, "", ""), f.o.Drop(t.Context(), a, "", ""), f.o.Retry(t.Context(), a), f.o.Release(t.Context(), 1<<40)} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("gone: %v", err)
		}
	}
	if st, err := f.o.Stats(t.Context()); err != nil || st.Delivered != 2 || st.Dropped != 1 || st.Deferred != 2 || st.Waiting+st.Held != 0 {
		t.Errorf("%+v %v", st, err)
	}
}

func TestRefusedLetters(t *testing.T) {
	f := newOffice(t, nil)
	for name, change := range map[string]func(*Letter){
		"nobody":        func(l *Letter) { l.To = nil },
		"no domain":     func(l *Letter) { l.To[0].Address = "a@" },
		"line break":    func(l *Letter) { l.To[0].Address = "a@b.example>\r\nDATA" },
		"angle":         func(l *Letter) { l.To[0].Address = "a@b.example> NOTIFY=NEVER" },
		"sender":        func(l *Letter) { l.From = "nobody" },
		"literal":       func(l *Letter) { l.To[0].Address = "a@[300.1.1.1]" },
		"dots":          func(l *Letter) { l.To[0].Address = "a@b..example" },
		"notify":        func(l *Letter) { l.To[0].Notify = []string{"NEVER", "DELAY"} },
		"notify word":   func(l *Letter) { l.To[0].Notify = []string{"DELAY RET=FULL"} },
		"orcpt":         func(l *Letter) { l.To[0].ORCPT = "rfc822;a\r\nb" },
		"ret":           func(l *Letter) { l.Ret = "ALL" },
		"envid":         func(l *Letter) { l.EnvID = "a\r\nb" },
		"bare line end": func(l *Letter) { l.Message = []byte("Subject: x\r\n\r\na\n.\r\n") },
		"bare return":   func(l *Letter) { l.Message = []byte("Subject: x\r\n\r\na\r.\r\n") },
		"NUL":           func(l *Letter) { l.Message = []byte("Subject: x\r\n\r\na\x00\r\n") },
	} {
		l := letterTo("a@b.example")
		change(&l)
		if _, err := f.o.Prepare(l); !errors.Is(err, ErrLetter) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, a := range []string{"a@b.example", `"a b"@b.example`, "a@[192.0.2.1]", "a@[IPv6:2001:db8::1]", "هند@مثال.example", "a@_x.example."} {
		if _, err := f.o.Prepare(letterTo(a)); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
}
