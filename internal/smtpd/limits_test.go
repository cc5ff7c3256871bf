package smtpd

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// nobody exempts no one from the limits per address.
var nobody = []netip.Prefix{}

func TestLimitsPerAddress(t *testing.T) {
	s := start(t, false, func(o *Options) { o.Limits = Limits{Exempt: nobody, PerAddress: 2, ConnectRate: 4} })
	a, b := s.greeted(t), s.greeted(t)
	refused := s.dial(t)
	refused.want("421 4.7.0 too many connections from your address")
	refused.closed()
	for range 2 {
		a.ask("QUIT", "221 ")
		a.closed()
		waitFor(t, func() bool { return s.Stats().Open == 1 })
		a = s.greeted(t)
	}
	b.ask("QUIT", "221 ")
	b.closed()
	waitFor(t, func() bool { return s.Stats().Open == 1 })
	s.dial(t).want("421 4.7.0 ") // the fifth in a minute
	if got := s.Stats().TurnedAway; got != 2 {
		t.Errorf("%d turned away, want 2", got)
	}
}

func TestLoopbackIsExempt(t *testing.T) {
	s := start(t, false, func(o *Options) {
		o.Limits = Limits{PerAddress: 1, ConnectRate: 1, MessageRate: 1, Messages: 1}
	})
	for range 3 {
		p := s.greeted(t)
		for range 3 {
			p.begin("hind@diwan.example")
			p.data("x\r\n.\r\n", "250 ")
		}
	}
}

func TestLimitsOfAConnection(t *testing.T) {
	t.Run("connections", func(t *testing.T) {
		s := start(t, false, func(o *Options) { o.Limits.Connections = 1 })
		s.greeted(t)
		s.dial(t).want("421 4.3.2 ")
	})
	t.Run("messages", func(t *testing.T) {
		s := start(t, false, func(o *Options) { o.Limits = Limits{Exempt: nobody, Messages: 1} })
		p := s.greeted(t)
		p.begin("hind@diwan.example")
		p.data("x\r\n.\r\n", "250 ")
		p.ask("MAIL FROM:<a@b.example>", "421 4.7.0 ")
		p.closed()
	})
	t.Run("message rate", func(t *testing.T) {
		s := start(t, false, func(o *Options) { o.Limits = Limits{Exempt: nobody, MessageRate: 1} })
		p := s.greeted(t)
		p.begin("hind@diwan.example")
		p.data("x\r\n.\r\n", "250 ")
		p.ask("MAIL FROM:<a@b.example>", "451 4.7.1 ")
		p.ask("QUIT", "221 ")
	})
	t.Run("recipients", func(t *testing.T) {
		s := start(t, false, func(o *Options) { o.Limits.Recipients = 2 })
		p := s.greeted(t)
		p.begin("hind@diwan.example", "salim@diwan.example")
		p.ask("RCPT TO:<sales@diwan.example>", "452 4.5.3 ")
		p.data("x\r\n.\r\n", "250 ")
	})
	t.Run("errors", func(t *testing.T) {
		s := start(t, false, func(o *Options) { o.Limits.Errors = 5 })
		p := s.greeted(t)
		p.begin("hind@diwan.example")
		for range 6 {
			p.ask("RCPT TO:<nobody@diwan.example>", "550 ")
		}
		p.want("421 4.7.0 ")
		p.closed()
	})
	t.Run("idle commands", func(t *testing.T) {
		s := start(t, false, func(o *Options) { o.Limits.Errors = 5 })
		p := s.greeted(t)
		for range 5 {
			p.ask("NOOP", "250 ")
		}
		p.want("421 4.7.0 ")
		p.closed()
	})
	t.Run("long command", func(t *testing.T) {
		p := start(t, false, nil).greeted(t)
		p.say("NOOP " + strings.Repeat("x", 5000) + "\r\nNOOP\r\n")
		p.want("500 5.5.2 ")
		p.closed()
	})
	t.Run("endless command", func(t *testing.T) {
		p := start(t, false, nil).greeted(t)
		p.say(strings.Repeat("x", 5000))
		p.want("500 5.5.2 ")
		p.closed()
	})
}

func TestTimeouts(t *testing.T) {
	quick := func(o *Options) { o.Limits = Limits{Idle: 2 * time.Second, MinRate: 1000} }
	t.Run("idle", func(t *testing.T) {
		t.Parallel()
		p := start(t, false, quick).greeted(t)
		p.want("421 4.4.2 ")
		p.closed()
	})
	t.Run("slow command", func(t *testing.T) { // each octet in time, the line not
		t.Parallel()
		p := start(t, false, quick).greeted(t)
		began := time.Now()
		trickle(p)
		p.want("421 4.4.2 ")
		if d := time.Since(began); d > 30*time.Second {
			t.Errorf("a trickled command held on for %v", d)
		}
	})
	t.Run("slow data", func(t *testing.T) {
		t.Parallel()
		s := start(t, false, quick)
		p := s.greeted(t)
		p.begin("hind@diwan.example")
		p.ask("DATA", "354 ")
		trickle(p)
		p.want("421 4.4.2 ")
		p.closed()
		if len(s.sealed()) != 0 {
			t.Error("half a message was sealed")
		}
	})
	t.Run("deadline", func(t *testing.T) {
		l := Limits{}.orDefault()
		began := time.Unix(0, 0)
		for _, c := range []struct {
			now, want time.Duration
			received  int64
		}{
			{0, l.Idle, 0},
			{time.Minute, l.Idle, 0},
			{time.Minute, l.Idle + time.Second, 1024},
			{time.Minute, time.Minute + l.Idle, 1 << 20},
			{29 * time.Minute, l.Data, 1 << 30},
		} {
			if got := l.deadline(began, began.Add(c.now), c.received).Sub(began); got != c.want {
				t.Errorf("after %v and %d octets: deadline %v, want %v", c.now, c.received, got, c.want)
			}
		}
	})
}

