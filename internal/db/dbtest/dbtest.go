// Package dbtest is a disk under SQLite that fails on command and that forgets,
// when its machine stops, what was not synced.
//
// It lies below the encryption of pages, where the real disk lies. It is as
// unkind as the standards allow, with one exception that every journalling file
// system makes: a file that was synced keeps its name as well.
package dbtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ncruces/go-sqlite3/vfs"
	"github.com/ncruces/go-sqlite3/vfs/adiantum"
)

// ErrCrashed is what every operation on a Disk returns between a crash and
// Restart, and what a file opened before returns for ever.
var ErrCrashed = errors.New("the simulated machine has stopped")

// Fault is one thing that goes wrong on a Disk.
type Fault struct {
	// Op is which operation it strikes, counted from 1 by Disk.Ops. Creating,
	// writing, making longer, truncating, syncing and removing a file count;
	// opening what exists, reading and locking don't.
	Op int
	// Lasting makes all operations from Op on fail, until Heal.
	Lasting bool
	// Err is what the operation returns. Nil means that everything stops there
	// and then: the machine, as Crash describes, or with Kill the process.
	Err error
	// Kill stops the process only: what it wrote before is there.
	Kill bool
	// Short lets a write that makes the file longer put half of its bytes down
	// before it fails. What it would overwrite has its place on the disk
	// already and stays as it was.
	Short bool
}

// Kind is what an operation does.
type Kind string

// The kinds of operations.
const (
	Create   Kind = "create"
	Write    Kind = "write"
	Truncate Kind = "truncate" // Or make longer.
	Sync     Kind = "sync"
	Remove   Kind = "remove"
)

// Disk is a layer over the files of the operating system that knows what of
// them is durable. It may be used by several databases and goroutines.
type Disk struct {
	name string

	mu      sync.Mutex // Guards what follows.
	random  *rand.Rand
	ops     int
	kinds   []Kind // Of the operations.
	fault   *Fault
	stopped bool // Nothing works until Restart.
	crashed bool // The machine stopped, not only the process.
	epoch   int  // How many times it was restarted; older handles are dead.
	onStop  func(crashed bool)
	files   map[string]*inode
}

// inode is what is known of a file: kept is on the medium, pending leads from
// there to what the system shows.
type inode struct {
	exists  bool // What the system shows.
	named   bool // Its name is durable.
	kept    []byte
	pending []change
}

// change is one change to a file that is not durable yet.
type change struct {
	offset int64
	data   []byte // Written, when not nil.
	size   int64  // The new size, when data is nil.
}

func (c change) apply(b []byte) []byte {
	end := c.size
	if c.data != nil {
		end = max(c.offset+int64(len(c.data)), int64(len(b)))
	}
	if end > int64(len(b)) {
		b = append(b, make([]byte, end-int64(len(b)))...)
	}
	b = b[:end]
	copy(b[min(c.offset, end):], c.data)
	return b
}

var disks atomic.Int64

// New makes a disk and registers it, with encryption of pages on top, as a VFS
// for the time of the test. Equal seeds make equal crashes.
func New(t testing.TB, seed uint64) *Disk {
	d := &Disk{
		name:   fmt.Sprintf("dbtest-%d", disks.Add(1)),
		random: rand.New(rand.NewPCG(seed, 1)), files: map[string]*inode{},
	}
	vfs.Register(d.name, adiantum.Wrap(layer{d}, nil))
	t.Cleanup(func() { vfs.Unregister(d.name) })
	return d
}

// VFS is the name for db.Options.
func (d *Disk) VFS() string { return d.name }

// OnStop has f called, by whoever does the operation, when a fault has stopped
// the machine or the process.
func (d *Disk) OnStop(f func(crashed bool)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.onStop = f
}

// Inject arms one fault, in place of any other.
func (d *Disk) Inject(f Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = &f
}

// Heal disarms the fault.
func (d *Disk) Heal() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = nil
}

// Ops returns how many operations were asked for, failed ones included.
func (d *Disk) Ops() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ops
}

// Kind tells what an operation was, counted from 1.
func (d *Disk) Kind(op int) Kind {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.kinds[op-1]
}

// Stopped tells whether a fault, Crash or Kill has stopped everything.
func (d *Disk) Stopped() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stopped
}

// Crash stops the machine: what isn't durable is lost, all or part of it, and
// nothing works until Restart.
func (d *Disk) Crash() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stop(true)
}

// Kill stops the process: nothing works until Restart, and nothing is lost.
func (d *Disk) Kill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stop(false)
}

func (d *Disk) stop(crash bool) {
	if d.stopped {
		return
	}
	d.stopped, d.crashed = true, crash
	if !crash {
		return
	}
	for _, n := range d.files {
		n.settle(d.random)
	}
}

// settle leaves of the pending changes what a crash leaves: any of them, and
// the last only up to a random byte.
func (n *inode) settle(random *rand.Rand) {
	var lucky []change
	for _, c := range n.pending {
		if random.IntN(2) == 0 {
			lucky = append(lucky, c)
		}
	}
	for i, c := range lucky {
		if i == len(lucky)-1 && len(c.data) > 0 {
			c.data = c.data[:random.IntN(len(c.data)+1)]
		}
		n.kept = c.apply(n.kept)
	}
	n.pending = nil
	if n.named != n.exists && random.IntN(2) == 0 {
		n.named = n.exists // The folder reached the medium although nobody asked.
	}
	n.exists = n.named
}

// Restart starts what was stopped, with no fault armed. Databases opened before
// must be closed first; their files are dead.
func (d *Disk) Restart() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	if d.crashed {
		for name, n := range d.files {
			errs = append(errs, restore(name, n))
		}
	}
	d.stopped, d.crashed, d.fault = false, false, nil
	d.epoch++
	return errors.Join(errs...)
}

// restore gives a file the content that a crash left, as a new file, so that a
// handle from before can't reach it.
func restore(name string, n *inode) error {
	_ = os.Remove(name + "-shm") // Shared memory dies with the machine.
	if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
		return err
	}
	if !n.exists {
		return nil
	}
	return os.WriteFile(name, n.kept, 0o600)
}
