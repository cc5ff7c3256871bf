package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/term"

	"sijill"
	"sijill/internal/audit"
	"sijill/internal/office"
	"sijill/internal/record"
)

// AuditCmd verifies the register.
type AuditCmd struct {
	Checkpoint []string `help:"Earlier signed checkpoints of this register, which it must continue." type:"existingfile" placeholder:"FILE"`
	Key        string   `help:"The register's public key as the auditor knows it, or a file that holds it; that of the data directory unless given." placeholder:"KEY"`
	Copy       bool     `help:"This is a backup: don't hold it against the anchors of the office, which has grown since."`
}

// Run implements the command.
func (c *AuditCmd) Run(ctx context.Context, g *Globals, out Out) error {
	if c.Key != "" { // Said before anything is opened.
		if _, err := readKeys(c.Key); err != nil {
			return err
		}
	}
	return with(ctx, g, out, func(o *office.Office) error {
		opts, err := c.options(o, out, g)
		if err != nil {
			return err
		}
		r, err := audit.Run(ctx, opts)
		if err != nil {
			return err
		}
		if g.JSON {
			err = json.NewEncoder(out).Encode(r)
		} else {
			printAudit(out, r)
		}
		if err == nil && !r.Sound() {
			err = exit(1)
		}
		return err
	})
}

func (c *AuditCmd) options(o *office.Office, out Out, g *Globals) (a audit.Options, err error) {
	a = audit.Options{DB: o.DB, Segments: filepath.Join(o.Dir, office.SegmentsDir), Vault: o.Vault}
	if c.Key == "" {
		a.Keys, err = sijill.ParseKeys(o.Register.Key())
	} else {
		a.Keys, err = readKeys(c.Key)
	}
	if err != nil {
		return a, err
	}
	paths := append([]string{filepath.Join(o.Dir, office.CheckpointFile)}, c.Checkpoint...)
	if !c.Copy {
		paths = append(paths, o.Config.Anchors...)
	}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return a, err
		}
		a.Earlier = append(a.Earlier, b)
	}
	if f, ok := out.Err.(*os.File); ok && !g.JSON && term.IsTerminal(int(f.Fd())) {
		a.Progress = func(done, total int64) { fmt.Fprintf(out.Err, "\r\x1b[K%d of %d entries", done, total) }
	}
	return a, nil
}

func printAudit(out Out, r *audit.Report) {
	fmt.Fprintf(out, "%s: %d entries, %d messages (%d opened, %d closed to the server), %d checkpoints, %s\n",
		r.Origin, r.Entries, r.Messages, r.Opened, r.Closed, r.Checkpoint, r.Took.Round(time.Millisecond))
	for _, f := range r.Findings {
		fmt.Fprintf(out, "DAMAGED  %s: %s\n", f.What, f.Detail)
	}
	if r.More > 0 {
		fmt.Fprintf(out, "…and %d more\n", r.More)
	}
	if r.Unclaimed > 0 {
		fmt.Fprintf(out, "%d bytes in the segments belong to no entry: appends that failed. They are no damage.\n", r.Unclaimed)
	}
	if r.Sound() {
		fmt.Fprintln(out, "The register is sound.")
	}
}

// KeyCmd prints the public key.
type KeyCmd struct{}

// Run implements the command.
func (c *KeyCmd) Run(ctx context.Context, g *Globals, out Out) error {
	return with(ctx, g, out, func(o *office.Office) error {
		if g.JSON {
			return json.NewEncoder(out).Encode(map[string]any{"origin": o.Register.Origin(), "keys": strings.Fields(o.Register.Key())})
		}
		_, err := fmt.Fprint(out, o.Register.Key())
		return err
	})
}

// TilesCmd exports tlog-tiles.
type TilesCmd struct {
	Dest string `arg:"" help:"New directory for the tiles." type:"path"`
}

// Run implements the command.
func (c *TilesCmd) Run(ctx context.Context, g *Globals, out Out) error {
	return with(ctx, g, out, func(o *office.Office) error {
		if err := os.Mkdir(c.Dest, 0o755); err != nil {
			return err
		}
		size, note := o.Register.Head()
		for _, t := range record.Tiles(size) {
			data, err := o.Register.Tile(ctx, t)
			if err != nil {
				return err
			}
			if err := writeTile(filepath.Join(c.Dest, filepath.FromSlash(sijill.TilePath(t))), data); err != nil {
				return err
			}
		}
		if err := writeTile(filepath.Join(c.Dest, "checkpoint"), note); err != nil {
			return err
		}
		_, err := fmt.Fprintf(out, "%d entries exported to %s\n", size, c.Dest)
		return err
	})
}

func writeTile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}

// alone makes sure that no server runs on the directory, nor comes to, until
// release is called.
func alone(ctx context.Context, o *office.Office) (release func(), err error) {
	release, err = o.Follower.Hold(ctx)
	if errors.Is(err, record.ErrLeased) {
		return nil, errors.New("a server runs on this directory: stop it first")
	}
	return release, err
}

// RetireCmd retires the register.
type RetireCmd struct {
	Yes bool `help:"Yes, the tail is lost for good."`
}

// Run implements the command. A server would go on with the old register, and
// refuse every message until somebody starts it again.
func (c *RetireCmd) Run(ctx context.Context, g *Globals, out Out) error {
	return with(ctx, g, out, func(o *office.Office) error {
		if !c.Yes {
			return errors.New("retiring can't be undone. First try \"sijill recover\" with a newer copy of the data directory; if there is none, say --yes")
		}
		release, err := alone(ctx, o)
		if err != nil {
			return err
		}
		defer release()
		size, _ := o.Register.Head()
		if err := o.Mailbox.Cut(ctx, size); err != nil {
			return err
		}
		origin, err := o.Register.Retire(ctx)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out, "The register goes on as %s, with new keys: \"sijill key\" prints them.\nPublish them, and keep the old ones: proofs made until now hold under those.\n", origin)
		return err
	})
}
