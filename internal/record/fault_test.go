package record_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"sijill"
	"sijill/internal/db/dbtest"
	"sijill/internal/record"
	"sijill/internal/record/recordtest"
)

// office is what the senders of a register on failing disks remember.
type office struct {
	t *testing.T
	m *recordtest.Machine

	mu       sync.Mutex // Guards what follows.
	tries    map[int]int
	promised map[int]record.Receipt // By letter.
	notes    [][]byte               // Checkpoints that were published.

	refusal func() // Called after the first refusal; nil for nothing.
}

func newOffice(t *testing.T, m *recordtest.Machine) *office {
	return &office{t: t, m: m, tries: map[int]int{}, promised: map[int]record.Receipt{}}
}

// Letters from onceFrom on are captured once; those from detailFrom on are no
// messages but sealed details.
const (
	onceFrom   = 100
	detailFrom = 200
)

func draftOf(i int) record.Draft {
	if i >= detailFrom {
		return record.Draft{Kind: sijill.Imported, Actor: "import", Holders: []int64{1}, Detail: map[string]int{"letter": i}}
	}
	d := captured(i, int64(1+i%2))
	d.Once = i >= onceFrom
	return d
}

// send appends letters at the same time and remembers what was promised.
func (o *office) send(ctx context.Context, letters ...int) {
	if o.m.Register == nil {
		return
	}
	var wg sync.WaitGroup
	refused := false
	for _, i := range letters {
		wg.Go(func() {
			rc, err := o.m.Register.Append(ctx, draftOf(i))
			o.mu.Lock()
			defer o.mu.Unlock()
			o.tries[i]++
			if refused = refused || err != nil; err != nil {
				if !o.m.Armed {
					o.t.Errorf("letter %d was refused by sound disks: %v", i, err)
				}
				return
			}
			if was, ok := o.promised[i]; ok && (was.Entry != rc.Entry || i < onceFrom) {
				o.t.Errorf("letter %d was promised as entry %d and as %d", i, was.Entry, rc.Entry)
			}
			o.promised[i] = rc
			size, note := o.m.Register.Head()
			if size <= rc.Entry {
				o.t.Errorf("entry %d was promised at size %d", rc.Entry, size)
			}
			if n := len(o.notes); n == 0 || !bytes.Equal(o.notes[n-1], note) {
				o.notes = append(o.notes, note)
			}
		})
	}
	wg.Wait()
	if refused && o.refusal != nil {
		o.refusal()
		o.refusal = nil
	}
}

// work is a day of the office. Errors are put up with.
func (o *office) work(ctx context.Context) {
	if o.m.Register == nil && o.m.Start(ctx) != nil {
		return
	}
	o.send(ctx, 1)
	o.send(ctx, 2, 3, onceFrom, onceFrom)
	_ = o.m.Register.Save(ctx, "import", []byte("halfway"))
	o.send(ctx, onceFrom, detailFrom)
	_ = o.m.DB.Truncate(ctx)
	o.send(ctx, 4, 5)
}

// heal makes the disks good again: without a restart when nothing stopped.
func (o *office) heal(ctx context.Context) {
	o.t.Helper()
	o.m.Heal()
	if o.m.Stopped() {
		o.m.Close()
		if err := o.m.Restart(); err != nil {
			o.t.Fatal(err)
		}
	}
	if o.m.Register == nil {
		if err := o.m.Start(ctx); err != nil {
			o.t.Fatalf("opening afterwards: %v", err)
		}
	}
}

// resend sends again what was refused: now it must go.
func (o *office) resend(ctx context.Context) {
	o.t.Helper()
	for i := range o.tries {
		if _, ok := o.promised[i]; ok {
			continue
		}
		if o.send(ctx, i); o.promised[i] == (record.Receipt{}) {
			o.t.Fatalf("letter %d is refused although the disks are good again", i)
		}
	}
}

// check wants every promise kept, and nothing invented.
func (o *office) check(ctx context.Context) {
	o.t.Helper()
	size, _ := o.m.Register.Head()
	found := map[int][]int64{} // Entries by letter.
	for n := range size {
		it, err := o.m.Register.Item(ctx, n)
		if err != nil {
			o.t.Fatal(err)
		}
		if i, ok := o.which(it); ok {
			found[i] = append(found[i], n)
		}
	}
	for i, rc := range o.promised {
		switch at := found[i]; {
		case len(at) == 0 || !contains(at, rc.Entry):
			o.t.Errorf("letter %d was promised as entry %d and is in %v", i, rc.Entry, at)
		case i >= onceFrom && i < detailFrom && len(at) > 1:
			o.t.Errorf("letter %d is there more than once: %v", i, at)
		case len(at) > o.tries[i]:
			o.t.Errorf("letter %d was sent %d times and is there %d times", i, o.tries[i], len(at))
		}
	}
}

// audit has the register audited, which must continue every checkpoint that was
// published.
func (o *office) audit(ctx context.Context) {
	o.t.Helper()
	r, err := o.m.Audit(ctx, o.notes...)
	if err != nil {
		o.t.Fatal(err)
	}
	for _, f := range r.Findings {
		o.t.Errorf("audit: %s: %s", f.What, f.Detail)
	}
}

