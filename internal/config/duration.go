package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time in the settings: numbers with units, as "5d", "4h" or
// "1d12h30m".
type Duration time.Duration

// units are those of a Duration, the longest first.
var units = []struct {
	name string
	is   time.Duration
}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}}

// maxDuration keeps sums far from their limits.
const maxDuration = 100 * 365 * 24 * time.Hour

// UnmarshalText implements encoding.TextUnmarshaler. Units come in order, each
// once.
func (d *Duration) UnmarshalText(text []byte) error {
	sum, rest := time.Duration(0), string(text)
	for _, u := range units {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		after, ok := strings.CutPrefix(rest[digits:], u.name)
		if digits == 0 || !ok {
			continue
		}
		n, err := strconv.ParseInt(rest[:digits], 10, 64)
		if err != nil || time.Duration(n) > maxDuration/u.is {
			return fmt.Errorf("%q is too long", text)
		}
		sum, rest = sum+time.Duration(n)*u.is, after
	}
	if rest != "" || len(text) == 0 {
		return fmt.Errorf("%q is no length of time: write numbers with the units d, h, m or s, as \"5d\" or \"1h30m\"", text)
	}
	*d = Duration(sum)
	return nil
}

// String is what UnmarshalText reads.
func (d Duration) String() string {
	var b strings.Builder
	left := time.Duration(d)
	for _, u := range units {
		if n := left / u.is; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			left -= n * u.is
		}
	}
	if b.Len() == 0 {
		return "0s"
	}
	return b.String()
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// within says what is wrong with a setting that is less or more than may be.
func (d Duration) within(name string, least, most Duration) error {
	if d < least || d > most {
		return fmt.Errorf("%s is %q: it may be from %q to %q", name, d, least, most)
	}
	return nil
}
