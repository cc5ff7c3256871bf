package office

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// holding tells whether this process has a file open.
func holding(t *testing.T, path string) bool {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("only Linux tells which files are open")
	}
	for _, f := range list {
		if name, err := os.Readlink(filepath.Join("/proc/self/fd", f.Name())); err == nil && strings.HasPrefix(name, path) {
			return true
		}
	}
	return false
}

// What can't be compared is closed again: a process that checks is a server, perhaps.
func TestCheckingLeavesNothingOpen(t *testing.T) {
	o, _ := openOffice(t)
	arrives(t, o, addAccount(t, o, laila), "The bridge")
	if err := o.Follower.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "live.db")
	p, err := openCopy(t.Context(), o, path)
	if err != nil || p.next != head(o) || !holding(t, path) {
		t.Fatalf("a copy: %+v, %v", p, err)
	}
	p.close()

	if err := o.Follower.Reset(t.Context(), o.Search.Name()); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "live.db")
	if _, err := openCopy(t.Context(), o, path); err == nil {
		t.Error("projections at different entries are compared")
	}
	if holding(t, path) {
		t.Error("the copy is still open")
	}
	path = filepath.Join(t.TempDir(), "fresh.db")
	if err := o.blobs.Close(); err != nil { // What was sealed can't be read any more.
		t.Fatal(err)
	}
	if _, err := openFresh(t.Context(), o, path, head(o)); err == nil {
		t.Error("projections are made of what can't be read")
	}
	if holding(t, path) {
		t.Error("the new one is still open")
	}
}

// Months aren't closed behind projections that are stuck, and that is said.
func TestStuckProjections(t *testing.T) {
	o, _ := openOffice(t)
	arrives(t, o, addAccount(t, o, laila), "The bridge")
	if err := o.caughtUp(t.Context(), time.Millisecond); !errors.Is(err, errBehind) {
		t.Errorf("nobody follows: %v", err)
	}
	if err := o.caughtUp(stopped(), time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("a stop: %v", err)
	}
	follow(t, o)
	if err := o.caughtUp(t.Context(), time.Hour); err != nil {
		t.Error(err)
	}
}
