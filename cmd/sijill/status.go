package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"sijill"
	"sijill/internal/office"
	"sijill/internal/record"
)

// StatusCmd shows the state of the office.
type StatusCmd struct{}

// state is what is known of an office, as --json says it.
type state struct {
	Office      string           `json:"office"`
	Origin      string           `json:"origin"`
	Entries     int64            `json:"entries"`
	Checkpoint  string           `json:"checkpoint"`
	Accounts    int              `json:"accounts"`
	Projections map[string]int64 `json:"projections"` // The first entry that each has not seen.
	Appends     bool             `json:"appends"`
	WhyNot      string           `json:"why_not,omitempty"`
	Runs        bool             `json:"runs"`  // A server, or an import, works on the directory.
	Bytes       map[string]int64 `json:"bytes"` // On disk, by file or folder.
	Anchors     []anchorState    `json:"anchors"`
	Certificate time.Time        `json:"certificate_end,omitzero"`
}

// anchorState is an anchor of the settings.
type anchorState struct {
	Path    string    `json:"path"`
	Entries int64     `json:"entries"`
	Written time.Time `json:"written,omitzero"`
	Problem string    `json:"problem,omitempty"`
}

// Run implements the command.
func (c *StatusCmd) Run(ctx context.Context, g *Globals, out Out) error {
	return with(ctx, g, out, func(o *office.Office) error {
		s, err := stateOf(ctx, o)
		if err != nil {
			return err
		}
		if g.JSON {
			return json.NewEncoder(out).Encode(s)
		}
		return s.print(out)
	})
}

func stateOf(ctx context.Context, o *office.Office) (*state, error) {
	size, note := o.Register.Head()
	s := &state{Office: o.Config.Office, Origin: o.Register.Origin(), Entries: size, Checkpoint: string(note), Appends: true}
	var err error
	if s.Projections, err = o.Follower.Cursors(ctx); err != nil {
		return nil, err
	}
	accounts, err := o.People.List(ctx)
	if err != nil {
		return nil, err
	}
	s.Accounts = len(accounts)
	if err := o.Register.Behind(); err != nil {
		s.Appends, s.WhyNot = false, err.Error()
	}
	release, err := o.Follower.Hold(ctx)
	if s.Runs = errors.Is(err, record.ErrLeased); err == nil {
		release()
	}
	if s.Bytes, err = usage(o.Dir); err != nil {
		return nil, err
	}
	if s.Anchors, err = anchorStates(o); err != nil {
		return nil, err
	}
	s.Certificate, err = o.Certificates().Ends()
	if err != nil {
		o.Log.Error("the certificates can't be looked at", "error", err)
	}
	return s, nil
}

// usage is how much room each part of a data directory takes, databases with their
// logs.
func usage(dir string) (map[string]int64, error) {
	bytes := map[string]int64{}
	for _, name := range []string{office.RegisterFile, office.MailFile, office.SegmentsDir} {
		for _, log := range []string{"", "-wal", "-shm"} {
			n, err := sizeOf(filepath.Join(dir, name+log))
			if err != nil {
				return nil, err
			}
			bytes[name] += n
		}
	}
	return bytes, nil
}

// sizeOf is how many bytes the files at path have. One that goes meanwhile has none.
func sizeOf(path string) (sum int64, err error) {
	if path, err = filepath.EvalSymlinks(path); err == nil {
		err = filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			info, err := d.Info()
			if err == nil {
				sum += info.Size()
			}
			return err
		})
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return sum, err
}

// anchorStates looks at the anchors of the settings.
func anchorStates(o *office.Office) ([]anchorState, error) {
	keys, err := sijill.ParseKeys(o.Register.Key())
	if err != nil {
		return nil, err
	}
	list := []anchorState{}
	for _, path := range o.Config.Anchors {
		a := anchorState{Path: path}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			err = errors.New("it is missing")
		}
		if err == nil {
			var c sijill.Checkpoint
			c, _, err = keys.OpenCheckpoint(b)
			a.Entries = c.Size
		}
		if err != nil {
			a.Problem = err.Error()
		}
		if info, err := os.Stat(path); err == nil {
			a.Written = info.ModTime().UTC()
		}
		list = append(list, a)
	}
	return list, nil
}

func (s *state) print(out Out) error {
	runs := "no server runs on the directory"
	if s.Runs {
		runs = "a server runs on the directory"
	}
	fmt.Fprintf(out, "%s: %s\n  register   %s, %d entries\n  accounts   %d\n", s.Office, runs, s.Origin, s.Entries, s.Accounts)
	for _, name := range slices.Sorted(maps.Keys(s.Projections)) {
		fmt.Fprintf(out, "  %-10s %d of %d entries\n", name, s.Projections[name], s.Entries)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Bytes)) {
		fmt.Fprintf(out, "  on disk    %s %.1f MiB\n", name, float64(s.Bytes[name])/(1<<20))
	}
	for _, a := range s.Anchors {
		if a.Problem != "" {
			fmt.Fprintf(out, "  anchor     %s: %s\n", a.Path, a.Problem)
			continue
		}
		fmt.Fprintf(out, "  anchor     %s: %d entries, written %s ago\n", a.Path, a.Entries, time.Since(a.Written).Round(time.Second))
	}
	if !s.Certificate.IsZero() {
		fmt.Fprintf(out, "  TLS        the first certificate ends %s UTC\n", s.Certificate.UTC().Format(time.DateTime))
	}
	if !s.Appends {
		_, err := fmt.Fprintf(out, "  NOTHING IS APPENDED: %s\n", s.WhyNot)
		return err
	}
	return nil
}
