package intake

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const (
	maxRatio  = 1000      // a file that unpacks to more than this many times its size is refused,
	freeBytes = 64 << 20  // unless it stays below this
	maxWindow = 128 << 20 // memory that a zstd file may ask for, as much as zstd -d gives
)

var errBomb = errors.New("unpacks to more than 1,000 times its size")

// allowance bounds what one stored file may unpack to, archives in it included.
type allowance struct{ left int64 }

func allow(stored int64) *allowance {
	return &allowance{left: max(freeBytes, maxRatio*min(stored, 1<<50))}
}

// measured counts what is read through it against an allowance, if it has one.
type measured struct {
	src   io.Reader
	n     int64
	allow *allowance
}

func (m *measured) Read(p []byte) (int, error) {
	n, err := m.src.Read(p)
	m.n += int64(n)
	if m.allow != nil {
		if m.allow.left -= int64(n); m.allow.left < 0 {
			return 0, errBomb
		}
	}
	return n, err
}

// unpacked is a file as it is read: what packing it had is undone.
type unpacked struct {
	*bufio.Reader
	packed bool
	stored *measured // bytes taken from the file
	close  func()
}

// unpack undoes one layer of gzip or zstd, told by the file's first bytes.
func unpack(src io.Reader, a *allowance) (*unpacked, error) {
	u := &unpacked{stored: &measured{src: src}, close: func() {}}
	in := bufio.NewReaderSize(u.stored, headSize)
	magic, err := in.Peek(4)
	if err != nil && err != io.EOF {
		return nil, err
	}
	var out io.Reader
	switch {
	case bytes.HasPrefix(magic, []byte("\x1f\x8b")):
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, err
		}
		out = z
	case isZstd(magic):
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		out, u.close = z, z.Close
	default:
		u.Reader = in
		return u, nil
	}
	u.packed = true
	u.Reader = bufio.NewReaderSize(&measured{src: out, allow: a}, headSize)
	return u, nil
}

// isZstd knows a frame and a skippable frame (RFC 8878, section 3.1).
func isZstd(magic []byte) bool {
	return len(magic) == 4 && (string(magic) == "\x28\xb5\x2f\xfd" || magic[0]&0xf0 == 0x50 && string(magic[1:]) == "\x2a\x4d\x18")
}
