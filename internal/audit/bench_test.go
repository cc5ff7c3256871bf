package audit_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sijill"
	"sijill/internal/message"
	"sijill/internal/record"
	"sijill/internal/record/recordtest"
)

// prose is a letter of about 4 KB that compresses about as well as mail does.
func prose(i int) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "From: Laila <laila@diwan.example>\r\nTo: Sami <sami@diwan.example>\r\nSubject: letter %d\r\n\r\n", i)
	x := uint64(i)*2862933555777941757 + 1
	for b.Len() < 4000 {
		for range 9 {
			x = x*6364136223846793005 + 1442695040888963407
			fmt.Fprintf(&b, "%s ", strings.Repeat(string(rune('a'+x>>60)), int(2+x>>40&3))+fmt.Sprint(x>>50))
		}
		b.WriteString("\r\n")
	}
	return []byte(b.String())
}

// BenchmarkRun audits 10,000 messages of about 4 KB. cpu-µs/msg is what the
// whole process used, on all cores.
func BenchmarkRun(b *testing.B) {
	h := recordtest.New(b, recordtest.Options{Segment: 64 << 20})
	const n = 10000
	var wg sync.WaitGroup
	for w := range 50 {
		wg.Go(func() {
			for i := w; i < n; i += 50 {
				_, err := h.Register.Append(context.Background(), record.Draft{Kind: sijill.Captured, Actor: "smtp", Holders: []int64{1, 2}[:1+i%2],
					Content: &record.Content{Envelope: message.Envelope{Door: "smtp", Time: time.Unix(int64(i), 0)}, Message: prose(i)}})
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	before := cpuTime(b)
	for b.Loop() {
		r, err := h.Audit(b.Context())
		if err != nil || !r.Sound() || r.Opened != n {
			b.Fatalf("%+v %v", r, err)
		}
	}
	total := float64(b.N) * n
	b.ReportMetric(total/b.Elapsed().Seconds(), "msg/s")
	b.ReportMetric(float64(cpuTime(b)-before)/1e3/total, "cpu-µs/msg")
}

func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
