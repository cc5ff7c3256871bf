package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"sijill/internal/audit"
	"sijill/internal/config"
	"sijill/internal/office"
)

// BackupCmd copies the office.
type BackupCmd struct {
	Dest string `arg:"" help:"New directory for the copy." type:"path"`
}

// Run implements the command. What follows from something is copied before it:
// the projections, then the entries, then the segments. So the copy has every
// entry that its projections have seen, and every message that its entries refer
// to; what segments have beyond that is cut when the copy is opened. The
// server's key is left out: it is kept apart from backups.
func (c *BackupCmd) Run(ctx context.Context, g *Globals, out Out) error {
	return with(ctx, g, out, func(o *office.Office) error {
		if err := os.Mkdir(c.Dest, 0o700); err != nil {
			return fmt.Errorf("making the copy's directory: %w", err)
		}
		if err := o.Mail.Backup(ctx, filepath.Join(c.Dest, office.MailFile)); err != nil {
			return err
		}
		if err := o.DB.Backup(ctx, filepath.Join(c.Dest, office.RegisterFile)); err != nil {
			return err
		}
		if err := copyTree(filepath.Join(o.Dir, office.SegmentsDir), filepath.Join(c.Dest, office.SegmentsDir)); err != nil {
			return err
		}
		if err := copyFile(filepath.Join(o.Dir, config.File), filepath.Join(c.Dest, config.File)); err != nil {
			return err
		}
		size, _ := o.Register.Head()
		if g.JSON {
			return json.NewEncoder(out).Encode(map[string]any{"dest": c.Dest, "entries": size})
		}
		_, err := fmt.Fprintf(out, "Copied to %s, with about %d entries and without the server's key: keep that apart.\nCheck the copy with: sijill audit --copy --dir %s --key-file %s\n", c.Dest, size, c.Dest, keyPath(g, o.Config))
		return err
	})
}

func copyTree(from, to string) error {
	if err := os.Mkdir(to, 0o700); err != nil {
		return fmt.Errorf("copying %s: %w", filepath.Base(from), err)
	}
	names, err := os.ReadDir(from)
	if err != nil {
		return fmt.Errorf("copying %s: %w", filepath.Base(from), err)
	}
	for _, n := range names {
		if !n.Type().IsRegular() {
			continue
		}
		if err := copyFile(filepath.Join(from, n.Name()), filepath.Join(to, n.Name())); err != nil {
			return err
		}
	}
	return syncPath(to)
}

// copyFile copies a file durably; the copy must not exist yet.
func copyFile(from, to string) error {
	r, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("copying: %w", err)
	}
	defer r.Close()
	w, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("copying: %w", err)
	}
	_, err = io.Copy(w, r)
	if err = errors.Join(err, w.Sync(), w.Close()); err != nil {
		return fmt.Errorf("copying %s: %w", filepath.Base(from), err)
	}
	return nil
}

func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// RecoverCmd brings back a register's tail.
type RecoverCmd struct {
	From string `arg:"" help:"A data directory that has the tail: another copy of this office." type:"existingdir"`
}

// Run implements the command. The other copy must be sound and continue this
// one; then it takes its place, and what was here is set aside.
func (c *RecoverCmd) Run(ctx context.Context, g *Globals, out Out) error {
	tmp := filepath.Join(g.Dir, "recovery")
	var found recovered
	err := with(ctx, g, out, func(o *office.Office) error {
		release, err := alone(ctx, o)
		if err != nil {
			return err
		}
		defer release()
		found, err = c.prepare(ctx, o, g, out, tmp)
		return err
	})
	if err != nil {
		return err
	}
	if err := swapIn(g.Dir, tmp, !found.state.IsZero()); err != nil {
		return err
	}
	state := "The copy has no folders and flags: those that were here stay; mail that came since lies where it came in."
	if !found.state.IsZero() {
		state = "Folders, flags and places of messages are those of the copy too, last changed on " + found.state.Format(time.DateTime) + " UTC."
	}
	_, err = fmt.Fprintf(out, "The register has its tail again: %d entries. %s\nWhat was here before is beside it, named *.before-….\n", found.entries, state)
	return err
}

// recovered is what another copy has.
type recovered struct {
	entries int64
	state   time.Time // When somebody last changed folders or flags; zero where there are none.
}

// prepare copies the other directory's register to tmp once it is found sound
// and a continuation of this one.
func (c *RecoverCmd) prepare(ctx context.Context, o *office.Office, g *Globals, out Out, tmp string) (found recovered, err error) {
	other := *g
	other.Dir, other.KeyFile = c.From, keyPath(g, o.Config)
	err = with(ctx, &other, out, func(from *office.Office) error {
		_, ours := o.Register.Head()
		opts, err := (&AuditCmd{Key: o.Register.Key()}).options(from, out, &other)
		if err != nil {
			return err
		}
		opts.Earlier = append(opts.Earlier, ours)
		for _, path := range append([]string{filepath.Join(o.Dir, office.CheckpointFile)}, o.Config.Anchors...) {
			if b, err := os.ReadFile(path); err == nil {
				opts.Earlier = append(opts.Earlier, b)
			}
		}
		r, err := audit.Run(ctx, opts)
		if err != nil {
			return err
		}
		if !r.Sound() {
			printAudit(out, r)
			return errors.New("the copy is not sound, or does not have the tail; nothing was changed")
		}
		found.entries = r.Entries
		if found.state, err = from.Mailbox.Changed(ctx); err != nil {
			return err
		}
		return copyRegister(ctx, from, tmp, !found.state.IsZero())
	})
	return found, err
}

// copyRegister copies what follows from something before it, as a backup does.
func copyRegister(ctx context.Context, from *office.Office, tmp string, state bool) error {
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	if err := os.Mkdir(tmp, 0o700); err != nil {
		return err
	}
	if state {
		if err := from.Mail.Backup(ctx, filepath.Join(tmp, office.MailFile)); err != nil {
			return err
		}
	}
	if err := from.DB.Backup(ctx, filepath.Join(tmp, office.RegisterFile)); err != nil {
		return err
	}
	return copyTree(filepath.Join(from.Dir, office.SegmentsDir), filepath.Join(tmp, office.SegmentsDir))
}

// swapIn puts what is in tmp in the place of what is in dir; state says that
// folders and flags are in it.
func swapIn(dir, tmp string, state bool) error {
	aside := ".before-" + time.Now().UTC().Format("20060102T150405Z")
	old, fresh := []string{office.RegisterFile + "-wal", office.RegisterFile + "-shm"}, []string{office.SegmentsDir, office.RegisterFile}
	if state {
		old, fresh = append(old, office.MailFile, office.MailFile+"-wal", office.MailFile+"-shm"), append([]string{office.MailFile}, fresh...)
	}
	for _, name := range append(old, office.RegisterFile, office.SegmentsDir) {
		err := os.Rename(filepath.Join(dir, name), filepath.Join(dir, name+aside))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("setting %s aside: %w", name, err)
		}
	}
	for _, name := range fresh {
		if err := os.Rename(filepath.Join(tmp, name), filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("putting %s in place: %w", name, err)
		}
	}
	return errors.Join(os.Remove(tmp), syncPath(dir))
}
