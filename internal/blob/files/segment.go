package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"sijill/internal/blob"
)

const (
	suffix     = ".seg"
	openMode   = 0o600
	sealedMode = 0o400 // no one will write this segment again
)

// writer is the writing end of a segment, whose lock it holds.
type writer struct {
	number int64
	file   File
	end    int64 // all bytes before it are durable; nothing after it counts
}

// write adds b at the end and syncs. After an error it says whether the segment
// may still be written to.
func (w *writer) write(b []byte) (usable bool, err error) {
	if _, err := w.file.WriteAt(b, w.end); err != nil {
		return w.file.Truncate(w.end) == nil, err
	}
	if err := w.file.Sync(); err != nil {
		// Cut for tidiness only: what comes after a failed sync isn't to be trusted.
		_ = w.file.Truncate(w.end)
		return false, err
	}
	w.end += int64(len(b))
	return true, nil
}

// create begins the segment after the last one. Other processes may be doing the
// same: only one of them gets the number.
func (s *Store) create() (*writer, error) {
	last, err := s.lastNumber()
	if err != nil {
		return nil, err
	}
	for number := last + 1; ; number++ {
		file, err := s.fs.OpenFile(s.path(number), os.O_RDWR|os.O_CREATE|os.O_EXCL, openMode)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		ours, err := s.begin(file, number)
		if ours && err == nil {
			return &writer{number: number, file: file, end: blob.HeaderSize}, nil
		}
		if ours {
			// Removed under its lock, so that nobody can be about to use it.
			_ = s.fs.Remove(s.path(number))
		}
		_ = file.Close()
		if err != nil {
			return nil, err
		}
	}
}

// begin locks a file just created and makes header and name durable. It isn't
// ours when another process recovered it before we could lock it.
func (s *Store) begin(file File, number int64) (ours bool, err error) {
	if ours, err := file.TryLock(); err != nil || !ours {
		return false, err
	}
	if _, err := file.WriteAt(blob.AppendHeader(nil, number), 0); err != nil {
		return true, err
	}
	if err := file.Sync(); err != nil {
		return true, err
	}
	return true, s.fs.SyncDir(s.dir)
}

func (s *Store) path(number int64) string {
	return filepath.Join(s.dir, fmt.Sprintf("%08d%s", number, suffix))
}

// numbers lists the segments there are, in order. Other files are ignored.
func (s *Store) numbers() ([]int64, map[int64]fs.DirEntry, error) {
	entries, err := s.fs.ReadDir(s.dir)
	if err != nil {
		return nil, nil, err
	}
	var list []int64
	found := map[int64]fs.DirEntry{}
	for _, e := range entries {
		digits, ok := strings.CutSuffix(e.Name(), suffix)
		n, err := strconv.ParseInt(digits, 10, 64)
		if !ok || err != nil || n < 1 || filepath.Base(s.path(n)) != e.Name() {
			continue
		}
		list = append(list, n)
		found[n] = e
	}
	slices.Sort(list) // by number: names have more than eight digits one day
	return list, found, nil
}

func (s *Store) lastNumber() (int64, error) {
	list, _, err := s.numbers()
	if err != nil || len(list) == 0 {
		return 0, err
	}
	return list[len(list)-1], nil
}

// Segments implements blob.Store.
func (s *Store) Segments(ctx context.Context) ([]blob.Segment, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("list segments: %w", err)
	}
	list, entries, err := s.numbers()
	if err != nil {
		return nil, fmt.Errorf("list segments: %w", err)
	}
	segments := make([]blob.Segment, 0, len(list))
	for _, n := range list {
		info, err := entries[n].Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // begun and given up while we were looking
		}
		if err != nil {
			return nil, fmt.Errorf("look at segment %d: %w", n, err)
		}
		segments = append(segments, blob.Segment{Number: n, Size: info.Size()})
	}
	return segments, nil
}
