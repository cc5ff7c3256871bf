package mbox

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// FuzzMbox checks, on any bytes: the spans tile the file, however the source
// hands it over; what Message undoes can be done again to give the container's
// bytes; and no message is above the limit.
func FuzzMbox(f *testing.F) {
	for _, s := range []string{
		"", "\n", fromLine, fromLine + "A: 1\n\n>From x\n\nFrom y\n\n" + fromLine + "\r\n",
		"\xef\xbb\xbf" + fromLine + "A: 1\n\n", "junk\n" + fromLine + "A: 1\r\nB: 2\n\n",
		fromLine + "Content-Length: 3\n\nab\n\n" + fromLine + "Content-Length: 99\n\n",
		"From \nA: 1\n\nFrom \nB: 2", fromLine + strings.Repeat(">", 300) + "From \n\n",
	} {
		f.Add([]byte(s), uint16(40))
	}
	f.Fuzz(func(t *testing.T, mbox []byte, limit uint16) {
		o := Options{MaxMessage: int64(limit) + 1}
		spans, whole, _ := read(t, bytes.NewReader(mbox), int64(len(mbox)), o)
		_, parts, _ := read(t, iotest.HalfReader(iotest.DataErrReader(bytes.NewReader(mbox))), int64(len(mbox)), o)
		if !equal(whole, parts) {
			t.Fatal("the messages depend on how the source hands them over")
		}
		for _, s := range spans {
			if int64(len(s.Raw)) > o.MaxMessage {
				t.Fatalf("a message of %d bytes is above the limit", len(s.Raw))
			}
			if s.Kind == Message {
				again(t, &s)
			}
		}
	})
}

// again does to the message what an mboxrd writer with the container's line
// ends does, and wants the container's bytes.
func again(t *testing.T, s *Span) {
	msg, form := s.Message()
	back := string(msg)
	if form.Ends == LF {
		back = strings.ReplaceAll(back, "\r\n", "\n")
	}
	if form.Unquoted > 0 {
		var b strings.Builder
		for line := range strings.Lines(back) {
			if strings.HasPrefix(strings.TrimLeft(line, ">"), "From ") {
				b.WriteByte('>')
			}
			b.WriteString(line)
		}
		back = b.String()
	}
	if back != string(s.Raw) {
		t.Fatalf("%+v\nfrom %q\nto   %q\nback %q", form, s.Raw, msg, back)
	}
}

// Adversarial inputs must take time in proportion to their size.
func BenchmarkSplit(b *testing.B) {
	for name, unit := range map[string]string{
		"mail":       fromLine + "Subject: plain\nTo: a@b.example\n\n" + strings.Repeat("A line of a letter, about as long as lines are wont to be.\n", 60) + "\n",
		"short":      fromLine + "A: 1\n\nx\n\n",
		"from":       "\n\nFrom " + strings.Repeat("x ", 30) + "\n",
		"quotes":     fromLine + "A: 1\n\n" + strings.Repeat(">", 2000) + "\n>From x\n\n",
		"emptylines": "\n",
	} {
		b.Run(name, func(b *testing.B) {
			data := []byte(fromLine + strings.Repeat(unit, 64<<20/len(unit)))
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				for r := NewReader(bytes.NewReader(data), Options{}); ; {
					s, err := r.Next()
					if err == io.EOF {
						break
					}
					if s.Kind == Message {
						s.Message()
					}
				}
			}
		})
	}
}
