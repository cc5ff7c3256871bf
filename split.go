package sijill

import "bytes"

const (
	// MaxUnit is the length in octets up to which dense lines are joined. A
	// single line or header field that is longer is still one unit.
	MaxUnit = 4096
	// DenseLine is the least length in octets, without the line ending, of a
	// line that can be dense.
	DenseLine = 60
	// FineUnits is the number of units that follow the fine cut. What comes
	// after is cut coarsely, so that a message of nothing but short lines costs
	// no more than its size.
	FineUnits = 1 << 16
	// MaxUnits is the largest number of units of a message.
	MaxUnits = 1 << 22
)

// Split cuts a message into its units, the smallest pieces that can be withheld.
// Their concatenation is the message, byte for byte; they share its memory.
//
// A line ends with LF, or at the end of the message. Up to the first empty line
// (LF or CRLF alone) each header field with its folded continuation lines is a
// unit; the empty line is a unit. After it each line is a unit, except that
// dense lines (base64 and its like) that follow each other are joined while the
// unit stays within MaxUnit. From the unit numbered FineUnits, counted from 0,
// there are no more fields and every line counts as dense.
func Split(msg []byte) [][]byte {
	ends := appendEnds(nil, msg)
	units := make([][]byte, len(ends))
	start := 0
	for i, end := range ends {
		units[i] = msg[start:end:end]
		start = end
	}
	return units
}

// appendEnds appends the offset at which each unit of msg ends.
func appendEnds(ends []int, msg []byte) []int {
	base, pos := len(ends), 0
	for pos < len(msg) && len(ends)-base < FineUnits {
		end := lineEnd(msg, pos)
		if isEmptyLine(msg[pos:end]) {
			ends, pos = append(ends, end), end
			break
		}
		for end < len(msg) && (msg[end] == ' ' || msg[end] == '\t') {
			end = lineEnd(msg, end)
		}
		ends, pos = append(ends, end), end
	}
	return appendBodyEnds(ends, base, msg, pos)
}

func appendBodyEnds(ends []int, base int, msg []byte, pos int) []int {
	start, open := pos, false // start of the last unit; open while dense lines may join it
	for pos < len(msg) {
		end := lineEnd(msg, pos)
		if open && end-start <= MaxUnit && (coarse(len(ends)-1-base) || isDense(msg[pos:end])) {
			ends[len(ends)-1] = end
		} else {
			start = pos
			open = coarse(len(ends)-base) || isDense(msg[pos:end])
			ends = append(ends, end)
		}
		pos = end
	}
	return ends
}

// coarse reports whether the unit of that number is cut coarsely.
func coarse(unit int) bool { return unit >= FineUnits }

func lineEnd(msg []byte, pos int) int {
	if i := bytes.IndexByte(msg[pos:], '\n'); i >= 0 {
		return pos + i + 1
	}
	return len(msg)
}

func isEmptyLine(line []byte) bool {
	return len(line) == 1 && line[0] == '\n' || len(line) == 2 && line[0] == '\r' && line[1] == '\n'
}

// isDense reports whether a line is at least DenseLine octets of the base64
// alphabet. Text is told from it at its first space.
func isDense(line []byte) bool {
	if n := len(line); n > 0 && line[n-1] == '\n' {
		line = line[:n-1]
		if n > 1 && line[n-2] == '\r' {
			line = line[:n-2]
		}
	}
	if len(line) < DenseLine {
		return false
	}
	for _, c := range line {
		if !dense[c] {
			return false
		}
	}
	return true
}

// dense marks the octets A-Z a-z 0-9 + / =.
var dense = func() (t [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=") {
		t[c] = true
	}
	return t
}()
