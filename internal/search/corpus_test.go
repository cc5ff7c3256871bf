package search

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"

	"sijill/internal/db"
)

// corpus unpacks a file of the shared test data, at most limit bytes of it.
func corpus(tb testing.TB, name string, limit int64) []byte {
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
	b, err := io.ReadAll(io.LimitReader(z, limit))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func openDB(tb testing.TB) *db.DB {
	tb.Helper()
	d, err := db.OpenSQLite(tb.Context(), filepath.Join(tb.TempDir(), "mail.db"), db.Options{Key: [32]byte{1}, Relaxed: true})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { d.Close() })
	if err := d.Migrate(tb.Context(), "search", migrations); err != nil {
		tb.Fatal(err)
	}
	return d
}
