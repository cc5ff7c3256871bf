// Package files keeps the segments of a blob.Store as files in one folder,
// named 00000001.seg and so on.
//
// It promises what blob.Store promises, under these rules:
//
//   - A batch is one write and one sync. A new segment's header is synced, and
//     then its folder, before the first frame goes in.
//   - After a write that failed, the segment is cut back to its last durable
//     byte. If that fails too, or if a sync failed, the segment is given up and
//     the next batch goes to a new one: after a failed sync the kernel may claim
//     pages clean that never reached the disk.
//   - Whoever writes a segment holds its lock (flock). A segment that will never
//     be written again is marked by taking the write permission away (its mode
//     becomes 0400) before the lock is let go, so that Recover in another
//     process never cuts frames whose transaction is still under way.
//   - A segment that Recover did not cut to its last referenced frame is never
//     appended to: there may be half a frame at its end.
//
// Files are appended to, not allocated ahead: measured on ext4, fallocate gains
// nothing (turning an unwritten extent into a written one is journalled just as
// a new size is), and filling with zeros ahead makes a lone append 1.4 times as
// fast but writes everything twice and stalls at each step.
package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"sijill/internal/blob"
)

// Options tells how segments are kept. The zero value is good.
type Options struct {
	// SegmentSize, in bytes, is where a segment is closed and the next begun; a
	// single batch may exceed it. 0 means 64 MiB.
	SegmentSize int64
	// OpenFiles is how many segments are kept open for reading. 0 means 64.
	OpenFiles int
	// FS is where the files are. nil means the operating system.
	FS FS
}

// Store is a blob.Store in a folder.
type Store struct {
	dir         string
	segmentSize int64
	fs          FS
	readers     *readers

	// turn holds one token; who has it may use the fields below.
	turn    chan struct{}
	closed  bool
	current *writer // the segment being written, nil when there is none
	held    []File  // segments given up that could not be marked complete: kept locked until Close
	buf     []byte  // where a batch is put together
}

// keepBuffer is the largest buffer, in bytes, that is kept from batch to batch.
const keepBuffer = 4 << 20

// Open opens the store in the folder dir, creating the folder (in one that
// exists) if it is missing.
func Open(dir string, o Options) (*Store, error) {
	if o.SegmentSize == 0 {
		o.SegmentSize = 64 << 20
	}
	if o.OpenFiles == 0 {
		o.OpenFiles = 64
	}
	if o.FS == nil {
		o.FS = OS{}
	}
	s := &Store{dir: dir, segmentSize: o.SegmentSize, fs: o.FS, turn: make(chan struct{}, 1)}
	s.readers = newReaders(o.OpenFiles, s.openForReading)
	if err := s.makeDir(); err != nil {
		return nil, fmt.Errorf("open segment folder: %w", err)
	}
	return s, nil
}

// makeDir creates the folder. Its parent is synced even if the folder was there:
// an earlier Open may have failed, or its machine may have stopped, in between.
func (s *Store) makeDir() error {
	err := s.fs.Mkdir(s.dir, 0o700)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if _, err := s.fs.ReadDir(s.dir); err != nil {
		return err
	}
	return s.fs.SyncDir(filepath.Dir(s.dir))
}

// acquire waits for the writer's turn.
func (s *Store) acquire(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case s.turn <- struct{}{}:
		if s.closed {
			s.release()
			return fs.ErrClosed
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Store) release() { <-s.turn }

// Append implements blob.Store.
func (s *Store) Append(ctx context.Context, frames []blob.Frame) ([]blob.Ref, error) {
	size, err := blob.FramesSize(frames)
	if err != nil || len(frames) == 0 {
		return nil, err
	}
	if err := s.acquire(ctx); err != nil {
		return nil, fmt.Errorf("append frames: %w", err)
	}
	defer s.release()
	if err := s.makeRoom(size); err != nil {
		return nil, err
	}
	refs := s.encode(frames)
	usable, err := s.current.write(s.buf)
	if cap(s.buf) > keepBuffer {
		s.buf = nil
	}
	if err != nil {
		err = fmt.Errorf("append %d bytes to segment %d: %w", size, s.current.number, err)
		if !usable {
			s.giveUp()
		}
		return nil, err
	}
	return refs, nil
}

// encode puts the frames into the buffer and returns where they will be.
func (s *Store) encode(frames []blob.Frame) []blob.Ref {
	refs := make([]blob.Ref, len(frames))
	s.buf = s.buf[:0]
	for i, f := range frames {
		refs[i] = blob.Ref{
			Segment: s.current.number,
			Offset:  s.current.end + int64(len(s.buf)),
			Length:  int64(len(f.Data)),
		}
		s.buf = blob.AppendFrame(s.buf, f)
	}
	return refs
}

// makeRoom sees to it that the current segment can take size bytes more.
func (s *Store) makeRoom(size int64) error {
	if w := s.current; w != nil {
		if w.end == blob.HeaderSize || w.end+size <= s.segmentSize {
			return nil
		}
		s.giveUp()
	}
	w, err := s.create()
	if err != nil {
		return fmt.Errorf("begin a segment: %w", err)
	}
	s.current = w
	return nil
}

// giveUp is the end of writing to the current segment, full or broken. All that
// was acknowledged in it is durable already, so no error here can harm; a
// segment that can't be marked complete stays locked until Close.
func (s *Store) giveUp() {
	w := s.current
	s.current = nil
	if w.end == blob.HeaderSize && s.fs.Remove(s.path(w.number)) == nil {
		_ = w.file.Close() // nothing was ever acknowledged in it
		return
	}
	if w.file.Chmod(sealedMode) != nil {
		s.held = append(s.held, w.file)
		return
	}
	_ = w.file.Close()
}

// Close implements blob.Store. The segment that was being written stays open for
// the next process that recovers it.
func (s *Store) Close() error {
	s.turn <- struct{}{}
	defer s.release()
	if s.closed {
		return nil
	}
	s.closed = true
	errs := []error{s.readers.close()}
	if s.current != nil {
		errs = append(errs, s.current.file.Close())
	}
	for _, f := range s.held {
		errs = append(errs, f.Close())
	}
	s.current, s.held, s.buf = nil, nil, nil
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close segments: %w", err)
	}
	return nil
}
