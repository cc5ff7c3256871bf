package record_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"sijill"
	"sijill/internal/message"
	"sijill/internal/record"
	"sijill/internal/record/recordtest"
)

// BenchmarkAppendPersonal is BenchmarkAppend with personal letters.
func BenchmarkAppendPersonal(b *testing.B) {
	for _, senders := range []int{1, 10, 50} {
		b.Run(fmt.Sprint(senders), func(b *testing.B) {
			h := recordtest.New(b, recordtest.Options{Segment: 64 << 20})
			h.Owner(b, 1)
			run(b, senders, func(i int) error {
				_, err := h.Register.Append(context.Background(), record.Draft{Kind: sijill.Captured, Actor: "smtp", Holders: []int64{1}, Class: sijill.Personal,
					Content: &record.Content{Envelope: message.Envelope{Door: "smtp", Time: time.Unix(1, 0)}, Message: tenKB(i)}})
				return err
			})
		})
	}
}

// BenchmarkOpenPersonal reads a mailbox of personal letters whole, in one go on
// all processors: as they came in, and rewrapped.
func BenchmarkOpenPersonal(b *testing.B) {
	const n = 20000
	h := recordtest.New(b, recordtest.Options{Segment: 64 << 20})
	ring := h.Owner(b, 1)
	var wg sync.WaitGroup
	for w := range 50 {
		wg.Go(func() {
			for i := w; i < n; i += 50 {
				if _, err := h.Register.Append(context.Background(), personal(i, 1)); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	read := func(b *testing.B) {
		before := cpuTime(b)
		for b.Loop() {
			readAll(b, h, n)
		}
		b.ReportMetric(float64(cpuTime(b)-before)/1e3/float64(n*b.N), "cpu-µs/msg")
		b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	}
	b.Run("sealed", read)
	began := time.Now()
	if k, err := h.Vault.Rewrap(b.Context(), ring); err != nil || k != n {
		b.Fatal(k, err)
	}
	b.Logf("rewrapping %d keys: %v", n, time.Since(began))
	b.Run("rewrapped", read)
}

func readAll(b *testing.B, h *recordtest.Home, n int) {
	b.Helper()
	ring := h.SignIn(b, 1, "password")
	var wg sync.WaitGroup
	const workers = 2
	for w := range workers {
		wg.Go(func() {
			for first := w * 500; first < n; first += 500 * workers {
				var numbers []int64
				for i := range 500 {
					numbers = append(numbers, int64(first+i))
				}
				items, err := h.Register.ItemsFor(context.Background(), numbers, ring)
				if err != nil || len(items) != 500 {
					b.Error(len(items), err)
					return
				}
				for _, it := range items {
					if _, err := it.Content(); err != nil {
						b.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}
