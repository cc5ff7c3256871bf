package office

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sijill/internal/config"
	"sijill/internal/vault"
)

// closedOffice makes an office and tells how to open it.
func closedOffice(t *testing.T) Options {
	t.Helper()
	opts := Options{Dir: t.TempDir(), Config: config.Default("Office", ourDomain), Key: vault.NewServerKey(), Log: slog.New(slog.DiscardHandler)}
	if err := Create(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	o, err := Open(t.Context(), opts)
	if err == nil {
		err = o.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return opts
}

// A register that is missing or damaged is named, with where to read what to do, and
// nothing is put in its place. One of a wrong key is named as both that it may be.
func TestLostRegister(t *testing.T) {
	opts := closedOffice(t)
	file := filepath.Join(opts.Dir, RegisterFile)
	sound, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	damage := func(from, to int) func() error {
		b := append([]byte{}, sound...)
		for i := from; i < to; i++ {
			b[i] ^= 0x5a
		}
		return func() error { return os.WriteFile(file, b, 0o600) }
	}
	wrong := opts
	wrong.Key = vault.NewServerKey()
	for name, test := range map[string]struct {
		do   func() error
		opts Options
		want string
	}{
		"missing":    {func() error { return os.Remove(file) }, opts, file + " is missing"},
		"empty":      {func() error { return os.WriteFile(file, nil, 0o600) }, opts, file + " is missing, or empty"},
		"first page": {damage(0, 4096), opts, "if it is the right one, " + file + " is damaged"},
		"wrong key":  {damage(0, 0), wrong, "the key does not belong to the office"},
		"the rest":   {damage(4096, len(sound)), opts, file + " is damaged"},
	} {
		if err := test.do(); err != nil {
			t.Fatal(err)
		}
		_, err := Open(context.Background(), test.opts)
		if !errors.Is(err, ErrLost) || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "docs/backup.md") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(file); name == "missing" && err == nil {
			t.Error("an empty register was made in its place")
		}
	}
	if err := damage(0, 0)(); err != nil {
		t.Fatal(err)
	}
	o, err := Open(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Close(); err != nil {
		t.Error(err)
	}
}

// A mail.db that can't be opened is set aside, whichever part of it is damaged.
func TestDamagedProjectionsAreSetAside(t *testing.T) {
	for name, from := range map[string]int{"first page": 0, "the rest": 4096} {
		opts := closedOffice(t)
		file := filepath.Join(opts.Dir, MailFile)
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i := from; i < len(b); i++ {
			b[i] ^= 0x5a
		}
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		o, err := Open(context.Background(), opts)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	}
}
