package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sijill/internal/db"
	"sijill/internal/mailbox"
	"sijill/internal/record"
	"sijill/internal/search"
)

// RebuildCmd rebuilds or checks projections.
type RebuildCmd struct {
	Name  string `arg:"" optional:"" help:"mailbox or search; both unless given." enum:"mailbox,search," default:""`
	Check bool   `help:"Change nothing: make them anew beside the old ones and name the first difference."`
}

// Run implements the command.
func (c *RebuildCmd) Run(ctx context.Context, g *Globals, out Out) error {
	return with(ctx, g, out, func(o *office) error {
		if c.Check {
			return c.check(ctx, o, g, out)
		}
		began := time.Now()
		for _, name := range c.names() {
			if err := o.follower.Reset(ctx, name); err != nil {
				return err
			}
		}
		if err := o.follower.CatchUp(ctx); err != nil {
			return err
		}
		size, _ := o.register.Head()
		if g.JSON {
			return json.NewEncoder(out).Encode(map[string]any{"rebuilt": c.names(), "entries": size})
		}
		_, err := fmt.Fprintf(out, "Rebuilt from %d entries in %s.\n", size, time.Since(began).Round(time.Millisecond))
		return err
	})
}

func (c *RebuildCmd) names() []string {
	if c.Name != "" {
		return []string{c.Name}
	}
	return []string{"mailbox", "search"}
}

// check compares a copy of the projections with ones made anew up to the same
// entry, so that it works while the server runs.
func (c *RebuildCmd) check(ctx context.Context, o *office, g *Globals, out Out) error {
	if err := o.follower.CatchUp(ctx); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(o.dir, "check-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	live, err := openCopy(ctx, o, filepath.Join(tmp, "live.db"))
	if err != nil {
		return err
	}
	defer live.close()
	fresh, err := openFresh(ctx, o, filepath.Join(tmp, "fresh.db"), live.next)
	if err != nil {
		return err
	}
	defer fresh.close()
	var found []string
	for _, name := range c.names() {
		d, err := compareDumps(ctx, name, live, fresh)
		if err != nil {
			return err
		}
		if d != "" {
			found = append(found, d)
		}
	}
	return reportCheck(g, out, live.next, found)
}

func reportCheck(g *Globals, out Out, size int64, found []string) error {
	switch {
	case g.JSON:
		if err := json.NewEncoder(out).Encode(map[string]any{"entries": size, "differences": found}); err != nil {
			return err
		}
	case len(found) == 0:
		fmt.Fprintf(out, "The projections are what %d entries say.\n", size)
	default:
		fmt.Fprintln(out, strings.Join(found, "\n"))
	}
	if len(found) > 0 {
		return exit(1)
	}
	return nil
}

// projected is a database with both projections.
type projected struct {
	db      *db.DB
	mailbox *mailbox.Mailbox
	search  *search.Search
	next    int64 // The first entry that they have not seen.
}

func (p *projected) close() { p.db.Close() }

func (o *office) projected(ctx context.Context, path string, until int64) (*projected, *record.Follower, error) {
	d, err := db.OpenSQLite(ctx, path, o.mailOptions())
	if err != nil {
		return nil, nil, err
	}
	p := &projected{db: d, mailbox: mailbox.New(d)}
	p.mailbox.Attach(o.db, nil)
	p.mailbox.SetCooling(mailbox.Cooling{Cold: o.vault.ColdOf})
	p.search = search.New(d, p.mailbox, o.register.Item)
	f, err := o.register.Follow(ctx, d, "", p.mailbox, p.search)
	if err != nil {
		return nil, nil, errors.Join(err, d.Close())
	}
	f.Until(until)
	return p, f, nil
}

func openCopy(ctx context.Context, o *office, path string) (*projected, error) {
	if err := o.mail.Backup(ctx, path); err != nil {
		return nil, err
	}
	p, f, err := o.projected(ctx, path, 0)
	if err != nil {
		return nil, err
	}
	next, err := f.Cursors(ctx)
	if err == nil && next["mailbox"] != next["search"] {
		err = errors.New("the projections are not at the same entry yet; try again in a moment")
	}
	p.next = next["mailbox"]
	return p, err
}

func openFresh(ctx context.Context, o *office, path string, until int64) (*projected, error) {
	p, f, err := o.projected(ctx, path, until)
	if err != nil || until == 0 {
		return p, err
	}
	return p, f.CatchUp(ctx)
}

type dumper interface {
	Dump(ctx context.Context, tx *db.Tx, emit func(line string) error) error
}

func (p *projected) dumper(name string) dumper {
	if name == "mailbox" {
		return p.mailbox
	}
	return p.search
}

// errStop ends a dump early.
var errStop = errors.New("stop")

// lines dumps a projection into a channel. It returns errStop when ctx ended
// first, wherever that was noticed.
func (p *projected) lines(ctx context.Context, name string, to chan<- string) error {
	defer close(to)
	err := p.db.Read(ctx, func(tx *db.Tx) error {
		return p.dumper(name).Dump(ctx, tx, func(line string) error {
			select {
			case to <- line:
				return nil
			case <-ctx.Done():
				return errStop
			}
		})
	})
	if err != nil && ctx.Err() != nil {
		return errStop
	}
	return err
}

// compareDumps walks two dumps side by side and describes the first difference.
func compareDumps(ctx context.Context, name string, live, fresh *projected) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var ch [2]chan string
	errs := make(chan error, 2)
	for i, p := range []*projected{live, fresh} {
		ch[i] = make(chan string, 256)
		go func() { errs <- p.lines(ctx, name, ch[i]) }()
	}
	difference := ""
	for difference == "" {
		a, okA := <-ch[0]
		b, okB := <-ch[1]
		if !okA && !okB {
			break
		}
		if a != b || okA != okB {
			difference = fmt.Sprintf("%s differs\n  it says       %s\n  entries say   %s", name, orNothing(a, okA), orNothing(b, okB))
		}
	}
	cancel()
	for range 2 {
		if err := <-errs; err != nil && !errors.Is(err, errStop) {
			return "", err
		}
	}
	return difference, nil
}

func orNothing(line string, ok bool) string {
	if !ok {
		return "nothing more"
	}
	return line
}
