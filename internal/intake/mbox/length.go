package mbox

import (
	"bytes"
	"io"
	"slices"
	"strconv"
)

const (
	maxHeader  = 256 << 10 // a Content-Length further down is not looked for
	maxLies    = 16        // lengths not believed before they are no longer asked
	maxLengths = 4         // Content-Length fields of one message that are tried
)

// byLength is the message whose separator is n bytes long and whose end its
// Content-Length tells, or nil where it has none that can be believed. What
// makes a length believable is the separator (or end of file) at its end, so a
// false one can hide a separator only by pointing exactly at a later one.
func (r *Reader) byLength(n int) *Span {
	body := r.bodyStart(n)
	lengths := contentLengths(r.window()[n:max(n, body)])
	if len(lengths) == 0 || r.stats.BadLengths >= maxLies {
		return nil
	}
	for _, length := range lengths {
		if length > r.max {
			continue
		}
		stop := body + int(length)
		if end, ok := r.boundary(stop); ok && int64(stop-n) <= r.max {
			r.stats.ByLength++
			r.span.ByLength = true
			return r.message(r.window()[n:stop], end)
		}
	}
	r.stats.BadLengths++
	return nil
}

// bodyStart is the window offset after the header of a message whose separator
// is n bytes long, or 0.
func (r *Reader) bodyStart(n int) int {
	if h := headerLength(r.window()[n:]); h > 0 {
		return n + h
	}
	r.ensure(n + maxHeader)
	if h := headerLength(r.window()[n:]); h > 0 {
		return n + h
	}
	return 0
}

// boundary says whether a message can end at the window offset stop, and where
// the next span begins: up to two line ends may stand in between.
func (r *Reader) boundary(stop int) (end int, ok bool) {
	r.ensure(stop + 4 + maxSeparator)
	return boundary(r.window(), stop, r.err == io.EOF)
}

func boundary(w []byte, stop int, atEnd bool) (end int, ok bool) {
	for end = stop; end <= len(w); {
		if end == len(w) {
			return end, atEnd
		}
		if _, _, ok := separator(w[end:]); ok {
			return end, true
		}
		n := lineEnd(w[end:])
		if n == 0 || end+n > stop+4 {
			return 0, false
		}
		end += n
	}
	return 0, false
}

// lineEnd is the length of the line end that b begins with.
func lineEnd(b []byte) int {
	switch {
	case len(b) > 0 && b[0] == '\n':
		return 1
	case len(b) > 1 && b[0] == '\r' && b[1] == '\n':
		return 2
	}
	return 0
}

// chained says whether the messages of the file's first window all have a
// Content-Length that leads to the next one. A file in which one doesn't is
// quoted in some way instead, and a length in it is merely part of a message.
func (r *Reader) chained(at int) bool {
	r.reach(at)
	w, atEnd, found := r.window()[at:], r.err == io.EOF, false
	for len(w) > 0 {
		_, n, ok := separator(w)
		h := headerLength(w[n:])
		if !ok || h == 0 {
			return found && !atEnd
		}
		next, known := follow(w, n+h, contentLengths(w[n:n+h]), atEnd)
		if !known {
			return found
		}
		if next == 0 {
			return false
		}
		found = true
		w = w[next:]
	}
	return found
}

// reach reads as far as the first message's length leads, where that is beyond
// the window, so that one message above a window's size doesn't hide the
// variant.
func (r *Reader) reach(at int) {
	w := r.window()[at:]
	_, n, _ := separator(w)
	h := headerLength(w[n:])
	for _, length := range contentLengths(w[n : n+h]) {
		if length <= r.max {
			r.ensure(at + n + h + int(length) + 4 + maxSeparator)
		}
	}
}

// follow returns where the first believable length leads, or 0. It is not known
// when a length leads out of the window and the file goes on.
func follow(w []byte, body int, lengths []int64, atEnd bool) (next int, known bool) {
	known = true
	for _, length := range lengths {
		if length > int64(len(w)-body-4-maxSeparator) && !atEnd {
			known = false
			continue
		}
		if length > int64(len(w)-body) {
			continue
		}
		if end, ok := boundary(w, body+int(length), atEnd); ok {
			return end, true
		}
	}
	return 0, known
}

// headerLength is the length of the header section and the empty line after it,
// or 0 where it does not end within maxHeader bytes.
func headerLength(b []byte) int {
	b = b[:min(len(b), maxHeader)]
	for at := 0; at < len(b); {
		if n := lineEnd(b[at:]); n > 0 {
			return at + n
		}
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 {
			return 0
		}
		at += i + 1
	}
	return 0
}

var contentLength = []byte("content-length:")

// contentLengths returns the values of Content-Length in a header section,
// smallest first, without repeats.
func contentLengths(header []byte) []int64 {
	var lengths []int64
	for line := range bytes.Lines(header) {
		if len(line) < len(contentLength) || !bytes.EqualFold(line[:len(contentLength)], contentLength) {
			continue
		}
		n, err := strconv.ParseInt(string(bytes.TrimSpace(line[len(contentLength):])), 10, 62)
		if err == nil && n >= 0 && len(lengths) < maxLengths {
			lengths = append(lengths, n)
		}
	}
	slices.Sort(lengths)
	return slices.Compact(lengths)
}
