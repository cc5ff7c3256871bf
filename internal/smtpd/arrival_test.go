package smtpd

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sijill"
)

// classes is a directory that knows classes and aliases.
type classes struct{ directory }

func (c classes) Resolve(ctx context.Context, address string) (Mailbox, error) {
	account, err := c.Lookup(ctx, address)
	m := Mailbox{Account: account, Class: sijill.Office, Address: strings.ToLower(address)}
	switch m.Address {
	case "سالم@diwan.example":
		m.Class = sijill.Personal
	case "sales@diwan.example":
		m.Address = "salim@diwan.example"
	}
	return m, err
}

func TestHolders(t *testing.T) {
	s := start(t, false, func(o *Options) { o.Directory = classes{office} })
	p := s.greeted(t)
	p.ask("MAIL FROM:<a@b.example> SMTPUTF8", "250 ")
	for _, to := range []string{"SALES@diwan.example", "سالم@diwan.example", "hind@diwan.example", "salim@diwan.example"} {
		p.ask("RCPT TO:<"+to+">", "250 ")
	}
	p.data(letterText+".\r\n", "250 2.0.0 sealed as entry 0")
	m := s.sealed()[0]
	want := []Holder{
		{2, sijill.Office, "salim@diwan.example", []string{"SALES@diwan.example", "salim@diwan.example"}},
		{2, sijill.Personal, "سالم@diwan.example", []string{"سالم@diwan.example"}},
		{1, sijill.Office, "hind@diwan.example", []string{"hind@diwan.example"}},
	}
	if fmt.Sprint(m.Holders) != fmt.Sprint(want) || !slices.Equal(m.Accounts, []int64{2, 1}) {
		t.Errorf("holders %v, accounts %v", m.Holders, m.Accounts)
	}
}

func TestCheck(t *testing.T) {
	var seen *Arrival
	var verdict Verdict
	s := start(t, false, func(o *Options) {
		o.Check = func(ctx context.Context, a *Arrival) Verdict {
			if by, ok := ctx.Deadline(); !ok || time.Until(by) > time.Minute {
				t.Error("the check has no time limit")
			}
			seen = a
			return verdict
		}
	})
	p := s.greeted(t)
	deliver := func(v Verdict, want string) {
		t.Helper()
		verdict = v
		p.begin("hind@diwan.example")
		p.data(letterText+".\r\n", want)
	}
	deliver(Verdict{}, "250 2.0.0 sealed as entry 0")
	if seen.Door != "smtp" || seen.Peer.String() != "127.0.0.1" || seen.Hello != "client.example" || seen.From != "sender@abroad.example" ||
		!slices.Equal(seen.To, []string{"hind@diwan.example"}) || string(seen.Message) != letterText || len(seen.Holders) != 1 || seen.Journal {
		t.Errorf("arrival %+v", seen)
	}
	deliver(Verdict{Refuse: &Refusal{550, [3]int{5, 7, 26}, "more than one From"}}, "550 5.7.26 more than one From")
	deliver(Verdict{
		Trace: "Authentication-Results: mx.diwan.example; spf=pass\r\n", Junk: true, Evidence: []byte("dns"),
		Facts: map[string]string{"spf": "pass", "dkim": "fail (bad)", "dmarc": "fail"},
	}, "250 2.0.0 sealed as entry 1")
	m := s.sealed()[1]
	if !strings.HasPrefix(m.Envelope.Trace, "Return-Path: <sender@abroad.example>\r\nAuthentication-Results: mx.diwan.example; spf=pass\r\nReceived: ") {
		t.Errorf("trace %q", m.Envelope.Trace)
	}
	if e := m.Envelope; e.Auth != "dkim=fail_(bad) dmarc=fail spf=pass" || !e.Junk || len(e.Evidence) != 64 || string(m.Evidence) != "dns" || m.Facts["dmarc"] != "fail" {
		t.Errorf("envelope %+v", e)
	}
	for _, bad := range []Verdict{{Evidence: make([]byte, MaxEvidence+1)}, {Trace: "X: y"}, {Trace: "X: y\n"}, {Trace: "X: y\r\n\r\nbody\r\n"}} {
		deliver(bad, "451 4.3.0 cannot check")
	}
	if st := s.Stats(); st.Refused != 1 || st.Accepted != 2 {
		t.Errorf("stats %+v", st)
	}
}

// A check that panics costs its own connection only, and no memory.
func TestPanickingCheck(t *testing.T) {
	s := start(t, false, func(o *Options) { o.Check = func(context.Context, *Arrival) Verdict { panic("secret") } })
	p := s.greeted(t)
	p.begin("hind@diwan.example")
	p.data(letterText+".\r\n", "421 4.0.0 ")
	p.closed()
}

