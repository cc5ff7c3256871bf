package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"sijill"
)

// misused is an error of who typed the command, not of what it found: the exit
// status is 2.
type misused struct{ error }

// Unwrap gives the error itself.
func (m misused) Unwrap() error { return m.error }

// readKeys reads what --key was given: a file that holds public keys, or the keys
// themselves, as "sijill key" prints them. What is neither is a misused error: a
// slip in a file's name must not be taken for a key that doesn't hold.
func readKeys(arg string) (sijill.Keys, error) {
	text, err := os.ReadFile(arg)
	if err == nil {
		keys, err := sijill.ParseKeys(string(text))
		if err != nil {
			return keys, misused{fmt.Errorf("--key: the file %s holds no public key: %w", arg, err)}
		}
		return keys, nil
	}
	keys, bad := sijill.ParseKeys(arg)
	switch {
	case bad == nil:
		return keys, nil
	case strings.Contains(arg, "+"): // Every key has two of them.
		return keys, misused{fmt.Errorf("--key: %w", bad)}
	case errors.Is(err, fs.ErrNotExist):
		return keys, misused{fmt.Errorf("--key: there is no file %s, and it is no key", arg)}
	}
	return keys, misused{fmt.Errorf("--key: the file can't be read, and it is no key: %w", err)}
}
