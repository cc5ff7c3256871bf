package record_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"testing"
	"testing/synctest"
	"time"
)

// onItsClock runs a test on the clock of a synctest bubble, which stands still
// while anything works, the disk included, and moves on only when all wait for it:
// what passes on it is how long the follower chose to wait, on any machine. The
// bubble has a process of its own, since what comes from the pools of the program,
// compressors with channels in them, must not cross its wall.
func onItsClock(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	const within = "SIJILL_TEST_ON_ITS_CLOCK"
	if os.Getenv(within) != "" {
		synctest.Test(t, test)
		return
	}
	c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	c.Env = append(os.Environ(), within+"=1")
	if out, err := c.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Errorf("%v\n%s", err, out)
	}
}

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
// others to come: one pause is made in vain, and no second one soon after it.
func TestOneAfterTheOther(t *testing.T) {
	onItsClock(t, func(t *testing.T) {
		d := newDesk(t, 0)
		applied := make(chan int64, 100)
		d.runs(t, &ledger{name: "a", version: 1, apply: func(_ context.Context, first int64) error {
			applied <- first
			return nil
		}})
		began := time.Now()
		for i := range 60 {
			d.fill(t, i, 1)
			<-applied
		}
		// One pause is of 40 ms.
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("60 letters, one after the other, waited %v for others", took)
		}
	})
}

// A steady stream is applied in a few large batches rather than one by one.
func TestStreamIsGathered(t *testing.T) {
	onItsClock(t, func(t *testing.T) {
		d := newDesk(t, 0)
		a := &ledger{name: "a", version: 1}
		d.runs(t, a)
		const n = 200
		for i := range n {
			d.fill(t, i, 1)
			time.Sleep(5 * time.Millisecond)
		}
		if batches := a.batches.Load(); batches > n/3 {
			t.Errorf("%d letters were applied in %d batches", n, batches)
		}
	})
}

// Where more comes while a batch is written, the next one waits until there is
// much, instead of taking the little that has come.
func TestMuchIsGatheredBetweenBatches(t *testing.T) {
	onItsClock(t, func(t *testing.T) {
		d := newDesk(t, 0)
		a := &ledger{name: "a", version: 1, apply: func(context.Context, int64) error {
			time.Sleep(20 * time.Millisecond)
			return nil
		}}
		d.runs(t, a)
		const times = 100
		for i := range times {
			d.fill(t, 64*i, 64)
			time.Sleep(11 * time.Millisecond) // Less than a lull.
		}
		if batches := a.batches.Load(); batches > times/8 {
			t.Errorf("%d letters that came in %d goes were applied in %d batches", 64*times, times, batches)
		}
	})
}