// A check that waits ends with its time, and counts against the memory.
func TestSlowCheck(t *testing.T) {
	in, refused := make(chan bool, 10), make(chan struct{})
	s := start(t, false, func(o *Options) {
		o.MaxSize, o.Memory = 100_000, 200_000
		o.Limits.Check, o.Limits.MemoryWait = 300*time.Millisecond, 20*time.Millisecond
		o.Check = func(ctx context.Context, a *Arrival) Verdict {
			in <- true
			<-ctx.Done()
			<-refused // The second has seen the memory taken.
			return Verdict{Refuse: &Refusal{451, [3]int{4, 4, 3}, "no answer from DNS"}}
		}
	})
	big := strings.Repeat(strings.Repeat("x", 98)+"\r\n", 990) + ".\r\n"
	first := s.greeted(t)
	first.begin("hind@diwan.example")
	first.ask("DATA", "354 ")
	first.say(big)
	<-in
	second := s.greeted(t)
	second.begin("hind@diwan.example")
	second.data(big, "452 4.3.1 ")
	close(refused)
	first.want("451 4.4.3 ")
}

func TestLoop(t *testing.T) {
	s := start(t, false, nil)
	p := s.greeted(t)
	hop := "Received: from a.example\r\n\tby b.example; x\r\n"
	for _, c := range []struct{ header, want string }{
		{strings.Repeat(hop, 100), "250 "}, {strings.Repeat(hop, 100) + "\r\n" + hop, "250 "},
		{strings.Repeat(hop, 50) + "rEceived:x\r\n" + strings.Repeat(hop, 50), "554 5.4.6 "},
	} {
		p.begin("hind@diwan.example")
		p.data(c.header+"\r\nx\r\n.\r\n", c.want)
	}
}

type brokenTable struct{}

func (brokenTable) First(context.Context, string, time.Time, time.Time) (time.Time, error) {
	return time.Time{}, errors.New("the table is locked")
}

// laterTable is a table whose clock the test puts ahead.
type laterTable struct {
	GreyTable
	ahead atomic.Int64 // A time.Duration.
}

func (l *laterTable) First(ctx context.Context, key string, now, since time.Time) (time.Time, error) {
	ahead := time.Duration(l.ahead.Load())
	first, err := l.GreyTable.First(ctx, key, now.Add(ahead), since.Add(ahead))
	return first.Add(-ahead), err
}

func TestGreylist(t *testing.T) {
	table := &laterTable{GreyTable: NewGreyMemory(10)}
	s := start(t, false, func(o *Options) {
		o.Greylist, o.GreyDelay = table, time.Hour
		o.Limits.Exempt = []netip.Prefix{}
	})
	p := s.greeted(t)
	p.ask("MAIL FROM:<sender@abroad.example>", "250 ")
	p.ask("RCPT TO:<hind@diwan.example>", "451 4.7.1 not known")
	p.ask("RCPT TO:<nobody@diwan.example>", "550 ")
	p.ask("RCPT TO:<HIND@diwan.example>", "451 ")
	table.ahead.Store(int64(time.Hour))
	p.ask("RCPT TO:<salim@diwan.example>", "451 ")
	p.ask("RCPT TO:<hind@diwan.example>", "250 ")
	s = start(t, false, func(o *Options) { o.Greylist, o.Limits.Exempt = brokenTable{}, []netip.Prefix{} })
	p = s.greeted(t)
	p.begin("hind@diwan.example")
}

func TestGreyMemory(t *testing.T) {
	g, now, ctx := NewGreyMemory(2), time.Now(), context.Background()
	first := func(key string, at, since time.Duration) time.Duration {
		f, err := g.First(ctx, key, now.Add(at), now.Add(since))
		if err != nil {
			t.Fatal(err)
		}
		return f.Sub(now)
	}
	if first("a", 0, -1) != 0 || first("a", 5, -1) != 0 {
		t.Error("a key is not remembered")
	}
	if first("a", 20, 10) != 20 {
		t.Error("a key is remembered too long")
	}
	for i := range 100 {
		first(fmt.Sprint(i), 30, 0)
		first("a", 30, 0)
	}
	if first("a", 40, 0) != 20 || len(g.young)+len(g.old) > 4 {
		t.Errorf("%d keys, a lost: %v", len(g.young)+len(g.old), g.young)
	}
}

func TestGreyKey(t *testing.T) {
	a := netip.MustParseAddr
	same := greyKey(a("192.0.2.1"), "A@b", "c@d")
	if greyKey(a("192.0.2.77"), "a@B", "C@d") != same || greyKey(a("192.0.3.1"), "A@b", "c@d") == same || greyKey(a("192.0.2.1"), "A@b", "c@e") == same {
		t.Error("the key tells too little or too much")
	}
}
