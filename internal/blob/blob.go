// Package blob holds immutable bytes in numbered segments: the sealed messages
// of the register, and nothing that could open them.
//
// Its one promise is durability. When Append returns, the frames outlive the
// process, the machine and, as far as the disk is honest, the power; when it
// returns an error, none of them was promised and the store is as it was. What
// the frames mean, which of them are referenced and whether their content is
// what was written is known by the register alone, which keeps a digest of each.
//
// The drivers are in the folders beside this file, and all of them pass
// blobtest.Run.
package blob

import (
	"context"
	"errors"
)

// ErrDamaged is returned when a segment exists but doesn't hold what a reference
// or the caller of Recover says it holds: it is too short, its header is not
// ours, or another length stands where the frame should begin. A frame whose
// content changed under an unchanged header isn't noticed here.
var ErrDamaged = errors.New("segment is damaged")

// ErrSize is returned by Append for a frame with no data, or with more than
// MaxData bytes of it. Nothing was written.
var ErrSize = errors.New("frame is empty or too large")

// MaxData is the most bytes that one frame may carry: 1 GiB.
const MaxData = 1 << 30

// ID names a frame: the random id of the message in it. The store writes it down
// and gives it back, and never looks a frame up by it.
type ID = [16]byte

// Frame is one immutable piece of data. Data is 1 to MaxData bytes.
type Frame struct {
	ID   ID
	Data []byte
}

// Ref says where a frame is. The zero Ref refers to nothing.
type Ref struct {
	Segment int64 // from 1
	Offset  int64 // of the frame's first byte in its segment
	Length  int64 // of the frame's Data
}

// End returns the offset of the byte after the frame, which is what Recover
// wants to know of the last referenced frame of a segment.
func (r Ref) End() int64 { return r.Offset + FrameOverhead + r.Length }

// Segment describes one segment.
type Segment struct {
	Number int64
	Size   int64 // in bytes, with header and with whatever lies past the last referenced frame
}

// Store holds frames in numbered segments. All methods may be called from
// several goroutines at once, and several processes may have a Store open on the
// same place: each appends to a segment of its own.
type Store interface {
	// Append writes the frames in order, into one segment, and returns only when
	// they are durable: data, and the segment's name too if it is new. It keeps
	// no hold on the frames' Data. No frames is no work.
	//
	// It is all or nothing: after an error none of the frames may be referenced,
	// and the store stays usable, so that a caller can try again when there is
	// space or the disk is back. Frames of an append that failed may still be
	// found by who walks the segments, as may those whose caller crashed.
	//
	// Errors: ErrSize, ctx's error (nothing was written), fs.ErrClosed after
	// Close, else what the disk said: errors.Is finds syscall.ENOSPC and EIO.
	// Appending is not interrupted by ctx once it began.
	Append(ctx context.Context, frames []Frame) ([]Ref, error)

	// Read returns the frame at ref; its Data belongs to the caller, and lies in
	// room where it fits, which may be nil. Compare ID with what the register
	// says, and the content with its digest. Errors: fs.ErrNotExist when there is
	// no such segment, ErrDamaged.
	Read(ctx context.Context, ref Ref, room []byte) (Frame, error)

	// Segments lists the segments in the order of their numbers.
	Segments(ctx context.Context) ([]Segment, error)

	// Recover cuts off what lies past the last referenced frame of each segment
	// that is neither complete nor being written by a living Store, this one or
	// another. Call it after Open, so that appending can go on in a segment that
	// was left unfinished: without it, Append begins a new one.
	//
	// end returns, for a segment, the End of its last referenced frame, 0 when it
	// has none. It is called once the segment is held, so that nobody can append
	// to it any more; end must wait for transactions that a writer, now dead, had
	// already sent to the database.
	//
	// A segment without referenced frames is removed, and its number may be used
	// again. A segment shorter than its end, or with a strange header although frames in
	// it are referenced, is left as it is and reported as ErrDamaged after all
	// others were dealt with. An error of end stops Recover.
	Recover(ctx context.Context, end func(segment int64) (int64, error)) error

	// Close lets go of the segment that was being written and of all files.
	// Frames that Append returned must have been referenced, or given up, before.
	Close() error
}
