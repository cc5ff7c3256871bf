package intake

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"
)

// source is what is known about a path before its mail is read.
type source struct {
	name   string // base name
	root   string // absolute, symbolic links resolved
	tree   bool
	digest [32]byte
	files  int64
	size   int64    // bytes of its files as stored
	stamp  [32]byte // of paths, sizes and times: changes when the source does
}

// id names the source for good. earlier is the entry of an import after which
// the source is read again, 0 for the first time: such an import counts anew,
// so what the earlier one captured must not look like its own.
func (s *source) id(earlier int64) string {
	h := sha256.New()
	h.Write([]byte("sijill/source/v1\n"))
	h.Write(s.digest[:])
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(earlier)))
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// measure reads the source once for its digest, so that an import knows whether
// it did this source before and where it stopped. A file that can't be read is
// part of a tree's digest as one that can't be read.
func (im *Importer) measure(ctx context.Context, name string) (*source, error) {
	abs, err := filepath.Abs(name)
	if err != nil {
		return nil, fmt.Errorf("looking at the source: %w", err)
	}
	s := &source{name: printable(filepath.Base(abs))}
	if s.root, err = filepath.EvalSymlinks(abs); err != nil {
		return nil, fmt.Errorf("looking at the source: %w", err)
	}
	info, err := os.Stat(s.root)
	if err != nil {
		return nil, fmt.Errorf("looking at the source: %w", err)
	}
	s.tree = info.IsDir()
	m := &measurer{ctx: ctx, im: im, src: s, tree: sha256.New(), stamp: newStamp(), buf: make([]byte, 256<<10), total: info.Size()}
	if s.tree {
		m.total = 0
	}
	w := walker{root: s.root, visit: m.visit}
	if err := w.walk(ctx, ""); err != nil {
		return nil, err
	}
	if s.tree {
		s.digest = [32]byte(m.tree.Sum(nil))
	}
	s.stamp = m.stamp.sum()
	return s, nil
}

type measurer struct {
	ctx   context.Context
	im    *Importer
	src   *source
	tree  hash.Hash
	stamp *stamp
	buf   []byte
	done  int64
	total int64 // 0 for a tree, whose size is not known yet
	shown time.Time
}

// visit adds a file to the digest. A tree's digest is the SHA-256 of a line for
// each file: its SHA-256 in hexadecimal (or "-"), its size, its path, and a
// zero byte.
func (m *measurer) visit(f *file) error {
	m.stamp.add(f)
	m.src.files++
	m.src.size += f.storedSize()
	sum, n, err := [32]byte{}, int64(0), error(nil)
	if f.problem == "" {
		sum, n, err = m.sum(f)
	}
	if m.ctx.Err() != nil {
		return m.ctx.Err()
	}
	if !m.src.tree {
		m.src.digest = sum
		return err
	}
	text := hex.EncodeToString(sum[:])
	if f.problem != "" || err != nil {
		text, n = "-", f.size
	}
	fmt.Fprintf(m.tree, "%s %d %s\x00", text, n, f.path)
	return nil
}

func (m *measurer) sum(f *file) (sum [32]byte, n int64, err error) {
	in, err := f.open()
	if err != nil {
		return sum, 0, fmt.Errorf("opening the source: %w", err)
	}
	defer in.Close()
	h := sha256.New()
	for {
		k, err := in.Read(m.buf)
		h.Write(m.buf[:k])
		n += int64(k)
		m.done += int64(k)
		m.show()
		if err == io.EOF {
			return [32]byte(h.Sum(nil)), n, nil
		}
		if err == nil {
			err = m.ctx.Err()
		}
		if err != nil {
			return sum, n, fmt.Errorf("reading the source: %w", err)
		}
	}
}

func (m *measurer) show() {
	if now := time.Now(); now.Sub(m.shown) > 200*time.Millisecond {
		m.shown = now
		m.im.o.Progress(Progress{Source: m.src.name, Phase: Measuring, Done: m.done, Total: m.total})
	}
}

// stamp sums up the looks of a source's files, to see whether it changed
// between two walks.
type stamp struct{ h hash.Hash }

func newStamp() *stamp { return &stamp{sha256.New()} }

func (s *stamp) add(f *file) {
	fmt.Fprintf(s.h, "%s\x00%d %d %s\n", f.path, f.size, f.modTime.UnixNano(), f.problem)
}

func (s *stamp) sum() [32]byte { return [32]byte(s.h.Sum(nil)) }
