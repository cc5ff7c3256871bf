package db_test

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"testing"

	"sijill/internal/db"
)

func TestMemory(t *testing.T) {
	d, err := db.OpenMemory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Migrate(t.Context(), "t", tables); err != nil {
		t.Fatal(err)
	}
	err = d.WriteSynced(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec("CREATE VIRTUAL TABLE words USING fts5 (body)")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var n int
	err = d.Read(t.Context(), func(tx *db.Tx) error { return tx.One("SELECT count(*) FROM words", nil, &n) })
	if err != nil || n != 0 {
		t.Errorf("%d, %v", n, err)
	}
	path := filepath.Join(t.TempDir(), "copy")
	if err := d.Backup(t.Context(), path); err == nil {
		t.Error("a database in memory was copied to disk")
	}
	if err := errors.Join(d.Truncate(t.Context()), d.Shrink(t.Context()), d.Close()); err != nil {
		t.Error(err)
	}
	other, err := db.OpenMemory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	err = other.Read(t.Context(), func(tx *db.Tx) error { return tx.One("SELECT name FROM sqlite_schema", nil, new(string)) })
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the next database has something of the last: %v", err)
	}
}

func TestAfter(t *testing.T) {
	d, err := db.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "db"), db.Options{Relaxed: true})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var called []string
	note := func(name string) func() {
		return func() {
			// The writer is free again, or this would wait for ever.
			if err := d.Write(context.Background(), func(*db.Tx) error { return nil }); err != nil {
				t.Error(err)
			}
			called = append(called, name)
		}
	}
	stop := errors.New("stop")
	for name, want := range map[string]error{"kept": nil, "undone": stop} {
		if err := d.WriteSynced(t.Context(), func(tx *db.Tx) error { tx.After(note(name)); return want }); !errors.Is(err, want) {
			t.Error(err)
		}
	}
	if !slices.Equal(called, []string{"kept"}) {
		t.Errorf("called %v", called)
	}
}

// Who comes after the end is told so, and who waits for his turn as well.
func TestClosed(t *testing.T) {
	d, err := db.OpenMemory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	began, done := make(chan struct{}), make(chan error, 1)
	release := make(chan struct{})
	go func() {
		done <- d.Write(t.Context(), func(*db.Tx) error {
			close(began)
			<-release
			return nil
		})
	}()
	<-began
	waiting := make(chan error, 1)
	go func() { waiting <- d.Read(t.Context(), func(*db.Tx) error { return nil }) }()
	closed := make(chan error, 1)
	go func() { closed <- d.Close() }()
	if err := <-waiting; !errors.Is(err, db.ErrClosed) {
		t.Errorf("who waited: %v", err)
	}
	close(release)
	if err := errors.Join(<-done, <-closed, d.Close()); err != nil {
		t.Errorf("who was at it, and closing twice: %v", err)
	}
	if err := d.Write(t.Context(), func(*db.Tx) error { return nil }); !errors.Is(err, db.ErrClosed) {
		t.Errorf("who comes later: %v", err)
	}
}
