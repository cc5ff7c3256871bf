package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/term"
)

// writer is where a bar draws.
type writer = io.Writer

// newBar makes a bar that draws only on a terminal.
func newBar(w io.Writer, wanted bool) *bar {
	f, ok := w.(*os.File)
	return &bar{w: w, on: wanted && ok && term.IsTerminal(int(f.Fd()))}
}

// shortHash tells two paths of the same base name apart.
func shortHash(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	sum := sha256.Sum256([]byte(path))
	return hex.EncodeToString(sum[:4])
}

func makeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making a directory: %w", err)
	}
	return nil
}
