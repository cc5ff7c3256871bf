package files

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// FS is all that the driver asks of a file system, small enough that a test can
// stand in for it and let each operation fail in turn. Names are paths.
type FS interface {
	// OpenFile opens or creates a file, as os.OpenFile does.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// ReadDir lists a folder, sorted by name.
	ReadDir(name string) ([]fs.DirEntry, error)
	// Mkdir creates a folder in one that exists.
	Mkdir(name string, perm fs.FileMode) error
	// Remove deletes a file.
	Remove(name string) error
	// SyncDir makes the names in a folder durable.
	SyncDir(name string) error
}

// File is an open file.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Stat() (fs.FileInfo, error)
	Truncate(size int64) error
	// Sync makes data and size durable. After an error nothing is known about
	// what was written since the last success: the kernel may have dropped it
	// and marked it clean, so that a second Sync succeeds over lost data.
	Sync() error
	Chmod(mode fs.FileMode) error
	// TryLock takes the exclusive lock of the file until it is closed, without
	// waiting. It reports false when another holds the lock, and when the file
	// no longer has its name: then it was removed by who held the lock before,
	// and whatever is written to it is lost.
	TryLock() (bool, error)
}

// OS is the operating system's own file system.
type OS struct{}

// OpenFile is os.OpenFile.
func (OS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// ReadDir is os.ReadDir.
func (OS) ReadDir(name string) ([]fs.DirEntry, error) { return os.ReadDir(name) }

// Mkdir is os.Mkdir.
func (OS) Mkdir(name string, perm fs.FileMode) error { return os.Mkdir(name, perm) }

// Remove is os.Remove.
func (OS) Remove(name string) error { return os.Remove(name) }

// SyncDir opens the folder and syncs it.
func (OS) SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

type osFile struct{ *os.File }

func (f osFile) TryLock() (bool, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return false, err
	}
	var locked error
	err = raw.Control(func(fd uintptr) { locked = syscall.Flock(int(fd), syscall.LOCK_EX|syscall.LOCK_NB) })
	if err != nil {
		return false, err
	}
	if errors.Is(locked, syscall.EWOULDBLOCK) {
		return false, nil
	}
	if locked != nil {
		return false, &fs.PathError{Op: "flock", Path: f.Name(), Err: locked}
	}
	return f.named()
}

// named reports whether the file still has the name it was opened by.
func (f osFile) named() (bool, error) {
	mine, err := f.Stat()
	if err != nil {
		return false, err
	}
	there, err := os.Stat(f.Name())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(mine, there), err
}
