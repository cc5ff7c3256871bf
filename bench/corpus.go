package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
)

// corpus gives n messages, with LF, of the corpora: mailing lists first, then
// Enron's, then others, and then the same again with other identities. Without
// the corpora they are letters of 5 KB.
func (b *bench) corpus(n int) ([][]byte, error) {
	var list [][]byte
	for _, name := range []string{"lists-dkim.mbox.zst", "enron.mbox.zst", "spamassassin-ham.mbox.zst", "spamassassin-spam.mbox.zst"} {
		if len(list) >= n {
			break
		}
		more, err := readMbox(filepath.Join(b.data, name))
		if errors.Is(err, fs.ErrNotExist) {
			fmt.Println("missing:", name)
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, more...)
	}
	first := len(list)
	for i := len(list); i < n; i++ {
		if first == 0 {
			list = append(list, bytes.ReplaceAll(plain("scribe@d0.example", u1, i, 5<<10).raw, []byte("\r\n"), []byte("\n")))
			continue
		}
		again := fmt.Appendf(nil, "Message-ID: <%d.again@bench.example>\nX-Again: %d\n", i, i)
		list = append(list, append(again, list[i%first]...))
	}
	return list[:n], nil
}

// readMbox reads an mboxrd.
func readMbox(path string) (list [][]byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	var all bytes.Buffer
	if _, err := all.ReadFrom(z); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	var m []byte
	for line := range bytes.Lines(all.Bytes()) {
		switch {
		case bytes.HasPrefix(line, []byte("From ")):
			list, m = flush(list, m), nil
		case bytes.HasPrefix(bytes.TrimLeft(line, ">"), []byte("From ")):
			m = append(m, line[1:]...)
		default:
			m = append(m, line...)
		}
	}
	return flush(list, m), nil
}

// flush ends a message: the empty line after it belongs to the mbox.
func flush(list [][]byte, m []byte) [][]byte {
	if m == nil {
		return list
	}
	return append(list, bytes.TrimSuffix(m, []byte("\n")))
}

// writeMbox writes an mboxrd.
func writeMbox(path string, list [][]byte) error {
	var b bytes.Buffer
	for _, m := range list {
		b.WriteString("From scribe@bench.example Sat Nov 21 08:30:00 2026\n")
		for line := range bytes.Lines(m) {
			if bytes.HasPrefix(bytes.TrimLeft(line, ">"), []byte("From ")) {
				b.WriteByte('>')
			}
			b.Write(line)
		}
		if !bytes.HasSuffix(m, []byte("\n")) {
			b.WriteByte('\n')
		}
		b.WriteByte('\n')
	}
	return os.WriteFile(path, b.Bytes(), 0o600)
}
