package outbox

import (
	"errors"
	"io/fs"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sijill"
	"sijill/internal/resolve"
)

func TestDelivered(t *testing.T) {
	f := newOffice(t, nil)
	s := newSink(t, "mx.abroad.example", nil)
	f.domain("abroad.example", "192.0.2.1", s)
	sent := f.send(Letter{
		Account: 1, From: "hind@diwan.example", Message: []byte(text), Ret: "HDRS", EnvID: "a+b",
		To: []Recipient{{Address: "a@abroad.example", Notify: []string{"FAILURE", "DELAY"}, ORCPT: "rfc822;old=a@diwan.example"}, {Address: "b@Abroad.Example"}},
	})
	f.run()
	list := f.ends(sent, 2)
	got := s.deliveries()
	if len(got) != 1 || string(got[0].data) != text {
		t.Fatalf("%d deliveries: %+v", len(got), got)
	}
	if want := "MAIL FROM:<hind@diwan.example> SIZE=" + "227"; !strings.HasPrefix(got[0].mail, want[:35]) || !strings.HasSuffix(got[0].mail, " RET=HDRS ENVID=a+2Bb") {
		t.Errorf("%s", got[0].mail)
	}
	if r := got[0].rcpts; len(r) != 2 || r[0] != "RCPT TO:<a@abroad.example> NOTIFY=FAILURE,DELAY ORCPT=rfc822;old+3Da@diwan.example" || r[1] != "RCPT TO:<b@Abroad.Example>" {
		t.Errorf("%q", r)
	}
	for _, e := range list {
		if e.Result != ResultDelivered || e.Count != 1 || e.Attempts != 1 || e.Doubt != 0 || e.Actor != "outbox" {
			t.Errorf("%+v", e)
		}
		if d := e.Outcome; d.Code != 250 || d.Status != "2.0.0" || d.Answer != "taken" || d.Host != "mx.abroad.example" || d.Address != "192.0.2.1" || d.TLS != nil || len(d.To) != 1 {
			t.Errorf("%+v", d)
		}
	}
	f.empty()
}

// Each recipient gets what the server said of him.
func TestMixedRecipients(t *testing.T) {
	for _, pipelining := range []bool{true, false} {
		f := newOffice(t, nil)
		var first atomic.Bool
		first.Store(true)
		s := newSink(t, "mx.abroad.example", func(s *sink) {
			if !pipelining {
				s.extensions = nil
			}
			s.answer = func(line string) string {
				switch {
				case strings.HasPrefix(line, "RCPT TO:<late") && first.Swap(false):
					return "450 4.2.0 greylisted, come back"
				case strings.HasPrefix(line, "RCPT TO:<none"):
					return "550-5.1.1 no such\r\n550 5.1.1 mailbox"
				}
				return ""
			}
		})
		f.domain("abroad.example", "192.0.2.1", s)
		sent := f.send(letterTo("a@abroad.example", "late@abroad.example", "none@abroad.example"))
		f.run()
		f.ends(sent, 3)
		f.await("a notice", func() bool { return len(f.arrived()) == 1 })
		if n := len(s.deliveries()); n != 1 {
			t.Fatalf("%d deliveries", n)
		}
		f.pass(3 * time.Minute)
		f.ends(f.send(letterTo("next@abroad.example")), 1) // What is due before it has been tried by then.
		if n := len(s.deliveries()); n != 2 {
			t.Fatal("tried again too early")
		}
		f.pass(3 * time.Minute)
		words := map[string]string{}
		for _, e := range f.ends(sent, 4) {
			words[e.Outcome.To[0]] += e.Result + " " + e.Outcome.Status + " " + e.Outcome.Answer + "; "
		}
		for address, want := range map[string]string{
			"a@abroad.example":    "delivered 2.0.0 taken; ",
			"late@abroad.example": "deferred 4.2.0 greylisted, come back; delivered 2.0.0 taken; ",
			"none@abroad.example": "bounced 5.1.1 no such mailbox; ",
		} {
			if words[address] != want {
				t.Errorf("pipelining %t: %s: %q", pipelining, address, words[address])
			}
		}
		f.empty()
	}
}

// Several letters go over one connection, which is made anew when the other
// side closes it.
func TestConnectionReuse(t *testing.T) {
	f := newOffice(t, func(o *Options) { o.Limits.PerDestination, o.Limits.PerConnection = 1, 10 })
	s := newSink(t, "mx.abroad.example", nil)
	f.domain("abroad.example", "192.0.2.1", s)
	var last int64
	for range 20 {
		last = f.send(letterTo("a@abroad.example"))
	}
	f.run()
	f.ends(last, 1)
	f.empty()
	if n, c := len(s.deliveries()), s.connections(); n != 20 || c != 2 {
		t.Errorf("%d deliveries over %d connections", n, c)
	}
}

