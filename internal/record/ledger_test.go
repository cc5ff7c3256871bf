package record_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"sijill/internal/db"
	"sijill/internal/record"
	"sijill/internal/record/recordtest"
)

// ledger is a projection that notes the length of each message, in the order in
// which entries came to it.
type ledger struct {
	name    string
	version int
	prepare func(it *record.Item) error                  // May fail; nil for never.
	apply   func(ctx context.Context, first int64) error // Likewise; called after the rows were written.
	batches atomic.Int64
}

func (l *ledger) Name() string { return l.name }
func (l *ledger) Version() int { return l.version }
func (l *ledger) Migrations() fs.FS {
	return fstest.MapFS{"sqlite/0001_ledger.sql": {Data: fmt.Appendf(nil,
		"CREATE TABLE %s (came INTEGER PRIMARY KEY, entry INTEGER NOT NULL, length INTEGER NOT NULL, version INTEGER NOT NULL)", l.name)}}
}

func (l *ledger) Prepare(it *record.Item) (any, error) {
	if l.prepare != nil {
		if err := l.prepare(it); err != nil {
			return nil, err
		}
	}
	c, err := it.Content()
	if errors.Is(err, fs.ErrNotExist) {
		return -1, nil
	}
	if err != nil {
		return nil, err
	}
	return len(c.Message), nil
}

func (l *ledger) Apply(ctx context.Context, tx *db.Tx, items []*record.Item, prepared []any) error {
	l.batches.Add(1)
	for i, it := range items {
		length, ok := prepared[i].(int)
		if !ok {
			return fmt.Errorf("entry %d was not prepared", it.Index)
		}
		if _, err := tx.Exec("INSERT INTO "+l.name+" (entry, length, version) VALUES (?, ?, ?)", it.Index, length, l.version); err != nil {
			return err
		}
	}
	if l.apply != nil {
		return l.apply(ctx, items[0].Index)
	}
	return nil
}

func (l *ledger) Reset(_ context.Context, tx *db.Tx) error {
	_, err := tx.Exec("DELETE FROM " + l.name)
	return err
}

// desk is a register with a database of projections.
type desk struct {
	*recordtest.Home
	mail *db.DB
}

func newDesk(t *testing.T, entries int) *desk {
	d := &desk{Home: recordtest.New(t, recordtest.Options{Segment: 1 << 20})}
	d.fill(t, 0, entries)
	d.mail = d.openMail(t, "")
	return d
}

func (d *desk) openMail(t *testing.T, vfs string) *db.DB {
	t.Helper()
	mail, err := db.OpenSQLite(t.Context(), filepath.Join(d.Dir, "mail.db"), db.Options{Key: recordtest.Key, Relaxed: true, VFS: vfs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mail.Close() })
	return mail
}

// fill appends letters from first on, many at a time.
func (d *desk) fill(t *testing.T, first, n int) {
	t.Helper()
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := first + w; i < first+n; i += 8 {
				if _, err := d.Register.Append(context.Background(), captured(i, 1)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func (d *desk) lease() string { return filepath.Join(d.Dir, "lease") }

func (d *desk) follow(t *testing.T, ls ...*ledger) *record.Follower {
	t.Helper()
	f, err := d.Register.Follow(t.Context(), d.mail, d.lease(), projections(ls)...)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func projections(ls []*ledger) (ps []record.Projection) {
	for _, l := range ls {
		ps = append(ps, l)
	}
	return ps
}

// check wants each entry before n exactly once, in order, and the cursor at n.
func (d *desk) check(t *testing.T, l *ledger, n int64) {
	t.Helper()
	at, cursor := int64(0), int64(0)
	err := d.mail.Read(t.Context(), func(tx *db.Tx) error {
		if err := tx.One("SELECT next FROM cursor WHERE projection = ?", []any{l.name}, &cursor); err != nil {
			return err
		}
		return tx.Each("SELECT entry, length, version FROM "+l.name+" ORDER BY came", nil, func(r db.Row) error {
			var entry, length int64
			var version int
			if err := r.Scan(&entry, &length, &version); err != nil {
				return err
			}
			if entry != at || version != l.version {
				return fmt.Errorf("entry %d of version %d, want %d", entry, version, at)
			}
			at++
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if at != n || cursor != n {
		t.Fatalf("%s: %d rows, cursor at %d, want %d", l.name, at, cursor, n)
	}
}

func mustCatchUp(t *testing.T, f *record.Follower) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := f.CatchUp(ctx); err != nil {
		t.Fatal(err)
	}
}
