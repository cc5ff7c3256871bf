package db_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"testing/fstest"

	"sijill/internal/db"
	"sijill/internal/db/dbtest"
)

var tables = fstest.MapFS{"sqlite/0001_t.sql": {Data: []byte(
	`CREATE TABLE t (id INTEGER PRIMARY KEY, b BLOB NOT NULL); CREATE TABLE total (id INTEGER PRIMARY KEY, n INTEGER NOT NULL); INSERT INTO total VALUES (1, 0)`)}}

// clerk writes numbered rows to a database whose disk may fail, and knows which
// of them it was promised.
type clerk struct {
	t        *testing.T
	disk     *dbtest.Disk
	path     string
	relaxed  bool
	db       *db.DB
	next     int64
	promised map[int64]bool
	written  []int64 // Committed in a relaxed database, and not promised yet.
}

func (c *clerk) open(ctx context.Context) error {
	d, err := db.OpenSQLite(ctx, c.path, db.Options{Key: [32]byte{1}, VFS: c.disk.VFS(), Relaxed: c.relaxed})
	if err != nil {
		return err
	}
	if err := d.Migrate(ctx, "t", tables); err != nil {
		return errors.Join(err, d.Close())
	}
	c.db = d
	return nil
}

// write writes one transaction of several pages.
func (c *clerk) write(ctx context.Context) error {
	c.next++
	id := c.next
	write := c.db.Write
	if c.relaxed && id%3 == 0 {
		write = c.db.WriteSynced
	}
	err := write(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec("INSERT INTO t (id, b) VALUES (?, ?)", id, make([]byte, 6000)); err != nil {
			return err
		}
		_, err := tx.Exec("UPDATE total SET n = n + 1")
		return err
	})
	if err == nil {
		c.written = append(c.written, id)
	}
	if err == nil && (!c.relaxed || id%3 == 0) {
		for _, id := range c.written {
			c.promised[id] = true
		}
		c.written = nil
	}
	return err
}

// work is a life of the database, with a checkpoint in the middle. It goes on
// after errors, as a server does.
func (c *clerk) work(ctx context.Context) {
	if c.db == nil && c.open(ctx) != nil {
		return
	}
	for i := range 7 {
		_ = c.write(ctx)
		if i == 3 {
			_ = c.db.Truncate(ctx)
		}
	}
	_ = c.db.Close()
	c.db = nil
}

// check wants every promised row and a sound file.
func (c *clerk) check(ctx context.Context) {
	c.t.Helper()
	if err := c.open(ctx); err != nil {
		c.t.Fatalf("opening afterwards: %v", err)
	}
	rows, total := map[int64]bool{}, int64(0)
	err := c.db.Read(ctx, func(tx *db.Tx) error {
		if err := tx.One("SELECT n FROM total", nil, &total); err != nil {
			return err
		}
		return tx.Each("SELECT id FROM t", nil, func(r db.Row) error {
			var id int64
			err := r.Scan(&id)
			rows[id] = true
			return err
		})
	})
	if err != nil {
		c.t.Fatal(err)
	}
	for id := range c.promised {
		if !rows[id] {
			c.t.Errorf("row %d was promised and is lost", id)
		}
	}
	if total != int64(len(rows)) {
		c.t.Errorf("%d rows, counted %d: a transaction was torn", len(rows), total)
	}
	if p, err := c.db.Check(ctx); err != nil || len(p) > 0 {
		c.t.Errorf("check: %v %v", p, err)
	}
	if err := c.write(ctx); err != nil {
		c.t.Errorf("writing afterwards: %v", err)
	}
	if err := c.db.Close(); err != nil {
		c.t.Error(err)
	}
	c.db = nil
}

func newClerk(t *testing.T, seed uint64, relaxed bool) *clerk {
	return &clerk{t: t, disk: dbtest.New(t, seed), path: filepath.Join(t.TempDir(), "db"), relaxed: relaxed, promised: map[int64]bool{}}
}

var ways = map[string]dbtest.Fault{
	"EIO":            {Err: syscall.EIO},
	"EIO lasting":    {Err: syscall.EIO, Lasting: true},
	"ENOSPC lasting": {Err: syscall.ENOSPC, Short: true, Lasting: true},
	"crash":          {},
	"kill":           {Kill: true},
}

// Each write, sync, truncation and removal fails in turn, in each way: what was
// promised is there, nothing is torn, and the database goes on.
func TestFaults(t *testing.T) {
	eachFault(t, false, "EIO", "EIO lasting", "ENOSPC lasting", "crash", "kill")
}

// A relaxed database may forget what came after the last synced transaction,
// and is never torn.
func TestFaultsRelaxed(t *testing.T) { eachFault(t, true, "crash", "kill") }

func eachFault(t *testing.T, relaxed bool, names ...string) {
	t.Helper()
	sound := newClerk(t, 0, relaxed)
	sound.work(t.Context())
	ops := sound.disk.Ops()
	sound.check(t.Context())
	if len(sound.promised)+len(sound.written) != 8 {
		t.Fatalf("%d writes on a sound disk", len(sound.promised))
	}
	every := 1
	if testing.Short() {
		every = 7
	}
	for _, name := range names {
		fault := ways[name]
		for op := 1; op <= ops; op += every {
			t.Run(fmt.Sprintf("%s at %d", name, op), func(t *testing.T) {
				t.Parallel()
				fault.Op = op
				c := newClerk(t, uint64(op), relaxed)
				c.disk.Inject(fault)
				c.work(t.Context())
				c.disk.Heal()
				if c.disk.Stopped() {
					if err := c.disk.Restart(); err != nil {
						t.Fatal(err)
					}
				}
				c.check(t.Context())
			})
		}
	}
}
