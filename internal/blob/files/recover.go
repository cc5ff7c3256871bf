package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"sijill/internal/blob"
)

// Recover implements blob.Store. The newest segment that it cut and that has room
// becomes the one this store appends to.
func (s *Store) Recover(ctx context.Context, end func(segment int64) (int64, error)) error {
	if err := s.acquire(ctx); err != nil {
		return fmt.Errorf("recover segments: %w", err)
	}
	defer s.release()
	list, entries, err := s.numbers()
	if err != nil {
		return fmt.Errorf("recover segments: %w", err)
	}
	var damaged []error
	for _, n := range slices.Backward(list) {
		info, err := entries[n].Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // begun and given up by another process while we were looking
		}
		if err == nil && !sealed(info) {
			err = s.recoverSegment(n, end)
		}
		if errors.Is(err, blob.ErrDamaged) {
			damaged = append(damaged, err)
			continue
		}
		if err != nil {
			return fmt.Errorf("recover segment %d: %w", n, err)
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("recover segments: %w", err)
		}
	}
	return errors.Join(damaged...)
}

func sealed(info fs.FileInfo) bool { return info.Mode().Perm()&0o222 == 0 }

// recoverSegment cuts one segment, unless somebody writes it or it is complete.
func (s *Store) recoverSegment(n int64, end func(int64) (int64, error)) error {
	file, err := s.fs.OpenFile(s.path(n), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil // given up or completed since we looked; and if not, it can't be written either
	}
	if err != nil {
		return err
	}
	keep, err := s.recoverFile(n, file, end)
	if err != nil || !keep {
		return errors.Join(err, file.Close())
	}
	return nil
}

// recoverFile reports keep when the store goes on holding the file.
func (s *Store) recoverFile(n int64, file File, end func(int64) (int64, error)) (keep bool, err error) {
	if locked, err := file.TryLock(); err != nil || !locked {
		return false, err
	}
	info, err := file.Stat() // anew, under the lock
	if err != nil || sealed(info) {
		return false, err
	}
	// From here on nobody appends to the segment; what end says is final.
	want, err := end(n)
	if err != nil {
		return false, fmt.Errorf("ask for its end: %w", err)
	}
	if want == 0 {
		// Nothing proves that its name and header ever became durable, so that
		// nothing may be promised in it, and there is nothing in it to keep.
		return false, s.fs.Remove(s.path(n))
	}
	ours, err := checkHeader(file, n)
	if err != nil {
		return false, err
	}
	if !ours || want <= blob.HeaderSize || want > info.Size() {
		return false, fmt.Errorf("segment %d of %d bytes, referenced up to %d: %w", n, info.Size(), want, blob.ErrDamaged)
	}
	return s.cut(n, file, want, info.Size())
}

// cut makes end the end of the segment, and the segment the current one if it
// has room and there is no other.
func (s *Store) cut(n int64, file File, end, size int64) (keep bool, err error) {
	if end < size {
		if err := file.Truncate(end); err != nil {
			return false, err
		}
		if err := file.Sync(); err != nil {
			return false, err
		}
	}
	if end >= s.segmentSize {
		return false, file.Chmod(sealedMode)
	}
	if s.current != nil {
		return false, nil
	}
	s.current = &writer{number: n, file: file, end: end}
	return true, nil
}

func checkHeader(file File, n int64) (ours bool, err error) {
	var header [blob.HeaderSize]byte
	if _, err := file.ReadAt(header[:], 0); err != nil {
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		return false, err
	}
	return blob.CheckHeader(header[:], n) == nil, nil
}
