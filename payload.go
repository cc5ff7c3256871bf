package sijill

import (
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// First byte of a payload: how the rest of it is stored.
const (
	PayloadPlain = 0 // as it is
	PayloadZstd  = 1 // one zstd frame (RFC 8878), with dictionary.txt as raw-content dictionary
)

// maxWindow bounds how far back a zstd frame may refer, and with it the memory
// for writing and reading one.
const maxWindow = 1 << 20

var (
	// ErrPayload says that an opened payload isn't one, or is damaged.
	ErrPayload = errors.New("not a payload")
	// ErrTooLarge says that a payload is larger than the reader allows.
	ErrTooLarge = errors.New("larger than allowed")
)

// dictionary holds words that mail often has. Its bytes belong to PayloadZstd:
// another dictionary needs another first byte.
//
//go:embed dictionary.txt
var dictionary []byte

// Dictionary returns a copy of the zstd dictionary of PayloadZstd.
func Dictionary() []byte { return append([]byte(nil), dictionary...) }

// Each coder works alone and is reused: making one costs more than a message.
var (
	encoders = sync.Pool{New: func() any {
		e, err := zstd.NewWriter(nil,
			zstd.WithEncoderConcurrency(1),
			zstd.WithEncoderLevel(zstd.SpeedFastest),
			zstd.WithEncoderDictRaw(0, dictionary),
			zstd.WithEncoderCRC(false), // the cipher and the commitment both check the bytes
			zstd.WithWindowSize(maxWindow),
			zstd.WithLowerEncoderMem(true))
		return &coder[*zstd.Encoder]{e, err}
	}}
	decoders = sync.Pool{New: func() any {
		d, err := zstd.NewReader(nil,
			zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderDictRaw(0, dictionary),
			zstd.WithDecoderMaxWindow(maxWindow),
			zstd.WithDecodeAllCapLimit(true))
		return &coder[*zstd.Decoder]{d, err}
	}}
	scratch = sync.Pool{New: func() any { return new([]byte) }}
)

type coder[T any] struct {
	with T
	err  error
}

// AppendPayload appends to dst the payload of a message and its envelope, which
// Seal encrypts. It is compressed where that makes it smaller.
func AppendPayload(dst, envelope, msg []byte) ([]byte, error) {
	buf := scratch.Get().(*[]byte)
	defer putScratch(buf)
	plain := binary.AppendUvarint((*buf)[:0], uint64(len(envelope)))
	plain = append(append(plain, envelope...), msg...)
	*buf = plain

	e := encoders.Get().(*coder[*zstd.Encoder])
	if e.err != nil {
		return dst, fmt.Errorf("make zstd encoder: %w", e.err)
	}
	defer encoders.Put(e)
	start := len(dst)
	out := e.with.EncodeAll(plain, append(dst, PayloadZstd))
	if len(out)-start > len(plain) {
		out = append(append(out[:start], PayloadPlain), plain...)
	}
	return out, nil
}

// putScratch keeps buffers of common messages, not of the rare huge one.
func putScratch(buf *[]byte) {
	if cap(*buf) <= 1<<20 {
		scratch.Put(buf)
	}
}

// ParsePayload returns the envelope and the message of a payload. limit is the
// largest size in bytes, decompressed, that the caller allows: beyond it the
// error wraps ErrTooLarge, and nothing of that size is allocated. Damage wraps
// ErrPayload. A plain payload is not copied.
func ParsePayload(payload []byte, limit int) (envelope, msg []byte, err error) {
	if len(payload) == 0 {
		return nil, nil, fmt.Errorf("read payload: empty: %w", ErrPayload)
	}
	plain := payload[1:]
	switch payload[0] {
	case PayloadPlain:
	case PayloadZstd:
		if plain, err = decompress(plain, limit); err != nil {
			return nil, nil, err
		}
	default:
		return nil, nil, fmt.Errorf("read payload: unknown compression: %w", ErrPayload)
	}
	if len(plain) > limit {
		return nil, nil, fmt.Errorf("read payload: %w", ErrTooLarge)
	}
	size, n := binary.Uvarint(plain)
	if n <= 0 || size > uint64(len(plain)-n) {
		return nil, nil, fmt.Errorf("read payload: envelope: %w", ErrPayload)
	}
	end := n + int(size)
	return plain[n:end:end], plain[end:], nil
}

// smallest is the size from which on the encoder states the content's size in
// the frame (RFC 8878, section 3.1.1.1.4); a frame without it is smaller.
const smallest = 256

// decompress reads one frame, into as much memory as its content takes.
func decompress(frame []byte, limit int) ([]byte, error) {
	var h zstd.Header
	if err := h.Decode(frame); err != nil || h.Skippable || h.DictionaryID != 0 {
		return nil, fmt.Errorf("read payload: zstd header: %w", ErrPayload)
	}
	size := h.FrameContentSize
	if !h.HasFCS {
		size = smallest - 1
	}
	if limit < 0 || h.HasFCS && size > uint64(limit) {
		return nil, fmt.Errorf("read payload: %w", ErrTooLarge)
	}
	if !endsAt(frame[h.HeaderSize:], h.HasCheckSum) {
		return nil, fmt.Errorf("read payload: zstd: not one frame: %w", ErrPayload)
	}
	if h.HasFCS && !h.HasCheckSum && size <= maxWindow && h.WindowSize <= maxWindow {
		return unrolled(frame[h.HeaderSize:], int(size))
	}
	out, err := withDictionary(frame, int(size))
	if err == nil && h.HasFCS && uint64(len(out)) != size {
		err = fmt.Errorf("read payload: zstd: %w", ErrPayload)
	}
	return out, err
}

// endsAt tells whether a frame's blocks end where b does, so that nothing follows
// that the library would pass over (RFC 8878, sections 3.1.1.2 and 3.1.2).
func endsAt(b []byte, checksum bool) bool {
	for len(b) >= 3 {
		header := int(b[0]) | int(b[1])<<8 | int(b[2])<<16
		size := header >> 3
		if header>>1&3 == 1 { // One byte, repeated.
			size = 1
		}
		if b = b[3:]; size > len(b) {
			return false
		}
		if b = b[size:]; header&1 != 0 {
			return len(b) == 0 && !checksum || len(b) == 4 && checksum
		}
	}
	return false
}

// withDictionary decodes any frame. size is how large its content is at the most.
func withDictionary(frame []byte, size int) ([]byte, error) {
	d := decoders.Get().(*coder[*zstd.Decoder])
	if d.err != nil {
		return nil, fmt.Errorf("make zstd decoder: %w", d.err)
	}
	defer decoders.Put(d)
	out, err := d.with.DecodeAll(frame, make([]byte, 0, size))
	if err != nil {
		return nil, fmt.Errorf("read payload: zstd: %w", ErrPayload)
	}
	return out, nil
}
