// Package recordtest makes registers for tests, on real SQLite and real files,
// and has an independent auditor check them when the test ends.
package recordtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sijill"
	"sijill/internal/audit"
	"sijill/internal/blob"
	"sijill/internal/blob/files"
	"sijill/internal/db"
	"sijill/internal/record"
	"sijill/internal/vault"
)

// Key is the server's key of every register made here.
var Key = vault.ServerKey{1, 2, 3}

// Accounts is a directory of accounts 1 to 99 whose pseudonyms are their
// numbers.
type Accounts struct{}

// Pseudonym implements record.Accounts.
func (Accounts) Pseudonym(_ context.Context, account int64) (string, error) {
	if account < 1 || account > 99 {
		return "", fs.ErrNotExist
	}
	return fmt.Sprintf("%032x", account), nil
}

// ByPseudonym implements record.Accounts.
func (Accounts) ByPseudonym(_ context.Context, pseudonym string) (int64, error) {
	var a int64
	if _, err := fmt.Sscanf(pseudonym, "%x", &a); err != nil {
		return 0, fs.ErrNotExist
	}
	return a, nil
}

// Home is a data directory with an open register.
type Home struct {
	Dir      string
	DB       *db.DB
	Blobs    blob.Store
	Vault    *vault.Vault
	Register *record.Register

	fs files.FS // As in Options.
}

// Options vary a Home.
type Options struct {
	Anchors []string
	VFS     string   // SQLite file layer; see db.Options.
	FS      files.FS // Segment file layer; nil means the real one. Segments are then in "/segments".
	Segment int64    // Segment size; 0 means 64 KiB, so that tests roll.
	// Now is the clock by which mail falls into months; nil means the real one.
	Now func() time.Time
}

// New makes a register in a new directory, opens it, and audits it at the end
// of the test.
func New(t testing.TB, o Options) *Home {
	t.Helper()
	h := &Home{Dir: t.TempDir()}
	if err := h.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if err := h.Open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		h.MustAudit(t)
		h.Close()
	})
	return h
}

// Create makes the register of h.Dir.
func (h *Home) Create(ctx context.Context, o Options) error {
	defer h.closeStores()
	if err := h.stores(ctx, o); err != nil {
		return err
	}
	return record.Create(ctx, record.Options{DB: h.DB, Vault: h.Vault}, "diwan.example/register")
}

func (h *Home) stores(ctx context.Context, o Options) (err error) {
	if h.DB, err = db.OpenSQLite(ctx, filepath.Join(h.Dir, "register.db"), db.Options{Key: Key.Derive("pages"), VFS: o.VFS}); err != nil {
		return err
	}
	if h.Vault, err = vault.Open(ctx, h.DB, Key); err != nil {
		return err
	}
	if o.Now != nil {
		h.Vault.SetClock(o.Now)
	}
	if o.Segment == 0 {
		o.Segment = 64 << 10
	}
	dir := filepath.Join(h.Dir, "segments")
	if h.fs = o.FS; h.fs != nil {
		dir = "/segments"
	}
	store, err := files.Open(dir, files.Options{SegmentSize: o.Segment, FS: o.FS})
	if err == nil {
		h.Blobs = store
	}
	return err
}

// Open opens the register of h.Dir, as a process that starts would. After an
// error nothing is open.
func (h *Home) Open(ctx context.Context, o Options) (err error) {
	defer func() {
		if err != nil {
			h.Register = nil
			h.closeStores()
		}
	}()
	if err = h.stores(ctx, o); err != nil {
		return err
	}
	h.Register, err = record.Open(ctx, record.Options{DB: h.DB, Blobs: h.Blobs, Vault: h.Vault, Accounts: Accounts{},
		Anchors: o.Anchors, Turn: filepath.Join(h.Dir, "turn"), Log: slog.New(slog.DiscardHandler)})
	return err
}

func (h *Home) closeStores() {
	if h.Blobs != nil {
		h.Blobs.Close()
	}
	if h.DB != nil {
		h.DB.Close()
	}
	h.Blobs, h.DB = nil, nil
}

// Close closes the register and what it stands on. It may be called twice.
func (h *Home) Close() error {
	var err error
	if h.Register != nil {
		err = h.Register.Close()
		h.Register = nil
	}
	h.closeStores()
	return err
}

// Audit audits what is on disk.
func (h *Home) Audit(ctx context.Context, earlier ...[]byte) (*audit.Report, error) {
	keys, err := sijill.ParseKeys(h.Register.Key())
	if err != nil {
		return nil, err
	}
	segments := filepath.Join(h.Dir, "segments")
	if h.fs != nil {
		if segments, err = h.export(); err != nil {
			return nil, err
		}
		defer os.RemoveAll(segments)
	}
	return audit.Run(ctx, audit.Options{DB: h.DB, Segments: segments, Vault: h.Vault, Keys: keys, Earlier: earlier})
}

// export copies the segments to a folder of the operating system, where the
// auditor looks for them.
func (h *Home) export() (dir string, err error) {
	list, err := h.fs.ReadDir("/segments")
	if err != nil {
		return "", err
	}
	if dir, err = os.MkdirTemp(h.Dir, "export-"); err != nil {
		return "", err
	}
	for _, e := range list {
		info, err := e.Info()
		if err != nil {
			return "", err
		}
		f, err := h.fs.OpenFile("/segments/"+e.Name(), os.O_RDONLY, 0)
		if err != nil {
			return "", err
		}
		b, err := io.ReadAll(io.NewSectionReader(f, 0, info.Size()))
		if err = errors.Join(err, f.Close(), os.WriteFile(filepath.Join(dir, e.Name()), b, 0o600)); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// MustAudit fails the test if the audit finds anything.
func (h *Home) MustAudit(t testing.TB) {
	t.Helper()
	if h.Register == nil {
		return
	}
	r, err := h.Audit(context.Background())
	if err != nil {
		t.Errorf("audit: %v", err)
		return
	}
	for _, f := range r.Findings {
		t.Errorf("audit: %s: %s", f.What, f.Detail)
	}
}

// ColdVault opens the vault of h anew: it remembers no key that was deleted
// since.
func ColdVault(t testing.TB, h *Home) *vault.Vault {
	t.Helper()
	v, err := vault.Open(context.Background(), h.DB, Key)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
