package intake

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// file is one file of a source, in a tree, in an archive, or the source itself.
type file struct {
	path    string // within the source, slash-separated; empty for the source itself
	folder  string // folder for mail that stands in the same directory
	maildir place
	size    int64 // as stored; of an archive's member, as the archive says
	modTime time.Time
	problem reason // why it can't be opened; zero if it can
	detail  string // more about problem
	open    func() (io.ReadCloser, error)
}

// storedSize is what the file adds to the bytes of its source.
func (f *file) storedSize() int64 {
	if f.problem != "" {
		return 0
	}
	return f.size
}

// place is where in a Maildir a file stands.
type place uint8

const (
	outside place = iota
	inCur
	inNew
	inTmp
)

// walker visits the files of a source in order of their paths, compared
// component by component. It holds the names of one directory per level.
type walker struct {
	root  string // absolute, symbolic links resolved
	visit func(*file) error
}

func (w *walker) walk(ctx context.Context, name string) error {
	info, err := os.Lstat(w.root)
	if err != nil {
		return fmt.Errorf("looking at the source: %w", err)
	}
	if info.IsDir() {
		return w.dir(ctx, "", name, outside)
	}
	f := w.file("", name, outside, info)
	if f.problem != "" {
		return fmt.Errorf("opening the source: %s", f.problem)
	}
	return w.visit(f)
}

// dir visits a directory. at is where in a Maildir its files are.
func (w *walker) dir(ctx context.Context, rel, folder string, at place) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	names, err := readNames(filepath.Join(w.root, rel))
	if err != nil {
		return w.visit(&file{path: rel, folder: folder, problem: unreadable, detail: errText(err)})
	}
	maildir := isMaildir(filepath.Join(w.root, rel), names)
	for _, name := range names {
		child := path.Join(rel, name)
		info, err := os.Lstat(filepath.Join(w.root, child))
		if err != nil {
			err = w.visit(&file{path: child, folder: folder, problem: unreadable, detail: errText(err)})
		} else if p := placeOf(name); maildir && info.IsDir() && p != outside {
			err = w.dir(ctx, child, folder, p)
		} else if info.IsDir() {
			err = w.dir(ctx, child, subfolder(folder, name), outside)
		} else {
			err = w.visit(w.file(child, folder, at, info))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) file(rel, folder string, at place, info fs.FileInfo) *file {
	f := &file{path: rel, folder: folder, maildir: at, size: info.Size(), modTime: info.ModTime()}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		f.problem, f.size = symlink, 0
	case !info.Mode().IsRegular():
		f.problem, f.size = notRegular, 0
	case at == inTmp:
		f.problem = unfinished
	}
	f.open = func() (io.ReadCloser, error) { return openFile(filepath.Join(w.root, rel)) }
	return f
}

// openFile opens a regular file that was one when it was looked at: it neither
// follows a link put there since nor waits at a pipe.
func openFile(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
}

// readNames lists a directory in order, without what os.ReadDir holds besides
// names: a Maildir may have a million.
func readNames(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

// isMaildir says whether a directory with these names has the three that make
// a Maildir; programs may leave out empty ones when they copy.
func isMaildir(dir string, names []string) bool {
	has := func(name string) bool {
		if _, ok := slices.BinarySearch(names, name); !ok {
			return false
		}
		info, err := os.Lstat(filepath.Join(dir, name))
		return err == nil && info.IsDir()
	}
	return has("cur") && (has("new") || has("tmp"))
}

func placeOf(dir string) place {
	switch dir {
	case "cur":
		return inCur
	case "new":
		return inNew
	case "tmp":
		return inTmp
	}
	return outside
}
