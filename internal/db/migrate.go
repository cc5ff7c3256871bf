package db

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

const schemaTable = `CREATE TABLE IF NOT EXISTS schema (component TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID`

// ErrNewer says that the database was written by a newer program than this.
var ErrNewer = errors.New("the database was written by a newer version of the program")

// Migrate brings the tables of a component up to date. Its steps are files
// "sqlite/0001_what.sql" in fsys, numbered from 1 without a gap; each runs
// once, all in one transaction. It returns an error that wraps ErrNewer when
// the database has steps that fsys lacks.
func (d *DB) Migrate(ctx context.Context, component string, fsys fs.FS) error {
	steps, err := fs.Glob(fsys, string(d.Dialect())+"/*.sql")
	if err != nil {
		return fmt.Errorf("listing migrations of %s: %w", component, err)
	}
	done, err := d.version(ctx, component)
	if err == nil && done == len(steps) {
		return nil // The usual case takes no write lock.
	}
	return d.Write(ctx, func(tx *Tx) error {
		if err := tx.script(schemaTable); err != nil {
			return fmt.Errorf("making the schema table: %w", err)
		}
		return tx.migrate(component, fsys, steps)
	})
}

func (d *DB) version(ctx context.Context, component string) (v int, err error) {
	err = d.Read(ctx, func(tx *Tx) error {
		return tx.One("SELECT version FROM schema WHERE component = ?", []any{component}, &v)
	})
	return v, err
}

func (t *Tx) migrate(component string, fsys fs.FS, steps []string) error {
	var done int
	err := t.One("SELECT version FROM schema WHERE component = ?", []any{component}, &done)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the schema version of %s: %w", component, err)
	}
	if done > len(steps) {
		return fmt.Errorf("migrating %s: version %d: %w", component, done, ErrNewer)
	}
	for i := done; i < len(steps); i++ {
		if err := t.step(component, fsys, steps[i], i+1); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tx) step(component string, fsys fs.FS, name string, number int) error {
	if n, _, _ := strings.Cut(path.Base(name), "_"); !isNumber(n, number) {
		return fmt.Errorf("migrating %s: %s is not step %d", component, path.Base(name), number)
	}
	b, err := fs.ReadFile(fsys, name)
	if err != nil {
		return fmt.Errorf("reading migration: %w", err)
	}
	if err := t.script(string(b)); err != nil {
		return fmt.Errorf("migrating %s to %d: %w", component, number, err)
	}
	_, err = t.Exec(`INSERT INTO schema (component, version) VALUES (?, ?)
		ON CONFLICT (component) DO UPDATE SET version = excluded.version`, component, number)
	return err
}

func isNumber(s string, want int) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n == want
}
