package blobtest

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"sijill/internal/blob/files"
)

// ErrCrashed is what every operation on a Disk returns between a crash and
// Restart, and what a file opened before a crash returns for ever.
var ErrCrashed = errors.New("the simulated machine has stopped")

// Fault is one thing that goes wrong on a Disk.
type Fault struct {
	// Op is which operation it strikes, counted from 1 by Disk.Ops. Creating,
	// writing, truncating, syncing, changing a mode, removing and making and
	// syncing folders count; opening what exists, reading and listing don't.
	Op int
	// Lasting makes all operations from Op on fail, until Heal.
	Lasting bool
	// Err is what the operation returns. Nil means that the machine stops there
	// and then: the operation is done in part or not at all, as Crash describes.
	Err error
	// Short lets a write put half of its bytes down before it fails.
	Short bool
}

// Disk is a file system in memory that tells what is durable from what only
// looks so, and that fails on command. It is as unkind as the standards allow:
//
//   - what was written and not synced survives a crash in any combination, and
//     the last of it only up to a random byte;
//   - a name that was created or removed survives only once its folder is synced;
//   - a Sync that fails forgets what it should have written, shows it to readers
//     until the next crash, and succeeds when it is called again.
//
// It implements files.FS and may be used from several goroutines and Stores.
type Disk struct {
	mu      sync.Mutex // guards all below, and all inodes and handles of the disk
	random  *rand.Rand
	ops     int
	fault   *Fault
	crashed bool
	epoch   int // how many times it was restarted; older handles are dead
	dirs    map[string]bool
	names   map[string]*inode // what the system shows
	durable map[string]*inode // what a crash leaves
}

// inode is a file. data and mode are what the system shows; kept and keptMode
// are what is on the medium; pending leads from one to the other.
type inode struct {
	data, kept     []byte
	mode, keptMode fs.FileMode
	pending        []change
	holder         *handle // who has its lock
}

// change is one change to an inode that is not durable yet.
type change struct {
	offset int64
	data   []byte // written, when not nil
	size   int64  // the new size, when data is nil
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

// NewDisk returns a disk with an empty root folder "/". Equal seeds make equal
// crashes.
func NewDisk(seed uint64) *Disk {
	return &Disk{
		random:  rand.New(rand.NewPCG(seed, 1)),
		dirs:    map[string]bool{"/": true},
		names:   map[string]*inode{},
		durable: map[string]*inode{},
	}
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

// Crash stops the machine: what isn't durable is lost, all or part of it, and
// nothing works until Restart.
func (d *Disk) Crash() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.crash()
}

// Restart starts the machine after a crash, with no locks and no fault armed. On
// a machine that runs it stops all processes: their handles die and locks go,
// and what they wrote is there.
func (d *Disk) Restart() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.crashed, d.fault = false, nil
	d.epoch++
	for _, n := range d.names {
		n.holder = nil
	}
}

func (d *Disk) crash() {
	d.crashed = true
	names := map[string]*inode{}
	for name := range union(d.names, d.durable) {
		n := d.durable[name]
		if d.random.IntN(2) == 0 {
			n = d.names[name] // the folder reached the medium although nobody asked
		}
		if n != nil {
			names[name] = n
		}
	}
	d.names, d.durable = names, copyMap(names)
	for _, n := range names {
		n.settle(d.random)
	}
}

// settle leaves of the pending changes what a crash leaves.
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
	if random.IntN(2) == 0 {
		n.keptMode = n.mode
	}
	n.pending, n.mode = nil, n.keptMode
	n.data = append([]byte(nil), n.kept...)
}

func union(a, b map[string]*inode) map[string]bool {
	all := map[string]bool{}
	for name := range a {
		all[name] = true
	}
	for name := range b {
		all[name] = true
	}
	return all
}

func copyMap(m map[string]*inode) map[string]*inode {
	c := make(map[string]*inode, len(m))
	for name, n := range m {
		c[name] = n
	}
	return c
}

// step counts an operation and returns the fault that strikes it, if any. Of an
// operation during which the machine stops, the caller calls partly, which may
// leave it pending.
func (d *Disk) step(partly func()) (*Fault, error) {
	if d.crashed {
		return nil, ErrCrashed
	}
	d.ops++
	f := d.fault
	if f == nil || d.ops < f.Op || d.ops > f.Op && !f.Lasting {
		return nil, nil
	}
	if f.Err != nil {
		return f, f.Err
	}
	if partly != nil {
		partly()
	}
	d.crash()
	return f, ErrCrashed
}

// OpenFile implements files.FS.
func (d *Disk) OpenFile(name string, flag int, perm fs.FileMode) (files.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.crashed {
		return nil, ErrCrashed
	}
	n := d.names[name]
	switch {
	case n != nil && flag&os.O_EXCL != 0:
		return nil, pathError("open", name, syscall.EEXIST)
	case n == nil && flag&os.O_CREATE == 0:
		return nil, pathError("open", name, syscall.ENOENT)
	case n != nil && flag&os.O_RDWR != 0 && n.mode&0o200 == 0:
		return nil, pathError("open", name, syscall.EACCES)
	case n == nil:
		created := &inode{mode: perm, keptMode: perm}
		if _, err := d.step(func() { d.names[name] = created }); err != nil {
			return nil, pathError("open", name, err)
		}
		n = created
		d.names[name] = n
	}
	return &handle{disk: d, name: name, inode: n, epoch: d.epoch}, nil
}

// ReadDir implements files.FS. Folders aren't listed.
func (d *Disk) ReadDir(name string) ([]fs.DirEntry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.crashed {
		return nil, ErrCrashed
	}
	if !d.dirs[name] {
		return nil, pathError("open", name, syscall.ENOENT)
	}
	return d.list(name), nil
}

// Mkdir implements files.FS. Folders, unlike files, are durable at once.
func (d *Disk) Mkdir(name string, _ fs.FileMode) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.step(nil); err != nil {
		return pathError("mkdir", name, err)
	}
	if d.dirs[name] {
		return pathError("mkdir", name, syscall.EEXIST)
	}
	if !d.dirs[filepath.Dir(name)] {
		return pathError("mkdir", name, syscall.ENOENT)
	}
	d.dirs[name] = true
	return nil
}

// Remove implements files.FS.
func (d *Disk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.step(func() { delete(d.names, name) }); err != nil {
		return pathError("remove", name, err)
	}
	if d.names[name] == nil {
		return pathError("remove", name, syscall.ENOENT)
	}
	delete(d.names, name)
	return nil
}

// SyncDir implements files.FS.
func (d *Disk) SyncDir(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.step(nil); err != nil {
		return pathError("sync", name, err)
	}
	for file := range union(d.names, d.durable) {
		if filepath.Dir(file) != name {
			continue
		}
		if n := d.names[file]; n != nil {
			d.durable[file] = n
		} else {
			delete(d.durable, file)
		}
	}
	return nil
}

func pathError(op, name string, err error) error {
	if errors.Is(err, ErrCrashed) {
		return err
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}
