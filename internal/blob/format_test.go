package blob_test

import (
	"bytes"
	"errors"
	"testing"

	"sijill/internal/blob"
)

// The bytes are a promise to auditors: they must not change by accident.
func TestFormat(t *testing.T) {
	header := blob.AppendHeader(nil, 258)
	want := "sijill segment\r\n\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x02"
	if string(header) != want || len(header) != blob.HeaderSize {
		t.Errorf("header %q", header)
	}
	if err := blob.CheckHeader(header, 258); err != nil {
		t.Error(err)
	}
	if err := blob.CheckHeader(header, 259); !errors.Is(err, blob.ErrDamaged) {
		t.Errorf("header of another segment: %v", err)
	}
	frame := blob.AppendFrame(nil, blob.Frame{ID: blob.ID{1, 15: 2}, Data: []byte("abc")})
	if want := "\x00\x00\x00\x03\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02abc"; string(frame) != want {
		t.Errorf("frame %q", frame)
	}
}

func FuzzParseFrame(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, blob.FrameOverhead))
	f.Add(make([]byte, blob.FrameOverhead+1))
	f.Add(blob.AppendFrame(nil, blob.Frame{ID: blob.ID{9}, Data: []byte("abc")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, err := blob.ParseFrame(b)
		if err != nil {
			return
		}
		if len(frame.Data) == 0 || !bytes.Equal(blob.AppendFrame(nil, frame), b) {
			t.Fatalf("%q became %v", b, frame)
		}
	})
}
