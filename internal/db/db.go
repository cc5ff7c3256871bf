// Package db opens the databases of an office, migrates them and runs
// transactions.
//
// It promises that a transaction whose Write returned nil is on disk (unless
// the database was opened with Relaxed, where only WriteSynced promises that, of
// its own transaction and all before it), that at most one writer runs at a time
// across goroutines and processes, and that readers never wait for it. The SQL
// that callers write is a subset that SQLite and PostgreSQL share: placeholders
// are "?", upserts are ON CONFLICT, times are integers of microseconds; only
// migrations and full text differ between the two.
package db

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"
	"github.com/ncruces/go-sqlite3/ext/fts5"
	"golang.org/x/sys/unix"

	_ "github.com/ncruces/go-sqlite3/vfs/adiantum" // Registers the VFS that encrypts every page.
)

// Dialect names the SQL engine behind a DB.
type Dialect string

// SQLite is the embedded engine: one file, pages encrypted.
const SQLite Dialect = "sqlite"

// busyTimeout is how long a writer waits for a writer in another process.
const busyTimeout = time.Minute

// Options says how a database is opened.
type Options struct {
	// Key encrypts every page. It must be the same at every opening.
	Key [32]byte
	// Relaxed lets the last transactions be lost in a power failure (never
	// torn), back to the last WriteSynced: right for projections, which can be
	// made again, and wrong for everything else.
	Relaxed bool
	// Readers is how many read transactions may run at once; 0 means 4.
	Readers int
	// CacheKB is the page cache of each connection; 0 means 8 MiB.
	CacheKB int
	// VFS is the SQLite file layer to use; empty means the encrypting one.
	// Tests pass one that fails on purpose.
	VFS string
}

// DB is one open database. It is safe for concurrent use.
type DB struct {
	pool    *sql.DB
	path    string
	opts    Options
	memory  bool       // There is no file; readers take the writing connection.
	writer  chan *conn // Holds the writing connection while nobody writes.
	readers chan *conn // Holds a token for each reader; a nil one is opened when first needed.
	closing sync.Once
	closed  chan struct{} // Closed when Close begins.
}

// ErrClosed says that the database was closed.
var ErrClosed = errors.New("the database is closed")

// ErrKey says that the key given doesn't open the database.
var ErrKey = errors.New("the key does not open this database")

// OpenSQLite opens the database file at path, making it when it is absent.
// It returns an error that wraps ErrKey when opts.Key is not the file's, and
// *DamagedError, as everything that reads or writes does, when the file is damaged.
func OpenSQLite(ctx context.Context, path string, opts Options) (*DB, error) {
	if opts.Readers == 0 {
		opts.Readers = 4
	}
	if err := mendTail(path); err != nil {
		return nil, fmt.Errorf("opening database: %w", err)
	}
	pool, err := driver.Open(dsn(path, opts), func(c *sqlite3.Conn) error { return prepare(c, opts) })
	if err != nil {
		return nil, fmt.Errorf("opening database: %w", err)
	}
	pool.SetMaxIdleConns(opts.Readers + 1)
	d := &DB{pool: pool, path: path, opts: opts, writer: make(chan *conn, 1), readers: make(chan *conn, opts.Readers), closed: make(chan struct{})}
	w, err := d.connect(ctx)
	if err == nil {
		// The driver syncs the write-ahead log, but not the folder in which
		// connecting has made it.
		if err = syncFile(filepath.Dir(path)); err != nil {
			w.close()
		}
	}
	if err != nil {
		pool.Close()
		return nil, err
	}
	d.writer <- w
	for range opts.Readers {
		d.readers <- nil
	}
	return d, nil
}

func dsn(path string, opts Options) string {
	vfs := opts.VFS
	if vfs == "" {
		vfs = "adiantum"
	}
	escaped := strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path)
	return "file:" + escaped + "?vfs=" + vfs
}

