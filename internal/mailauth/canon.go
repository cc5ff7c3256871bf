package mailauth

import (
	"bytes"
	"crypto/sha256"
	"hash"
	"sync"
)

// relaxedField appends a header field in relaxed canonicalisation, CRLF
// included (RFC 6376 section 3.4.2).
func relaxedField(dst, field []byte) []byte {
	colon := bytes.IndexByte(field, ':')
	if colon < 0 {
		colon = len(field)
	}
	for _, c := range bytes.TrimRight(field[:colon], " \t") {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	dst = append(dst, ':')
	start, space := len(dst), false
	for _, c := range field[min(colon+1, len(field)):] {
		switch c {
		case ' ', '\t', '\r', '\n':
			space = true
		default:
			if space && len(dst) > start {
				dst = append(dst, ' ')
			}
			space = false
			dst = append(dst, c)
		}
	}
	return append(dst, '\r', '\n')
}

// canonField appends a header field in either canonicalisation.
func canonField(dst, field []byte, relaxed bool) []byte {
	if relaxed {
		return relaxedField(dst, field)
	}
	dst = append(dst, field...)
	if !bytes.HasSuffix(field, []byte("\r\n")) { // the message ends within its header
		dst = append(bytes.TrimRight(dst, "\r\n"), '\r', '\n')
	}
	return dst
}

// bodyWriter hashes a canonical body, up to a length. Bytes are gathered, since
// hashing many short runs is slow.
type bodyWriter struct {
	hash  hash.Hash
	buf   []byte
	left  int64 // bytes still to be hashed; negative means all
	total int64
}

// writers are kept for the next message, for the memory that they gather in.
var writers = sync.Pool{New: func() any { return &bodyWriter{hash: sha256.New(), buf: make([]byte, 0, 16<<10)} }}

// newBodyWriter returns a writer that ends with sum.
func newBodyWriter(length int64) *bodyWriter {
	w := writers.Get().(*bodyWriter)
	w.hash.Reset()
	w.buf, w.left, w.total = w.buf[:0], length, 0
	return w
}

func (w *bodyWriter) flush() {
	b := w.buf
	if w.left >= 0 {
		b = b[:min(int64(len(b)), w.left)]
		w.left -= int64(len(b))
	}
	w.hash.Write(b)
	w.total += int64(len(w.buf))
	w.buf = w.buf[:0]
}

func (w *bodyWriter) write(b []byte) {
	if len(w.buf)+len(b) > cap(w.buf) {
		w.flush()
	}
	if len(b) <= cap(w.buf) {
		w.buf = append(w.buf, b...)
		return
	}
	for len(b) > 0 {
		n := min(len(b), cap(w.buf))
		w.buf = append(w.buf[:0], b[:n]...)
		w.flush()
		b = b[n:]
	}
}

// sum ends the writer.
func (w *bodyWriter) sum() (h bodyHash) {
	w.flush()
	w.hash.Sum(h.sum[:0])
	h.total = w.total
	writers.Put(w)
	return h
}

var crlf = []byte("\r\n")

// simple leaves out empty lines at the end (RFC 6376 section 3.4.3).
func (w *bodyWriter) simple(body []byte) {
	for bytes.HasSuffix(body, crlf) {
		body = body[:len(body)-2]
	}
	w.write(body)
	w.write(crlf)
}

// relaxed also leaves out spaces at the ends of lines and reduces others to
// one (RFC 6376 section 3.4.4). Lines end with CRLF and nothing else.
func (w *bodyWriter) relaxed(body []byte) {
	empty := 0 // lines not written yet
	for len(body) > 0 {
		line, rest := cutLine(body)
		body = rest
		if line = bytes.TrimRight(line, " \t"); len(line) == 0 {
			empty++
			continue
		}
		for ; empty > 0; empty-- {
			w.write(crlf)
		}
		w.line(line)
		w.write(crlf)
	}
}

// cutLine returns the first line without its CRLF.
func cutLine(b []byte) (line, rest []byte) {
	for from := 0; ; {
		i := bytes.IndexByte(b[from:], '\n')
		if i < 0 {
			return b, nil
		}
		if end := from + i; end > 0 && b[end-1] == '\r' {
			return b[:end-1], b[end+1:]
		}
		from += i + 1
	}
}

// line writes a line without spaces at its end. Nearly every line is canonical
// as it is.
func (w *bodyWriter) line(line []byte) {
	if bytes.IndexByte(line, '\t') < 0 && !bytes.Contains(line, twoSpaces) {
		w.write(line)
		return
	}
	for len(line) > 0 {
		end := bytes.IndexAny(line, " \t")
		if end < 0 {
			w.write(line)
			return
		}
		w.write(line[:end])
		w.write(twoSpaces[:1])
		for end < len(line) && (line[end] == ' ' || line[end] == '\t') {
			end++
		}
		line = line[end:]
	}
}

var twoSpaces = []byte("  ")