func TestServerHangsUpBetween(t *testing.T) {
	f := newOffice(t, func(o *Options) { o.Limits.PerDestination = 1 })
	var n atomic.Int32
	s := newSink(t, "mx.abroad.example", func(s *sink) {
		s.answer = func(line string) string {
			if strings.HasPrefix(line, "MAIL") {
				if n.Add(1) == 2 {
					return "-" // As if the connection had been closed for its age.
				}
			}
			return ""
		}
	})
	f.domain("abroad.example", "192.0.2.1", s)
	one, two := f.send(letterTo("a@abroad.example")), f.send(letterTo("b@abroad.example"))
	f.run()
	if e := f.ends(one, 1); statuses(e) != "delivered" {
		t.Errorf("%+v", e)
	}
	if e := f.ends(two, 1); statuses(e) != "delivered" || e[0].Doubt != 0 || e[0].Attempts != 1 {
		t.Errorf("%+v", e)
	}
}

// Whoever hangs up after the whole message may have it: the next attempt says
// so.
func TestDoubt(t *testing.T) {
	f := newOffice(t, nil)
	var first atomic.Bool
	first.Store(true)
	s := newSink(t, "mx.abroad.example", func(s *sink) {
		s.answer = func(line string) string {
			if line == "." && first.Swap(false) {
				return "-"
			}
			return ""
		}
	})
	f.domain("abroad.example", "192.0.2.1", s)
	sent := f.send(letterTo("a@abroad.example"))
	f.run()
	if e := f.ends(sent, 1); statuses(e) != "deferred" || e[0].Doubt != 1 {
		t.Errorf("%+v", e)
	}
	f.pass(6 * time.Minute)
	if e := f.ends(sent, 2); statuses(e) != "deferred delivered" || e[1].Doubt != 1 || e[1].Attempts != 2 {
		t.Errorf("%+v", e)
	}
}

func TestNextServer(t *testing.T) {
	f := newOffice(t, nil)
	busy := newSink(t, "busy.abroad.example", func(s *sink) {
		s.answer = func(line string) string {
			if line == "" {
				return "554 5.3.2 not now"
			}
			return ""
		}
	})
	good := newSink(t, "good.abroad.example", nil)
	f.dns.set("abroad.example", resolve.MX{Preference: 30, Host: "good.abroad.example."}, resolve.MX{Preference: 5, Host: "dead.abroad.example."},
		resolve.MX{Preference: 20, Host: "busy.abroad.example."}, resolve.MX{Preference: 7, Host: "gone.abroad.example."})
	f.dns.set("dead.abroad.example", netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("192.0.2.9"))
	f.host("busy.abroad.example", "192.0.2.2", busy)
	f.dns.add("good.abroad.example", netip.MustParseAddr("2001:db8::2")) // Leads nowhere.
	f.host("good.abroad.example", "192.0.2.3", good)
	sent := f.send(letterTo("a@abroad.example"))
	f.run()
	e := f.ends(sent, 1)
	if statuses(e) != "delivered" || e[0].Outcome.Host != "good.abroad.example" || e[0].Outcome.Address != "192.0.2.3" {
		t.Errorf("%+v", e)
	}
	if busy.connections() != 1 {
		t.Error("the better server was not tried")
	}
}

// Where nobody can ever take a letter it comes back at once.
func TestNoServer(t *testing.T) {
	f := newOffice(t, nil)
	loop := newSink(t, "MX.diwan.example.", nil) // Gives itself our name.
	f.dns.set("null.example", resolve.MX{Host: "."})
	f.dns.set("ours.example", resolve.MX{Preference: 10, Host: hostname + "."}, resolve.MX{Preference: 10, Host: "equal.ours.example."}, resolve.MX{Preference: 20, Host: "worse.ours.example."})
	f.domain("loop.example", "192.0.2.1", loop)
	f.dns.set("unsure.example", errors.New("no server answered"))
	f.dns.set("half.example", "a text and no more")
	want := map[string]string{
		"a@null.example":   "bounced 5.1.10",
		"a@ours.example":   "bounced 5.4.6",
		"a@loop.example":   "bounced 5.4.6",
		"a@absent.example": "bounced 5.1.2",
		"a@half.example":   "bounced 5.4.4",
		"a@unsure.example": "deferred 4.4.3",
	}
	var to []string
	for a := range want {
		to = append(to, a)
	}
	sent := f.send(letterTo(to...))
	f.run()
	for _, e := range f.ends(sent, len(want)) {
		if got := e.Result + " " + e.Outcome.Status; got != want[e.Outcome.To[0]] {
			t.Errorf("%s: %s", e.Outcome.To[0], got)
		}
	}
	l := letterTo("a@null.example")
	l.Message = []byte(strings.Repeat("Received: by somebody\r\n", 51) + text)
	if e := f.ends(f.send(l), 1); e[0].Outcome.Status != "5.4.6" {
		t.Errorf("%+v", e[0])
	}
}

