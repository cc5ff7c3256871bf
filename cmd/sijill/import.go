package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"sijill"
	"sijill/internal/intake"
	"sijill/internal/office"
	"sijill/internal/office/imports"
)

// ImportCmd imports mail.
type ImportCmd struct {
	Account string   `help:"Address of the account that the mail belongs to." required:"" placeholder:"ADDRESS"`
	Report  string   `help:"File for the refusals, one JSON line each; one in the data directory's reports unless given." type:"path" placeholder:"FILE"`
	Again   bool     `help:"Read a source again that was imported before."`
	Quiet   bool     `help:"No progress bar."`
	IMAP    string   `help:"Move an account here from another server: imaps://USER@HOST, or imap:// for STARTTLS. The password is asked for, or SIJILL_IMAP_PASSWORD." name:"imap" placeholder:"URL"`
	Skip    []string `help:"With --imap: a folder to leave out." placeholder:"FOLDER"`
	Roots   string   `help:"With --imap: PEM file of certificate authorities to believe besides the system's." type:"path" placeholder:"FILE"`
	Path    []string `arg:"" optional:"" help:"Files and folders to import." type:"path"`
}

// Run implements the command.
func (c *ImportCmd) Run(ctx context.Context, g *Globals, out Out) error {
	if (c.IMAP == "") == (len(c.Path) == 0) {
		return errors.New("name files and folders to import, or another server with --imap")
	}
	if c.Report != "" && len(c.Path) > 1 {
		return errors.New("--report takes the report of one source: import them one after the other")
	}
	return with(ctx, g, out, func(o *office.Office) error {
		a, err := account(ctx, o, c.Account)
		if err != nil {
			return err
		}
		if err := o.Register.Behind(); err != nil {
			return err
		}
		if c.IMAP != "" {
			return c.move(ctx, o, a.ID, g, out)
		}
		r, err := o.People.Resolve(ctx, c.Account)
		if err != nil {
			return err
		}
		return c.importAll(ctx, o, a.ID, r.Class, g, out)
	})
}

// memoryAim is where an import begins to spend time on staying small.
const memoryAim = 160 << 20

// bulk is how many entries of an import are indexed together.
const bulk = 24000

// importAll imports every source while the projections follow, and returns when
// they have caught up, so that what was imported can be found.
func (c *ImportCmd) importAll(ctx context.Context, o *office.Office, account int64, class sijill.Class, g *Globals, out Out) error {
	debug.SetMemoryLimit(memoryAim)
	before, _ := o.Register.Head()
	fctx, stop := context.WithCancel(ctx)
	end := o.Follower.Bulk(bulk)
	followed := make(chan error, 1)
	go func() { followed <- o.Follower.Run(fctx) }()
	var errs []error
	for _, path := range c.Path {
		if ctx.Err() != nil {
			break
		}
		if err := c.importOne(ctx, o, account, class, path, g, out); err != nil {
			errs = append(errs, fmt.Errorf("importing %s: %w", path, err))
		}
	}
	end()
	if ctx.Err() == nil {
		errs = append(errs, o.Settle(ctx))
	}
	stop()
	errs = append(errs, <-followed)
	if err := errors.Join(append(errs, ctx.Err())...); err != nil {
		return err
	}
	return o.Tidy(ctx, before)
}

func (c *ImportCmd) importOne(ctx context.Context, o *office.Office, account int64, class sijill.Class, path string, g *Globals, out Out) error {
	bar := newBar(out.Err, !c.Quiet && !g.JSON)
	report, err := c.reportPath(o)
	if err != nil {
		return err
	}
	im := imports.NewFiles(o.Register, class)
	res, err := intake.New(im, im, intake.Options{Progress: bar.show, Log: o.Log, Now: imports.Now, SaveEvery: saveEvery, InFlight: inFlight, MaxBytes: maxBytes}).
		Import(ctx, intake.Job{Account: account, Path: path, Report: report, Again: c.Again})
	bar.end()
	if errors.Is(err, context.Canceled) {
		fmt.Fprintf(out.Err, "Stopped after %d messages. Run the same command to go on.\n", res.Counts.Seen)
	}
	if errors.Is(err, intake.ErrReport) {
		return fmt.Errorf("%w: name another file with --report", err)
	}
	if err != nil {
		return err
	}
	return printResult(out, g, path, res)
}

