package files

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"

	"sijill/internal/blob"
)

// Read implements blob.Store. Reads don't wait for appends nor for each other.
func (s *Store) Read(ctx context.Context, ref blob.Ref, room []byte) (blob.Frame, error) {
	frame, err := s.read(ctx, ref, room)
	if err != nil {
		return blob.Frame{}, fmt.Errorf("read segment %d at %d: %w", ref.Segment, ref.Offset, err)
	}
	return frame, nil
}

func (s *Store) read(ctx context.Context, ref blob.Ref, room []byte) (blob.Frame, error) {
	if err := ctx.Err(); err != nil {
		return blob.Frame{}, err
	}
	r, err := s.readers.get(ref.Segment)
	if err != nil {
		return blob.Frame{}, err
	}
	defer s.readers.put(r)
	// Checked before anything is allocated: the reference may be the damaged one.
	if ref.Offset < blob.HeaderSize || ref.Length < 1 || ref.Length > blob.MaxData {
		return blob.Frame{}, blob.ErrDamaged
	}
	n := blob.FrameOverhead + ref.Length
	if err := r.reach(ref.Offset, n); err != nil {
		return blob.Frame{}, err
	}
	if n > int64(len(room)) {
		room = make([]byte, n)
	}
	_, err = r.file.ReadAt(room[:n], ref.Offset)
	if errors.Is(err, io.EOF) {
		err = blob.ErrDamaged
	}
	if err != nil {
		return blob.Frame{}, err
	}
	return blob.ParseFrame(room[:n])
}

// openForReading opens a segment and makes sure once that it is the one it is
// named for.
func (s *Store) openForReading(n int64) (File, error) {
	file, err := s.fs.OpenFile(s.path(n), os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	ours, err := checkHeader(file, n)
	if err == nil && !ours {
		err = blob.ErrDamaged
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

// readers keeps a bounded number of files open, the least recently used leaving
// first, and never closes one that is being read.
type readers struct {
	max  int
	open func(number int64) (File, error)

	mu       sync.Mutex // guards all below and the fields of each reader
	closed   bool
	recent   *list.List // of *reader, most recently used first
	byNumber map[int64]*list.Element
}

type reader struct {
	number  int64
	file    File
	size    atomic.Int64 // of the file, when it was last looked at
	users   int
	dropped bool // to be closed by its last user
}

// reach makes sure that the file has n bytes at an offset. Segments only grow, but
// for a tail that nothing refers to.
func (r *reader) reach(offset, n int64) error {
	if offset <= r.size.Load()-n {
		return nil
	}
	info, err := r.file.Stat()
	if err != nil {
		return err
	}
	r.size.Store(info.Size())
	if offset > info.Size()-n {
		return blob.ErrDamaged
	}
	return nil
}

func newReaders(max int, open func(int64) (File, error)) *readers {
	return &readers{max: max, open: open, recent: list.New(), byNumber: map[int64]*list.Element{}}
}

// get returns the open segment; the caller gives it back with put.
func (c *readers) get(number int64) (*reader, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, fs.ErrClosed
	}
	if e, ok := c.byNumber[number]; ok {
		c.recent.MoveToFront(e)
		r := e.Value.(*reader)
		r.users++
		return r, nil
	}
	file, err := c.open(number)
	if err != nil {
		return nil, err
	}
	r := &reader{number: number, file: file, users: 1}
	c.byNumber[number] = c.recent.PushFront(r)
	if c.recent.Len() > c.max {
		_ = c.drop(c.recent.Back())
	}
	return r, nil
}

func (c *readers) put(r *reader) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r.users--
	if r.dropped && r.users == 0 {
		_ = r.file.Close() // it was only read from
	}
}

// drop forgets a file and closes it, now or after its last use. c.mu is held.
func (c *readers) drop(e *list.Element) error {
	r := c.recent.Remove(e).(*reader)
	delete(c.byNumber, r.number)
	r.dropped = true
	if r.users > 0 {
		return nil
	}
	return r.file.Close()
}

func (c *readers) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	var first error
	for c.recent.Len() > 0 {
		if err := c.drop(c.recent.Back()); err != nil && first == nil {
			first = err
		}
	}
	return first
}
