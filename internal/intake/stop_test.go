package intake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Stopping at any moment and going on gives what one run would have given.
func TestStopAndGoOn(t *testing.T) {
	o := newOffice(t, Options{MaxMessage: 5000, InFlight: 16, SaveEvery: time.Millisecond})
	big := fromLine + "Subject: big\n\n" + strings.Repeat("long line\n", 1000) + "\n"
	// A place to stop after each refusal: what was refused must not be again.
	o.put("in/0.mbox", strings.Repeat(fromLine+"\n"+letters(1), 40))
	o.put("in/a.mbox", "junk\n"+letters(40)+big+letters(60)[len(letters(40)):]+letters(1))
	o.put("in/b/c.eml", "Subject: c\n\nc\n")
	o.put("in/b/d.bin", "\x00\x01")
	o.put("in/b/e.mbox.gz", pack(t, ".gz", letters(90)))
	o.put("in/f.zip", zipOf(t, member{"x/1.eml", "Subject: 1\n\n"}, member{"x/2.mbox", letters(120)}, member{"3.bin", "\x00"}, member{"4.eml", "Subject: 4\n\n4"}))
	p := filepath.Join(o.dir, "in")
	// Captured: 60 letters; c; 30 more in e; 1, 30 more and 4 in f.
	want := Counts{Seen: 80 + 1 + 60 + 1 + 1 + 1 + 90 + 1 + 120 + 1, Captured: 60 + 1 + 30 + 1 + 30 + 1, Already: 40 + 1 + 60 + 90, Refused: 40 + 2, NotMail: 2}
	var ctx context.Context
	var cancel context.CancelFunc
	left, calls := int64(0), 0
	var mu sync.Mutex
	o.reg.before = func(context.Context, *Mail) error {
		mu.Lock()
		defer mu.Unlock()
		calls++
		if left--; left == 0 {
			cancel()
		}
		return nil
	}
	for runs := 1; ; runs++ {
		ctx, cancel = context.WithCancel(context.Background())
		left = int64(5 + 3*runs%17)
		res, err := o.im.Import(ctx, o.job(p))
		cancel()
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if err == nil {
			want.Bytes = res.Counts.Bytes
			if res.Counts != want || runs < 5 {
				t.Errorf("after %d runs %+v, want %+v", runs, res.Counts, want)
			}
			got, _ := o.remarks(res.Report)
			if len(got) != 44 {
				t.Errorf("%d remarks, want 44", len(got))
			}
			// A run begins again with what was under way at most.
			if most := int(want.Seen) + runs*16; calls > most {
				t.Errorf("%d appends in %d runs, want at most %d", calls, runs, most)
			}
			break
		}
	}
	if int64(len(o.reg.kept)) != want.Captured {
		t.Errorf("%d kept", len(o.reg.kept))
	}
}

// Wherever an append fails for good, or the import is stopped, going on counts
// and reports all once, and captures it from the same places.
func TestStopEverywhere(t *testing.T) {
	want := stopAt(t, 0, false)
	for k := 1; k <= 8; k++ {
		for _, fails := range []bool{true, false} {
			if got := stopAt(t, k, fails); got != want {
				t.Errorf("stopped at %d:\n%s\nnever stopped:\n%s", k, got, want)
			}
		}
	}
}

// stopAt imports a tree of 8 appends, stopping at the one numbered k, by a
// failure or from outside, and then to the end. It returns what came of it.
func stopAt(t *testing.T, k int, fails bool) string {
	o := newOffice(t, Options{InFlight: 1})
	o.put("in/a.mbox", "junk\n"+fromLine+letter(0)+"\n"+fromLine+"\n"+fromLine+letter(1)+"\n"+fromLine+"\n")
	o.put("in/b.bin", "\x00")
	o.put("in/c.zip", zipOf(t, member{"1.eml", "Subject: 1\n\n"}, member{"2.bin", "\x00"}, member{"3.mbox", letters(3)}, member{"4.eml", "Subject: 4\n\n"}))
	o.put("in/d.eml", "Subject: d\n\n")
	o.put("in/e.eml", "Subject: e\n\n")
	broken := errors.New("broken")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	left := k
	o.reg.before = func(context.Context, *Mail) error {
		if left--; left != 0 {
			return nil
		}
		if cancel(); fails {
			return broken
		}
		return nil
	}
	in := filepath.Join(o.dir, "in")
	if _, err := o.im.Import(ctx, o.job(in)); k > 0 && !errors.Is(err, broken) && !errors.Is(err, context.Canceled) {
		t.Fatalf("stopped at %d: %v", k, err)
	}
	reports, _ := filepath.Glob(filepath.Join(o.out, "*"))
	if k > 0 {
		o.run(in)
	}
	list, res := o.remarks(reports[0])
	return fmt.Sprint(res.Counts, list, o.places())
}

