package mailbox

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/flate"

	"sijill/internal/message"
)

// What IMAP shows of a message besides its line in a list is kept in few bytes:
// fields as they are in the header, on one line, but those that the line has
// already are only named. A packed envelope is the number of bytes that are
// presented besides those captured (a signed varint), then for each field a byte,
// field << 4 | form, and for most forms a length (an unsigned varint) and bytes.

// Fields of a packed envelope. The numbers are in the tables.
const (
	fieldSubject = iota
	fieldFrom
	fieldTo
	fieldDate
	fieldMessageID
	fieldSender
	fieldReplyTo
	fieldCc
	fieldBcc
	fieldInReplyTo
	envelopeFields
)

// Forms of a field.
const (
	formRaw     = iota // The bytes that follow.
	formLine           // What the line has: the subject, the author's address, the recipients.
	formAuthor         // Name <address>, both of the line.
	formQuoted         // "Name" <address>, both of the line.
	formFrom           // As the From field.
	formAngle          // The bytes that follow, in < and >.
	formDate           // The line's date: zone in minutes (signed varint), then bytes that stand behind it.
	formDateDay        // The same with a day of two digits always.
	formCc             // As the Cc field.
	formPacked         // The bytes that follow, deflated (RFC 1951): long lists of recipients.
)

// packFrom is the length in octets from which on a value is deflated.
const packFrom = 160

// headerNames are those of fields; of those that name recipients there may be
// several, which are one list.
var headerNames = [envelopeFields]string{
	"Subject", "From", "To", "Date", "Message-ID", "Sender", "Reply-To", "Cc", "Bcc", "In-Reply-To",
}

// maxValue is where the fields are cut, in octets. Lists of addresses are cut
// before an address.
var maxValue = [envelopeFields]int{4 << 10, 4 << 10, 24 << 10, 256, 1 << 10, 1 << 10, 4 << 10, 16 << 10, 8 << 10, 4 << 10}

// dateLayouts are those of formDate and formDateDay.
var dateLayouts = [2]string{"Mon, 2 Jan 2006 15:04:05 -0700", "Mon, 02 Jan 2006 15:04:05 -0700"}

// packEnvelope packs what p's header says.
func packEnvelope(d *draft, p *message.Message, besides int) []byte {
	b := binary.AppendVarint(make([]byte, 0, 128), int64(besides))
	values := headerValues(p)
	for f, v := range values {
		if v != "" {
			b = d.packField(b, f, v, values[fieldFrom], values[fieldCc])
		}
	}
	return b
}

// headerValues are the values of all fields, each on one line.
func headerValues(p *message.Message) (values [envelopeFields]string) {
	for i := range p.Header.Fields {
		field := &p.Header.Fields[i]
		f := fieldOf(field.Name)
		if f < 0 {
			continue
		}
		list := f == fieldTo || f == fieldCc || f == fieldBcc
		switch {
		case values[f] == "":
			values[f] = oneLine(field)
		case list && len(values[f]) <= maxValue[f]:
			values[f] += ", " + oneLine(field)
		}
	}
	for f, v := range values {
		if len(v) > maxValue[f] {
			values[f] = cutValue(f, v)
		}
	}
	return values
}

// fieldOf is the number of a field by its name, -1 for others.
func fieldOf(name string) int {
	for f, n := range headerNames {
		if len(n) == len(name) && strings.EqualFold(n, name) {
			return f
		}
	}
	return -1
}

func cutValue(f int, v string) string {
	v = strings.ToValidUTF8(v[:maxValue[f]], "")
	if i := strings.LastIndexByte(v, ','); f != fieldSubject && f != fieldDate && i > 0 {
		v = v[:i]
	}
	return v
}

// oneLine is a field's value without folds, encoded words left as they are. One
// that has other bytes than ASCII, which no standard gives a meaning, is decoded.
func oneLine(f *message.Field) string {
	v := strings.Trim(f.Raw(), " \t\r\n")
	for i := range len(v) {
		switch c := v[i]; {
		case c >= 0x7f:
			return f.Text()
		case c < ' ' && c != '\t':
			v = strings.NewReplacer("\r\n", "", "\n", "", "\r", "").Replace(v)
			return strings.Map(func(r rune) rune {
				switch {
				case r == '\t':
					return ' '
				case r < ' ' || r > '~':
					return -1
				}
				return r
			}, v)
		}
	}
	return strings.ReplaceAll(v, "\t", " ")
}

