package mailauth

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"
)

// tag is one tag=value of a signature or a key record (RFC 6376 section 3.2).
type tag struct{ name, value string }

type tagList []tag

var errTags = errors.New("the tags can't be read")

// parseTags reads a tag list. Names are case-sensitive, none may stand twice;
// a semicolon may end the list.
func parseTags(s string) (tagList, error) {
	var list tagList
	for s != "" {
		spec, rest, more := strings.Cut(s, ";")
		name, value, ok := strings.Cut(spec, "=")
		name, value = strings.Trim(name, spaces), strings.Trim(value, spaces)
		if !ok && name == "" && len(list) > 0 && (!more || strings.Trim(rest, spaces) == "") {
			break
		}
		if !ok || !tagName(name) || !tagValue(value) || list.has(name) || len(list) >= 50 {
			return nil, errTags
		}
		list = append(list, tag{name, value})
		s = rest
	}
	if len(list) == 0 {
		return nil, errTags
	}
	return list, nil
}

const spaces = " \t\r\n"

func tagName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return s != ""
}

func tagValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && !strings.ContainsRune(spaces, rune(c)) || c == 0x7f {
			return false
		}
	}
	return true
}

func (l tagList) has(name string) bool {
	_, ok := l.lookup(name)
	return ok
}

func (l tagList) lookup(name string) (string, bool) {
	for _, t := range l {
		if t.name == name {
			return t.value, true
		}
	}
	return "", false
}

func (l tagList) get(name string) string {
	v, _ := l.lookup(name)
	return v
}

// compact returns a tag's value without any spaces.
func (l tagList) compact(name string) string { return dropSpaces(l.get(name)) }

func dropSpaces(s string) string {
	if !strings.ContainsAny(s, spaces) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(spaces, r) {
			return -1
		}
		return r
	}, s)
}

// base64 reads a tag that must be there and not be empty.
func (l tagList) base64(name string) ([]byte, bool) {
	b, err := base64.StdEncoding.DecodeString(l.compact(name))
	return b, err == nil && len(b) > 0
}

// number reads a tag of at most 12 digits (RFC 6376 section 3.5); ok is false
// where it is there but can't be read, and n -1 where it is not.
func (l tagList) number(name string) (n int64, ok bool) {
	v, there := l.lookup(name)
	if !there {
		return -1, true
	}
	if v == "" || len(v) > 76 || strings.Trim(v, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		n = 1<<62 - 1 // more digits than anybody means
	}
	return n, true
}

// time reads a tag in seconds; the zero time where it is not there.
func (l tagList) time(name string) (time.Time, bool) {
	n, ok := l.number(name)
	if n < 0 || !ok {
		return time.Time{}, ok
	}
	return time.Unix(min(n, 253402300799), 0).UTC(), true // up to the year 9999
}

// names reads a list with colons, such as h=.
func (l tagList) names(name string) []string {
	v := l.get(name)
	if v == "" {
		return nil
	}
	list := strings.Split(v, ":")
	for i, n := range list {
		list[i] = strings.ToLower(strings.Trim(n, spaces))
	}
	return list
}

// withoutSignature appends a signature field, its b= emptied, as it goes into
// its own hash (RFC 6376 section 3.7).
func withoutSignature(dst, field []byte) []byte {
	at := bytes.IndexByte(field, ':') + 1
	dst = append(dst, field[:at]...)
	for at < len(field) {
		end := bytes.IndexByte(field[at:], ';')
		if end < 0 {
			end = len(field) - at
		}
		spec := field[at : at+end]
		if eq := bytes.IndexByte(spec, '='); eq >= 0 && string(bytes.Trim(spec[:eq], spaces)) == "b" {
			dst = append(dst, spec[:eq+1]...)
			if at+end == len(field) && bytes.HasSuffix(spec, crlf) {
				dst = append(dst, crlf...)
			}
		} else {
			dst = append(dst, spec...)
		}
		if at += end; at < len(field) {
			dst = append(dst, ';')
			at++
		}
	}
	return dst
}