// trickle sends octets until the peer hangs up, for a minute at the most.
func trickle(p *client) {
	for range 3000 {
		time.Sleep(20 * time.Millisecond)
		if _, err := io.WriteString(p, "x"); err != nil {
			return
		}
	}
}

// A message that was not ended is not sealed, wherever it was cut.
func TestDisconnect(t *testing.T) {
	s := start(t, false, nil)
	whole := letterText + ".\r\n"
	for _, cut := range []int{0, 1, len(letterText) - 2, len(letterText), len(whole) - 2, len(whole) - 1} {
		p := s.greeted(t)
		p.begin("hind@diwan.example")
		p.ask("DATA", "354 ")
		p.say(whole[:cut])
		p.Close()
	}
	for _, sent := range []string{"BDAT 10 LAST\r\nhalf", "BDAT 4\r\nhalf", "BDAT 0\r\n", "BDAT 4 LAST"} {
		p := s.greeted(t)
		p.begin("hind@diwan.example")
		p.say(sent)
		p.Close()
	}
	waitFor(t, func() bool { return s.Stats().Open == 0 })
	if n := len(s.sealed()); n != 0 {
		t.Errorf("%d messages were sealed", n)
	}
}

// Messages that together need more than the budget wait and are then refused;
// those that fit are sealed.
func TestMemoryBudget(t *testing.T) {
	gate := make(chan struct{})
	s := start(t, false, func(o *Options) {
		o.MaxSize, o.Memory = 1<<20, 2<<20
		o.Limits.MemoryWait = 100 * time.Millisecond
	})
	s.register.wait = gate
	big := strings.Repeat(strings.Repeat("x", 98)+"\r\n", 9000) + ".\r\n"
	replies := make(chan string, 6)
	for range cap(replies) {
		p := s.greeted(t)
		p.ask("MAIL FROM:<a@b.example> SIZE=920000", "250 ")
		p.ask("RCPT TO:<hind@diwan.example>", "250 ")
		p.ask("DATA", "354 ")
		go func() {
			p.say(big)
			replies <- p.reply()
		}()
	}
	count := map[string]int{}
	for i := range cap(replies) {
		if i == 4 { // four had to go without
			close(gate)
		}
		count[(<-replies)[:9]]++
	}
	if count["250 2.0.0"] != 2 || count["452 4.3.1"] != 4 || len(s.sealed()) != 2 {
		t.Errorf("replies %v, %d sealed", count, len(s.sealed()))
	}
}

func TestShutdown(t *testing.T) {
	gate := make(chan struct{})
	s := start(t, false, nil)
	s.register.wait = gate
	idle, busy := s.greeted(t), s.greeted(t)
	busy.begin("hind@diwan.example")
	busy.ask("DATA", "354 ")
	busy.say("x\r\n")
	done := make(chan error)
	go func() { done <- s.Shutdown(context.Background()) }()
	idle.want("421 4.3.2 ")
	idle.closed()
	busy.say(".\r\n")
	time.Sleep(50 * time.Millisecond)
	close(gate)
	busy.want("250 2.0.0 sealed as entry 0", "421 4.3.2 ")
	busy.closed()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestShutdownLosesPatience(t *testing.T) {
	s := start(t, false, nil)
	s.register.wait = make(chan struct{}) // an Appender that hangs until its context ends
	stuck, half := s.greeted(t), s.greeted(t)
	stuck.begin("hind@diwan.example")
	stuck.ask("DATA", "354 ")
	stuck.say(letterText + ".\r\n")
	half.begin("hind@diwan.example")
	half.ask("DATA", "354 ")
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("shutdown: %v", err)
	}
	waitFor(t, func() bool { return s.Stats().Open == 0 })
	if len(s.sealed()) != 0 {
		t.Error("a message was sealed")
	}
}

func TestNewRefuses(t *testing.T) {
	good := Options{Hostname: "x", Directory: office, Appender: &register{}}
	for name, change := range map[string]func(*Options){
		"no hostname":  func(o *Options) { o.Hostname = "" },
		"no directory": func(o *Options) { o.Directory = nil },
		"no appender":  func(o *Options) { o.Appender = nil },
		"no memory":    func(o *Options) { o.MaxSize, o.Memory = 100, 199 },
	} {
		o := good
		change(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for range 3000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("it did not come to pass")
}
