package db

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// block is the unit of encryption, in bytes.
const block = 4096

// mendTail makes the write-ahead log of the database at path end with a whole
// block. A disk that filled up, or a machine that stopped, may have left part
// of one: it can't be decrypted, and SQLite would refuse to open a database of
// which only the unfinished last transaction is lost. Zeros take its place,
// which are no part of any transaction.
func mendTail(path string) error {
	f, err := os.OpenFile(path+"-wal", os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking at the write-ahead log: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("looking at the write-ahead log: %w", err)
	}
	over := info.Size() % block
	if over == 0 {
		return nil
	}
	// Allocating never shortens the file, whatever another process does to it.
	err = unix.Fallocate(int(f.Fd()), 0, info.Size(), block-over)
	if errors.Is(err, unix.EOPNOTSUPP) {
		err = f.Truncate(info.Size() - over + block)
	}
	if err != nil {
		return fmt.Errorf("mending the end of the write-ahead log: %w", err)
	}
	return nil
}
