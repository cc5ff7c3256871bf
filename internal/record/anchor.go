package record

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sys/unix"

	"sijill"
	"sijill/internal/db"
)

// anchorEvery is how late an anchor may be; anchorPause is how late it may be
// after its disk was away.
const (
	anchorEvery = time.Second
	anchorPause = time.Minute
)

// anchors keep the newest checkpoint in files outside the data directory, so
// that a data directory restored from an old copy is noticed.
type anchors struct {
	paths  []string
	signer *signer
	log    *slog.Logger

	writing sync.Mutex // Held while anchors are written; taken before mu.

	mu      sync.Mutex // Guards what follows.
	pending []byte
	timer   bool
	closed  bool
	pause   time.Duration // Before what has failed is tried again.
}

func newAnchors(paths []string, s *signer, log *slog.Logger) *anchors {
	return &anchors{paths: paths, signer: s, log: log}
}

// anchorFile is an anchor as it was found: its bytes, or why it can't be read.
type anchorFile struct {
	path string
	note []byte
	err  error
}

// readAnchors reads the anchors that there are. Read them before the head that
// they are compared with: another process may be appending, and then they are
// ahead of a head that was read earlier.
func readAnchors(paths []string) (found []anchorFile) {
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if !errors.Is(err, fs.ErrNotExist) {
			found = append(found, anchorFile{path, b, err})
		}
	}
	return found
}

// check compares the anchors with the register and returns an error that wraps
// ErrBehind if one is ahead of it or contradicts it. A missing anchor is not an
// error: it is written anew.
func (a *anchors) check(tx *db.Tx, h head, found []anchorFile) error {
	for _, f := range found {
		if f.err != nil {
			return fmt.Errorf("reading anchor %s: %w: %w", f.path, f.err, ErrBehind)
		}
		c, err := a.signer.open(f.note)
		if err != nil {
			return fmt.Errorf("anchor %s is not a checkpoint of this register: %w: %w", f.path, err, ErrBehind)
		}
		if err := compare(tx, h, c); err != nil {
			return fmt.Errorf("anchor %s: %w", f.path, err)
		}
	}
	return nil
}

func compare(tx *db.Tx, h head, c sijill.Checkpoint) error {
	if c.Size > h.size {
		return fmt.Errorf("it has %d entries, this data directory %d: %w", c.Size, h.size, ErrBehind)
	}
	if c.Size == 0 {
		return nil
	}
	root, err := tlog.TreeHash(c.Size, dbHashes{tx})
	if err != nil {
		return fmt.Errorf("hashing the first %d entries: %w", c.Size, err)
	}
	if root != c.Root {
		return fmt.Errorf("its first %d entries are others than here: %w", c.Size, ErrBehind)
	}
	return nil
}

// missing tells whether some anchor isn't there.
func (a *anchors) missing() bool {
	for _, path := range a.paths {
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			return true
		}
	}
	return false
}

// offer has the checkpoint written within anchorEvery. It does not wait.
func (a *anchors) offer(note []byte) {
	if len(a.paths) == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pending = note
	if a.timer {
		return
	}
	a.timer = true
	time.AfterFunc(anchorEvery, a.flush)
}

func (a *anchors) flush() {
	a.writing.Lock()
	defer a.writing.Unlock()
	a.mu.Lock()
	note := a.pending
	a.pending, a.timer = nil, false
	a.mu.Unlock()
	if note == nil {
		return
	}
	err := a.write(note)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil || a.closed {
		a.pause = 0
		return
	}
	a.log.Error("an anchor could not be written; trying again", "error", err)
	if a.pending == nil {
		a.pending = note
	}
	if !a.timer {
		a.timer, a.pause = true, min(max(2*a.pause, anchorEvery), anchorPause)
		time.AfterFunc(a.pause, a.flush)
	}
}

// close writes the last checkpoint and gives up the timer.
func (a *anchors) close(note []byte) error {
	a.stop()
	a.writing.Lock()
	defer a.writing.Unlock()
	return a.write(note)
}

// stop gives up the timer. When it has returned, nothing more is written.
func (a *anchors) stop() {
	a.mu.Lock()
	a.pending, a.closed = nil, true
	a.mu.Unlock()
	a.writing.Lock() // Waits for what is being written.
	defer a.writing.Unlock()
}

// write replaces every anchor that is behind note, durably. It goes on after one
// has failed.
func (a *anchors) write(note []byte) error {
	c, err := a.signer.open(note)
	if err != nil {
		return fmt.Errorf("writing anchors: %w", err)
	}
	var errs []error
	for _, path := range a.paths {
		if err := a.replace(path, note, c.Size); err != nil {
			errs = append(errs, fmt.Errorf("writing anchor: %w", err))
		}
	}
	return errors.Join(errs...)
}

// replace replaces one anchor unless it knows of more entries than size: another
// process may have written it meanwhile. The lock is against that one being
// between the same two steps; a file system without locks only makes it less
// likely.
func (a *anchors) replace(path string, note []byte, size int64) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	_ = flock(dir, unix.LOCK_EX)
	if old, err := os.ReadFile(path); err == nil {
		o, err := a.signer.open(old)
		if err != nil {
			return fmt.Errorf("%s has become the checkpoint of another register: %w", path, err)
		}
		if o.Size >= size {
			return nil
		}
	}
	if err := replaceFile(path, note); err != nil {
		return err
	}
	return dir.Sync()
}

func replaceFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
