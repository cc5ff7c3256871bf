package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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
	Key        string   `help:"The register's public key as the auditor knows it; that of the data directory unless given." placeholder:"KEY"`
	Copy       bool     `help:"This is a backup: don't hold it against the anchors of the office, which has grown since."`
}

// Run implements the command.
func (c *AuditCmd) Run(ctx context.Context, g *Globals, out Out) error {
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
	key := c.Key
	if key == "" {
		key = o.Register.Key()
	} else if b, err := os.ReadFile(key); err == nil {
		key = string(b)
	}
	a = audit.Options{DB: o.DB, Segments: filepath.Join(o.Dir, office.SegmentsDir), Vault: o.Vault}
	if a.Keys, err = sijill.ParseKeys(key); err != nil {
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

// StatusCmd shows the state of the office.
type StatusCmd struct{}

// Run implements the command.
func (c *StatusCmd) Run(ctx context.Context, g *Globals, out Out) error {
	return with(ctx, g, out, func(o *office.Office) error {
		size, note := o.Register.Head()
		next, err := o.Follower.Cursors(ctx)
		if err != nil {
			return err
		}
		accounts, err := o.People.List(ctx)
		if err != nil {
			return err
		}
		s := map[string]any{"office": o.Config.Office, "origin": o.Register.Origin(), "entries": size,
			"checkpoint": string(note), "accounts": len(accounts), "projections": next, "appends": o.Register.Behind() == nil}
		if err := o.Register.Behind(); err != nil {
			s["why_not"] = err.Error()
		}
		if g.JSON {
			return json.NewEncoder(out).Encode(s)
		}
		return printStatus(out, s, next, size)
	})
}

func printStatus(out Out, s map[string]any, next map[string]int64, size int64) error {
	fmt.Fprintf(out, "%s\n  register   %s, %d entries\n  accounts   %d\n", s["office"], s["origin"], size, s["accounts"])
	for _, name := range slices.Sorted(mapKeys(next)) {
		fmt.Fprintf(out, "  %-10s %d of %d entries\n", name, next[name], size)
	}
	if why, ok := s["why_not"]; ok {
		_, err := fmt.Fprintf(out, "  NOTHING IS APPENDED: %s\n", why)
		return err
	}
	return nil
}

func mapKeys(m map[string]int64) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
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

// RetireCmd retires the register.
type RetireCmd struct {
	Yes bool `help:"Yes, the tail is lost for good."`
}

// Run implements the command.
func (c *RetireCmd) Run(ctx context.Context, g *Globals, out Out) error {
	return with(ctx, g, out, func(o *office.Office) error {
		if !c.Yes {
			return errors.New("retiring can't be undone. First try \"sijill recover\" with a newer copy of the data directory; if there is none, say --yes")
		}
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