// prepare sets up one SQLite connection. The key comes first: nothing can be
// read before it.
func prepare(c *sqlite3.Conn, opts Options) error {
	if err := c.Exec("PRAGMA hexkey='" + hex.EncodeToString(opts.Key[:]) + "'"); err != nil {
		return err
	}
	if err := c.BusyTimeout(busyTimeout); err != nil {
		return err
	}
	cache := opts.CacheKB
	if cache == 0 {
		cache = 8 << 10
	}
	// EXTRA is FULL for the write-ahead log. Besides, it makes the removal of
	// the journal under which a new database becomes one with such a log
	// durable: were that journal to come back after a power failure, it would
	// undo the creation and all that was committed since. A relaxed database
	// needs that too, for WriteSynced, and relaxes only afterwards.
	//
	// secure_delete overwrites what is deleted; destroying a key relies on it.
	// FAST does so only where no page is written for it alone. A longer
	// write-ahead log has fewer pages encrypted twice.
	sync, deletion, log := "EXTRA", "ON", 2000
	if opts.Relaxed {
		sync, deletion, log = "NORMAL", "FAST", 8000
	}
	pragmas := fmt.Sprintf(`PRAGMA synchronous=EXTRA; PRAGMA journal_mode=WAL; PRAGMA synchronous=%s;
		PRAGMA cache_size=-%d; PRAGMA temp_store=MEMORY; PRAGMA foreign_keys=ON; PRAGMA secure_delete=%s;
		PRAGMA wal_autocheckpoint=%d; PRAGMA journal_size_limit=67108864`, sync, cache, deletion, log)
	if err := c.Exec(pragmas); err != nil {
		if errors.Is(err, sqlite3.NOTADB) {
			return fmt.Errorf("reading the first page: %w", ErrKey)
		}
		return err
	}
	return fts5.Register(c)
}

// Dialect tells which engine the database is.
func (d *DB) Dialect() Dialect { return SQLite }

// Path is the file of the database; "" where it is in memory.
func (d *DB) Path() string { return d.path }

// Close waits for running transactions and closes the database. Those that wait
// to begin, and later ones, fail with ErrClosed. Closing again does nothing.
func (d *DB) Close() (err error) {
	d.closing.Do(func() {
		close(d.closed)
		w := <-d.writer
		w.close()
		for range cap(d.readers) {
			if r := <-d.readers; r != nil {
				r.close()
			}
		}
		err = d.pool.Close()
	})
	return err
}

// Write runs fn in a transaction that may write, one at a time, and commits it
// when fn returns nil. When Write returns nil the transaction is durable (but
// see Options.Relaxed); when it returns an error nothing of it has happened.
func (d *DB) Write(ctx context.Context, fn func(*Tx) error) error {
	return d.write(ctx, false, fn)
}

// WriteSynced is Write whose transaction is durable in a relaxed database too,
// with all that were committed before it: for what a person waits for and what
// can't be made again.
func (d *DB) WriteSynced(ctx context.Context, fn func(*Tx) error) error {
	return d.write(ctx, d.opts.Relaxed, fn)
}

func (d *DB) write(ctx context.Context, sync bool, fn func(*Tx) error) error {
	c, err := d.take(ctx, d.writer)
	if err != nil {
		return err
	}
	after, err := func() ([]func(), error) {
		defer func() { d.writer <- c }()
		if sync {
			if err := c.level(ctx, "FULL"); err != nil {
				return nil, err
			}
			defer func() { _ = c.level(ctx, "NORMAL") }() // Left as it was, it is only slower.
		}
		return c.transact(ctx, "BEGIN IMMEDIATE", fn)
	}()
	for _, f := range after {
		f()
	}
	return d.explain(err)
}

// scarce is how little room on a disk, in bytes, explains that a write failed.
const scarce = 1 << 20

// explain lets errors.Is find syscall.ENOSPC in what the engine says of a full
// disk. The engine keeps the cause of a failed write to itself, so the disk is
// asked.
func (d *DB) explain(err error) error {
	full := errors.Is(err, sqlite3.FULL)
	if errors.Is(err, sqlite3.IOERR) {
		var s unix.Statfs_t
		full = unix.Statfs(filepath.Dir(d.path), &s) == nil && s.Bavail*uint64(s.Bsize) < scarce
	}
	if full {
		return fmt.Errorf("%w: %w", err, syscall.ENOSPC)
	}
	return d.damaged(err)
}

