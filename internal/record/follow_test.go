package record_test

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/db/dbtest"
	"sijill/internal/record"
	"sijill/internal/record/recordtest"
)

// Many batches: preparing runs ahead of writing, on all processors, and rows come
// in order all the same.
func TestFollowInOrder(t *testing.T) {
	d := newDesk(t, 5000)
	var mu sync.Mutex
	inside, most := 0, 0
	a := &ledger{name: "a", version: 1, prepare: func(*record.Item) error {
		mu.Lock()
		inside++
		most = max(most, inside)
		mu.Unlock()
		time.Sleep(10 * time.Microsecond)
		mu.Lock()
		inside--
		mu.Unlock()
		return nil
	}}
	b := &ledger{name: "b", version: 1}
	mustCatchUp(t, d.follow(t, a, b))
	d.check(t, a, 5000)
	d.check(t, b, 5000)
	if most < 2 || a.batches.Load() < 2 {
		t.Errorf("at most %d were prepared at once, in %d batches", most, a.batches.Load())
	}
}

// Cursors move with the rows: whatever fails in the middle of a batch, nothing of
// it is there, and the next try starts where the last batch ended.
func TestFollowAfterFailures(t *testing.T) {
	d := newDesk(t, 2500)
	boom := errors.New("boom")
	fails := 3
	a := &ledger{name: "a", version: 1}
	b := &ledger{name: "b", version: 1, apply: func(context.Context, int64) error {
		if fails--; fails >= 0 {
			return boom
		}
		return nil
	}}
	f := d.follow(t, a, b)
	for range 3 {
		if err := f.CatchUp(t.Context()); !errors.Is(err, boom) {
			t.Fatalf("%v", err)
		}
		d.check(t, a, 0) // a was written in the same transaction before b failed.
		d.check(t, b, 0)
	}
	mustCatchUp(t, f)
	d.check(t, a, 2500)
	d.check(t, b, 2500)
	b.prepare = func(it *record.Item) error {
		if it.Index == 2700 {
			return boom
		}
		return nil
	}
	d.fill(t, 2500, 500)
	if err := f.CatchUp(t.Context()); !errors.Is(err, boom) || !strings.Contains(err.Error(), "2700") {
		t.Fatalf("%v", err)
	}
	d.check(t, b, 2500)
}

// A follower that is cut off in the middle, by its context, goes on later.
func TestFollowCutOff(t *testing.T) {
	d := newDesk(t, 4500)
	ctx, cancel := context.WithCancel(t.Context())
	a := &ledger{name: "a", version: 1, apply: func(_ context.Context, first int64) error {
		if first > 0 {
			cancel()
		}
		return nil
	}}
	f := d.follow(t, a)
	if err := f.Run(ctx); err != nil {
		t.Fatalf("a cancelled run: %v", err)
	}
	next, err := f.Cursors(t.Context())
	if err != nil || next["a"] == 0 || next["a"] >= 4500 {
		t.Fatalf("cut off at %d: %v", next["a"], err)
	}
	d.check(t, a, next["a"])
	a.apply = nil
	mustCatchUp(t, d.follow(t, a))
	d.check(t, a, 4500)
}

