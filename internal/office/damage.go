package office

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"sijill/internal/db"
	"sijill/internal/record"
)

// ErrLost says that the database of the register, which nothing replaces, is
// missing or damaged.
var ErrLost = errors.New("what to do is said in docs/backup.md, under Restoring")

// registerThere makes sure that the database of the register is there: opening it
// would make an empty one in its place.
func registerThere(dir string) error {
	_, err := os.Stat(filepath.Join(dir, RegisterFile))
	if errors.Is(err, fs.ErrNotExist) {
		return record.ErrNone
	}
	return err
}

// advise says of an error of opening dir which file is at fault, and what to do.
func advise(dir string, err error) error {
	file := filepath.Join(dir, RegisterFile)
	var damage *db.DamagedError
	switch {
	case errors.Is(err, record.ErrNone):
		return fmt.Errorf("%s is missing, or empty: %w: %w", file, err, ErrLost)
	case errors.As(err, &damage) && damage.Path == file:
		return fmt.Errorf("%w: %w", err, ErrLost)
	case errors.As(err, &damage):
		return fmt.Errorf("%w: see docs/backup.md, A lost mail.db", err)
	case errors.Is(err, db.ErrKey):
		return fmt.Errorf("the key does not belong to the office in %s: give the right one with --key-file; if it is the right one, %s is damaged: %w: %w", dir, file, err, ErrLost)
	}
	return err
}
