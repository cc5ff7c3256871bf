package record

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"sijill/internal/db"
)

// Progress reads what Save kept under a name: how far some work has come. It
// returns an error that wraps fs.ErrNotExist for an unknown name.
func (r *Register) Progress(ctx context.Context, name string) (state []byte, err error) {
	err = r.opts.DB.Read(ctx, func(tx *db.Tx) error {
		return tx.One("SELECT state FROM progress WHERE name = ?", []any{name}, &state)
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("reading progress: %w", err)
	}
	return state, err
}

// Save keeps the state of some work under a name, durably; nil forgets it.
func (r *Register) Save(ctx context.Context, name string, state []byte) error {
	return r.opts.DB.Write(ctx, func(tx *db.Tx) error { return save(tx, name, state) })
}

// Note is Save in the transaction of an entry, for Draft.With: either both are there
// or neither is.
func Note(tx *db.Tx, name string, state []byte) error { return save(tx, name, state) }

func save(tx *db.Tx, name string, state []byte) error {
	query, args := `INSERT INTO progress (name, state) VALUES (?, ?)
		ON CONFLICT (name) DO UPDATE SET state = excluded.state`, []any{name, state}
	if state == nil {
		query, args = "DELETE FROM progress WHERE name = ?", []any{name}
	}
	if _, err := tx.Exec(query, args...); err != nil {
		return fmt.Errorf("saving progress: %w", err)
	}
	return nil
}

// Clear forgets what was saved under all names that begin with a prefix.
func (r *Register) Clear(ctx context.Context, prefix string) error {
	err := r.opts.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec("DELETE FROM progress WHERE name >= ? AND name < ?", prefix, prefix+"\U0010FFFF")
		return err
	})
	if err != nil {
		return fmt.Errorf("forgetting progress: %w", err)
	}
	return nil
}
