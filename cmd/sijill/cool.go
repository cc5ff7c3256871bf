package main

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"sijill/internal/office"
	"sijill/internal/vault"
)

// CoolCmd closes old months.
type CoolCmd struct {
	DryRun bool `help:"Change nothing: tell which months would be closed, and which must stay open and why."`
}

// Run implements the command.
func (c *CoolCmd) Run(ctx context.Context, g *Globals, out Out) error {
	return with(ctx, g, out, func(o *office.Office) error {
		before := o.ColdBefore(time.Now())
		if c.DryRun {
			cooled, err := o.Vault.Coolable(ctx, before)
			if err != nil {
				return err
			}
			return reportCooled(ctx, o, g, out, cooled, before, true)
		}
		if err := o.Follower.CatchUp(ctx); err != nil {
			return err
		}
		cooled, err := o.Cool(ctx, time.Now())
		if err != nil {
			return err
		}
		return reportCooled(ctx, o, g, out, cooled, before, false)
	})
}

// whyOpen says why a month stays open.
var whyOpen = map[vault.Reason]string{
	vault.NoDeep:   "its person has never signed in on the web, so there is no deep root to open it with",
	vault.NoHolder: "its person has neither a recovery code nor a passkey that opens it",
}

// cooledRow is a month of one person and class, for programs.
type cooledRow struct {
	Account string `json:"account"`
	Class   string `json:"class"`
	Month   string `json:"month"`
	Why     string `json:"why,omitempty"`
}

func rowOf(ctx context.Context, o *office.Office, c vault.Compartment, why string) (cooledRow, error) {
	a, err := o.People.Get(ctx, c.Account)
	return cooledRow{Account: a.SignIn, Class: string(c.Class), Month: fmt.Sprintf("%d-%02d", c.Year, c.Month), Why: why}, err
}

func reportCooled(ctx context.Context, o *office.Office, g *Globals, out Out, c vault.Cooled, before time.Time, dry bool) error {
	closed, left := []cooledRow{}, []cooledRow{}
	for _, x := range c.Closed {
		r, err := rowOf(ctx, o, x, "")
		if err != nil {
			return err
		}
		closed = append(closed, r)
	}
	for _, x := range c.Left {
		r, err := rowOf(ctx, o, x.Compartment, whyOpen[x.Why])
		if err != nil {
			return err
		}
		left = append(left, r)
	}
	if g.JSON {
		return json.NewEncoder(out).Encode(map[string]any{"dry_run": dry, "before": before.UTC().Format("2006-01"), "closed": closed, "left": left})
	}
	done := "closed"
	if dry {
		done = "would be closed"
	}
	fmt.Fprintf(out, "Months before %s. %d %s, %d stay open.\n", before.UTC().Format("2006-01"), len(closed), done, len(left))
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, r := range closed {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.Month, r.Class, r.Account, done)
	}
	for _, r := range left {
		fmt.Fprintf(w, "%s\t%s\t%s\tstays open: %s\n", r.Month, r.Class, r.Account, r.Why)
	}
	return w.Flush()
}
