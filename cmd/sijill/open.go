package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"sijill/internal/config"
	"sijill/internal/office"
	"sijill/internal/people"
	"sijill/internal/vault"
)

// keyName is the server's key in the data directory.
const keyName = "server.key"

// openOffice opens the data directory of g. Close it.
func openOffice(ctx context.Context, g *Globals, out Out) (*office.Office, error) {
	log, err := newLog(out)
	if err != nil {
		return nil, err
	}
	c, err := config.Read(g.Dir)
	if err != nil {
		return nil, err
	}
	key, err := readKey(ctx, g, c, out)
	if err != nil {
		return nil, err
	}
	return office.Open(ctx, office.Options{Dir: g.Dir, Config: c, Key: key, Log: log})
}

// newLog is the log of a command, on standard error.
func newLog(out Out) (*slog.Logger, error) {
	level, err := logLevel()
	if err != nil {
		return nil, err
	}
	return slog.New(slog.NewJSONHandler(out.Err, &slog.HandlerOptions{Level: level})), nil
}

// with opens the office of g, runs fn and closes it.
func with(ctx context.Context, g *Globals, out Out, fn func(*office.Office) error) error {
	o, err := openOffice(ctx, g, out)
	if err != nil {
		return err
	}
	return errors.Join(fn(o), o.Close())
}

// logLevel is what SIJILL_LOG says; info unless it says something.
func logLevel() (slog.Level, error) {
	said := os.Getenv("SIJILL_LOG")
	levels := map[string]slog.Level{"": slog.LevelInfo, "debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	l, ok := levels[said]
	if !ok {
		return l, fmt.Errorf("SIJILL_LOG is %q: it may be debug, info, warn or error", said)
	}
	return l, nil
}

// account finds an account by its address, with advice when there is none.
func account(ctx context.Context, o *office.Office, address string) (people.Account, error) {
	a, err := o.People.Lookup(ctx, address)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, people.ErrForeign) {
		return a, fmt.Errorf("no account has the address %s; \"sijill user list\" shows those that there are", address)
	}
	return a, err
}

// keyPath tells where the server's key is: --key-file, then a systemd
// credential, then the settings, then the data directory.
func keyPath(g *Globals, c config.Config) string {
	if g.KeyFile != "" {
		return g.KeyFile
	}
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); dir != "" {
		if path := filepath.Join(dir, keyName); exists(path) {
			return path
		}
	}
	if c.KeyFile != "" {
		return c.KeyFile
	}
	return filepath.Join(g.Dir, keyName)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func readKey(ctx context.Context, g *Globals, c config.Config, out Out) (vault.ServerKey, error) {
	path := keyPath(g, c)
	key, err := vault.ReadKeyFile(path, func() (string, error) { return passphrase(ctx, out.Err, "Passphrase of the key: ") })
	if errors.Is(err, fs.ErrNotExist) {
		return key, fmt.Errorf("the server's key is not at %s: bring it back, or name it with --key-file: %w", path, err)
	}
	if err != nil {
		return key, fmt.Errorf("the server's key at %s: %w", path, err)
	}
	return key, nil
}

// passphrase comes from SIJILL_PASSPHRASE, a systemd credential, or a person.
func passphrase(ctx context.Context, w io.Writer, prompt string) (string, error) {
	if p := os.Getenv("SIJILL_PASSPHRASE"); p != "" {
		return p, nil
	}
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); dir != "" {
		if b, err := os.ReadFile(filepath.Join(dir, "passphrase")); err == nil {
			return strings.TrimRight(string(b), "\r\n"), nil
		}
	}
	if !hasTerminal() {
		return "", errors.New("it is locked: set SIJILL_PASSPHRASE, give the systemd credential \"passphrase\", or run this in a terminal")
	}
	return typed(ctx, w, prompt)
}
