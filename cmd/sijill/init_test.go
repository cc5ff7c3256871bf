package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"sijill/internal/config"
	"sijill/internal/people"
	"sijill/internal/vault"
)

// An office that can't be finished is taken away again, with the directories and the
// key that were made for it, and with nothing else.
func TestInitLeavesNothing(t *testing.T) {
	t.Parallel()
	out := Out{io.Discard, io.Discard}
	found := func(dir string) (*founding, *Globals) {
		return &founding{settings: config.Default("X", "diwan.example"), owner: people.Account{Name: "laila", Address: laila, Role: people.RoleOwner},
			password: secret, keyAt: filepath.Join(filepath.Dir(dir), "a.key"), key: vault.NewServerKey(), newKey: true}, &Globals{Dir: dir}
	}
	top := t.TempDir()
	dir := filepath.Join(top, "offices", "new")
	key := filepath.Join(top, "offices", "a.key")

	f, g := found(dir)
	f.owner.Role = 1 << 7 // Refused when all else is made.
	if err := f.build(t.Context(), g, out); !errors.Is(err, people.ErrInvalid) {
		t.Errorf("with an account that can't be: %v", err)
	}
	empty(t, top)

	f, g = found(dir)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.build(ctx, g, out); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	empty(t, top)

	// A directory and a key that were there stay.
	if err := errors.Join(makeDir(dir), vault.WriteKeyFile(key, vault.NewServerKey(), "")); err != nil {
		t.Fatal(err)
	}
	f, g = found(dir)
	f.newKey, f.owner.Role = false, 1<<7
	if err := f.build(t.Context(), g, out); !errors.Is(err, people.ErrInvalid) {
		t.Errorf("in a directory: %v", err)
	}
	empty(t, dir)
	if !exists(key) {
		t.Error("the key that was there is gone")
	}

	// So does what somebody else made there meanwhile.
	if err := os.WriteFile(filepath.Join(dir, "theirs"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f, g = found(dir)
	f.newKey = false
	if err := f.build(t.Context(), g, out); err == nil {
		t.Error("it is made in a directory with something in it")
	}
	if names, _ := os.ReadDir(dir); len(names) != 1 {
		t.Errorf("what is there now: %v", names)
	}
}

func empty(t *testing.T, dir string) {
	t.Helper()
	names, err := os.ReadDir(dir)
	if err != nil || len(names) > 0 {
		t.Errorf("left in %s: %v, %v", dir, names, err)
	}
}
