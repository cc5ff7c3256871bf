// The tests of this package drive the real program, built once, like the people
// and the mail servers that use it do; where thousands of messages are to be
// compared, they open the data directory in this process.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sijill/internal/config"
	"sijill/internal/db"
	"sijill/internal/office"
	"sijill/internal/people"
	"sijill/internal/vault"
)

// laila and sami have accounts in every office of these tests.
const (
	laila = "laila@diwan.example"
	sami  = "sami@diwan.example"
)

// patience bounds every wait for a condition; none takes nearly as long.
const patience = 30 * time.Second

// program is the path of the built program, and blank an office without mail
// that tests copy, since making passwords takes time.
var program, blank string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "sijill-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := 1
	if err := build(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		status = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(status)
}

func build(dir string) error {
	program, blank = filepath.Join(dir, "bin", "sijill"), filepath.Join(dir, "blank")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		return fmt.Errorf("building: %w\n%s", err, out)
	}
	return makeBlank(context.Background(), blank)
}

// secret is the password of every account in these tests.
const secret = "a password for tests"

// makeBlank makes an office whose register has no entries yet: its accounts get
// their keys, which is on record, when they first sign in. It listens nowhere
// and judges nothing, unless a test says so.
func makeBlank(ctx context.Context, dir string) error {
	g, out := &Globals{Dir: dir}, Out{io.Discard, io.Discard}
	settings := config.Default("Diwan", "diwan.example")
	settings.Checks.Off = true
	settings.Submission, settings.IMAP = config.Submission{}, config.IMAP{}
	key := vault.NewServerKey()
	if err := errors.Join(makeDir(dir), vault.WriteKeyFile(filepath.Join(dir, keyName), key, ""), settings.Write(dir)); err != nil {
		return err
	}
	if err := office.Create(ctx, office.Options{Dir: dir, Config: settings, Key: key}); err != nil {
		return err
	}
	return with(ctx, g, out, func(o *office.Office) error {
		if err := o.People.AddDomain(ctx, people.By{}, settings.Domain); err != nil {
			return err
		}
		all := people.RoleOwner | people.RoleAdministrator | people.RoleRecordsOfficer
		_, err := o.People.Add(ctx, people.Account{Name: "laila", Address: laila, Role: all}, secret)
		if err != nil {
			return err
		}
		if _, err = o.People.Add(ctx, people.Account{Name: "sami", Address: sami, Role: people.RoleOwner}, secret); err != nil {
			return err
		}
		owed, err := o.People.Owed(ctx, true)
		if err != nil {
			return err
		}
		return o.DB.Write(ctx, func(tx *db.Tx) error { // That they were made is not part of what these tests count.
			for _, e := range owed {
				if err := people.Told(tx, e.ID); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// home is an office in a data directory of its own.
type home struct {
	testing.TB
	dir string
}

func newHome(t testing.TB) *home {
	t.Helper()
	return copyHome(t, blank)
}

// copyHome makes an office of the files in dir.
func copyHome(t testing.TB, dir string) *home {
	t.Helper()
	h := &home{t, filepath.Join(t.TempDir(), "office")}
	h.put(dir)
	return h
}

// put copies the files in dir over those of the office.
func (h *home) put(dir string) {
	h.Helper()
	err := os.CopyFS(h.dir, os.DirFS(dir))
	if err != nil {
		h.Fatal(err)
	}
}

// path names a file of the office.
func (h *home) path(name ...string) string {
	return filepath.Join(append([]string{h.dir}, name...)...)
}

// command prepares the program to run on the office, in a process group that is
// killed when the test ends.
func (h *home) command(args ...string) *exec.Cmd {
	c := exec.Command(program, args...)
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "TMPDIR=" + os.TempDir(), "SIJILL_DIR=" + h.dir, "SIJILL_LOG=debug"}
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	h.Cleanup(func() { kill(c) })
	return c
}

func kill(c *exec.Cmd) {
	if c.Process != nil {
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) // It may have ended.
	}
}

// sijill runs the program and returns what it printed and its exit status.
func (h *home) sijill(args ...string) (stdout, stderr string, status int) {
	h.Helper()
	var out, err bytes.Buffer
	c := h.command(args...)
	c.Stdout, c.Stderr = &out, &err
	e := c.Run()
	var exit *exec.ExitError
	if e != nil && !errors.As(e, &exit) {
		h.Fatal(e)
	}
	return out.String(), err.String(), c.ProcessState.ExitCode()
}

// must runs the program, which has to succeed, and returns what it printed.
func (h *home) must(args ...string) string {
	h.Helper()
	out, err, status := h.sijill(args...)
	if status != 0 {
		h.Fatalf("sijill %s: status %d\n%s%s", strings.Join(args, " "), status, out, err)
	}
	return out
}

// sound fails the test unless the audit, by the program, finds the register
// sound.
func (h *home) sound() {
	h.Helper()
	if out := h.must("audit"); !strings.Contains(out, "The register is sound.") {
		h.Fatalf("audit: %s", out)
	}
}

// open opens the office in this process.
func (h *home) open() *office.Office {
	h.Helper()
	o, err := openOffice(context.Background(), &Globals{Dir: h.dir}, Out{io.Discard, io.Discard})
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { o.Close() })
	return o
}

// running is a server of the built program.
type running struct {
	*home
	cmd        *exec.Cmd
	smtp, http string // Addresses of its doors.
	log        *buffer
	ended      chan struct{}
	err        error // How it ended; read after ended.
}

// buffer keeps what a process prints.
type buffer struct {
	mu    sync.Mutex // Guards what follows.
	b     bytes.Buffer
	grown chan struct{}
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case b.grown <- struct{}{}:
	default:
	}
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// serve starts a server and returns when its doors are open.
func (h *home) serve(args ...string) *running {
	h.Helper()
	return h.serveAs(&syscall.SysProcAttr{Setpgid: true}, args...)
}

// serveApart is serve without the terminal that the tests may hang from.
func (h *home) serveApart(args ...string) *running {
	h.Helper()
	return h.serveAs(&syscall.SysProcAttr{Setsid: true}, args...)
}

func (h *home) serveAs(how *syscall.SysProcAttr, args ...string) *running {
	h.Helper()
	r := &running{home: h, log: &buffer{grown: make(chan struct{}, 1)}, ended: make(chan struct{})}
	r.cmd = h.command(append([]string{"serve", "--smtp", "127.0.0.1:0", "--lmtp", "off", "--http", "127.0.0.1:0", "--metrics", "off",
		"--imap", "off", "--imaps", "off", "--submission", "off", "--submissions", "off"}, args...)...)
	r.cmd.Stderr, r.cmd.SysProcAttr = r.log, how
	if err := r.cmd.Start(); err != nil {
		h.Fatal(err)
	}
	go func() {
		r.err = r.cmd.Wait()
		close(r.ended)
	}()
	h.Cleanup(func() {
		if said := r.log.String(); h.Failed() {
			h.Logf("the server said, at last:\n%s", said[max(0, len(said)-2000):])
		}
	})
	late := time.After(patience)
	for r.smtp == "" || r.http == "" {
		select {
		case <-r.log.grown:
			r.smtp, r.http = r.door("smtp"), r.door("http")
		case <-r.ended:
			h.Fatalf("the server ended: %v\n%s", r.err, r.log)
		case <-late:
			h.Fatalf("the server does not open its doors\n%s", r.log)
		}
	}
	return r
}

// says tells whether words are in the log.
func (r *running) says(words string) bool { return strings.Contains(r.log.String(), words) }

// door finds the address of a door in the log.
func (r *running) door(name string) string {
	_, rest, ok := strings.Cut(r.log.String(), `"door":"`+name+`","address":"`)
	if !ok {
		return ""
	}
	address, _, _ := strings.Cut(rest, `"`)
	return address
}

// kill ends the server as a power failure would, and waits for it.
func (r *running) kill() {
	kill(r.cmd)
	<-r.ended
}

// stop asks the server to stop and wants it to do so in order and in time.
func (r *running) stop() {
	r.Helper()
	began := time.Now()
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		r.Fatal(err)
	}
	select {
	case <-r.ended:
	case <-time.After(30 * time.Second): // Deliveries under way have 15 of them.
		r.Fatalf("the server did not stop in 30 s\n%s", r.log)
	}
	if r.err != nil {
		r.Fatalf("the server stopped with %v\n%s", r.err, r.log)
	}
	r.Logf("stopped in %v", time.Since(began).Round(time.Millisecond))
}

// await returns when ok does, and fails the test when it never does.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
