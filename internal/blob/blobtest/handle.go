package blobtest

import (
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// handle is an open file of a Disk.
type handle struct {
	disk   *Disk
	name   string
	inode  *inode
	epoch  int
	closed bool
}

// use locks the disk for one operation; the caller calls the function returned.
func (h *handle) use() (func(), error) {
	h.disk.mu.Lock()
	switch {
	case h.disk.crashed || h.epoch != h.disk.epoch:
		h.disk.mu.Unlock()
		return nil, ErrCrashed
	case h.closed:
		h.disk.mu.Unlock()
		return nil, fs.ErrClosed
	}
	return h.disk.mu.Unlock, nil
}

func (h *handle) ReadAt(b []byte, offset int64) (int, error) {
	done, err := h.use()
	if err != nil {
		return 0, err
	}
	defer done()
	if offset >= int64(len(h.inode.data)) {
		return 0, io.EOF
	}
	n := copy(b, h.inode.data[offset:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (h *handle) change(c change) {
	c.data = slices.Clone(c.data)
	h.inode.data = c.apply(h.inode.data)
	h.inode.pending = append(h.inode.pending, c)
}

func (h *handle) WriteAt(b []byte, offset int64) (int, error) {
	done, err := h.use()
	if err != nil {
		return 0, err
	}
	defer done()
	c := change{offset: offset, data: b}
	fault, err := h.disk.step(func() { h.change(c) })
	if err != nil {
		n := 0
		if fault != nil && fault.Err != nil && fault.Short {
			n = len(b) / 2
			h.change(change{offset: offset, data: b[:n]})
		}
		return n, pathError("write", h.name, err)
	}
	h.change(c)
	return len(b), nil
}

func (h *handle) Truncate(size int64) error {
	done, err := h.use()
	if err != nil {
		return err
	}
	defer done()
	if _, err := h.disk.step(func() { h.change(change{size: size}) }); err != nil {
		return pathError("truncate", h.name, err)
	}
	h.change(change{size: size})
	return nil
}

func (h *handle) Sync() error {
	done, err := h.use()
	if err != nil {
		return err
	}
	defer done()
	_, err = h.disk.step(nil)
	if err != nil {
		h.inode.pending = nil // clean in the cache, absent on the medium
		return pathError("sync", h.name, err)
	}
	for _, c := range h.inode.pending {
		h.inode.kept = c.apply(h.inode.kept)
	}
	h.inode.pending, h.inode.keptMode = nil, h.inode.mode
	return nil
}

func (h *handle) Chmod(mode fs.FileMode) error {
	done, err := h.use()
	if err != nil {
		return err
	}
	defer done()
	if _, err := h.disk.step(func() { h.inode.mode = mode }); err != nil {
		return pathError("chmod", h.name, err)
	}
	h.inode.mode = mode
	return nil
}

func (h *handle) TryLock() (bool, error) {
	done, err := h.use()
	if err != nil {
		return false, err
	}
	defer done()
	if h.inode.holder != nil && h.inode.holder != h {
		return false, nil
	}
	h.inode.holder = h
	return h.disk.names[h.name] == h.inode, nil
}

func (h *handle) Close() error {
	done, err := h.use()
	if err != nil {
		return err
	}
	defer done()
	h.closed = true
	if h.inode.holder == h {
		h.inode.holder = nil
	}
	return nil
}

func (h *handle) Stat() (fs.FileInfo, error) {
	done, err := h.use()
	if err != nil {
		return nil, err
	}
	defer done()
	return h.inode.info(h.name), nil
}

// info is the fs.FileInfo of an inode at one moment.
type info struct {
	name string
	size int64
	mode fs.FileMode
}

func (n *inode) info(name string) info {
	return info{filepath.Base(name), int64(len(n.data)), n.mode}
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return i.mode }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) IsDir() bool        { return false }
func (i info) Sys() any           { return nil }

// list returns the files in a folder.
func (d *Disk) list(dir string) []fs.DirEntry {
	var entries []fs.DirEntry
	for name, n := range d.names {
		if filepath.Dir(name) == dir {
			entries = append(entries, fs.FileInfoToDirEntry(n.info(name)))
		}
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries
}
