package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"
)

// conn is one connection with the statements it has prepared. One goroutine
// uses it at a time.
type conn struct {
	sql   *sql.Conn
	stmts map[string]*sql.Stmt
}

// Tx is a running transaction. It is used by one goroutine and is void once
// the function it was given to has returned.
type Tx struct {
	// Now is the clock of the transaction, so that all its rows agree.
	Now time.Time

	ctx   context.Context
	c     *conn
	after []func()
}

// After has fn called once the transaction has committed and its connection is
// free again, in the order of the calls; not when it is rolled back.
func (t *Tx) After(fn func()) { t.after = append(t.after, fn) }

// Row is one row of an answer.
type Row interface {
	// Scan copies the columns into dest, as database/sql does.
	Scan(dest ...any) error
}

// transact runs one transaction, and gives what is to be called after it.
func (c *conn) transact(ctx context.Context, begin string, fn func(*Tx) error) (after []func(), err error) {
	// Once begun, a transaction is not torn apart by an impatient caller:
	// only its statements look at ctx.
	bg := context.WithoutCancel(ctx)
	if err := c.exec(bg, begin); err != nil {
		return nil, fmt.Errorf("beginning transaction: %w", err)
	}
	if after, err = c.run(ctx, fn); err != nil {
		if errors.Is(err, sqlite3.INTERRUPT) && ctx.Err() != nil {
			err = ctx.Err() // The engine's word for it.
		}
		return nil, errors.Join(err, c.rollback(bg))
	}
	if err := c.exec(bg, "COMMIT"); err != nil {
		return nil, errors.Join(fmt.Errorf("committing: %w", err), c.rollback(bg))
	}
	return after, nil
}

// level says how far a commit goes: FULL until the disk has it, NORMAL no
// further than the system. The engine takes it when it reads the statement, not
// when it runs it, so that it must not be one that was prepared.
func (c *conn) level(ctx context.Context, level string) error {
	if _, err := c.sql.ExecContext(context.WithoutCancel(ctx), "PRAGMA synchronous="+level); err != nil {
		return fmt.Errorf("choosing how durable a commit is: %w", err)
	}
	return nil
}

// run calls fn and turns a panic of its into a rollback before it goes on.
func (c *conn) run(ctx context.Context, fn func(*Tx) error) (after []func(), err error) {
	done := false
	defer func() {
		if !done {
			_ = c.rollback(context.WithoutCancel(ctx))
		}
	}()
	tx := &Tx{Now: time.Now().UTC().Truncate(time.Microsecond), ctx: ctx, c: c}
	err = fn(tx)
	done = true
	return tx.after, err
}

// rollback ends a transaction that failed. SQLite has sometimes rolled back
// by itself (a full disk, an I/O error), which is no error here.
func (c *conn) rollback(ctx context.Context) error {
	return c.sql.Raw(func(dc any) error {
		raw := dc.(driver.Conn).Raw()
		if raw.GetAutocommit() {
			return nil
		}
		old := raw.SetInterrupt(ctx)
		defer raw.SetInterrupt(old)
		if err := raw.Exec("ROLLBACK"); err != nil && !raw.GetAutocommit() {
			return fmt.Errorf("rolling back: %w", err)
		}
		return nil
	})
}

func (c *conn) exec(ctx context.Context, query string) error {
	s, err := c.prepare(ctx, query)
	if err != nil {
		return err
	}
	_, err = s.ExecContext(ctx)
	return err
}

// maxStatements bounds what a connection keeps prepared. Queries of people
// vary without end; those of the program do not.
const maxStatements = 256

func (c *conn) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := c.stmts[query]; ok {
		return s, nil
	}
	if len(c.stmts) >= maxStatements {
		for q, s := range c.stmts {
			s.Close()
			delete(c.stmts, q)
		}
	}
	s, err := c.sql.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	c.stmts[query] = s
	return s, nil
}

// keep puts a prepared statement back that was taken out.
func (c *conn) keep(query string, s *sql.Stmt) {
	if _, ok := c.stmts[query]; ok {
		s.Close()
		return
	}
	c.stmts[query] = s
}

func (c *conn) close() {
	for _, s := range c.stmts {
		s.Close()
	}
	c.sql.Close()
}

// Exec runs a statement and returns how many rows it changed.
func (t *Tx) Exec(query string, args ...any) (int64, error) {
	s, err := t.c.prepare(t.ctx, query)
	if err != nil {
		return 0, err
	}
	r, err := s.ExecContext(t.ctx, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// Insert runs an INSERT and returns the id it gave the row.
func (t *Tx) Insert(query string, args ...any) (int64, error) {
	s, err := t.c.prepare(t.ctx, query)
	if err != nil {
		return 0, err
	}
	r, err := s.ExecContext(t.ctx, args...)
	if err != nil {
		return 0, err
	}
	return r.LastInsertId()
}

// InsertAll begins an INSERT of several rows, up to the table's name, for a
// transaction that is given up as a whole when one of them fails. Without it
// SQLite keeps a journal for undoing the statement alone, for which full-text
// tables in the same transaction are written out each time.
func (t *Tx) InsertAll() string { return "INSERT OR FAIL INTO " }

// One scans the first row of an answer into dest. It returns fs.ErrNotExist
// when there is none.
func (t *Tx) One(query string, args []any, dest ...any) error {
	s, err := t.c.prepare(t.ctx, query)
	if err != nil {
		return err
	}
	return absent(s.QueryRowContext(t.ctx, args...).Scan(dest...))
}

// Each calls fn for every row of an answer, in order, and stops at the first
// error. fn must not run another statement that writes to the same table.
func (t *Tx) Each(query string, args []any, fn func(Row) error) error {
	s, err := t.c.prepare(t.ctx, query)
	if err != nil {
		return err
	}
	// While it is read nobody else may use or close it: fn asks queries too.
	delete(t.c.stmts, query)
	defer t.c.keep(query, s)
	rows, err := s.QueryContext(t.ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// script runs several statements without arguments.
func (t *Tx) script(sql string) error {
	_, err := t.c.sql.ExecContext(t.ctx, sql)
	return err
}