// cutReport leaves of a report its heading.
func cutReport(name string) error {
	b, err := os.ReadFile(name)
	return errors.Join(err, os.Truncate(name, int64(bytes.IndexByte(b, '\n')+1)))
}

// Without the report that progress was saved with, the import starts over, and
// the report is whole again.
func TestReportLost(t *testing.T) {
	for name, lose := range map[string]func(string) error{
		"removed": os.Remove,
		"cut":     cutReport,
	} {
		o := newOffice(t, Options{InFlight: 1})
		broken := errors.New("broken")
		o.reg.before = func(_ context.Context, m *Mail) error {
			if bytes.Contains(m.Message, []byte("letter 3")) {
				return broken
			}
			return nil
		}
		p := o.put("a.mbox", "junk\n"+letters(2)+fromLine+"\n"+letters(5)[len(letters(2)):])
		res, err := o.im.Import(context.Background(), o.job(p))
		if !errors.Is(err, broken) {
			t.Fatal(err)
		}
		o.reg.before = nil
		if err := lose(res.Report); err != nil {
			t.Fatal(err)
		}
		res = o.run(p)
		list, _ := o.remarks(res.Report)
		if len(list) != 2 || res.Counts.Captured != 5 || res.Counts.Refused != 2 {
			t.Errorf("%s: %+v %+v", name, res.Counts, list)
		}
	}
}

// The change comes while the first file of a tree is read.
func TestChanged(t *testing.T) {
	o := newOffice(t, Options{})
	o.put("in/a.mbox", letters(5))
	o.put("in/b.eml", "Subject: b\n\n")
	var once sync.Once
	o.reg.before = func(context.Context, *Mail) error {
		once.Do(func() { o.put("in/b.eml", "Subject: other\n\n") })
		return nil
	}
	o2 := New(o.reg, o.reg, Options{InFlight: 1, MaxBytes: 1, Now: func() time.Time { return fixed }})
	if _, err := o2.Import(context.Background(), o.job(filepath.Join(o.dir, "in"))); !errors.Is(err, ErrChanged) {
		t.Errorf("changed: %v", err)
	}
	if len(o.reg.concluded) != 0 {
		t.Error("a source that changed was concluded")
	}
	if res := o.run(filepath.Join(o.dir, "in")); res.Counts.Seen != 6 || res.Counts.Already == 0 {
		t.Errorf("then %+v", res.Counts)
	}
}

// An mbox that grows while it is read is not concluded either.
func TestGrowing(t *testing.T) {
	o := newOffice(t, Options{InFlight: 1, MaxBytes: 1})
	p := o.put("a.mbox", letters(50))
	var once sync.Once
	o.reg.before = func(context.Context, *Mail) error {
		once.Do(func() { o.put("a.mbox", letters(60)) })
		return nil
	}
	if _, err := o.im.Import(context.Background(), o.job(p)); !errors.Is(err, ErrChanged) || len(o.reg.concluded) != 0 {
		t.Errorf("growing: %v", err)
	}
	if res := o.run(p); res.Counts.Seen != 60 || len(o.reg.kept) != 60 {
		t.Errorf("then %+v", res.Counts)
	}
}

func TestTwoAtOnce(t *testing.T) {
	o := newOffice(t, Options{})
	p := o.put("a.mbox", letters(1))
	o.reg.before = func(context.Context, *Mail) error {
		o.reg.before = nil
		if _, err := o.im.Import(context.Background(), o.job(p)); !errors.Is(err, ErrReport) {
			t.Errorf("a second import at once: %v", err)
		}
		return nil
	}
	o.run(p)
}
