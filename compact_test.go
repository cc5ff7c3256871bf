package sijill

import (
	"bytes"
	"encoding"
	"encoding/binary"
	"errors"
	"testing"
	"time"
)

var (
	_ encoding.BinaryAppender    = (*Entry)(nil)
	_ encoding.BinaryUnmarshaler = (*Entry)(nil)
)

func compactSamples() []*Entry {
	at := time.Date(2026, 11, 21, 22, 11, 49, 123456000, time.UTC)
	whole := &Message{ID: ID{1, 2}, Commitment: Hash{3}, Units: 158, Envelope: Hash{4}, Ciphertext: Hash{5}}
	return []*Entry{
		{Time: at, Kind: Captured, Actor: "smtp", Accounts: []string{"000102030405060708090a0b0c0d0eff"}, Message: whole},
		{Time: at, Kind: Imported, Actor: "import", Fields: []byte(`{"already":0,"captured":2,"refused":1,"seen":3}`)},
		{Time: at, Kind: Login},
		{Time: time.UnixMicro(0).UTC(), Kind: Key, Message: &Message{ID: ID{9}}},
	}
}

func TestCompactForm(t *testing.T) {
	for _, e := range compactSamples() {
		want, err := e.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		b, err := e.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		var got Entry
		if err := got.UnmarshalBinary(b); err != nil {
			t.Fatal(err)
		}
		if text, err := got.Marshal(); err != nil || !bytes.Equal(text, want) {
			t.Errorf("%s\ncame back as\n%s (%v)", want, text, err)
		}
		for i := range b {
			if err := new(Entry).UnmarshalBinary(b[:i]); !errors.Is(err, ErrEntry) {
				t.Fatalf("%d of %d bytes: %v", i, len(b), err)
			}
		}
		if err := new(Entry).UnmarshalBinary(append(b, 0)); !errors.Is(err, ErrEntry) {
			t.Fatalf("a byte too many: %v", err)
		}
		_, n := binary.Uvarint(b[1:])
		long := append(append(append([]byte{}, b[:n]...), b[n]|0x80, 0), b[n+1:]...) // The time, in a byte more.
		if err := new(Entry).UnmarshalBinary(long); !errors.Is(err, ErrEntry) {
			t.Fatalf("a number longer than it is: %v", err)
		}
	}
	b, err := compactSamples()[0].AppendBinary(nil)
	if err != nil || len(b) > 170 {
		t.Errorf("%d bytes, want at most 170 (%v)", len(b), err)
	}
}

func FuzzCompact(f *testing.F) {
	for _, e := range compactSamples() {
		b, err := e.AppendBinary(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var e Entry
		if e.UnmarshalBinary(b) != nil {
			return
		}
		if again, err := e.AppendBinary(nil); err != nil || len(again) > len(b) {
			t.Fatalf("%d bytes became %d: %v", len(b), len(again), err)
		}
		text, err := e.Marshal()
		if err != nil {
			return // Longer than an entry may be.
		}
		if _, err := ParseEntry(text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	})
}
