package message

import (
	"strings"
	"time"
)

// ParseDate reads a date as mail has it: RFC 5322 section 3.3 with the
// obsolete forms, and asctime, ISO 8601, numbers with slashes (month first, as
// those who write them do), names in full, a wrong or no weekday, comments, a
// missing zone (then UTC). Years of two and three digits are read as RFC 5322
// section 4.3 says. The zone's offset is kept.
func ParseDate(s string) (time.Time, bool) {
	s = s[:min(len(s), 400)]
	if strings.IndexByte(s, '(') >= 0 {
		s = stripComments(s)
	}
	d := date{year: -1, hour: -1}
	for n := 0; n < 16; n++ {
		s = strings.TrimLeft(s, " ,\t\r\n\"")
		if s == "" {
			break
		}
		end := strings.IndexAny(s, " ,\t\r\n\"")
		if end < 0 {
			end = len(s)
		}
		d.token(s[:end])
		s = s[end:]
	}
	return d.time()
}

// date is what has been read of a date.
type date struct {
	year, month, day     int
	hour, min, sec, nsec int
	offset               int // seconds east of UTC
	zone                 bool
}

func (d *date) time() (time.Time, bool) {
	if d.year < 1 || d.year > 9999 || d.month < 1 || d.month > 12 || d.day < 1 || d.day > 31 {
		return time.Time{}, false
	}
	loc := time.UTC
	if d.offset != 0 {
		loc = time.FixedZone("", d.offset)
	}
	return time.Date(d.year, time.Month(d.month), d.day, max(d.hour, 0), d.min, d.sec, d.nsec, loc), true
}

func (d *date) token(t string) {
	c := t[0]
	switch {
	case isDigit(c) && strings.IndexByte(t, ':') > 0:
		d.clock(t)
	case isDigit(c):
		d.digits(t)
	case (c == '+' || c == '-') && len(t) > 1 && isDigit(t[1]):
		if d.hour >= 0 {
			d.setZone(t)
		}
	case isLetter(c):
		d.word(t)
	}
}

// digits reads a token of digits: a day, a year, a zone without its sign, or a
// date written with dashes, slashes or dots.
func (d *date) digits(t string) {
	n, rest := leadingInt(t)
	width := len(t) - len(rest)
	if rest != "" && rest[0] == '.' && d.day > 0 && d.month > 0 && d.hour < 0 {
		d.clock(strings.ReplaceAll(t, ".", ":")) // 15.04.05
		return
	}
	if rest != "" && (rest[0] == '-' || rest[0] == '/' || rest[0] == '.') && len(rest) > 1 {
		d.composite(t, rest[0])
		return
	}
	switch {
	case width <= 2 && d.day == 0:
		d.day = n
	case d.year < 0 && d.day != 0:
		d.setYear(n, width)
	case width == 4 && d.year < 0:
		d.year = n
	case width == 4 && d.hour >= 0 && !d.zone:
		d.setZone("+" + t)
	}
}

// setYear completes short years (RFC 5322 section 4.3).
func (d *date) setYear(n, width int) {
	switch {
	case width <= 2 && n < 50:
		n += 2000
	case width <= 3:
		n += 1900
	}
	d.year = n
}

// composite reads 2-Jan-2006, 2006-01-02, 2006-01-02T15:04Z, 1/2/2006, 2.1.2006.
func (d *date) composite(t string, mark byte) {
	t, clock, _ := strings.Cut(t, "T")
	var parts [3]string
	for i := range parts {
		end := strings.IndexByte(t, mark)
		if end < 0 || i == 2 {
			end = len(t)
		}
		parts[i] = t[:end]
		t = t[min(end+1, len(t)):]
	}
	first, _ := leadingInt(parts[0])
	second, rest := leadingInt(parts[1])
	third, _ := leadingInt(parts[2])
	switch {
	case len(parts[0]) == 4:
		d.year, d.month, d.day = first, second, third
	case rest != "" || mark != '/':
		d.day, d.month = first, second
		if rest != "" {
			d.month = month(rest)
		}
		d.setYear(third, len(parts[2]))
	default:
		d.month, d.day = first, second
		if first > 12 {
			d.month, d.day = second, first
		}
		d.setYear(third, len(parts[2]))
	}
	if clock != "" {
		d.clock(clock)
	}
}

