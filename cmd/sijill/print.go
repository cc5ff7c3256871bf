package main

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// writer is where a bar draws.
type writer = io.Writer

// newBar makes a bar that draws only on a terminal.
func newBar(w io.Writer, wanted bool) *bar {
	f, ok := w.(*os.File)
	return &bar{w: w, on: wanted && ok && term.IsTerminal(int(f.Fd()))}
}

func makeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making a directory: %w", err)
	}
	return nil
}
