package db

import (
	"context"
	"fmt"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"
	"github.com/ncruces/go-sqlite3/ext/fts5"
)

// OpenMemory makes a database that is nowhere but in the memory of this process
// and dies with Close: for what no disk may ever hold. Its transactions, those
// that only read included, run one at a time.
func OpenMemory(ctx context.Context) (*DB, error) {
	pool, err := driver.Open("file::memory:", prepareMemory)
	if err != nil {
		return nil, fmt.Errorf("opening a database in memory: %w", err)
	}
	pool.SetMaxOpenConns(1) // Each connection would have a database of its own.
	d := &DB{pool: pool, memory: true, writer: make(chan *conn, 1), closed: make(chan struct{})}
	w, err := d.connect(ctx)
	if err != nil {
		pool.Close()
		return nil, err
	}
	d.writer <- w
	return d, nil
}

// prepareMemory sets up the one connection. Nothing may go to a temporary file,
// and what is deleted is overwritten.
func prepareMemory(c *sqlite3.Conn) error {
	err := c.Exec(`PRAGMA temp_store=MEMORY; PRAGMA journal_mode=MEMORY; PRAGMA foreign_keys=ON; PRAGMA secure_delete=ON`)
	if err != nil {
		return err
	}
	return fts5.Register(c)
}