// clock reads 15:04:05.999 with what may be glued to it: a zone, AM or PM.
func (d *date) clock(t string) {
	if i := strings.IndexByte(t, 'T'); i == 10 {
		d.composite(t, '-')
		return
	}
	hour, t := leadingInt(t)
	if hour > 24 || d.hour >= 0 {
		return
	}
	d.hour = hour
	if strings.HasPrefix(t, ":") {
		d.min, t = leadingInt(t[1:])
	}
	if strings.HasPrefix(t, ":") {
		d.sec, t = leadingInt(t[1:])
	}
	if strings.HasPrefix(t, ".") {
		scale := int(time.Second)
		for t = t[1:]; t != "" && isDigit(t[0]); t = t[1:] {
			scale /= 10
			d.nsec += int(t[0]-'0') * scale
		}
	}
	d.min, d.sec = min(d.min, 59), min(d.sec, 60)
	if t != "" {
		d.token(t)
	}
}

// word reads a name: of a month, a zone, half a day; weekdays are passed over.
func (d *date) word(t string) {
	switch {
	case strings.EqualFold(t, "PM") && d.hour >= 1 && d.hour < 12:
		d.hour += 12
	case strings.EqualFold(t, "AM") && d.hour == 12:
		d.hour = 0
	case d.month == 0 && month(t) > 0:
		d.month = month(t)
	default:
		d.zoneName(t)
	}
}

func (d *date) zoneName(t string) {
	if d.zone || d.hour < 0 {
		return
	}
	name := t
	if i := strings.IndexAny(t, "+-"); i > 0 { // GMT+0300
		name = t[:i]
		defer d.setZone(t[i:])
	}
	for _, z := range zones {
		if strings.EqualFold(z.name, name) {
			d.offset, d.zone = z.hours*3600, true
			return
		}
	}
}

// zones are the names of RFC 5322 section 4.3 and those of Europe; the letters
// of the military are unknown zones by that section, and so is any other name.
var zones = []struct {
	name  string
	hours int
}{
	{"GMT", 0}, {"UT", 0}, {"UTC", 0}, {"Z", 0}, {"EST", -5}, {"EDT", -4}, {"CST", -6}, {"CDT", -5},
	{"MST", -7}, {"MDT", -6}, {"PST", -8}, {"PDT", -7}, {"CET", 1}, {"CEST", 2}, {"MEZ", 1}, {"MESZ", 2},
	{"WET", 0}, {"WEST", 1}, {"EET", 2}, {"EEST", 3}, {"MSK", 3}, {"JST", 9},
}

// setZone reads +hhmm, +hh:mm, +hh or +h.
func (d *date) setZone(t string) {
	if len(t) < 2 || d.zone && d.offset != 0 {
		return
	}
	n, rest := leadingInt(t[1:])
	hours, minutes := n, 0
	if width := len(t) - 1 - len(rest); width > 2 {
		hours, minutes = n/100, n%100
	} else if strings.HasPrefix(rest, ":") {
		minutes, _ = leadingInt(rest[1:])
	}
	if hours > 24 || minutes > 59 {
		return
	}
	d.offset, d.zone = hours*3600+minutes*60, true
	if t[0] == '-' {
		d.offset = -d.offset
	}
}

// month returns the number of the month that t begins to name in English, or 0.
func month(t string) int {
	t = strings.TrimLeft(t, "-./ ")
	if len(t) < 3 {
		return 0
	}
	const names = "janfebmaraprmayjunjulaugsepoctnovdec"
	for i := 0; i < len(names); i += 3 {
		if strings.EqualFold(t[:3], names[i:i+3]) {
			return i/3 + 1
		}
	}
	return 0
}

// leadingInt reads the digits that t begins with; the number stops growing at
// a million.
func leadingInt(t string) (n int, rest string) {
	i := 0
	for ; i < len(t) && isDigit(t[i]); i++ {
		if n < 1e6 {
			n = n*10 + int(t[i]-'0')
		}
	}
	return n, t[i:]
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
