package outbox

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"sijill"
	"sijill/internal/message"
	"sijill/internal/record"
)

// BenchmarkDeliver delivers letters of 10 KB to a sink on this machine, with
// outcomes recorded.
func BenchmarkDeliver(b *testing.B) {
	for _, domains := range []int{1, 50} {
		b.Run(fmt.Sprintf("domains=%d", domains), func(b *testing.B) {
			f := newOffice(b, nil)
			s := newSink(b, "mx.example", nil)
			for i := range domains {
				f.domain(fmt.Sprintf("d%d.example", i), fmt.Sprintf("192.0.2.%d", i+1), s)
			}
			f.fill(b.N, domains, 10<<10)
			b.ResetTimer()
			began := time.Now()
			f.run()
			f.emptyWithin(50 * time.Second)
			b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "deliveries/s")
		})
	}
}

// fill queues n letters quickly.
func (f *office) fill(n, domains, size int) {
	f.Helper()
	msg := []byte(text + strings.Repeat(strings.Repeat("x", 70)+"\r\n", size/72))
	done := make(chan error)
	for w := range 50 {
		go func() {
			for i := w; i < n; i += 50 {
				l := letterTo(fmt.Sprintf("a%d@d%d.example", i, i%domains))
				l.Message = msg
				p, err := f.o.Prepare(l)
				if err == nil {
					_, err = f.home.Register.Append(context.Background(), record.Draft{
						Kind: sijill.Sent, Actor: "test", Holders: []int64{1}, With: p.Enqueue,
						Content: &record.Content{Envelope: message.Envelope{Door: "test"}, Message: []byte("x\r\n")},
					})
				}
				if err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 50 {
		if err := <-done; err != nil {
			f.Fatal(err)
		}
	}
}

func (f *office) emptyWithin(d time.Duration) {
	f.Helper()
	for began := time.Now(); f.rows("outbox_destination") > 0; time.Sleep(2 * time.Millisecond) {
		if time.Since(began) > d {
			f.Fatal("too slow")
		}
	}
}

// BenchmarkLongQueue measures what 50,000 queued letters cost in memory while
// they are tried, and how fast the first 2,000 leave. b.N plays no part.
func BenchmarkLongQueue(b *testing.B) {
	f := newOffice(b, nil)
	const domains = 200
	s := newSink(b, "mx.example", nil)
	for i := range domains {
		if i%2 == 0 { // Every other domain is dead.
			f.domain(fmt.Sprintf("d%d.example", i), fmt.Sprintf("192.0.2.%d", i+1), s)
		}
	}
	f.fill(50000, domains, 1<<10)
	before := heap()
	began := time.Now()
	b.ResetTimer()
	f.run()
	most := uint64(0)
	for len(s.deliveries()) < 2000 && time.Since(began) < 40*time.Second {
		time.Sleep(200 * time.Millisecond)
		most = max(most, heap())
	}
	b.ReportMetric(float64(len(s.deliveries()))/time.Since(began).Seconds(), "deliveries/s")
	b.ReportMetric((float64(most)-float64(before))/(1<<20), "MB-more")
	f.stop()
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