func (d *draft) packField(b []byte, f int, v, from, cc string) []byte {
	switch {
	case f == fieldSubject && v == d.subject, f == fieldTo && v == d.to, f == fieldFrom && v == d.from.Addr:
		return append(b, byte(f<<4|formLine))
	case f == fieldFrom && v == authorForm(formAuthor, d.from):
		return append(b, byte(f<<4|formAuthor))
	case f == fieldFrom && v == authorForm(formQuoted, d.from):
		return append(b, byte(f<<4|formQuoted))
	case f != fieldFrom && v == from:
		return append(b, byte(f<<4|formFrom))
	case f == fieldBcc && v == cc:
		return append(b, byte(f<<4|formCc))
	case f == fieldDate:
		if packed, ok := d.packDate(b, v); ok {
			return packed
		}
	}
	form := formRaw
	if inner := v[min(1, len(v)):max(len(v)-1, 1)]; len(v) > 1 && v == "<"+inner+">" {
		form, v = formAngle, inner
	} else if len(v) >= packFrom {
		if short := deflate(v); len(short) < len(v) {
			form, v = formPacked, short
		}
	}
	b = binary.AppendUvarint(append(b, byte(f<<4|form)), uint64(len(v)))
	return append(b, v...)
}

func authorForm(form int, a message.Address) string {
	if form == formQuoted {
		return `"` + a.Name + `" <` + a.Addr + ">"
	}
	return a.Name + " <" + a.Addr + ">"
}

// packDate packs a date that follows from the line's and its zone.
func (d *draft) packDate(b []byte, v string) ([]byte, bool) {
	sent, ok := d.sent.(int64)
	if !ok {
		return b, false
	}
	for i, layout := range dateLayouts {
		n := len("Mon, 2 Jan 2006 15:04:05 -0700")
		if len(v) > 6 && v[6] != ' ' {
			n++
		}
		if len(v) < n {
			continue
		}
		t, err := time.Parse(layout, v[:n])
		if err != nil || t.Unix() != sent || t.Format(layout) != v[:n] {
			continue
		}
		_, zone := t.Zone()
		b = binary.AppendVarint(append(b, byte(fieldDate<<4|formDate+i)), int64(zone/60))
		b = binary.AppendUvarint(b, uint64(len(v)-n))
		return append(b, v[n:]...), true
	}
	return b, false
}

// envelope is what packEnvelope packed.
type envelope struct {
	besides int64
	fields  [envelopeFields]string
}

// unpack reads a packed envelope. w is the message's line, and sent its Date.
func unpackEnvelope(b []byte, w *Row, sent int64) (e envelope, ok bool) {
	besides, n := binary.Varint(b)
	if n <= 0 {
		return e, false
	}
	e.besides, b = besides, b[n:]
	for len(b) > 0 {
		f, form := int(b[0]>>4), int(b[0]&15)
		if f >= envelopeFields {
			return e, false
		}
		v, rest, ok := unpackField(b[1:], f, form, w, sent)
		if !ok {
			return e, false
		}
		switch form {
		case formFrom:
			v = e.fields[fieldFrom]
		case formCc:
			v = e.fields[fieldCc]
		}
		e.fields[f], b = v, rest
	}
	return e, true
}

// lineValue is what the line has of a field.
func lineValue(f int, w *Row) string {
	switch f {
	case fieldSubject:
		return w.Subject
	case fieldFrom:
		return w.From.Addr
	}
	return w.To
}

func unpackField(b []byte, f, form int, w *Row, sent int64) (v string, rest []byte, ok bool) {
	var zone int64
	switch form {
	case formLine:
		return lineValue(f, w), b, true
	case formAuthor, formQuoted:
		return authorForm(form, w.From), b, true
	case formFrom, formCc:
		return "", b, true
	case formDate, formDateDay:
		var n int
		if zone, n = binary.Varint(b); n <= 0 {
			return "", nil, false
		}
		b = b[n:]
	}
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return "", nil, false
	}
	v, rest = string(b[n:n+int(size)]), b[n+int(size):]
	switch form {
	case formPacked:
		if v, ok = inflate(v, maxValue[f]); !ok {
			return "", nil, false
		}
	case formAngle:
		v = "<" + v + ">"
	case formDate, formDateDay:
		v = time.Unix(sent, 0).In(time.FixedZone("", int(zone)*60)).Format(dateLayouts[form-formDate]) + v
	}
	return v, rest, true
}

// inflaters are dear to make.
var inflaters = sync.Pool{New: func() any { return flate.NewReader(strings.NewReader("")) }}

func deflate(s string) string {
	var b bytes.Buffer
	if err := flate.StatelessDeflate(&b, []byte(s), true, nil); err != nil {
		return s // A buffer takes all.
	}
	return b.String()
}

// inflate reads at most limit octets.
func inflate(s string, limit int) (string, bool) {
	r := inflaters.Get().(io.ReadCloser)
	defer inflaters.Put(r)
	if err := r.(flate.Resetter).Reset(strings.NewReader(s), nil); err != nil {
		return "", false
	}
	b, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	return string(b), err == nil && len(b) <= limit
}
