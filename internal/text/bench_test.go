package text

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// corpus unpacks a file of the shared test data, at most limit bytes of it.
func corpus(tb testing.TB, name string, limit int) []byte {
	tb.Helper()
	dir := os.Getenv("SIJILL_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		tb.Skip("no shared test data: ", name)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	defer z.Close()
	b := make([]byte, limit)
	n, _ := z.Read(b)
	for n < limit {
		m, err := z.Read(b[n:])
		n += m
		if err != nil {
			break
		}
	}
	return b[:n]
}

func benchmarkAppend(b *testing.B, name string, limit int) {
	data := corpus(b, name, limit)
	var chunks []string
	for len(data) > 0 {
		n := min(len(data), 4096)
		chunks = append(chunks, string(bytes.ToValidUTF8(data[:n], nil)))
		data = data[n:]
	}
	a := New()
	var dst []byte
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		s := chunks[i%len(chunks)]
		b.SetBytes(int64(len(s)))
		dst = a.Append(dst[:0], s)
	}
}

func BenchmarkAppendEnglish(b *testing.B) { benchmarkAppend(b, "enron.mbox.zst", 64<<20) }
func BenchmarkAppendArabic(b *testing.B)  { benchmarkAppend(b, "arabic-news.tar.zst", 8<<20) }
