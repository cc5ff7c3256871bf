package audit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"sijill"
)

// The bytes of a segment, as internal/blob documents them.
const (
	headerSize    = 32
	frameOverhead = 20
	segmentMagic  = "sijill segment\r\n"
)

// segments reads frames from the files of a directory by itself.
type segments struct {
	dir string

	mu      sync.Mutex // Guards what follows.
	open    map[int64]*os.File
	claimed map[int64]int64 // Bytes that entries refer to, by segment.
}

func newSegments(dir string) *segments {
	return &segments{dir: dir, open: map[int64]*os.File{}, claimed: map[int64]int64{}}
}

func (s *segments) close() {
	for _, f := range s.open {
		f.Close()
	}
}

// maxOpen bounds the files that stay open from one batch to the next.
const maxOpen = 64

// file opens a segment and checks its header.
func (s *segments) file(number int64) (*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, ok := s.open[number]; ok {
		return f, nil
	}
	f, err := os.Open(filepath.Join(s.dir, fmt.Sprintf("%08d.seg", number)))
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	var b [headerSize]byte
	if _, err := f.ReadAt(b[:], 0); err != nil {
		return nil, errors.Join(fmt.Errorf("its header can't be read: %w", err), f.Close())
	}
	sound := string(b[:16]) == segmentMagic && binary.BigEndian.Uint64(b[16:]) == 1<<32 && binary.BigEndian.Uint64(b[24:]) == uint64(number)
	if !sound {
		return nil, errors.Join(errors.New("its header is damaged"), f.Close())
	}
	s.open[number] = f
	return f, nil
}

// trim closes files when there are too many. Nobody may be reading.
func (s *segments) trim() {
	if len(s.open) > maxOpen {
		s.close()
		clear(s.open)
	}
}

// frame reads the frame that an entry refers to.
func (s *segments) frame(r reference) (id sijill.ID, data []byte, err error) {
	f, err := s.file(r.segment)
	if err != nil {
		return id, nil, err
	}
	if r.at < headerSize || r.length <= 0 || r.length > 1<<30 {
		return id, nil, errors.New("the entry refers to an impossible place")
	}
	b := make([]byte, frameOverhead+r.length)
	if n, err := f.ReadAt(b, r.at); n < len(b) {
		if errors.Is(err, io.EOF) {
			err = errors.New("the segment ends before the message does")
		}
		return id, nil, err
	}
	if int64(binary.BigEndian.Uint32(b)) != r.length {
		return id, nil, errors.New("the length before the message is damaged")
	}
	s.mu.Lock()
	s.claimed[r.segment] += int64(len(b))
	s.mu.Unlock()
	return sijill.ID(b[4:frameOverhead]), b[frameOverhead:], nil
}

// reference says where the ciphertext of an entry is.
type reference struct {
	segment, at, length int64
}

// unclaimed counts the bytes that no entry refers to. They are no damage: an
// append that failed leaves them behind.
func (a *auditor) unclaimed() {
	names, err := filepath.Glob(filepath.Join(a.segments.dir, "*.seg"))
	if err != nil {
		return // Only for a malformed pattern.
	}
	for _, name := range names {
		var number int64
		info, err := os.Stat(name)
		if _, scan := fmt.Sscanf(filepath.Base(name), "%d.seg", &number); err != nil || scan != nil {
			continue
		}
		a.report.Unclaimed += max(0, info.Size()-headerSize-a.segments.claimed[number])
	}
}
