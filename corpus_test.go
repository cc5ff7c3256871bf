package sijill

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// corpus returns up to n messages, with CRLF line ends, of a collection of real
// mail that isn't part of the repository; it skips the test without it.
func corpus(t testing.TB, name string, n int) [][]byte {
	t.Helper()
	dir := os.Getenv("SIJILL_DATA")
	if dir == "" {
		dir = filepath.Join("..", "shared", "data")
	}
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		t.Skipf("no collection of real mail here: %v", err)
	}
	defer f.Close()
	d, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	b, err := io.ReadAll(io.LimitReader(d, int64(n)*4000))
	if err != nil {
		t.Fatal(err)
	}
	var list [][]byte
	for _, m := range bytes.Split(b, []byte("\nFrom "))[1:] {
		_, m, _ = bytes.Cut(m, []byte("\n")) // the rest of the From_ line
		if len(m) > 0 && len(list) < n {
			list = append(list, bytes.ReplaceAll(m, []byte("\n"), []byte("\r\n")))
		}
	}
	return list
}

func BenchmarkPayload(b *testing.B) {
	for _, name := range []string{"enron.mbox.zst", "lists-dkim.mbox.zst"} {
		msgs := corpus(b, name, 4000)
		for _, level := range []zstd.EncoderLevel{zstd.SpeedFastest, zstd.SpeedDefault} {
			for _, dict := range []bool{false, true} {
				label := name + "/" + level.String()
				options := []zstd.EOption{zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(level),
					zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(maxWindow)}
				if dict {
					label += "+dictionary"
					options = append(options, zstd.WithEncoderDictRaw(0, dictionary))
				}
				b.Run(label, func(b *testing.B) {
					e, err := zstd.NewWriter(nil, options...)
					if err != nil {
						b.Fatal(err)
					}
					var raw, stored, i int
					var out []byte
					b.ReportAllocs()
					for b.Loop() {
						m := msgs[i%len(msgs)]
						out = e.EncodeAll(m, out[:0])
						raw, stored, i = raw+len(m), stored+len(out), i+1
					}
					b.ReportMetric(float64(raw)/float64(stored), "ratio")
					b.ReportMetric(float64(raw)/float64(i), "B/message")
				})
			}
		}
	}
}

// BenchmarkUnpack is what reading costs: with the library's dictionary, and as
// ParsePayload does it.
func BenchmarkUnpack(b *testing.B) {
	var frames [][]byte
	for _, m := range corpus(b, "lists-dkim.mbox.zst", 2000) {
		payload, err := AppendPayload(nil, nil, m)
		if err != nil {
			b.Fatal(err)
		}
		if payload[0] == PayloadZstd {
			frames = append(frames, payload[1:])
		}
	}
	for name, decode := range map[string]func([]byte) error{
		"dictionary": func(frame []byte) error { _, err := withDictionary(frame, sizeOf(frame)); return err },
		"unrolled":   func(frame []byte) error { _, err := decompress(frame, maxWindow); return err },
	} {
		b.Run(name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				if err := decode(frames[i%len(frames)]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func sizeOf(frame []byte) int {
	var h zstd.Header
	if h.Decode(frame) != nil {
		return 0
	}
	return int(max(h.FrameContentSize, smallest))
}
