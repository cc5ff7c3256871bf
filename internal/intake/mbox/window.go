package mbox

import (
	"bytes"
	"io"
)

const (
	detectWindow = 1 << 20 // bytes looked at to settle the variant
	firstBuffer  = detectWindow + readRoom
	readRoom     = 64 << 10 // least room offered to the source
	keepBuffer   = 8 << 20  // a larger buffer is let go when it is not needed
	emptyReads   = 100      // reads of nothing in a row before giving up
)

func (r *Reader) window() []byte { return r.buf[r.pos:] }

func (r *Reader) advance(n int) {
	r.pos += n
	r.off += int64(n)
}

// ensure tries to have n bytes in the window; fewer means that the source has
// ended or failed.
func (r *Reader) ensure(n int) {
	for len(r.window()) < n && r.fill() {
	}
}

// fill adds bytes to the window and says whether it could.
func (r *Reader) fill() bool {
	if r.err != nil {
		return false
	}
	r.room()
	for range emptyReads {
		n, err := r.src.Read(r.buf[len(r.buf):cap(r.buf)])
		r.buf = r.buf[:len(r.buf)+n]
		r.err = err
		if n > 0 {
			return true
		}
		if err != nil {
			return false
		}
	}
	r.err = io.ErrNoProgress
	return false
}

// room makes space behind the window. Bytes are moved only when at least a
// quarter of the buffer was used up since, so that moving stays linear.
func (r *Reader) room() {
	if cap(r.buf)-len(r.buf) >= readRoom {
		return
	}
	live := r.window()
	if r.pos > 0 && r.pos >= cap(r.buf)/4 {
		r.buf = r.buf[:copy(r.buf, live)]
	} else {
		size := max(firstBuffer, cap(r.buf)+cap(r.buf)/2)
		r.buf = append(make([]byte, 0, size), live...)
	}
	r.pos = 0
}

// shrink lets go of a buffer that one very large message left behind.
func (r *Reader) shrink() {
	if live := r.window(); cap(r.buf) > keepBuffer && len(live) < firstBuffer/2 {
		r.buf = append(make([]byte, 0, firstBuffer), live...)
		r.pos = 0
	}
}

// fromAt reads the separator at a window offset; n is its length in bytes.
func (r *Reader) fromAt(at int) (f From, n int, ok bool) {
	r.ensure(at + maxSeparator)
	w := r.window()
	return separator(w[min(at, len(w)):])
}

var newlineFrom = []byte("\nFrom ")

// findEnd looks for the first line from window offset at (which holds the line
// feed before the first line to look at) that ends says is an end. It returns
// the offset of that line, or of the end of what can be read; whole is false
// when the stretch went above the limit and its bytes were dropped; loose
// counts the "From " lines that were no end.
func (r *Reader) findEnd(at int, ends func(at int) bool) (end int, whole bool, loose int) {
	whole = true
	for {
		w := r.window()
		i := bytes.Index(w[at:], newlineFrom)
		if i >= 0 {
			at += i + 1
			if ends(at) {
				return at, whole, loose
			}
			loose++
			continue
		}
		at = max(at, len(w)-len(newlineFrom)+1)
		if int64(len(w)) > r.max+2*maxSeparator {
			whole = false
		}
		if !whole && at > context {
			r.advance(at - context)
			at = context
		}
		if !r.fill() {
			return len(r.window()), whole, loose
		}
	}
}

// context is how many bytes before a line must stay in the window to see
// whether the line before is empty.
const context = 3

// endOfMessage says whether the line at a window offset is a separator after an
// empty line.
func (r *Reader) endOfMessage(at int) bool {
	if !afterEmptyLine(r.window(), at) {
		return false
	}
	_, _, ok := r.fromAt(at)
	return ok
}

func (r *Reader) endOfGarbage(at int) bool {
	_, _, ok := r.fromAt(at)
	return ok
}

// afterEmptyLine says whether the line before the one at offset at is empty.
// The byte before at is a line feed.
func afterEmptyLine(w []byte, at int) bool {
	p := at - 2
	if p >= 0 && w[p] == '\r' {
		p--
	}
	return p >= 0 && w[p] == '\n'
}

// trimEmptyLine takes one empty line off the end.
func trimEmptyLine(b []byte) []byte {
	p := len(b) - 1
	if p < 0 || b[p] != '\n' {
		return b
	}
	if p > 0 && b[p-1] == '\r' {
		p--
	}
	if p == 0 || b[p-1] == '\n' {
		return b[:p]
	}
	return b
}

// blankPrefix is the length of a byte order mark and empty lines at the start.
func blankPrefix(b []byte) int {
	n := 0
	if bytes.HasPrefix(b, []byte("\xef\xbb\xbf")) {
		n = 3
	}
	for n < len(b) && (b[n] == '\n' || b[n] == '\r') {
		n++
	}
	return n
}
