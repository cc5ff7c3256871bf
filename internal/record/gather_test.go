package record_test

import (
	"context"
	"testing"
	"time"
)

// runs has a follower work until the test ends.
func (d *desk) runs(t *testing.T, ps ...*ledger) {
	t.Helper()
	f := d.follow(t, ps...)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// Who appends each letter only when the one before is placed doesn't wait for
// others to come.
func TestOneAfterTheOther(t *testing.T) {
	d := newDesk(t, 0)
	applied := make(chan int64, 100)
	d.runs(t, &ledger{name: "a", version: 1, apply: func(_ context.Context, first int64) error {
		applied <- first
		return nil
	}})
	const n = 60
	began := time.Now()
	for i := range n {
		d.fill(t, i, 1)
		select {
		case <-applied:
		case <-time.After(10 * time.Second):
			t.Fatalf("letter %d is not applied", i)
		}
	}
	// With a pause of 40 ms for each of them it would be 2.4 s at least.
	if took := time.Since(began); took > 1200*time.Millisecond {
		t.Errorf("%d letters, one after the other, took %v", n, took)
	}
}

// A steady stream is applied in a few large batches rather than one by one.
func TestStreamIsGathered(t *testing.T) {
	d := newDesk(t, 0)
	a := &ledger{name: "a", version: 1}
	d.runs(t, a)
	n := 0
	for end := time.Now().Add(time.Second); time.Now().Before(end); n++ {
		d.fill(t, n, 1)
		time.Sleep(5 * time.Millisecond)
	}
	if batches := a.batches.Load(); batches > int64(n/3) {
		t.Errorf("%d letters were applied in %d batches", n, batches)
	}
}

// Where more comes while a batch is written, the next one waits until there is
// much, instead of taking the little that has come.
func TestMuchIsGatheredBetweenBatches(t *testing.T) {
	d := newDesk(t, 0)
	a := &ledger{name: "a", version: 1, apply: func(context.Context, int64) error {
		time.Sleep(20 * time.Millisecond)
		return nil
	}}
	d.runs(t, a)
	n := 0
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); n += 32 {
		d.fill(t, n, 32)
	}
	if batches := a.batches.Load(); batches > 45 {
		t.Errorf("%d letters that came in two seconds were applied in %d batches", n, batches)
	}
}
