// Package reports reads what other servers report about our mail: DMARC
// aggregate reports (RFC 9990 and its predecessor in RFC 7489 appendix C) and
// SMTP TLS reports (RFC 8460), out of the messages in which they arrive.
//
// Anybody can send one: what a report says is shown, never acted upon, and the
// message's own DMARC result tells whose word it is. Promises: any bytes may
// be read; what is packed unpacks to at most MaxSize bytes, and MaxSize for all
// of a message together; rows, texts and attachments are bounded; all text is
// valid UTF-8 without control characters; errors hold nothing from the report.
package reports

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"unicode"
	"unicode/utf8"

	"sijill/internal/message"
)

// Bounds on one message.
const (
	// MaxSize is how many bytes all reports in it may have when unpacked.
	MaxSize = 16 << 20
	// MaxRows is how many rows one report may have.
	MaxRows  = 50_000
	maxParts = 10  // of the message, looked into
	maxText  = 500 // characters of one text
)

var (
	// ErrNone says that a message holds no report. It is fs.ErrNotExist.
	ErrNone = fmt.Errorf("reports: the message holds no report: %w", fs.ErrNotExist)
	// ErrTooLarge says that a report is beyond the bounds, as a zip bomb is.
	ErrTooLarge = errors.New("reports: the report is too large")
	// ErrBroken says that a report can't be read.
	ErrBroken = errors.New("reports: the report can't be read")
)

// Found is what a message holds.
type Found struct {
	DMARC []*Aggregate `json:"dmarc,omitempty"`
	TLS   []*TLS       `json:"tls,omitempty"`
}

// Read reads the reports in a message. Where some can't be read, those that
// can are returned with the error. ErrNone where there is nothing like one.
func Read(m *message.Message) (*Found, error) {
	found, left := &Found{}, int64(MaxSize)
	var first error
	parts := 0
	for _, p := range leaves(m.Root, nil) {
		if p.Type == "text" && p.Subtype == "html" {
			continue
		}
		if parts++; parts > maxParts {
			break
		}
		if err := found.read(p.Decoded(), &left); err != nil && first == nil {
			first = err
		}
	}
	if first == nil && len(found.DMARC)+len(found.TLS) == 0 {
		first = ErrNone
	}
	return found, first
}

func leaves(p *message.Part, list []*message.Part) []*message.Part {
	if len(p.Children) == 0 && p.Nested == nil {
		return append(list, p)
	}
	for _, c := range p.Children {
		list = leaves(c, list)
	}
	return list
}

// read takes one part, whatever it says that it is: reports come under many
// types.
func (f *Found) read(b []byte, left *int64) error {
	switch {
	case bytes.HasPrefix(b, []byte("PK\x03\x04")):
		return f.zip(b, left)
	case bytes.HasPrefix(b, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return ErrBroken
		}
		if b, err = unpack(z, left); err != nil {
			return err
		}
		return f.plain(b)
	case int64(len(b)) > *left:
		if looksLike(b) != "" {
			return ErrTooLarge
		}
		return nil
	}
	return f.plain(b)
}

func (f *Found) zip(b []byte, left *int64) error {
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return ErrBroken
	}
	for i, file := range z.File {
		if i >= maxParts {
			return ErrTooLarge
		}
		r, err := file.Open()
		if err != nil {
			return ErrBroken
		}
		content, err := unpack(r, left)
		r.Close()
		if err != nil {
			return err
		}
		if err := f.plain(content); err != nil {
			return err
		}
	}
	return nil
}

// unpack reads all of r, as far as there is room left.
func unpack(r io.Reader, left *int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, *left+1))
	*left -= int64(len(b))
	if *left < 0 {
		*left = 0
		return nil, ErrTooLarge
	}
	if err != nil {
		return nil, ErrBroken
	}
	return b, nil
}

// plain reads a report that is not packed; what looks like none is passed over.
func (f *Found) plain(b []byte) error {
	switch looksLike(b) {
	case "dmarc":
		a, err := parseAggregate(b)
		if err != nil {
			return err
		}
		f.DMARC = append(f.DMARC, a)
	case "tls":
		t, err := parseTLS(b)
		if err != nil {
			return err
		}
		f.TLS = append(f.TLS, t)
	}
	return nil
}

func looksLike(b []byte) string {
	b = bytes.TrimSpace(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")))
	start := b[:min(len(b), 4096)]
	switch {
	case bytes.HasPrefix(b, []byte("<")) && bytes.Contains(start, []byte("feedback")):
		return "dmarc"
	case bytes.HasPrefix(b, []byte("{")) && (bytes.Contains(start, []byte(`"organization-name"`)) || bytes.Contains(start, []byte(`"policies"`))):
		return "tls"
	}
	return ""
}

// clean makes a stranger's text fit to be shown on one line.
func clean(s string) string {
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return ' '
		}
		return r
	}, s))
	n := 0
	for i := range s {
		if n++; n > maxText {
			return s[:i]
		}
	}
	return s
}