// inFlight is how many messages an import has under way: two batches of the
// register.
const inFlight = 1024

// maxBytes bounds the messages under way.
const maxBytes = 16 << 20

// saveEvery is how often an import notes how far it has come: what it would have
// to look at again after a crash.
const saveEvery = 250 * time.Millisecond

// reportPath tells where the refusals of a source are written: a file that the
// user named, or the folder of reports, where each import has its own.
func (c *ImportCmd) reportPath(o *office.Office) (string, error) {
	if c.Report != "" {
		return c.Report, nil
	}
	dir := filepath.Join(o.Dir, "reports")
	return dir, makeDir(dir)
}

func printResult(out Out, g *Globals, path string, r *intake.Result) error {
	if g.JSON {
		return json.NewEncoder(out).Encode(map[string]any{"path": path, "report": r.Report, "entry": r.Entry,
			"imported_before": r.Earlier, "resumed": r.Resumed, "seen": r.Counts.Seen, "captured": r.Counts.Captured,
			"already": r.Counts.Already, "refused": r.Counts.Refused, "not_mail": r.Counts.NotMail})
	}
	if r.Earlier {
		_, err := fmt.Fprintf(out, "%s was imported before, as entry %d. Nothing was added; --again reads it once more.\n", path, r.Entry)
		return err
	}
	c := r.Counts
	fmt.Fprintf(out, "%s\n  seen      %9d\n  captured  %9d\n  there     %9d (already on the register)\n  refused   %9d\n", path, c.Seen, c.Captured, c.Already, c.Refused)
	if c.Refused+c.NotMail > 0 {
		fmt.Fprintf(out, "  not mail  %9d files\n  Reasons, each with file and place: %s\n", c.NotMail, r.Report)
	}
	if r.Entry == 0 && c.Captured == 0 {
		_, err := fmt.Fprintln(out, "  Nothing was added.")
		return err
	}
	_, err := fmt.Fprintf(out, "  %d = %d + %d + %d; sealed as entry %d\n", c.Seen, c.Captured, c.Already, c.Refused, r.Entry)
	return err
}

// barWidth is how many columns the bar itself takes.
const barWidth = 24

// bar draws the progress of one import on a terminal, on one line.
type bar struct {
	w     writer
	on    bool
	drawn bool
	began time.Time
}

func (b *bar) show(p intake.Progress) {
	if !b.on {
		return
	}
	if b.began.IsZero() || p.Phase == intake.Measuring {
		b.began = time.Now()
	}
	b.drawn = true
	share := 1.0
	if p.Total > 0 {
		share = min(1, float64(p.Done)/float64(p.Total))
	}
	full := int(share * barWidth)
	spent := time.Since(b.began).Seconds()
	rate, left := 0.0, "–"
	if spent > 0.2 && p.Done > p.Resumed {
		rate = float64(p.Counts.Seen) / spent
		speed := float64(p.Done-p.Resumed) / spent
		left = (time.Duration(float64(p.Total-p.Done)/speed) * time.Second).String()
	}
	fmt.Fprintf(b.w, "\r\x1b[K%s [%s%s] %3.0f%%  %d messages  %.0f/s  %s left", short(p.Source), strings.Repeat("█", full),
		strings.Repeat("·", barWidth-full), 100*share, p.Counts.Seen, rate, left)
}

// short keeps a name from breaking the line.
func short(name string) string {
	if r := []rune(name); len(r) > 24 {
		return string(r[:23]) + "…"
	}
	return name
}

func (b *bar) end() {
	if b.drawn {
		fmt.Fprintln(b.w)
	}
}
