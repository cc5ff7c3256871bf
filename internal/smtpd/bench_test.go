package smtpd

import (
	"bufio"
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// void is an Appender that keeps nothing.
type void struct{ n atomic.Int64 }

func (v *void) Append(context.Context, *Mail) (Receipt, error) {
	return Receipt{Entry: v.n.Add(1)}, nil
}

// tenKB is a message of 10 KB in lines of 76 octets.
var tenKB = "Subject: bench\r\n\r\n" + strings.Repeat(strings.Repeat("x", 76)+"\r\n", 130)

// BenchmarkSessions measures a message of 10 KB over loopback, the client in
// the same process included; cpu-µs/msg is user and system time of both.
func BenchmarkSessions(b *testing.B) {
	for _, c := range []struct {
		name     string
		sessions int
		pipeline bool
	}{{"1", 1, false}, {"10", 10, false}, {"50", 50, false}, {"50-pipelined", 50, true}} {
		b.Run(c.name, func(b *testing.B) {
			s := start(b, false, func(o *Options) { o.Appender = &void{} })
			var left atomic.Int64
			left.Store(int64(b.N))
			b.SetBytes(int64(len(tenKB)))
			b.ResetTimer()
			began := cpu()
			var wg sync.WaitGroup
			for range c.sessions {
				wg.Go(func() { send(b, s.addr, &left, c.pipeline) })
			}
			wg.Wait()
			b.ReportMetric(float64((cpu()-began).Microseconds())/float64(b.N), "cpu-µs/msg")
		})
	}
}

// send sends messages over one connection while any are left.
func send(b *testing.B, addr string, left *atomic.Int64, pipeline bool) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Error(err)
		return
	}
	defer c.Close()
	r := bufio.NewReader(c)
	say := func(s string, replies int) {
		c.Write([]byte(s))
		for replies > 0 {
			line, err := r.ReadSlice('\n')
			if err != nil || line[0] == '4' || line[0] == '5' {
				b.Errorf("reply %q, %v", line, err)
				return
			}
			if line[3] == ' ' {
				replies--
			}
		}
	}
	say("EHLO bench.example\r\n", 2) // with the greeting
	for left.Add(-1) >= 0 {
		mail, rcpt := "MAIL FROM:<a@b.example>\r\n", "RCPT TO:<hind@diwan.example>\r\n"
		if pipeline {
			say(mail+rcpt+"DATA\r\n", 3)
		} else {
			say(mail, 1)
			say(rcpt, 1)
			say("DATA\r\n", 1)
		}
		say(tenKB+".\r\n", 1)
	}
	say("QUIT\r\n", 1)
}

func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkFraming(b *testing.B) {
	in := []byte(tenKB + ".\r\n")
	dst := make([]byte, 0, len(in))
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		var f framing
		dst, _, _ = f.feed(dst[:0], in)
		if inspect(dst) != nil {
			b.Fatal("refused")
		}
	}
}
