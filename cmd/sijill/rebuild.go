package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"sijill/internal/office"
)

// RebuildCmd rebuilds or checks projections.
type RebuildCmd struct {
	Name  string `arg:"" optional:"" help:"mailbox or search; both unless given." enum:"mailbox,search," default:""`
	Check bool   `help:"Change nothing: make them anew beside the old ones and name the first difference."`
}

// Run implements the command.
func (c *RebuildCmd) Run(ctx context.Context, g *Globals, out Out) error {
	return with(ctx, g, out, func(o *office.Office) error {
		if c.Check {
			return c.check(ctx, o, g, out)
		}
		began := time.Now()
		for _, name := range c.names() {
			if err := o.Follower.Reset(ctx, name); err != nil {
				return err
			}
		}
		if err := o.Follower.CatchUp(ctx); err != nil {
			return err
		}
		size, _ := o.Register.Head()
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

func (c *RebuildCmd) check(ctx context.Context, o *office.Office, g *Globals, out Out) error {
	next, found, err := o.CheckProjections(ctx, c.names())
	if err != nil {
		return err
	}
	return reportCheck(g, out, next, found)
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
