package mbox

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

const (
	maxFromLine  = 1024                   // a longer line is no separator
	maxField     = 128                    // of the header field looked for after a bare "From "
	maxSeparator = maxFromLine + maxField // bytes that decide about a separator
	maxWords     = 40                     // words of a From_ line that are looked at
)

// From is what a separator line says.
type From struct {
	Sender string    // as written, spaces collapsed; empty if none
	Date   time.Time // zero if the line has none; UTC where it names no zone
}

// separator reads the From_ line that b begins with; n is its length, line end
// included. It looks at maxSeparator bytes at most.
func separator(b []byte) (f From, n int, ok bool) {
	if !bytes.HasPrefix(b, []byte("From ")) {
		return From{}, 0, false
	}
	b = b[:min(len(b), maxSeparator)]
	line := b[:min(len(b), maxFromLine)]
	switch i := bytes.IndexByte(line, '\n'); {
	case i >= 0:
		line = line[:i]
		n = i + 1
	case len(line) == maxFromLine:
		return From{}, 0, false
	default:
		n = len(line)
	}
	line = line[len("From "):]
	if len(line) > 3 && bytes.IndexByte(line, ':') < 0 {
		return From{}, 0, false // no time of day in it, so no date
	}
	words := strings.Fields(string(line))
	if len(words) == 0 || len(words) == 1 && words[0] == "-" {
		return From{}, n, beginsWithField(b[n:])
	}
	f, ok = parseFrom(words)
	return f, n, ok
}

// Begins says whether head, the first bytes of a file, begin with a separator,
// after empty lines or a byte order mark at most.
func Begins(head []byte) bool {
	_, _, ok := separator(head[blankPrefix(head):])
	return ok
}

// Contains says whether a line of head is a separator.
func Contains(head []byte) bool {
	for line := head; len(line) > 0; {
		if _, _, ok := separator(line); ok {
			return true
		}
		i := bytes.Index(line, newlineFrom)
		if i < 0 {
			return false
		}
		line = line[i+1:]
	}
	return false
}

// beginsWithField says whether b begins with a header field's name and colon
// (RFC 5322, section 2.2).
func beginsWithField(b []byte) bool {
	for i, c := range b[:min(len(b), maxField)] {
		if c == ':' {
			return i > 0
		}
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return false
}

// parseFrom reads "sender date" where the sender may have spaces in it.
func parseFrom(words []string) (From, bool) {
	for i := range words[:min(len(words), maxWords)] {
		if t, ok := parseDate(words[i:]); ok {
			return From{Sender: strings.Join(words[:i], " "), Date: t}, true
		}
	}
	return From{}, false
}

// date gathers the parts of a date while its words are read.
type date struct {
	year, month, day int
	hour, min, sec   int
	zone             int // seconds east
	hasTime, hasYear bool
	zones            int // words that were taken for a zone
}

// parseDate reads a date that fills all the words: asctime's order, RFC 5322's
// or ISO 8601's, with a zone before or after the year, or anywhere it was ever
// put. "remote from host" (UUCP) may follow.
func parseDate(w []string) (time.Time, bool) {
	var d date
	if _, ok := lookup(weekdays, w[0]); ok {
		w = w[1:]
	}
	rest, ok := d.monthDay(w)
	if !ok {
		return time.Time{}, false
	}
	for i, word := range rest {
		if i+2 < len(rest) && word == "remote" && rest[i+1] == "from" {
			break
		}
		if !d.word(word) {
			return time.Time{}, false
		}
	}
	return d.time()
}

// monthDay reads the words that hold month and day, and the year where it is
// written with them.
func (d *date) monthDay(w []string) (rest []string, ok bool) {
	if len(w) == 0 {
		return nil, false
	}
	if rest, ok := d.joined(w); ok {
		return rest, true
	}
	if len(w) < 2 {
		return nil, false
	}
	month, day := w[0], w[1]
	m, ok := lookup(months, month)
	if !ok {
		month, day = w[1], w[0]
		m, ok = lookup(months, month)
	}
	n, good := number(strings.TrimSuffix(day, ","), 1, 2)
	d.month, d.day = m+1, n
	return w[2:], ok && good
}

// joined reads 2006-01-02, 2006-01-02T15:04:05Z and 02-Jan-2006.
func (d *date) joined(w []string) (rest []string, ok bool) {
	if c := w[0][0]; c < '0' || c > '9' {
		return nil, false
	}
	if t, err := time.Parse(time.RFC3339, w[0]); err == nil {
		return w[1:], d.set(t, true)
	}
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02", "2-Jan-2006"} {
		if t, err := time.Parse(layout, w[0]); err == nil {
			return w[1:], d.set(t, strings.Contains(layout, "T"))
		}
	}
	return nil, false
}