func TestImplicitMXAndLiteral(t *testing.T) {
	f := newOffice(t, nil)
	s := newSink(t, "plain.example", nil)
	f.host("plain.example", "192.0.2.1", s)
	sent := f.send(letterTo("a@plain.example", "b@[192.0.2.1]"))
	f.run()
	if e := f.ends(sent, 2); statuses(e) != "delivered delivered" {
		t.Errorf("%+v", e)
	}
}

func TestWhatTheServerLacks(t *testing.T) {
	f := newOffice(t, nil)
	s := newSink(t, "mx.old.example", func(s *sink) { s.extensions = []string{"SIZE 300"} })
	f.domain("old.example", "192.0.2.1", s)
	f.domain("xn--mgbh0fb.example", "192.0.2.1", s)
	arab := letterTo("a@مثال.example", "هند@old.example")
	long := letterTo("a@old.example")
	long.Message = []byte(text + strings.Repeat("and so on\r\n", 50))
	require := letterTo("a@old.example")
	require.RequireTLS = true
	one, two, three := f.send(arab), f.send(long), f.send(require)
	f.run()
	for _, e := range f.ends(one, 2) {
		want := map[int64]string{0: "delivered 2.0.0", 1: "bounced 5.6.7"}[e.Recipient]
		if got := e.Result + " " + e.Outcome.Status; got != want {
			t.Errorf("recipient %d: %s", e.Recipient, got)
		}
	}
	if got := s.deliveries(); len(got) != 1 || got[0].rcpts[0] != "RCPT TO:<a@xn--mgbh0fb.example>" {
		t.Errorf("%+v", got)
	}
	if e := f.ends(two, 1); e[0].Outcome.Status != "5.3.4" {
		t.Errorf("%+v", e)
	}
	if e := f.ends(three, 1); e[0].Outcome.Status != "5.7.30" {
		t.Errorf("%+v", e)
	}
}

func TestSMTPUTF8(t *testing.T) {
	f := newOffice(t, nil)
	s := newSink(t, "mx.new.example", nil)
	f.domain("new.example", "192.0.2.1", s)
	l := letterTo("هند@new.example")
	l.Message = []byte("Subject: السجل\r\n\r\nنص\r\n")
	sent := f.send(l)
	f.run()
	f.ends(sent, 1)
	got := s.deliveries()
	if len(got) != 1 || got[0].rcpts[0] != "RCPT TO:<هند@new.example>" || !strings.Contains(got[0].mail, " BODY=8BITMIME SMTPUTF8") || string(got[0].data) != string(l.Message) {
		t.Errorf("%+v", got)
	}
}

// What goes to an own address is captured, and the queue knows it in the same
// transaction.
func TestOwnAddresses(t *testing.T) {
	f := newOffice(t, nil)
	f.refuse = func(d Delivery) error {
		for _, a := range d.To {
			if strings.HasPrefix(a, "none@") {
				return fs.ErrNotExist
			}
		}
		return nil
	}
	sent := f.send(letterTo("a@diwan.example", "none@diwan.example", "b@diwan.example"))
	f.run()
	for _, e := range f.ends(sent, 3) {
		want := "delivered 2.1.5"
		if e.Recipient == 1 {
			want = "bounced 5.1.1"
		}
		if got := e.Result + " " + e.Outcome.Status; got != want || e.Recipient != 1 && e.Outcome.Captured == 0 {
			t.Errorf("recipient %d: %s %d", e.Recipient, got, e.Outcome.Captured)
		}
	}
	f.empty()
}

// A personal letter's outcomes are sealed to its sender; the queue shows
// nothing of it but where it goes, and no spooled key outlives it.
func TestPersonal(t *testing.T) {
	f := newOffice(t, nil)
	ring := f.home.Owner(t, 1)
	defer ring.Close()
	s := newSink(t, "mx.abroad.example", nil)
	f.domain("abroad.example", "192.0.2.1", s)
	l := letterTo("a@abroad.example")
	l.Class = sijill.Personal
	sent := f.send(l)
	items, err := f.o.List(t.Context(), Filter{})
	if err != nil || len(items) != 1 || items[0].To != "" || items[0].From != "" || items[0].Domain != "abroad.example" || items[0].State != "waiting" {
		t.Errorf("%+v %v", items, err)
	}
	f.run()
	e := f.ends(sent, 1)
	if e[0].Class != sijill.Personal || e[0].Result != ResultDelivered {
		t.Errorf("%+v", e[0])
	}
	p, err := f.home.Register.Proof(t.Context(), sent+1, true)
	if err == nil && strings.Contains(string(p.Envelope), "abroad") {
		t.Error("the server can open the outcome of a personal letter")
	}
	if p, err = f.home.Register.ProofFor(t.Context(), sent+1, true, ring); err != nil || !strings.Contains(string(p.Envelope), "a@abroad.example") {
		t.Errorf("the owner can't: %v", err)
	}
	f.empty()
}
