package db

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
)

var steps = fstest.MapFS{
	"sqlite/0001_word.sql": {Data: []byte(`CREATE TABLE word (id INTEGER PRIMARY KEY, w TEXT NOT NULL);
		CREATE VIRTUAL TABLE ft USING fts5(body, content='', contentless_delete=1, tokenize='ascii');`)},
	"sqlite/0002_more.sql": {Data: []byte(`ALTER TABLE word ADD COLUMN n INTEGER NOT NULL DEFAULT 7`)},
}

func open(t *testing.T, path string, key byte) *DB {
	t.Helper()
	d, err := OpenSQLite(t.Context(), path, Options{Key: [32]byte{key}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func migrated(t *testing.T) *DB {
	t.Helper()
	d := open(t, filepath.Join(t.TempDir(), "a b?c.db"), 1)
	if err := d.Migrate(t.Context(), "words", steps); err != nil {
		t.Fatal(err)
	}
	return d
}

func add(d *DB, w string) error {
	return d.Write(context.Background(), func(tx *Tx) error {
		_, err := tx.Exec("INSERT INTO word (w) VALUES (?)", w)
		return err
	})
}

func count(t *testing.T, d *DB) (n int) {
	t.Helper()
	err := d.Read(t.Context(), func(tx *Tx) error { return tx.One("SELECT count(*) FROM word", nil, &n) })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestMigrateIsDoneOnce(t *testing.T) {
	d := migrated(t)
	if err := d.Migrate(t.Context(), "words", steps); err != nil {
		t.Fatal(err)
	}
	older := fstest.MapFS{"sqlite/0001_word.sql": steps["sqlite/0001_word.sql"]}
	if err := d.Migrate(t.Context(), "words", older); !errors.Is(err, ErrNewer) {
		t.Fatalf("older program: %v, want ErrNewer", err)
	}
}

func TestWrongKey(t *testing.T) {
	d := migrated(t)
	_, err := OpenSQLite(t.Context(), d.Path(), Options{Key: [32]byte{2}})
	if !errors.Is(err, ErrKey) {
		t.Fatalf("opened with the wrong key: %v", err)
	}
}

func TestNothingReadableOnDisk(t *testing.T) {
	d := migrated(t)
	if err := add(d, "a-secret-word"); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(d.Path()[:len(d.Path())-6] + "*")
	if len(files) == 0 {
		t.Fatal("no files")
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), "a-secret-word") || strings.Contains(string(b), "SQLite format") {
			t.Errorf("%s shows plain text", filepath.Base(f))
		}
	}
}

func TestRollback(t *testing.T) {
	d := migrated(t)
	boom := errors.New("boom")
	err := d.Write(t.Context(), func(tx *Tx) error {
		if _, err := tx.Exec("INSERT INTO word (w) VALUES ('x')"); err != nil {
			return err
		}
		return boom
	})
	if !errors.Is(err, boom) || count(t, d) != 0 {
		t.Fatalf("err %v, %d rows left", err, count(t, d))
	}
	if err := add(d, "y"); err != nil || count(t, d) != 1 {
		t.Fatalf("after a rollback: %v", err)
	}
}

func TestAbsence(t *testing.T) {
	d := migrated(t)
	err := d.Read(t.Context(), func(tx *Tx) error {
		var w string
		return tx.One("SELECT w FROM word WHERE id = ?", []any{1}, &w)
	})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("got %v, want fs.ErrNotExist", err)
	}
}

// Two handles stand for two processes: neither loses a write of the other.
func TestTwoWriters(t *testing.T) {
	a := migrated(t)
	b := open(t, a.Path(), 1)
	var wg sync.WaitGroup
	for _, d := range []*DB{a, b, a, b} {
		wg.Go(func() {
			for range 25 {
				if err := add(d, "w"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := count(t, a); n != 100 {
		t.Fatalf("%d rows, want 100", n)
	}
}

func TestBackup(t *testing.T) {
	d := migrated(t)
	for range 10 {
		if err := add(d, "w"); err != nil {
			t.Fatal(err)
		}
	}
	to := filepath.Join(t.TempDir(), "copy.db")
	if err := d.Backup(t.Context(), to); err != nil {
		t.Fatal(err)
	}
	if n := count(t, open(t, to, 1)); n != 10 {
		t.Fatalf("copy has %d rows", n)
	}
	if err := d.Backup(t.Context(), to); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("overwrote a copy: %v", err)
	}
	if p, err := d.Check(t.Context()); err != nil || len(p) != 0 {
		t.Fatalf("check: %v %v", p, err)
	}
}

func TestShrink(t *testing.T) {
	d := migrated(t)
	long := strings.Repeat("w", 4000)
	for range 200 {
		if err := add(d, long); err != nil {
			t.Fatal(err)
		}
	}
	err := d.Write(t.Context(), func(tx *Tx) error {
		_, err := tx.Exec("DELETE FROM word WHERE id > 10")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Shrink(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := d.Truncate(t.Context()); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(d.Path())
	if err != nil || info.Size() > 150_000 || count(t, d) != 10 {
		t.Fatalf("%d bytes for %d rows (%v)", info.Size(), count(t, d), err)
	}
}
