package files_test

import (
	"io/fs"
	"path/filepath"
	"testing"

	"sijill/internal/blob"
	"sijill/internal/blob/blobtest"
	"sijill/internal/blob/files"
)

// between is the file system with something happening after each OpenFile,
// before the caller gets the file.
type between struct {
	files.FS
	opened  func(name string, flag int)
	reading func() // called before each ReadAt
	files   int    // open now
	most    int    // open at once
}

func (b *between) OpenFile(name string, flag int, perm fs.FileMode) (files.File, error) {
	f, err := b.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	b.files++
	b.most = max(b.most, b.files)
	if b.opened != nil {
		b.opened(name, flag)
	}
	return counted{f, b}, nil
}

type counted struct {
	files.File
	b *between
}

func (c counted) ReadAt(p []byte, offset int64) (int, error) {
	if c.b.reading != nil {
		c.b.reading()
	}
	return c.File.ReadAt(p, offset)
}

func (c counted) Close() error {
	c.b.files--
	return c.File.Close()
}

// Another process completes its segment after Recover found it open and before
// Recover has its lock: the frames in it may be on their way into the register.
func TestRecoverMeetsSegmentJustCompleted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "blobs")
	writer := open(t, openerIn(dir, files.OS{}))
	large := blob.Frame{Data: make([]byte, blobtest.SegmentSize)}
	ref := appendOne(t, writer, large)
	fsys := &between{FS: files.OS{}}
	fsys.opened = func(string, int) {
		fsys.opened = nil
		appendOne(t, writer, large)
	}
	if err := open(t, openerIn(dir, fsys)).Recover(ctx, blobtest.Ends(nil)); err != nil {
		t.Fatal(err)
	}
	if fsys.opened != nil {
		t.Fatal("the race did not happen")
	}
	if err := blobtest.CheckFrame(writer, ref, large); err != nil {
		t.Fatal(err)
	}
}

// Another process's Recover finds a segment that was created and not locked yet,
// and removes it: what was written to it would be lost.
func TestCreateMeetsRecover(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "blobs")
	other := open(t, openerIn(dir, files.OS{}))
	fsys := &between{FS: files.OS{}}
	fsys.opened = func(string, int) {
		fsys.opened = nil
		if err := other.Recover(ctx, blobtest.Ends(nil)); err != nil {
			t.Fatal(err)
		}
	}
	f := blobtest.MakeFrame(1, 100)
	ref := appendOne(t, open(t, openerIn(dir, fsys)), f)
	if fsys.opened != nil {
		t.Fatal("the race did not happen")
	}
	if err := blobtest.CheckFrame(other, ref, f); err != nil {
		t.Fatal(err)
	}
}

func TestOpenFilesAreBounded(t *testing.T) {
	fsys := &between{FS: files.OS{}}
	s := open(t, openerIn(filepath.Join(t.TempDir(), "blobs"), fsys))
	var refs []blob.Ref
	for seed := range uint64(40) {
		refs = append(refs, appendOne(t, s, blobtest.MakeFrame(seed, 3000)))
	}
	for i, ref := range refs {
		if err := blobtest.CheckFrame(s, ref, blobtest.MakeFrame(uint64(i), 3000)); err != nil {
			t.Fatal(err)
		}
	}
	if fsys.most > 4 { // one written, two kept, one being exchanged
		t.Errorf("%d files were open at once", fsys.most)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if fsys.files != 0 {
		t.Errorf("%d files are open after Close", fsys.files)
	}
}

// A segment may have to leave the cache while somebody reads it.
func TestReadWhileEvicted(t *testing.T) {
	fsys := &between{FS: files.OS{}}
	s := open(t, openerIn(filepath.Join(t.TempDir(), "blobs"), fsys))
	var refs []blob.Ref
	for seed := range uint64(20) {
		refs = append(refs, appendOne(t, s, blobtest.MakeFrame(seed, 3000)))
	}
	check := func(i int) {
		if err := blobtest.CheckFrame(s, refs[i], blobtest.MakeFrame(uint64(i), 3000)); err != nil {
			t.Error(err)
		}
	}
	check(0) // the file is open, so that the next ReadAt reads the frame
	fsys.reading = func() {
		fsys.reading = nil
		for i := range refs {
			check(i)
		}
	}
	check(0)
}
