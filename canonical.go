package sijill

import (
	"encoding/base64"
	"errors"
	"slices"
	"strconv"
)

// Canonical JSON, as entries and proofs use it, is a small part of JSON in
// which every value has one encoding: no spaces, the members of an object in
// ascending byte order of their names and none twice, strings of printable
// ASCII in which only '"' and '\' are escaped (with '\'), integers within
// MaxInteger, true and false. There are no fractions and there is no null.
// The cursor reads exactly that, so that what it accepts is what was hashed.

// maxDepth bounds the nesting of fields.
const maxDepth = 8

var errCanonical = errors.New("not canonical JSON")

// cursor reads canonical JSON from the front. The first failure sticks: later
// calls return zero values, and the caller looks at bad once at the end.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) fail() { c.bad, c.b = true, nil }

// literal takes s, which must come next.
func (c *cursor) literal(s string) {
	if !c.try(s) {
		c.fail()
	}
}

// try takes s if it comes next.
func (c *cursor) try(s string) bool {
	if len(c.b) < len(s) || string(c.b[:len(s)]) != s {
		return false
	}
	c.b = c.b[len(s):]
	return true
}

// member takes the name of a member, with the comma before it unless it is the
// first of its object. The caller asks for names in ascending order.
func (c *cursor) member(first *bool, name string) bool {
	rest := c.b
	if (*first || c.try(",")) && c.try(`"`) && c.try(name) && c.try(`":`) {
		*first = false
		return true
	}
	if !c.bad {
		c.b = rest
	}
	return false
}

// text takes a string and returns what it stands for.
func (c *cursor) text() string {
	raw, escaped := c.raw()
	if !escaped {
		return string(raw)
	}
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] == '\\' {
			i++ // raw has checked that one character follows
		}
		out = append(out, raw[i])
	}
	return string(out)
}

// raw takes a string and returns the bytes between its quotes.
func (c *cursor) raw() (raw []byte, escaped bool) {
	if !c.try(`"`) {
		c.fail()
		return nil, false
	}
	for i := 0; i < len(c.b); i++ {
		switch b := c.b[i]; {
		case b == '"':
			raw, c.b = c.b[:i], c.b[i+1:]
			return raw, escaped
		case b == '\\':
			i++
			if i == len(c.b) || c.b[i] != '"' && c.b[i] != '\\' {
				c.fail()
				return nil, false
			}
			escaped = true
		case b < 0x20 || b > 0x7e:
			c.fail()
			return nil, false
		}
	}
	c.fail()
	return nil, false
}

// integer takes an integer with no leading zero and no minus before a zero.
func (c *cursor) integer() int64 {
	n := 0
	for n < len(c.b) && n < 18 && (c.b[n] >= '0' && c.b[n] <= '9' || n == 0 && c.b[n] == '-') {
		n++
	}
	s := string(c.b[:n])
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil || v > MaxInteger || v < -MaxInteger || strconv.FormatInt(v, 10) != s {
		c.fail()
		return 0
	}
	c.b = c.b[n:]
	return v
}

// base64 takes a string of standard, padded base64 whose unused bits are zero.
func (c *cursor) base64() []byte {
	raw, escaped := c.raw()
	out, err := decodeBase64(raw)
	if err != nil || escaped {
		c.fail()
		return nil
	}
	return out
}

// hash takes a base64 string of 32 bytes that aren't all zero: a zero hash
// stands for an absent one and is left out.
func (c *cursor) hash() Hash {
	b := c.base64()
	if len(b) != len(Hash{}) || Hash(b) == (Hash{}) {
		c.fail()
		return Hash{}
	}
	return Hash(b)
}

var strictBase64 = base64.StdEncoding.Strict()

// decodeBase64 refuses the line breaks that encoding/base64 skips.
func decodeBase64(b []byte) ([]byte, error) {
	if slices.Contains(b, '\n') || slices.Contains(b, '\r') {
		return nil, errCanonical
	}
	out := make([]byte, strictBase64.DecodedLen(len(b)))
	n, err := strictBase64.Decode(out, b)
	return out[:n], err
}

// value takes any value of at most depth levels of objects and arrays.
func (c *cursor) value(depth int) {
	switch {
	case depth == 0 && len(c.b) > 0 && (c.b[0] == '{' || c.b[0] == '['):
		c.fail()
	case c.try("{"):
		c.object(depth)
	case c.try("["):
		if c.try("]") {
			return
		}
		c.value(depth - 1)
		for c.try(",") {
			c.value(depth - 1)
		}
		c.literal("]")
	case len(c.b) > 0 && c.b[0] == '"':
		c.raw()
	case c.try("true"), c.try("false"):
	default:
		c.integer()
	}
}

// object takes the members of an object after its opening brace.
func (c *cursor) object(depth int) {
	if c.try("}") {
		return
	}
	for last, first := "", true; ; first = false {
		name := c.text()
		if !first && name <= last {
			c.fail()
		}
		last = name
		c.literal(":")
		c.value(depth - 1)
		if c.bad || !c.try(",") {
			break
		}
	}
	c.literal("}")
}

// checkObject reports whether b is one canonical object with a member in it.
func checkObject(b []byte) error {
	c := cursor{b: b}
	if len(b) < 1 || b[0] != '{' || string(b) == "{}" {
		return errCanonical
	}
	c.value(maxDepth)
	if c.bad || len(c.b) > 0 {
		return errCanonical
	}
	return nil
}

// appendString appends s as a canonical string; s must be printable ASCII.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return append(b, '"')
}
