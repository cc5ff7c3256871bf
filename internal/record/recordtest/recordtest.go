// Package recordtest makes registers for tests, on real SQLite and real files,
// and has an independent auditor check them when the test ends.
package recordtest

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"testing"

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
}

// Options vary a Home.
type Options struct {
	Anchors []string
	VFS     string   // SQLite file layer; see db.Options.
	FS      files.FS // Segment file layer; nil means the real one.
	Segment int64    // Segment size; 0 means 64 KiB, so that tests roll.
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
	if err := h.stores(ctx, o); err != nil {
		return err
	}
	err := record.Create(ctx, record.Options{DB: h.DB, Vault: h.Vault}, "diwan.example/register")
	h.closeStores()
	return err
}

func (h *Home) stores(ctx context.Context, o Options) (err error) {
	if h.DB, err = db.OpenSQLite(ctx, filepath.Join(h.Dir, "register.db"), db.Options{Key: Key.Derive("pages"), VFS: o.VFS}); err != nil {
		return err
	}
	if h.Vault, err = vault.Open(ctx, h.DB, Key); err != nil {
		return err
	}
	if o.Segment == 0 {
		o.Segment = 64 << 10
	}
	h.Blobs, err = files.Open(filepath.Join(h.Dir, "segments"), files.Options{SegmentSize: o.Segment, FS: o.FS})
	return err
}

// Open opens the register of h.Dir, as a process that starts would.
func (h *Home) Open(ctx context.Context, o Options) (err error) {
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
	return audit.Run(ctx, audit.Options{DB: h.DB, Segments: filepath.Join(h.Dir, "segments"), Vault: h.Vault, Keys: keys, Earlier: earlier})
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
