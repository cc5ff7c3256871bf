package files_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"sijill/internal/blob"
	"sijill/internal/blob/blobtest"
	"sijill/internal/blob/files"
)

var ctx = context.Background()

func TestConformance(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blobtest.Opener {
		return openerIn(filepath.Join(t.TempDir(), "blobs"), files.OS{})
	})
}

// The simulated disk must behave as the real one, or the fault tests prove nothing.
func TestConformanceOnSimulatedDisk(t *testing.T) {
	blobtest.Run(t, func(*testing.T) blobtest.Opener {
		return openerIn("/blobs", blobtest.NewDisk(1))
	})
}

func openerIn(dir string, fsys files.FS) blobtest.Opener {
	return func() (blob.Store, error) {
		s, err := files.Open(dir, files.Options{SegmentSize: blobtest.SegmentSize, OpenFiles: 2, FS: fsys})
		if err != nil {
			return nil, err
		}
		return s, nil
	}
}

func open(t *testing.T, opener blobtest.Opener) blob.Store {
	t.Helper()
	s, err := opener()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func appendOne(t *testing.T, s blob.Store, f blob.Frame) blob.Ref {
	t.Helper()
	refs, err := s.Append(ctx, []blob.Frame{f})
	if err != nil {
		t.Fatal(err)
	}
	return refs[0]
}

// Every operation fails in turn, in every way; then the machine loses power. All
// that was acknowledged must be there, and appending must work again as soon as
// the disk does, without another Open unless the machine stopped.
func TestEveryFault(t *testing.T) {
	blobtest.EachFault(t, func(t *testing.T, d *blobtest.Disk) {
		w := &witness{t: t, disk: d, open: openerIn("/blobs", d)}
		for batch := range uint64(14) {
			w.append(batch)
			if batch == 5 || batch == 11 {
				w.crashProcess()
			}
		}
		d.Heal()
		w.append(100)
		if w.failed {
			t.Fatal("the disk is sound again and appending still fails")
		}
		w.check()
		d.Crash()
		w.restart()
		w.append(101)
		w.check()
	})
}

// witness writes to a store and remembers what it was promised.
type witness struct {
	t      *testing.T
	disk   *blobtest.Disk
	open   blobtest.Opener
	store  blob.Store
	failed bool // the last append
	refs   []blob.Ref
	frames []blob.Frame
}

func (w *witness) append(batch uint64) {
	w.t.Helper()
	if !w.ready() {
		return
	}
	frames := []blob.Frame{blobtest.MakeFrame(2*batch, 800), blobtest.MakeFrame(2*batch+1, 800)}
	refs, err := w.store.Append(ctx, frames)
	w.failed = err != nil
	switch {
	case errors.Is(err, blobtest.ErrCrashed):
		w.restart()
	case err == nil:
		w.refs, w.frames = append(w.refs, refs...), append(w.frames, frames...)
	case !errors.Is(err, syscall.EIO) && !errors.Is(err, syscall.ENOSPC):
		w.t.Fatalf("an error that hides its cause: %v", err)
	}
}

// ready opens and recovers the store if there is none open.
func (w *witness) ready() bool {
	w.t.Helper()
	w.failed = true
	if w.store != nil {
		return true
	}
	s, err := w.open()
	if err == nil {
		err = s.Recover(ctx, blobtest.Ends(w.refs))
	}
	switch {
	case err == nil:
		w.store = s
		return true
	case errors.Is(err, blob.ErrDamaged):
		w.t.Fatalf("recover: %v", err)
	case errors.Is(err, blobtest.ErrCrashed):
		w.disk.Restart()
	case s != nil:
		_ = s.Close()
	}
	return false
}

// crashProcess leaves frames without a reference and opens the store again when
// it is next needed, so that Recover has something to do while the disk fails.
func (w *witness) crashProcess() {
	w.t.Helper()
	refs, frames := w.refs, w.frames
	w.append(200)
	w.refs, w.frames = refs, frames
	if w.store != nil {
		_ = w.store.Close()
		w.store = nil
	}
}

func (w *witness) restart() {
	w.t.Helper()
	w.disk.Restart()
	w.store = nil
	if !w.ready() {
		w.t.Fatal("no store after a restart on a sound disk")
	}
	w.check()
}

func (w *witness) check() {
	w.t.Helper()
	for i, ref := range w.refs {
		if err := blobtest.CheckFrame(w.store, ref, w.frames[i]); err != nil {
			w.t.Fatalf("acknowledged frame %d of %d: %v", i, len(w.refs), err)
		}
	}
}

// After a failed sync the kernel shows pages that never reached the disk, and a
// second sync succeeds over them: the segment must not be used again.
func TestFailedSyncAbandonsSegment(t *testing.T) {
	d := blobtest.NewDisk(1)
	s := open(t, openerIn("/blobs", d))
	first := appendOne(t, s, blobtest.MakeFrame(1, 100))
	d.Inject(blobtest.Fault{Op: d.Ops() + 2, Err: syscall.EIO}) // write, then sync
	if _, err := s.Append(ctx, []blob.Frame{blobtest.MakeFrame(2, 100)}); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	if second := appendOne(t, s, blobtest.MakeFrame(3, 100)); second.Segment == first.Segment {
		t.Fatal("a segment is used after its sync failed")
	}
}

// A write that fails and can be undone costs nothing: the segment goes on.
func TestFailedWriteKeepsSegment(t *testing.T) {
	d := blobtest.NewDisk(1)
	s := open(t, openerIn("/blobs", d))
	first := appendOne(t, s, blobtest.MakeFrame(1, 100))
	d.Inject(blobtest.Fault{Op: d.Ops() + 1, Err: syscall.ENOSPC, Short: true})
	if _, err := s.Append(ctx, []blob.Frame{blobtest.MakeFrame(2, 100)}); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	second := appendOne(t, s, blobtest.MakeFrame(3, 100))
	if second.Segment != first.Segment || second.Offset != first.End() {
		t.Fatalf("%+v doesn't follow %+v", second, first)
	}
}

// When the broken tail can't be cut off either, nothing may come after it.
func TestFailedTruncateAbandonsSegment(t *testing.T) {
	d := blobtest.NewDisk(1)
	s := open(t, openerIn("/blobs", d))
	first := appendOne(t, s, blobtest.MakeFrame(1, 100))
	d.Inject(blobtest.Fault{Op: d.Ops() + 1, Err: syscall.EIO, Short: true, Lasting: true})
	if _, err := s.Append(ctx, []blob.Frame{blobtest.MakeFrame(2, 100)}); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	d.Heal()
	if second := appendOne(t, s, blobtest.MakeFrame(3, 100)); second.Segment == first.Segment {
		t.Fatal("a frame follows a broken one")
	}
}

// A full segment that can't be marked complete stays locked: its last frames may
// be in a transaction that is still under way.
func TestUnmarkedSegmentStaysLocked(t *testing.T) {
	d := blobtest.NewDisk(1)
	a, b := open(t, openerIn("/blobs", d)), open(t, openerIn("/blobs", d))
	large := blob.Frame{Data: make([]byte, blobtest.SegmentSize)}
	ref := appendOne(t, a, large)
	d.Inject(blobtest.Fault{Op: d.Ops() + 1, Err: syscall.EIO})
	appendOne(t, a, large)
	if err := b.Recover(ctx, blobtest.Ends(nil)); err != nil {
		t.Fatal(err)
	}
	if err := blobtest.CheckFrame(a, ref, large); err != nil {
		t.Fatal(err)
	}
}

// A batch costs one write and one sync; a new segment three operations more.
func TestOperationsPerBatch(t *testing.T) {
	d := blobtest.NewDisk(1)
	s := open(t, openerIn("/blobs", d))
	for i, want := range []int{6, 2, 2} {
		before := d.Ops()
		appendOne(t, s, blobtest.MakeFrame(uint64(i), 100))
		if got := d.Ops() - before; got != want {
			t.Errorf("batch %d took %d operations, want %d", i, got, want)
		}
	}
}

// A full disk that is tried again and again must not fill with empty segments.
func TestFullDiskLeavesNoLitter(t *testing.T) {
	for _, ahead := range []int{1, 2, 3, 4, 6} { // create, write, sync, sync folder; sync of the frame
		d := blobtest.NewDisk(1)
		s := open(t, openerIn("/blobs", d))
		for range 20 {
			d.Inject(blobtest.Fault{Op: d.Ops() + ahead, Err: syscall.ENOSPC, Short: true})
			if _, err := s.Append(ctx, []blob.Frame{blobtest.MakeFrame(2, 100)}); !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
		}
		segments, err := s.Segments(ctx)
		if err != nil || len(segments) > 1 {
			t.Fatalf("%d segments, %v", len(segments), err)
		}
	}
}

func TestDamagedFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "blobs")
	opener := openerIn(dir, files.OS{})
	s := open(t, opener)
	f := blobtest.MakeFrame(1, 100)
	ref := appendOne(t, s, f)
	_ = s.Close()
	whole, err := os.ReadFile(filepath.Join(dir, "00000001.seg"))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"empty":         {},
		"half a header": whole[:16],
		"no frame":      whole[:blob.HeaderSize],
		"half a frame":  whole[:len(whole)-1],
		"zeros":         make([]byte, len(whole)),
		"other version": append([]byte("sijill segment\r\n\x00\x00\x00\x02"), whole[20:]...),
		"other number":  append(append([]byte{}, whole[:31]...), append([]byte{2}, whole[32:]...)...),
	} {
		if err := os.WriteFile(filepath.Join(dir, "00000001.seg"), content, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, opener)
		if _, err := s.Read(ctx, ref, nil); !errors.Is(err, blob.ErrDamaged) {
			t.Errorf("%s: read: %v", name, err)
		}
		if err := s.Recover(ctx, blobtest.Ends([]blob.Ref{ref})); !errors.Is(err, blob.ErrDamaged) {
			t.Errorf("%s: recover: %v", name, err)
		}
		got, err := os.ReadFile(filepath.Join(dir, "00000001.seg"))
		if err != nil || string(got) != string(content) {
			t.Errorf("%s: evidence was changed", name)
		}
		_ = s.Close()
	}
}

func TestOtherFilesAreIgnored(t *testing.T) {
	dir := t.TempDir()
	names := []string{"1.seg", "00000000.seg", "-0000001.seg", "0000001x.seg", "00000003.seg.bak", "notes.txt", "000000009.seg"}
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, openerIn(dir, files.OS{}))
	if err := s.Recover(ctx, blobtest.Ends(nil)); err != nil {
		t.Fatal(err)
	}
	if segments, err := s.Segments(ctx); err != nil || len(segments) != 0 {
		t.Fatal(segments, err)
	}
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

func TestOpenWithoutParentFails(t *testing.T) {
	if _, err := files.Open(filepath.Join(t.TempDir(), "a", "b"), files.Options{}); err == nil {
		t.Fatal("opened")
	}
}

func BenchmarkAppend10KB(b *testing.B) {
	s, err := files.Open(filepath.Join(b.TempDir(), "blobs"), files.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	frames := []blob.Frame{{Data: make([]byte, 10240)}}
	b.SetBytes(10240)
	for b.Loop() {
		if _, err := s.Append(ctx, frames); err != nil {
			b.Fatal(err)
		}
	}
}
