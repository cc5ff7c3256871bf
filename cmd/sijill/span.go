package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// span is a length of time in the settings: numbers with units, as "5d", "4h" or
// "1d12h30m".
type span time.Duration

// units are those of a span, the longest first.
var units = []struct {
	name string
	is   time.Duration
}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}}

// maxSpan keeps sums far from their limits.
const maxSpan = 100 * 365 * 24 * time.Hour

// UnmarshalText implements encoding.TextUnmarshaler. Units come in order, each
// once.
func (s *span) UnmarshalText(text []byte) error {
	sum, rest := time.Duration(0), string(text)
	for _, u := range units {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		after, ok := strings.CutPrefix(rest[digits:], u.name)
		if digits == 0 || !ok {
			continue
		}
		n, err := strconv.ParseInt(rest[:digits], 10, 64)
		if err != nil || time.Duration(n) > maxSpan/u.is {
			return fmt.Errorf("%q is too long", text)
		}
		sum, rest = sum+time.Duration(n)*u.is, after
	}
	if rest != "" || len(text) == 0 {
		return fmt.Errorf("%q is no length of time: write numbers with the units d, h, m or s, as \"5d\" or \"1h30m\"", text)
	}
	*s = span(sum)
	return nil
}

// String is what UnmarshalText reads.
func (s span) String() string {
	var b strings.Builder
	left := time.Duration(s)
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
func (s span) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// within says what is wrong with a setting that is less or more than may be.
func (s span) within(name string, least, most span) error {
	if s < least || s > most {
		return fmt.Errorf("%s is %q: it may be from %q to %q", name, s, least, most)
	}
	return nil
}
