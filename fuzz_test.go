package sijill

import (
	"bytes"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func FuzzEntry(f *testing.F) {
	for _, e := range readVectors(f).Entries {
		f.Add([]byte(e.Entry))
	}
	full, err := fullEntry().Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(full)
	f.Add([]byte(`{"fields":{"a":[[[]]],"b":{"c":-1}},"kind":"key","time":"1970-01-01T00:00:00.000000Z","v":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseEntry(b)
		if err != nil {
			return
		}
		if again, err := e.Marshal(); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%s becomes %s, %v", b, again, err)
		}
	})
}

func FuzzProof(f *testing.F) {
	v := readVectors(f)
	for _, p := range v.Proofs {
		f.Add([]byte(p))
	}
	keys := mustKeys(f, v.Keys.Ed25519)
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseProof(b)
		if err != nil {
			return
		}
		if again, err := p.Marshal(); err != nil || !bytes.Equal(again, b) {
			t.Errorf("encoded again it differs: %v", err)
		}
		if got, err := Verify(p, nil, keys); err == nil && got.Entry == nil {
			t.Error("verified, and nothing to show for it")
		}
	})
}

func FuzzDisclosure(f *testing.F) {
	f.Add(readVectors(f).Disclosure)
	for _, n := range []int{0, 1, 9} {
		f.Add(Disclose(Hash{1}, letter(n), func(i int, _ []byte) bool { return i%3 > 0 }).Marshal())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ParseDisclosure(b)
		if err != nil {
			return
		}
		if !bytes.Equal(d.Marshal(), b) {
			t.Error("encoded again it differs")
		}
		root := verifier{walk: d.walk}
		units, err := d.Verify(finish(d.n, root.root(d.n)))
		if err != nil || len(units) != d.Units() {
			t.Errorf("%d of %d units, %v", len(units), d.Units(), err)
		}
	})
}

func FuzzSplit(f *testing.F) {
	for _, v := range readVectors(f).Messages {
		if v.Message != nil {
			f.Add(v.Message)
		}
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		units := Split(msg)
		if !bytes.Equal(bytes.Join(units, nil), msg) {
			t.Fatal("the units aren't the message")
		}
		seed := Hash{1}
		commitment, n := Commit(seed, msg)
		if n != len(units) {
			t.Errorf("%d units committed, %d cut", n, len(units))
		}
		d := Disclose(seed, msg, func(i int, u []byte) bool { return len(u)%2 == 0 })
		if _, err := d.Verify(commitment); err != nil {
			t.Error(err)
		}
	})
}

func FuzzPayload(f *testing.F) {
	good, err := AppendPayload(nil, []byte("{}"), letter(5))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("\x00\x02{}message"))
	f.Fuzz(func(t *testing.T, b []byte) {
		envelope, msg, err := ParsePayload(b, 1<<16)
		if err == nil && len(envelope)+len(msg) > 1<<16 {
			t.Error("larger than allowed")
		}
	})
}

// What the library decodes with its dictionary is decoded without it as well.
func FuzzUnrolled(f *testing.F) {
	for _, n := range []int{5, 50, 5000} {
		good, err := AppendPayload(nil, []byte("{}"), letter(n))
		if err != nil || good[0] != PayloadZstd {
			f.Fatal(err)
		}
		f.Add(good[1:])
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		var h zstd.Header
		if err := h.Decode(frame); err != nil || !h.HasFCS || h.HasCheckSum || h.FrameContentSize > 1<<16 || h.DictionaryID != 0 {
			return
		}
		size := int(h.FrameContentSize)
		want, err := withDictionary(frame, size)
		if err != nil || len(want) != size {
			return
		}
		if got, err := unrolled(frame[h.HeaderSize:], size); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%v, and %d bytes instead of %d", err, len(got), len(want))
		}
	})
}

func FuzzKeys(f *testing.F) {
	k := readVectors(f).Keys
	f.Add(k.Ed25519 + "," + k.MLDSA44 + " " + k.Witness)
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := ParseKeys(text)
		if err != nil {
			return
		}
		if again, err := ParseKeys(keys.String()); err != nil || again.String() != keys.String() {
			t.Errorf("written again they differ: %v", err)
		}
	})
}