// take waits for a connection, as long as ctx lets it.
func (d *DB) take(ctx context.Context, from <-chan *conn) (*conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case <-d.closed:
		return nil, ErrClosed
	default:
	}
	select {
	case <-d.closed:
		return nil, ErrClosed
	case c := <-from:
		return c, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Read runs fn in a transaction that sees one snapshot and must not write.
func (d *DB) Read(ctx context.Context, fn func(*Tx) error) error {
	if d.memory {
		return d.Write(ctx, fn)
	}
	c, err := d.take(ctx, d.readers)
	if err != nil {
		return err
	}
	defer func() { d.readers <- c }()
	if c == nil {
		if c, err = d.connectReader(ctx); err != nil {
			return err
		}
	}
	after, err := c.transact(ctx, "BEGIN", fn)
	for _, f := range after {
		f()
	}
	return d.damaged(err)
}

// Truncate moves all that the write-ahead log holds into the database file and
// empties the log, so that what was deleted is nowhere on disk any more.
func (d *DB) Truncate(ctx context.Context) error {
	if d.memory {
		return nil
	}
	c, err := d.take(ctx, d.writer)
	if err != nil {
		return fmt.Errorf("truncating the write-ahead log: %w", err)
	}
	defer func() { d.writer <- c }()
	// The engine waits for readers, but not for another process that empties the
	// log at this moment.
	for end := time.Now().Add(busyTimeout); ; {
		var busy, logged, moved int
		if err := c.sql.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &logged, &moved); err != nil {
			return fmt.Errorf("truncating the write-ahead log: %w", err)
		}
		if busy == 0 {
			return nil
		}
		if time.Now().After(end) {
			return errors.New("truncating the write-ahead log: a reader holds it; try again")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Shrink rewrites the database file without the room that nothing uses. It takes
// time and disk in proportion to the whole file.
func (d *DB) Shrink(ctx context.Context) error {
	if d.memory {
		return nil
	}
	c, err := d.take(ctx, d.writer)
	if err != nil {
		return fmt.Errorf("shrinking the database: %w", err)
	}
	defer func() { d.writer <- c }()
	// The copy that is made on the way may be larger than memory.
	_, err = c.sql.ExecContext(ctx, "PRAGMA temp_store=FILE; VACUUM")
	_, back := c.sql.ExecContext(context.WithoutCancel(ctx), "PRAGMA temp_store=MEMORY")
	if err = errors.Join(err, back); err != nil {
		return fmt.Errorf("shrinking the database: %w", err)
	}
	return nil
}

// Backup writes a consistent copy of the database to path while it is in use.
// The copy is encrypted under the same key. An existing file is an error that
// wraps fs.ErrExist. A database in memory refuses.
func (d *DB) Backup(ctx context.Context, path string) error {
	if d.memory {
		return errors.New("backing up: the database is to be in memory only")
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("backing up: %w", fs.ErrExist)
	}
	c, err := d.take(ctx, d.writer) // No transaction may be open on the connection that copies.
	if err != nil {
		return fmt.Errorf("backing up: %w", err)
	}
	defer func() { d.writer <- c }()
	into := dsn(path, d.opts) + "&hexkey=" + hex.EncodeToString(d.opts.Key[:])
	if _, err := c.sql.ExecContext(ctx, "VACUUM INTO ?", into); err != nil {
		return errors.Join(fmt.Errorf("backing up: %w", err), os.Remove(path))
	}
	return errors.Join(syncFile(path), syncFile(filepath.Dir(path)))
}

// syncFile makes a file, or the names in a folder, durable.
func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("syncing: %w", err)
	}
	defer f.Close()
	return f.Sync()
}

// Check runs the engine's own check of the file and returns what it finds
// wrong, one line each; an empty list means that it is sound.
func (d *DB) Check(ctx context.Context) (problems []string, err error) {
	err = d.Read(ctx, func(tx *Tx) error {
		return tx.Each("PRAGMA integrity_check", nil, func(r Row) error {
			var s string
			if err := r.Scan(&s); err != nil {
				return err
			}
			if s != "ok" {
				problems = append(problems, s)
			}
			return nil
		})
	})
	return problems, err
}

func (d *DB) connect(ctx context.Context) (*conn, error) {
	c, err := d.pool.Conn(context.WithoutCancel(ctx))
	if err != nil {
		if errors.Is(err, sqlite3.NOTADB) {
			err = fmt.Errorf("%w (%w)", ErrKey, err)
		}
		return nil, fmt.Errorf("connecting to database: %w", d.damaged(err))
	}
	return &conn{sql: c, stmts: map[string]*sql.Stmt{}}, nil
}

// connectReader makes a connection that refuses to write.
func (d *DB) connectReader(ctx context.Context) (*conn, error) {
	c, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.exec(context.WithoutCancel(ctx), "PRAGMA query_only=ON"); err != nil {
		c.close()
		return nil, fmt.Errorf("connecting to database: %w", err)
	}
	return c, nil
}

// absent turns the driver's word for an absent row into the one that this
// project uses.
func absent(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fs.ErrNotExist
	}
	return err
}
