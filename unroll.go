package sijill

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// The library decodes a frame that refers to a dictionary in twice the time of
// one that doesn't: its assembly knows no dictionaries. But to have a raw-content
// dictionary is to have its bytes in front of the content (RFC 8878, section 5).
// So a frame of common size is read as one that begins with the dictionary, stored
// as it is, and what comes out of that is cut off. Whatever withDictionary decodes,
// this does, with the same result.

// unrollHeader is the header of such a frame: its content's size follows in four
// bytes, and its window, of 2 MiB, holds the dictionary and the largest content
// (section 3.1.1.1).
var unrollHeader = []byte{0x28, 0xb5, 0x2f, 0xfd, 0x80, 0x58}

// unrollWindow is the window that unrollHeader asks for.
const unrollWindow = 2 << 20

// unroller is a decoder with room for a frame, which has the dictionary already,
// and for what comes out of it.
type unroller struct {
	decoder    *zstd.Decoder
	err        error
	frame, out []byte
}

var unrollers = sync.Pool{New: func() any { return newUnroller() }}

func newUnroller() *unroller {
	u := &unroller{frame: append(make([]byte, 0, 32<<10), unrollHeader...)}
	u.frame = append(u.frame, 0, 0, 0, 0)
	block := uint32(len(dictionary)) << 3 // raw, and not the last: section 3.1.1.2
	u.frame = append(u.frame, byte(block), byte(block>>8), byte(block>>16))
	u.frame = append(u.frame, dictionary...)
	u.decoder, u.err = zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderMaxWindow(unrollWindow),
		zstd.WithDecodeAllCapLimit(true))
	return u
}

// unrolled decodes the blocks of a frame whose content has size bytes, of
// maxWindow at the most.
func unrolled(blocks []byte, size int) ([]byte, error) {
	u := unrollers.Get().(*unroller)
	if u.err != nil {
		return nil, fmt.Errorf("make zstd decoder: %w", u.err)
	}
	start, whole := len(u.frame), len(dictionary)+size
	binary.LittleEndian.PutUint32(u.frame[len(unrollHeader):], uint32(whole))
	u.frame = append(u.frame, blocks...)
	if cap(u.out) < whole {
		u.out = make([]byte, 0, whole)
	}
	defer func() { // Others may not be meant to have what is left of a message.
		clear(u.frame[start:])
		clear(u.out[:whole])
		u.frame = u.frame[:start]
		unrollers.Put(u)
	}()
	out, err := u.decoder.DecodeAll(u.frame, u.out)
	if err != nil || len(out) != whole {
		return nil, fmt.Errorf("read payload: zstd: %w", ErrPayload)
	}
	return append(make([]byte, 0, size), out[len(dictionary):]...), nil
}
