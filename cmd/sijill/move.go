package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sijill/internal/certs"
	"sijill/internal/intake/remote"
	"sijill/internal/office"
	"sijill/internal/office/imports"
)

// move moves an account here from another server.
func (c *ImportCmd) move(ctx context.Context, o *office.Office, account int64, g *Globals, out Out) error {
	source, err := c.source(ctx, out)
	if err != nil {
		return err
	}
	r, err := o.People.Resolve(ctx, c.Account)
	if err != nil {
		return err
	}
	m := imports.NewMover(o, account, r.Class, source)
	report, err := c.refusals(o)
	if err != nil {
		return err
	}
	began := time.Now()
	var result *remote.Result
	err = imports.Following(ctx, o, func(ctx context.Context) (err error) {
		result, err = remote.Pull(ctx, source, remote.Options{Appender: m, Ledger: m, Key: m.ProgressKey(), Skip: c.Skip, Log: o.Log,
			Progress: c.progress(out, g, began), Refused: report.write})
		if result != nil && !c.Quiet && !g.JSON {
			fmt.Fprintln(out.Err)
		}
		if err != nil {
			return err
		}
		return m.Conclude(ctx, source, result)
	})
	err = errors.Join(err, report.close())
	if errors.Is(err, remote.ErrSignIn) {
		return errors.New("the other server refused user and password. Some want a password made for mail programs")
	}
	if errors.Is(err, remote.ErrCertificate) {
		return fmt.Errorf("%w; if it is right all the same, name who signed it with --roots", err)
	}
	if errors.Is(err, context.Canceled) && result != nil {
		fmt.Fprintf(out.Err, "Stopped after %d messages. Run the same command to go on.\n", result.Counts.Seen)
	}
	if err != nil {
		return err
	}
	return c.printMoved(out, g, result, report.path)
}

// source reads the URL and asks for the password.
func (c *ImportCmd) source(ctx context.Context, out Out) (remote.Source, error) {
	u, err := url.Parse(c.IMAP)
	if err != nil || u.User == nil || u.Hostname() == "" || u.Scheme != "imaps" && u.Scheme != "imap" {
		return remote.Source{}, fmt.Errorf("--imap %q is not like imaps://user@host", c.IMAP)
	}
	s := remote.Source{Security: remote.TLS, User: u.User.Username()}
	port := "993"
	if u.Scheme == "imap" {
		s.Security, port = remote.StartTLS, "143"
	}
	if p := u.Port(); p != "" {
		port = p
	}
	s.Address = net.JoinHostPort(u.Hostname(), port)
	roots, err := certs.Roots(c.Roots)
	if err != nil {
		return s, err
	}
	s.TLSConfig = &tls.Config{ServerName: u.Hostname(), RootCAs: roots, MinVersion: tls.VersionTLS12}
	s.Password, err = secretOf(ctx, out, "SIJILL_IMAP_PASSWORD", "Password at "+u.Hostname()+": ")
	return s, err
}

func (c *ImportCmd) progress(out Out, g *Globals, began time.Time) func(remote.Progress) {
	if c.Quiet || g.JSON {
		return nil
	}
	return func(p remote.Progress) {
		share := 1.0
		if p.Total > 0 {
			share = min(1, float64(p.Done)/float64(p.Total))
		}
		full := int(share * barWidth)
		fmt.Fprintf(out.Err, "\r\x1b[K%s [%s%s] %3.0f%%  %d of %d messages  %.0f/s", short(p.Folder), strings.Repeat("█", full),
			strings.Repeat("·", barWidth-full), 100*share, p.Done, p.Total, float64(p.Counts.Seen)/max(0.1, time.Since(began).Seconds()))
	}
}

// refusals is where what was refused is written, one JSON line each. The file
// is made by the first.
type refusals struct {
	path string
	f    *os.File
	err  error
}

func (c *ImportCmd) refusals(o *office.Office) (*refusals, error) {
	if c.Report != "" {
		return &refusals{path: c.Report}, nil
	}
	dir := filepath.Join(o.Dir, "reports")
	return &refusals{path: filepath.Join(dir, "imap-"+time.Now().UTC().Format("20060102T150405Z")+".jsonl")}, makeDir(dir)
}

func (r *refusals) write(x remote.Refusal) {
	if r.f == nil && r.err == nil {
		r.f, r.err = os.OpenFile(r.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	}
	if r.err == nil {
		r.err = json.NewEncoder(r.f).Encode(x)
	}
}

func (r *refusals) close() error {
	if r.f == nil {
		return r.err
	}
	return errors.Join(r.err, r.f.Sync(), r.f.Close())
}

func (c *ImportCmd) printMoved(out Out, g *Globals, r *remote.Result, report string) error {
	n := r.Counts
	if g.JSON {
		return json.NewEncoder(out).Encode(map[string]any{"folders": len(r.Folders), "resumed": r.Resumed, "seen": n.Seen,
			"captured": n.Captured, "already": n.Already, "refused": n.Refused, "report": report})
	}
	fmt.Fprintf(out, "%d folders\n  seen      %9d\n  captured  %9d\n  there     %9d (already on the register)\n  refused   %9d\n", len(r.Folders), n.Seen, n.Captured, n.Already, n.Refused)
	if n.Refused > 0 {
		fmt.Fprintf(out, "  Reasons, each with folder and UID: %s\n", report)
	}
	_, err := fmt.Fprintf(out, "  %d = %d + %d + %d\n", n.Seen, n.Captured, n.Already, n.Refused)
	return err
}
