// Program bench measures Sijill beside Dovecot and Postfix: the parts of "make
// bench" that need clients and servers of their own. bench/run.sh builds it and
// runs its parts; it works on loopback only, in a temporary directory, and
// leaves nothing behind.
//
// usage: bench -bin BINARY [-data DIR] [-scale N] PART
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// bench is one run.
type bench struct {
	ctx   context.Context
	bin   string // Sijill.
	data  string // Where the corpora are.
	dir   string // Temporary.
	scale int    // Everything is so many times smaller.

	mu   sync.Mutex // Guards what follows.
	last []func()   // What ends what was started, in order.
}

var parts = map[string]func(*bench) error{
	"checks": (*bench).checks, "imap": (*bench).imap, "submit": (*bench).submit, "outbound": (*bench).outbound, "personal": (*bench).personal,
}

func main() {
	log.SetFlags(0)
	bin := flag.String("bin", "bin/sijill", "the `program`")
	data := flag.String("data", "../shared/data", "`directory` of the corpora")
	scale := flag.Int("scale", 1, "make everything so many `times` smaller, to try the bench out")
	flag.Parse()
	part, ok := parts[flag.Arg(0)]
	if !ok || *scale < 1 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	if err := run(ctx, *bin, *data, *scale, part); err != nil {
		log.Fatal(flag.Arg(0), ": ", err)
	}
}

func run(ctx context.Context, bin, data string, scale int, part func(*bench) error) error {
	dir, err := os.MkdirTemp("", "sijill-bench-")
	if err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // Dovecot's processes have users of their own.
		return err
	}
	b := &bench{ctx: ctx, data: data, dir: dir, scale: scale}
	if b.bin, err = filepath.Abs(bin); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- part(b) }()
	select {
	case err = <-ended:
	case <-ctx.Done():
		err = ctx.Err()
	}
	b.end()
	return errors.Join(err, os.RemoveAll(dir))
}

// atEnd has fn called when the run is over.
func (b *bench) atEnd(fn func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last = append(b.last, fn)
}

func (b *bench) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := len(b.last) - 1; i >= 0; i-- {
		b.last[i]()
	}
	b.last = nil
}

// n makes a number smaller where the bench is only tried out.
func (b *bench) n(full int) int { return max(1, full/b.scale) }

func (b *bench) path(name ...string) string {
	return filepath.Join(append([]string{b.dir}, name...)...)
}

// heading says under which load a part is measured.
func heading(what string) {
	load, _ := os.ReadFile("/proc/loadavg")
	one, _, _ := strings.Cut(string(load), " ")
	fmt.Printf("# %s (load %s)\n", what, one)
}

// command runs a program to its end and returns what it printed.
func (b *bench) command(name string, args ...string) (string, error) {
	c := exec.CommandContext(b.ctx, name, args...)
	c.Env = append(os.Environ(), "SIJILL_PASSWORD="+password, "SIJILL_NEW_PASSWORD="+ownPassword)
	out, err := c.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", filepath.Base(name), strings.Join(args, " "), err)
	}
	return string(out), nil
}
