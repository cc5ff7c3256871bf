package db

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestPanicRollsBack(t *testing.T) {
	d := migrated(t)
	for _, run := range []func(context.Context, func(*Tx) error) error{d.Write, d.Read} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			_ = run(t.Context(), func(tx *Tx) error {
				_, _ = tx.Exec("INSERT INTO word (w) VALUES ('half')")
				panic("boom")
			})
		}()
	}
	if n := count(t, d); n != 0 {
		t.Fatalf("%d rows of a transaction that panicked", n)
	}
	if err := add(d, "whole"); err != nil || count(t, d) != 1 {
		t.Fatalf("after a panic: %v", err)
	}
}

// A panic in the middle of an answer leaves no open cursor either.
func TestPanicInEach(t *testing.T) {
	d := migrated(t)
	for range 3 {
		if err := add(d, "w"); err != nil {
			t.Fatal(err)
		}
	}
	func() {
		defer func() { _ = recover() }()
		_ = d.Write(t.Context(), func(tx *Tx) error {
			return tx.Each("SELECT w FROM word", nil, func(Row) error { panic("boom") })
		})
	}()
	if err := add(d, "w"); err != nil || count(t, d) != 4 {
		t.Fatalf("after a panic: %v", err)
	}
}

func TestCancelled(t *testing.T) {
	d := migrated(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := d.Write(ctx, func(tx *Tx) error {
		if _, err := tx.Exec("INSERT INTO word (w) VALUES ('x')"); err != nil {
			return err
		}
		cancel()
		_, err := tx.Exec("INSERT INTO word (w) VALUES ('y')")
		return err
	})
	if !errors.Is(err, context.Canceled) || count(t, d) != 0 {
		t.Fatalf("%v, %d rows", err, count(t, d))
	}
	never := func(*Tx) error {
		t.Error("a transaction began although nobody waits for it")
		return nil
	}
	for name, err := range map[string]error{"write": d.Write(ctx, never), "read": d.Read(ctx, never)} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a cancelled context: %v", name, err)
		}
	}
	if err := add(d, "z"); err != nil || count(t, d) != 1 {
		t.Fatalf("afterwards: %v", err)
	}
}

// Who waits for the writer's turn goes away when its context ends.
func TestCancelledWhileWaiting(t *testing.T) {
	d := migrated(t)
	begun, end := make(chan bool), make(chan bool)
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = d.Write(context.Background(), func(*Tx) error {
			close(begun)
			<-end
			return nil
		})
	})
	<-begun
	for name, wait := range map[string]func(context.Context) error{
		"write":    func(ctx context.Context) error { return d.Write(ctx, func(*Tx) error { return nil }) },
		"truncate": d.Truncate,
		"backup":   func(ctx context.Context) error { return d.Backup(ctx, filepath.Join(t.TempDir(), "copy")) },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if err := wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
	close(end)
	wg.Wait()
}