// which tells which letter an entry holds, byte for byte.
func (o *office) which(it *record.Item) (int, bool) {
	c, err := it.Content()
	if err != nil {
		o.t.Errorf("entry %d: %v", it.Index, err)
		return 0, false
	}
	for i := range o.tries {
		if i < detailFrom && bytes.Equal(c.Message, letter(i)) || i >= detailFrom && it.Entry.Kind == sijill.Imported {
			return i, true
		}
	}
	o.t.Errorf("entry %d holds what nobody sent", it.Index)
	return 0, false
}

func contains(list []int64, n int64) bool {
	for _, v := range list {
		if v == n {
			return true
		}
	}
	return false
}

// newMachine gives machines that start with a copy of one new register: each
// has its own disks.
func newMachine(t *testing.T) func(t *testing.T, seed uint64) *recordtest.Machine {
	home := &recordtest.Home{Dir: t.TempDir()}
	if err := home.Create(t.Context(), recordtest.Options{}); err != nil {
		t.Fatal(err)
	}
	return func(t *testing.T, seed uint64) *recordtest.Machine {
		m := recordtest.NewMachine(t, seed)
		if err := os.CopyFS(m.Dir, os.DirFS(home.Dir)); err != nil {
			t.Fatal(err)
		}
		_ = os.Remove(filepath.Join(m.Dir, "segments")) // They are on the other disk.
		return m
	}
}

// A fault at every write, sync, truncation and removal, of segments and database
// in turn: no promise is broken, the register goes on when the disks are good
// again, and the auditor finds nothing, before and after a restart.
func TestFaults(t *testing.T) {
	every := 1
	if testing.Short() {
		every = 11
	}
	recordtest.EachFault(t, every, newMachine(t), func(t *testing.T, m *recordtest.Machine) {
		ctx := t.Context()
		o := newOffice(t, m)
		defer func() { m.Close() }()
		o.work(ctx)
		o.heal(ctx)
		o.resend(ctx)
		o.check(ctx)
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		if err := m.Start(ctx); err != nil {
			t.Fatalf("opening again: %v", err)
		}
		o.send(ctx, 50)
		o.check(ctx)
		o.audit(ctx)
		if o.promised[50] == (record.Receipt{}) {
			t.Error("the register does not go on")
		}
	})
}

// What a failed sync has lost shows only when the machine stops later; and a
// transaction that failed at its very end may be found whole on the disk by the
// next process. So each sync, and each operation on segments, fails, and then
// everything stops: the machine or the process, at once or after more work.
func TestFaultsThenStops(t *testing.T) {
	newMachine := newMachine(t)
	sound := newMachine(t, 0)
	o := newOffice(t, sound)
	before := sound.Ops()
	o.work(t.Context())
	ops := sound.Ops()
	if err := sound.Close(); err != nil {
		t.Fatal(err)
	}
	for part, n := range ops {
		for op := before[part] + 1; op <= n; op++ {
			if part == recordtest.Database && sound.Database.Kind(op) != dbtest.Sync {
				continue
			}
			for stop, then := range map[string]func(*office){
				"crash at once": func(o *office) { o.refusal = o.m.Crash },
				"kill at once":  func(o *office) { o.refusal = o.m.Kill },
				"crash later":   func(*office) {},
			} {
				t.Run(string(part)+"/"+stop, func(t *testing.T) {
					t.Parallel()
					m := newMachine(t, uint64(op))
					m.Inject(recordtest.Fault{Part: part, Fault: dbtest.Fault{Op: op, Err: syscall.EIO}})
					o := newOffice(t, m)
					defer func() { m.Close() }()
					then(o)
					o.work(t.Context())
					if !m.Stopped() {
						m.Crash()
					}
					o.heal(t.Context())
					o.check(t.Context())
					o.resend(t.Context())
					o.send(t.Context(), 50)
					o.check(t.Context())
					o.audit(t.Context())
					if t.Failed() {
						t.Logf("struck at operation %d", op)
					}
				})
			}
		}
	}
}

// Making a register may fail anywhere; it can then be made again, or is there.
func TestFaultsOfCreation(t *testing.T) {
	every := 3 // Those of the database alone are all tried by its own tests.
	if testing.Short() {
		every = 11
	}
	recordtest.EachFault(t, every, func(t *testing.T, seed uint64) *recordtest.Machine { return recordtest.NewMachine(t, seed) }, func(t *testing.T, m *recordtest.Machine) {
		ctx := t.Context()
		err := m.Create(ctx, m.Options)
		m.Heal()
		if m.Stopped() {
			if err := m.Restart(); err != nil {
				t.Fatal(err)
			}
		}
		if again := m.Create(ctx, m.Options); again != nil && !errors.Is(again, record.ErrExists) {
			t.Fatalf("making it again after %v: %v", err, again)
		} else if err == nil && again == nil {
			t.Fatal("the register was made, and forgotten")
		}
		o := newOffice(t, m)
		defer func() { m.Close() }()
		if err := m.Start(ctx); err != nil {
			t.Fatal(err)
		}
		o.send(ctx, 1, detailFrom)
		o.check(ctx)
		o.audit(ctx)
		if len(o.promised) != 2 {
			t.Errorf("%d letters were promised", len(o.promised))
		}
	})
}
