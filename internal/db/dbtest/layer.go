package dbtest

import (
	"errors"
	"io/fs"
	"os"
	"slices"

	"github.com/ncruces/go-sqlite3/util/vfsutil"
	"github.com/ncruces/go-sqlite3/vfs"
)

// step counts an operation and returns the fault that strikes it, if any. Of an
// operation during which the machine stops, partly notes what may be left.
// After it d.mu is held; the caller calls done.
func (d *Disk) step(epoch int, kind Kind, partly func()) (f *Fault, done func(), err error) {
	d.mu.Lock()
	if d.stopped || epoch != d.epoch {
		return nil, d.mu.Unlock, ErrCrashed
	}
	d.ops++
	d.kinds = append(d.kinds, kind)
	f = d.fault
	if f == nil || d.ops < f.Op || d.ops > f.Op && !f.Lasting {
		return nil, d.mu.Unlock, nil
	}
	if f.Err != nil {
		return f, d.mu.Unlock, f.Err
	}
	if partly != nil && !f.Kill {
		partly()
	}
	d.stop(!f.Kill)
	told, crash := d.onStop, !f.Kill
	return f, func() {
		d.mu.Unlock()
		if told != nil {
			told(crash)
		}
	}, ErrCrashed
}

// alive tells whether a file of that epoch still works.
func (d *Disk) alive(epoch int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped || epoch != d.epoch {
		return ErrCrashed
	}
	return nil
}

func pathError(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// layer is the VFS.
type layer struct{ d *Disk }

var system = vfs.Find("os")

// FullPathname implements vfs.VFS. Its error can mean that it followed a link.
func (l layer) FullPathname(name string) (string, error) { return system.FullPathname(name) }

// Access implements vfs.VFS.
func (l layer) Access(name string, flags vfs.AccessFlag) (bool, error) {
	l.d.mu.Lock()
	stopped := l.d.stopped
	l.d.mu.Unlock()
	if stopped {
		return false, ErrCrashed
	}
	return system.Access(name, flags)
}

// Delete implements vfs.VFS.
func (l layer) Delete(name string, syncDir bool) error {
	n := l.d.inode(name)
	l.d.mu.Lock()
	epoch := l.d.epoch
	l.d.mu.Unlock()
	_, done, err := l.d.step(epoch, Remove, func() { n.exists = false })
	defer done()
	if err != nil {
		return pathError("remove", name, err)
	}
	if err := system.Delete(name, false); err != nil {
		return err
	}
	n.exists = false
	if syncDir {
		n.named = false
	}
	return nil
}

// Open implements vfs.VFS; SQLite calls OpenFilename.
func (l layer) Open(name string, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	return nil, flags, errors.ErrUnsupported
}

// OpenFilename implements vfs.VFSFilename.
func (l layer) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	if name == nil || name.String() == "" { // A temporary file: nothing rests on it.
		return vfsutil.WrapOpenFilename(system, name, flags)
	}
	n := l.d.inode(name.String())
	l.d.mu.Lock()
	stopped, epoch, exists := l.d.stopped, l.d.epoch, n.exists
	l.d.mu.Unlock()
	if stopped {
		return nil, flags, ErrCrashed
	}
	if !exists && flags&vfs.OPEN_CREATE != 0 {
		if err := l.create(name.String(), n, epoch); err != nil {
			return nil, flags, err
		}
	}
	f, flags, err := vfsutil.WrapOpenFilename(system, name, flags)
	if err != nil {
		return nil, flags, err
	}
	return &file{File: f, d: l.d, n: n, name: name.String(), epoch: epoch}, flags, nil
}

func (l layer) create(name string, n *inode, epoch int) error {
	_, done, err := l.d.step(epoch, Create, func() { n.born() })
	defer done()
	if err != nil {
		return pathError("open", name, err)
	}
	n.born()
	return nil
}

func (n *inode) born() {
	n.exists, n.kept, n.pending = true, nil, nil
}

// inode finds what is known of a file; one that the disk meets for the first
// time is durable as it is.
func (d *Disk) inode(name string) *inode {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.files[name]
	if n == nil {
		n = &inode{}
		if b, err := os.ReadFile(name); err == nil {
			*n = inode{exists: true, named: true, kept: b}
		}
		d.files[name] = n
	}
	return n
}

// file is an open file.
type file struct {
	vfs.File
	d     *Disk
	n     *inode
	name  string
	epoch int
}

// resize changes the length of the file, or lets that fail.
func (f *file) resize(op string, c change, do func() error) error {
	_, done, err := f.d.step(f.epoch, Truncate, func() { f.n.pending = append(f.n.pending, c) })
	defer done()
	if err != nil {
		return pathError(op, f.name, err)
	}
	f.n.pending = append(f.n.pending, c)
	return do()
}

func (f *file) ReadAt(b []byte, offset int64) (int, error) {
	if err := f.d.alive(f.epoch); err != nil {
		return 0, err
	}
	return f.File.ReadAt(b, offset)
}

func (f *file) WriteAt(b []byte, offset int64) (n int, err error) {
	c := change{offset: offset, data: slices.Clone(b)}
	fault, done, err := f.d.step(f.epoch, Write, func() { f.n.pending = append(f.n.pending, c) })
	defer done()
	if err != nil {
		if size, _ := f.File.Size(); fault != nil && fault.Err != nil && fault.Short && offset >= size {
			c.data = c.data[:len(b)/2]
			f.n.pending = append(f.n.pending, c)
			n, _ = f.File.WriteAt(c.data, offset)
		}
		return n, pathError("write", f.name, err)
	}
	f.n.pending = append(f.n.pending, c)
	return f.File.WriteAt(b, offset)
}

func (f *file) Truncate(size int64) error {
	return f.resize("truncate", change{size: size}, func() error { return f.File.Truncate(size) })
}

// SizeHint implements vfs.FileSizeHint: it makes the file longer.
func (f *file) SizeHint(size int64) error {
	now, err := f.File.Size()
	if err != nil || size <= now {
		return err
	}
	return f.resize("allocate", change{size: size}, func() error { return f.File.Truncate(size) })
}

// Sync makes the content durable, without troubling the real disk. One that
// fails forgets what it should have written, shows it to readers until the next
// crash, and succeeds when it is called again: so do kernels.
func (f *file) Sync(vfs.SyncFlag) error {
	_, done, err := f.d.step(f.epoch, Sync, nil)
	defer done()
	if f.d.stopped { // What a crash left is settled.
		return pathError("sync", f.name, ErrCrashed)
	}
	if err == nil {
		for _, c := range f.n.pending {
			f.n.kept = c.apply(f.n.kept)
		}
		f.n.named = f.n.exists
	}
	f.n.pending = nil
	if err != nil {
		return pathError("sync", f.name, err)
	}
	return nil
}

func (f *file) Size() (int64, error) {
	if err := f.d.alive(f.epoch); err != nil {
		return 0, err
	}
	return f.File.Size()
}

func (f *file) Lock(level vfs.LockLevel) error {
	if err := f.d.alive(f.epoch); err != nil {
		return err
	}
	return f.File.Lock(level)
}

// SharedMemory implements vfs.FileSharedMemory.
func (f *file) SharedMemory() vfs.SharedMemory { return vfsutil.WrapSharedMemory(f.File) }

// LockState implements vfs.FileLockState.
func (f *file) LockState() vfs.LockLevel { return vfsutil.WrapLockState(f.File) }

// HasMoved implements vfs.FileHasMoved.
func (f *file) HasMoved() (bool, error) { return vfsutil.WrapHasMoved(f.File) }