// Queries of people vary without end: what stays prepared is bounded, and a
// query whose statement was dropped works again.
func TestStatementsAreBounded(t *testing.T) {
	d := migrated(t)
	err := d.Read(t.Context(), func(tx *Tx) error {
		for i := range 3 * maxStatements {
			var n int
			if err := tx.One(fmt.Sprintf("SELECT count(*) + %d FROM word", i%(2*maxStatements)), nil, &n); err != nil {
				return err
			}
			if n != i%(2*maxStatements) {
				return fmt.Errorf("query %d gave %d", i, n)
			}
			if len(tx.c.stmts) > maxStatements {
				return fmt.Errorf("%d statements are kept", len(tx.c.stmts))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A statement that is being read is not closed when another is prepared beside
// it, however many there are.
func TestStatementInUseIsKept(t *testing.T) {
	d := migrated(t)
	for range 5 {
		if err := add(d, "w"); err != nil {
			t.Fatal(err)
		}
	}
	rows, other := 0, 0
	err := d.Read(t.Context(), func(tx *Tx) error {
		return tx.Each("SELECT id FROM word", nil, func(Row) error {
			rows++
			for range maxStatements {
				other++
				var n int
				if err := tx.One(fmt.Sprintf("SELECT %d", other), nil, &n); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil || rows != 5 {
		t.Fatalf("%d rows: %v", rows, err)
	}
	pairs := 0
	err = d.Read(t.Context(), func(tx *Tx) error { // The same query within itself.
		return tx.Each("SELECT id FROM word", nil, func(Row) error {
			return tx.Each("SELECT id FROM word", nil, func(Row) error {
				pairs++
				return nil
			})
		})
	})
	if err != nil || pairs != 25 {
		t.Fatalf("%d pairs: %v", pairs, err)
	}
}

// As many readers as promised run at once, each on one snapshot, and none waits
// for the writer; one more waits for a reader.
func TestReadersAtOnce(t *testing.T) {
	d := migrated(t)
	var inside atomic.Int64
	all, end := make(chan bool), make(chan bool)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			var before, after int
			err := d.Read(context.Background(), func(tx *Tx) error {
				if err := tx.One("SELECT count(*) FROM word", nil, &before); err != nil {
					return err
				}
				if inside.Add(1) == 4 {
					close(all)
				}
				<-end
				return tx.One("SELECT count(*) FROM word", nil, &after)
			})
			if err != nil || before != 0 || after != 0 {
				t.Errorf("a reader saw %d, then %d: %v", before, after, err)
			}
		})
	}
	<-all
	if err := add(d, "meanwhile"); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := d.Read(ctx, func(*Tx) error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a fifth reader: %v", err)
	}
	close(end)
	wg.Wait()
	if n := count(t, d); n != 1 {
		t.Fatalf("%d rows", n)
	}
}

func TestReadMayNotWrite(t *testing.T) {
	d := migrated(t)
	err := d.Read(t.Context(), func(tx *Tx) error {
		_, err := tx.Exec("INSERT INTO word (w) VALUES ('x')")
		return err
	})
	if err == nil {
		t.Fatal("a read transaction wrote")
	}
	if err := add(d, "y"); err != nil || count(t, d) != 1 {
		t.Fatalf("afterwards: %v", err)
	}
}

func TestTruncateEmptiesTheLog(t *testing.T) {
	d := migrated(t)
	if err := add(d, strings.Repeat("w", 20000)); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(d.Path() + "-wal"); err != nil || info.Size() == 0 {
		t.Fatalf("no log to begin with: %v", err)
	}
	if err := d.Truncate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(d.Path() + "-wal"); err != nil || info.Size() != 0 {
		t.Fatalf("the log has %d bytes: %v", info.Size(), err)
	}
	if err := add(d, "x"); err != nil || count(t, d) != 2 {
		t.Fatalf("afterwards: %v", err)
	}
}

func TestNothingIsInserted(t *testing.T) {
	d := migrated(t)
	err := d.Write(t.Context(), func(tx *Tx) error {
		id, err := tx.Insert("INSERT INTO word (w) VALUES (?)", "a")
		if err != nil || id != 1 {
			return fmt.Errorf("id %d: %w", id, err)
		}
		n, err := tx.Exec("UPDATE word SET w = 'b' WHERE id = 99")
		if err != nil || n != 0 {
			return fmt.Errorf("%d rows: %w", n, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = d.Read(t.Context(), func(tx *Tx) error {
		return tx.Each("SELECT w FROM word WHERE id = 99", nil, func(Row) error { return fs.ErrExist })
	})
	if err != nil {
		t.Fatalf("an empty answer: %v", err)
	}
}

// The end of a write-ahead log that a full disk cut in the middle of a block
// keeps nobody from opening the database.
func TestTornLog(t *testing.T) {
	from := migrated(t)
	for range 3 {
		if err := add(from, "w"); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "db")
	for _, suffix := range []string{"", "-wal"} { // As a machine that stops leaves them.
		b, err := os.ReadFile(from.Path() + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if suffix != "" {
			b = append(b, make([]byte, 8192-100)...)
		}
		if err := os.WriteFile(path+suffix, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d := open(t, path, 1)
	if n := count(t, d); n != 3 {
		t.Fatalf("%d rows", n)
	}
	if err := add(d, "w"); err != nil {
		t.Fatal(err)
	}
}

func TestOpenWithoutAFolder(t *testing.T) {
	if _, err := OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "none", "db"), Options{}); err == nil {
		t.Fatal("opened")
	}
}