func (d *date) set(t time.Time, withTime bool) bool {
	d.year, d.month, d.day = t.Year(), int(t.Month()), t.Day()
	d.hour, d.min, d.sec = t.Clock()
	_, d.zone = t.Zone()
	d.hasYear, d.hasTime = true, withTime
	return true
}

// word takes one word after the day: a time, a year or a zone.
func (d *date) word(s string) bool {
	if !d.hasTime && d.clock(s) {
		return true
	}
	if !d.hasYear {
		if y, ok := number(s, 4, 4); ok && y >= 1900 {
			d.year, d.hasYear = y, true
			return true
		}
		if y, ok := number(s, 2, 2); ok && d.hasTime {
			d.year, d.hasYear = century(y), true
			return true
		}
	}
	d.zones++
	return d.zones <= 3 && d.zoneWord(s)
}

// clock reads 15:04 and 15:04:05 with or without a fraction.
func (d *date) clock(s string) bool {
	s, _, _ = strings.Cut(s, ".")
	p := strings.Split(s, ":")
	if len(p) < 2 || len(p) > 3 {
		return false
	}
	h, ok1 := number(p[0], 1, 2)
	m, ok2 := number(p[1], 2, 2)
	sec, ok3 := 0, true
	if len(p) == 3 {
		sec, ok3 = number(p[2], 2, 2)
	}
	if !ok1 || !ok2 || !ok3 || h > 23 || m > 59 || sec > 60 {
		return false
	}
	d.hour, d.min, d.sec, d.hasTime = h, m, sec, true
	return true
}

// zoneWord takes +0200, +02:00, and names. A name other than those of RFC 5322,
// section 4.3, counts as UTC: nobody knows what it meant.
func (d *date) zoneWord(s string) bool {
	s = strings.Trim(s, "()")
	if len(s) >= 5 && (s[0] == '+' || s[0] == '-') {
		h, ok1 := number(s[1:3], 2, 2)
		m, ok2 := number(strings.TrimPrefix(s[3:], ":"), 2, 2)
		d.zone = h*3600 + m*60
		if s[0] == '-' {
			d.zone = -d.zone
		}
		return ok1 && ok2 && h < 24 && m < 60
	}
	if len(s) == 0 || len(s) > 8 || s[0] < 'A' || s[0] > 'Z' {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	if h, ok := zoneHours[s]; ok {
		d.zone = h * 3600
	}
	return true
}

func (d *date) time() (time.Time, bool) {
	if !d.hasTime || !d.hasYear || d.day < 1 || d.day > 31 {
		return time.Time{}, false
	}
	t := time.Date(d.year, time.Month(d.month), d.day, d.hour, d.min, d.sec, 0, time.UTC)
	if t.Day() != d.day && d.sec != 60 {
		return time.Time{}, false // 31 February
	}
	return t.Add(-time.Duration(d.zone) * time.Second), true
}

var (
	weekdays = []string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}
	months   = []string{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"}
	// Zones that RFC 5322, section 4.3, gives a meaning to.
	zoneHours = map[string]int{"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7}
)

// lookup finds a three-letter name, whatever its case, with or without a comma.
func lookup(names []string, s string) (int, bool) {
	s = strings.TrimSuffix(s, ",")
	for i, n := range names {
		if strings.EqualFold(n, s) {
			return i, true
		}
	}
	return 0, false
}

// number reads a number of between least and most digits.
func number(s string, least, most int) (int, bool) {
	if len(s) < least || len(s) > most || s[0] < '0' || s[0] > '9' {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}

// century gives a two-digit year its century as RFC 5322, section 4.3, does.
func century(y int) int {
	if y < 50 {
		return 2000 + y
	}
	return 1900 + y
}
