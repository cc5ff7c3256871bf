package db

import (
	"errors"
	"fmt"

	"github.com/ncruces/go-sqlite3"
)

// DamagedError says that the engine finds the file of a database damaged. A damaged
// first page can't be told from a wrong key: that is ErrKey.
type DamagedError struct {
	Path string // Of the file.
	Err  error  // What the engine says.
}

// Error implements error.
func (e *DamagedError) Error() string { return fmt.Sprintf("%s is damaged: %v", e.Path, e.Err) }

// Unwrap gives what the engine says.
func (e *DamagedError) Unwrap() error { return e.Err }

// damaged names the file where the engine finds it damaged.
func (d *DB) damaged(err error) error {
	var known *DamagedError
	if errors.Is(err, sqlite3.CORRUPT) && !errors.As(err, &known) {
		return &DamagedError{Path: d.path, Err: err}
	}
	return err
}