// A disk that fails under the projections stops nothing: Run says so and tries
// again until it works.
func TestRunOutlivesItsDisk(t *testing.T) {
	d := newDesk(t, 50)
	disk := dbtest.New(t, 1)
	d.mail = d.openMail(t, disk.VFS())
	a := &ledger{name: "a", version: 1}
	f := d.follow(t, a)
	disk.Inject(dbtest.Fault{Err: syscall.ENOSPC, Lasting: true})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	time.Sleep(150 * time.Millisecond)
	disk.Heal()
	if !eventually(func() bool {
		next, err := f.Cursors(t.Context())
		return err == nil && next["a"] == 50
	}) {
		t.Error("the projection did not recover")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	d.check(t, a, 50)
}

func eventually(ok func() bool) bool {
	for range 1000 {
		if ok() {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

func TestRaisedVersionRebuilds(t *testing.T) {
	d := newDesk(t, 30)
	one, other := &ledger{name: "a", version: 1}, &ledger{name: "b", version: 1}
	mustCatchUp(t, d.follow(t, one, other))
	two := &ledger{name: "a", version: 2}
	f := d.follow(t, two, other)
	d.check(t, two, 0)
	d.check(t, other, 30)
	mustCatchUp(t, f)
	d.check(t, two, 30)
	d.check(t, other, 30)
	if other.batches.Load() != 1 {
		t.Errorf("the other projection was applied %d times", other.batches.Load())
	}
}

// A program of another version takes a projection over while this one works: no
// row of this one may be among the other's.
func TestVersionsDoNotMix(t *testing.T) {
	d := newDesk(t, 30)
	one, two := &ledger{name: "a", version: 1}, &ledger{name: "a", version: 2}
	old := d.follow(t, one)
	mustCatchUp(t, old)
	newer := d.follow(t, two)
	d.fill(t, 30, 10)
	if err := old.CatchUp(t.Context()); !errors.Is(err, record.ErrVersion) {
		t.Fatalf("the older program went on: %v", err)
	}
	mustCatchUp(t, newer)
	d.check(t, two, 40)
}

// Another process resets a projection while this one works: it starts again, and
// no entry is there twice or missing.
func TestResetDuringWork(t *testing.T) {
	d := newDesk(t, 6000)
	a, b := &ledger{name: "a", version: 1}, &ledger{name: "b", version: 1}
	other := d.follow(t, &ledger{name: "a", version: 1}, &ledger{name: "b", version: 1})
	resets := 2
	a.prepare = func(it *record.Item) error {
		if it.Index == 5000 && resets > 0 {
			resets--
			return other.Reset(context.Background(), "a")
		}
		return nil
	}
	mustCatchUp(t, d.follow(t, a, b))
	d.check(t, a, 6000)
	d.check(t, b, 6000)
	if resets != 0 {
		t.Error("nothing was reset")
	}
	if err := other.Reset(t.Context(), "c"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("resetting what is not there: %v", err)
	}
}

// Two processes follow: one works, the other waits its turn, and takes over when
// the first one ends.
func TestLease(t *testing.T) {
	d := newDesk(t, 100)
	one, two := &ledger{name: "a", version: 1}, &ledger{name: "a", version: 1}
	first, second := d.follow(t, one), d.follow(t, two)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- first.Run(ctx) }()
	if !eventually(func() bool { return one.batches.Load() > 0 }) {
		t.Fatal("nothing was applied")
	}
	if _, err := second.Hold(t.Context()); !errors.Is(err, record.ErrLeased) {
		t.Fatalf("took a lease that another holds: %v", err)
	}
	go func() { ended <- second.Run(t.Context()) }()
	d.fill(t, 100, 50)
	mustCatchUp(t, d.follow(t, &ledger{name: "a", version: 1})) // By waiting for the first.
	d.check(t, one, 150)
	if two.batches.Load() != 0 {
		t.Fatal("two worked at once")
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	d.fill(t, 150, 50)
	if !eventually(func() bool { return two.batches.Load() > 0 }) {
		t.Fatal("the second did not take over")
	}
	mustCatchUp(t, second)
	d.check(t, two, 200)
}

func TestCatchUpWaitsNoLongerThanAsked(t *testing.T) {
	d := newDesk(t, 10)
	f := d.follow(t, &ledger{name: "a", version: 1})
	release, err := f.Hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := f.CatchUp(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%v", err)
	}
}

func TestUntil(t *testing.T) {
	d := newDesk(t, 100)
	a := &ledger{name: "a", version: 1}
	f := d.follow(t, a)
	f.Until(40)
	mustCatchUp(t, f)
	d.check(t, a, 40)
	f.Until(1000)
	mustCatchUp(t, f)
	d.check(t, a, 100)
}

// Batches are bounded by sealed bytes as well as in number.
func TestBatchesAreBoundedInBytes(t *testing.T) {
	d := &desk{Home: recordtest.New(t, recordtest.Options{Segment: 1 << 30})}
	big := make([]byte, 3<<20) // Noise: it does not compress.
	for i, x := 0, uint64(1); i < len(big); i++ {
		x = x*6364136223846793005 + 1442695040888963407
		big[i] = byte(x >> 56)
	}
	for range 8 {
		if _, err := d.Register.Append(t.Context(), record.Draft{Kind: sijill.Captured, Actor: "smtp", Holders: []int64{1},
			Content: &record.Content{Message: big}}); err != nil {
			t.Fatal(err)
		}
	}
	d.mail = d.openMail(t, "")
	a := &ledger{name: "a", version: 1}
	mustCatchUp(t, d.follow(t, a))
	d.check(t, a, 8)
	if n := a.batches.Load(); n < 4 {
		t.Errorf("24 MiB came in %d batches", n)
	}
}

// Run sees what this process appends at once, and what another appends within
// moments.
func TestRunSeesOtherProcesses(t *testing.T) {
	d := newDesk(t, 1)
	other := &recordtest.Home{Dir: d.Dir}
	if err := other.Open(t.Context(), recordtest.Options{}); err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	a := &ledger{name: "a", version: 1}
	f := d.follow(t, a)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	mustAppend(t, other.Register, captured(1, 1))
	if !eventually(func() bool {
		next, err := f.Cursors(t.Context())
		return err == nil && next["a"] == 2
	}) {
		t.Error("the entry of another process was not seen")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

// In bulk, an index is written in a few large pieces; what is left when the bulk
// ends is written too.
func TestBulk(t *testing.T) {
	d := newDesk(t, 100)
	a := &ledger{name: "a", version: 1}
	f := d.follow(t, a)
	end := f.Bulk(5000)
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { ended <- f.Run(ctx) }()
	d.fill(t, 100, 2400)
	if !eventually(func() bool { return a.batches.Load() > 1 }) {
		t.Fatal("nothing was prepared")
	}
	d.check(t, a, 0) // The second is being written, and the first is not there yet.
	end()
	if !eventually(func() bool {
		next, err := f.Cursors(t.Context())
		return err == nil && next["a"] == 2500
	}) {
		t.Error("the rest was not written")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	d.check(t, a, 2500)
}

// A bulk that is cut off loses work, and nothing else.
func TestBulkCutOff(t *testing.T) {
	d := newDesk(t, 1500)
	a := &ledger{name: "a", version: 1}
	f := d.follow(t, a)
	f.Bulk(1 << 20)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := f.Run(ctx); err != nil {
		t.Fatal(err)
	}
	mustCatchUp(t, d.follow(t, a))
	d.check(t, a, 1500)
}

// A projection that has seen entries of a tail that was lost starts again: their
// numbers will be given to others.
func TestCursorAheadOfTheRegister(t *testing.T) {
	d := newDesk(t, 10)
	a := &ledger{name: "a", version: 1}
	f := d.follow(t, a)
	mustCatchUp(t, f)
	err := d.mail.Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec("UPDATE cursor SET next = 15")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	mustCatchUp(t, d.follow(t, a))
	d.check(t, a, 10)
}
