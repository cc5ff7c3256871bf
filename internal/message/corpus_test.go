package message

import (
	"archive/tar"
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// corpus opens a file of the shared test data, decompressed.
func corpus(t testing.TB, name string) io.Reader {
	t.Helper()
	dir := os.Getenv("SIJILL_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		t.Skipf("no test data: set SIJILL_DATA to a folder with %s", name)
	}
	t.Cleanup(func() { f.Close() })
	z, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(z.Close)
	return z
}

// files calls do with every file of a tar archive.
func files(t testing.TB, r io.Reader, do func(name string, b []byte)) {
	t.Helper()
	for archive := tar.NewReader(r); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			do(h.Name, b)
		}
	}
}

// messages calls do with every message of an mbox.
func messages(t testing.TB, r io.Reader, do func(b []byte)) {
	t.Helper()
	var b []byte
	lines := bufio.NewReaderSize(r, 1<<20)
	for {
		line, err := lines.ReadSlice('\n')
		if bytes.HasPrefix(line, []byte("From ")) && len(b) > 0 {
			do(b)
			b = nil
		} else if !bytes.HasPrefix(line, []byte("From ")) {
			b = append(b, line...)
		}
		if errors.Is(err, io.EOF) {
			do(b)
			return
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			t.Fatal(err)
		}
	}
}

// TestEdgeCorpus reads the test suites of other mail libraries; about half of
// the files are no mail at all.
func TestEdgeCorpus(t *testing.T) {
	n := 0
	var slowest time.Duration
	files(t, corpus(t, "mime-edge.tar.zst"), func(name string, b []byte) {
		n++
		start := time.Now()
		m := Parse(b)
		slowest = max(slowest, time.Since(start))
		check(t, m)
		DetectJournal(b)
		if t.Failed() {
			t.Fatal("in", name)
		}
	})
	if n < 1900 {
		t.Errorf("only %d files", n)
	}
	t.Logf("%d files, slowest parse %v", n, slowest)
}

// TestMailCorpora reads real mail, of which nearly all has to have what mail has.
func TestMailCorpora(t *testing.T) {
	for _, name := range []string{"enron", "lists-dkim", "spamassassin-ham", "spamassassin-spam", "phish-nazario"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := corpus(t, name+".mbox.zst")
			var n, dated, from, text int
			messages(t, r, func(b []byte) {
				if n++; testing.Short() && n%20 != 0 {
					return
				}
				m := Parse(b)
				if n%4 == 0 {
					check(t, m)
				}
				if t.Failed() {
					t.Fatal("in message", n)
				}
				if _, ok := m.Date(); ok {
					dated++
				}
				if a := m.From(); len(a) == 1 && strings.Contains(a[0].Addr, "@") {
					from++
				}
				if strings.TrimSpace(m.Text()) != "" {
					text++
				}
			})
			t.Logf("%d messages: %d with a date, %d with one sender, %d with text", n, dated, from, text)
			if !testing.Short() && (dated*100 < n*97 || from*100 < n*97 || text*100 < n*95) {
				t.Error("too little was read")
			}
		})
	}
}
