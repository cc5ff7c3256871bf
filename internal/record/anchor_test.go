package record_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"sijill"
	"sijill/internal/record"
	"sijill/internal/record/recordtest"
)

// sizeAt reads how many entries an anchor knows of; -1 for no anchor.
func sizeAt(t *testing.T, r *record.Register, path string) int64 {
	t.Helper()
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return -1
	}
	keys, kerr := sijill.ParseKeys(r.Key())
	if err != nil || kerr != nil {
		t.Fatal(err, kerr)
	}
	c, _, err := keys.OpenCheckpoint(b)
	if err != nil {
		t.Fatalf("the anchor is no checkpoint: %v", err)
	}
	return c.Size
}

func anchored(t *testing.T) (recordtest.Options, string) {
	path := filepath.Join(t.TempDir(), "elsewhere", "checkpoint")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	return recordtest.Options{Anchors: []string{path}}, path
}

func TestAnchorFollowsTheHead(t *testing.T) {
	o, path := anchored(t)
	h := recordtest.New(t, o)
	for i := range 3 {
		mustAppend(t, h.Register, captured(i, 1))
	}
	if !eventually(func() bool { return sizeAt(t, h.Register, path) == 3 }) {
		t.Fatalf("the anchor is at %d", sizeAt(t, h.Register, path))
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Fatalf("%v beside the anchor: %v", left, err)
	}
}

// An anchor that is missing is written soon after opening, whether or not mail
// comes: until then an old copy would go unnoticed.
func TestMissingAnchorIsWrittenAtOpening(t *testing.T) {
	o, path := anchored(t)
	h := recordtest.New(t, o)
	mustAppend(t, h.Register, captured(0, 1))
	h.Close()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := h.Open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if !eventually(func() bool { return sizeAt(t, h.Register, path) == 1 }) {
		t.Fatalf("the anchor is at %d", sizeAt(t, h.Register, path))
	}
}

// A process that knows less than another must not set an anchor back when it
// closes.
func TestAnchorIsNeverSetBack(t *testing.T) {
	o, path := anchored(t)
	h := recordtest.New(t, o)
	mustAppend(t, h.Register, captured(0, 1))
	late := &recordtest.Home{Dir: h.Dir}
	if err := late.Open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		mustAppend(t, h.Register, captured(1+i, 1))
	}
	r := h.Register
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if err := late.Close(); err != nil {
		t.Fatal(err)
	}
	if n := sizeAt(t, r, path); n != 6 {
		t.Fatalf("the anchor is at %d, want 6", n)
	}
}

// A register is opened while another process appends and moves the anchor: it is
// not behind.
func TestOpeningWhileOthersAppend(t *testing.T) {
	o, path := anchored(t)
	h := recordtest.New(t, o)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			mustAppend(t, h.Register, captured(i, 1))
			_, note := h.Register.Head()
			if err := os.WriteFile(path+".x", note, 0o600); err != nil {
				t.Error(err)
			}
			if err := os.Rename(path+".x", path); err != nil {
				t.Error(err)
			}
		}
	})
	for range 20 {
		other := &recordtest.Home{Dir: h.Dir}
		if err := other.Open(t.Context(), o); err != nil {
			t.Error(err)
			break
		}
		if err := other.Register.Behind(); err != nil {
			t.Errorf("a register that is up to date: %v", err)
		}
		other.Close()
	}
	cancel()
	wg.Wait()
}

// An anchor whose disk is away stops nobody, and is written once it is back,
// although nothing more is appended.
func TestAnchorComesBack(t *testing.T) {
	o, path := anchored(t)
	if err := os.Remove(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	h := recordtest.New(t, o)
	mustAppend(t, h.Register, captured(0, 1))
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if !eventually(func() bool { return sizeAt(t, h.Register, path) == 1 }) {
		t.Fatal("the anchor was not written")
	}
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, h.Register, captured(1, 1))
	r := h.Register
	if err := r.Close(); err == nil || !strings.Contains(err.Error(), "anchor") {
		t.Fatalf("closing without its anchor: %v", err)
	}
}

// Whatever stands where an anchor should be, and is none of ours, stops
// appending: it may be all that is left of entries that were signed.
func TestStrangeAnchor(t *testing.T) {
	other := recordtest.New(t, recordtest.Options{})
	_, theirs := other.Register.Head()
	for name, b := range map[string][]byte{"empty": nil, "noise": []byte("not a checkpoint\n"), "another register's": theirs} {
		o, path := anchored(t)
		h := &recordtest.Home{Dir: t.TempDir()}
		if err := h.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := h.Open(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Register.Append(t.Context(), captured(0, 1)); !errors.Is(err, record.ErrBehind) {
			t.Errorf("%s: %v", name, err)
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		if left, err := os.ReadFile(path); err != nil || string(left) != string(b) {
			t.Errorf("%s: the anchor was overwritten: %v", name, err)
		}
	}
}

// A register is retired by another process while this one runs: this one appends
// no more, and leaves the anchors to the successor.
func TestRetiredElsewhere(t *testing.T) {
	o, path := anchored(t)
	h := recordtest.New(t, o)
	mustAppend(t, h.Register, captured(0, 1))
	other := &recordtest.Home{Dir: h.Dir}
	if err := other.Open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Register.Retire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if err := h.Register.Refresh(t.Context()); err != nil || !errors.Is(h.Register.Health(), record.ErrClosed) {
		t.Errorf("it doesn't notice that it was retired: %v, %v", err, h.Register.Health())
	}
	if _, err := h.Register.Append(t.Context(), captured(1, 1)); !errors.Is(err, record.ErrClosed) {
		t.Fatalf("appended to a retired register: %v", err)
	}
	if err := h.Register.Health(); !errors.Is(err, record.ErrClosed) {
		t.Errorf("a retired register says that it is well: %v", err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("the retired register wrote its anchor again: %v", err)
	}
	if err := h.Open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if rc := mustAppend(t, h.Register, captured(2, 1)); rc.Entry != 2 {
		t.Fatalf("entry %d, want 2", rc.Entry)
	}
}
