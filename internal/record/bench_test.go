package record_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sijill"
	"sijill/internal/message"
	"sijill/internal/record"
	"sijill/internal/record/recordtest"
)

// tenKB is a letter of 10 KB.
func tenKB(i int) []byte {
	b := fmt.Appendf(nil, "From: laila@diwan.example\r\nTo: sami@diwan.example\r\nSubject: letter %d\r\n\r\n", i)
	for n := uint64(i) + 1; len(b) < 10<<10; n = n*6364136223846793005 + 1442695040888963407 {
		b = fmt.Appendf(b, "The text of letter %d goes on with %x, %x and so forth.\r\n", i, n, n>>20)
	}
	return b
}

// BenchmarkAppend appends office letters of 10 KB from so many senders at once.
func BenchmarkAppend(b *testing.B) {
	for _, senders := range []int{1, 10, 50} {
		b.Run(fmt.Sprint(senders), func(b *testing.B) {
			h := recordtest.New(b, recordtest.Options{Segment: 64 << 20})
			run(b, senders, func(i int) error {
				_, err := h.Register.Append(context.Background(), record.Draft{Kind: sijill.Captured, Actor: "smtp", Holders: []int64{1},
					Content: &record.Content{Envelope: message.Envelope{Door: "smtp", Time: time.Unix(1, 0)}, Message: tenKB(i)}})
				return err
			})
		})
	}
}

func run(b *testing.B, senders int, send func(i int) error) {
	b.Helper()
	before := cpuTime(b)
	b.ResetTimer()
	var wg sync.WaitGroup
	for w := range senders {
		wg.Go(func() {
			for i := w; i < b.N; i += senders {
				if err := send(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	b.ReportMetric(float64(cpuTime(b)-before)/1e3/float64(b.N), "cpu-µs/msg")
}

// cpuTime is what the whole process has used, on all processors.
func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
