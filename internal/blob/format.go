package blob

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// The bytes of a segment, the same in every driver; all integers big-endian:
//
//	segment = header frame*
//	header  = "sijill segment\r\n" (16) version uint32 (1) zero uint32 number uint64
//	frame   = length uint32 (of data, never 0) id (16) data
//
// The length is never 0, so that the zeros which some file systems leave at the
// end of a file after a power loss can't be taken for frames.
const (
	HeaderSize    = 32 // bytes before the first frame
	FrameOverhead = 20 // bytes of a frame besides its data

	magic   = "sijill segment\r\n" // a copy that converted line ends is noticed
	version = 1
)

// AppendHeader appends the header of a segment to dst.
func AppendHeader(dst []byte, segment int64) []byte {
	dst = append(dst, magic...)
	dst = binary.BigEndian.AppendUint32(dst, version)
	dst = binary.BigEndian.AppendUint32(dst, 0)
	return binary.BigEndian.AppendUint64(dst, uint64(segment))
}

// CheckHeader returns ErrDamaged unless b begins with the header of that segment.
func CheckHeader(b []byte, segment int64) error {
	if len(b) < HeaderSize || !bytes.Equal(b[:HeaderSize], AppendHeader(nil, segment)) {
		return fmt.Errorf("header of segment %d: %w", segment, ErrDamaged)
	}
	return nil
}

// AppendFrame appends the frame as it is stored to dst.
func AppendFrame(dst []byte, f Frame) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(f.Data)))
	dst = append(dst, f.ID[:]...)
	return append(dst, f.Data...)
}

// ParseFrame reads the one frame that b consists of. Data shares b's memory.
// It returns ErrDamaged when b isn't exactly one frame.
func ParseFrame(b []byte) (Frame, error) {
	if len(b) <= FrameOverhead || int64(binary.BigEndian.Uint32(b)) != int64(len(b)-FrameOverhead) {
		return Frame{}, ErrDamaged
	}
	return Frame{ID: ID(b[4:FrameOverhead]), Data: b[FrameOverhead:]}, nil
}

// FramesSize returns how many bytes the frames take in a segment. It returns
// ErrSize when one of them may not be stored.
func FramesSize(frames []Frame) (int64, error) {
	var size int64
	for i, f := range frames {
		if len(f.Data) == 0 || len(f.Data) > MaxData {
			return 0, fmt.Errorf("frame %d of %d with %d bytes: %w", i+1, len(frames), len(f.Data), ErrSize)
		}
		size += FrameOverhead + int64(len(f.Data))
	}
	return size, nil
}
