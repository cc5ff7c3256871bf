package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Every account's passwords: the one it is made with, and the one its person chooses.
const (
	password    = "date palms by the river"
	ownPassword = "olive trees on the hill"
)

const u1 = "u1@bench.test"

// office is one in a directory of its own.
type office struct {
	b   *bench
	dir string

	cmd   *exec.Cmd // nil when it isn't served.
	ended chan struct{}
	log   *syncBuffer
}

// syncBuffer keeps what a process prints.
type syncBuffer struct {
	mu sync.Mutex // Guards b.
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// newOffice makes an office; settings go into its sections.
func (b *bench) newOffice(name string, settings map[string]string) (*office, error) {
	o := &office{b: b, dir: b.path(name)}
	if _, err := o.sijill("init", "--office", "Bench", "--domain", "bench.test", "--account", u1); err != nil {
		return nil, err
	}
	path := b.path(name, "sijill.toml")
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for section, lines := range settings {
		head := "[" + section + "]\n"
		if !strings.Contains(string(text), head) {
			return nil, fmt.Errorf("the settings have no section %s", section)
		}
		text = []byte(strings.Replace(string(text), head, head+lines+"\n", 1))
	}
	return o, os.WriteFile(path, text, 0o600)
}

// sijill runs a command on the office.
func (o *office) sijill(args ...string) (string, error) {
	return o.b.command(o.b.bin, append(args, "--dir", o.dir)...)
}

// credential makes a mail program's password.
func (o *office) credential(address string) (string, error) {
	out, err := o.sijill("user", "app-password", address, "--scope", "both")
	fields := strings.Fields(out)
	if err == nil && len(fields) == 0 {
		err = fmt.Errorf("no password for a mail program was printed")
	}
	if err != nil {
		return "", err
	}
	return fields[len(fields)-1], nil
}

// serve starts the server and returns when its doors are open.
func (o *office) serve() error {
	o.log, o.ended = &syncBuffer{}, make(chan struct{})
	o.cmd = exec.Command(o.b.bin, "serve", "--dir", o.dir, "--smtp", "127.0.0.1:0", "--submission", "off", "--submissions", "127.0.0.1:0",
		"--imap", "off", "--imaps", "127.0.0.1:0", "--lmtp", "off", "--http", "off", "--https", "off", "--metrics", "127.0.0.1:0")
	o.cmd.Stdout, o.cmd.Stderr = o.log, o.log
	o.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := o.cmd.Start(); err != nil {
		return err
	}
	go func(c *exec.Cmd, ended chan struct{}) {
		_ = c.Wait()
		close(ended)
	}(o.cmd, o.ended)
	o.b.atEnd(o.stop)
	for end := time.Now().Add(30 * time.Second); o.door("metrics") == ""; time.Sleep(10 * time.Millisecond) {
		select {
		case <-o.ended:
			return fmt.Errorf("the server ended: %s", o.log)
		default:
		}
		if time.Now().After(end) {
			return fmt.Errorf("the server opens no doors: %s", o.log)
		}
	}
	return nil
}

// stop stops the server, and kills it if it doesn't.
func (o *office) stop() {
	if o.cmd == nil {
		return
	}
	_ = o.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-o.ended:
	case <-time.After(15 * time.Second):
		_ = o.cmd.Process.Kill()
		<-o.ended
	}
	o.cmd = nil
}

// door finds the address of a door in what the server said.
func (o *office) door(name string) string {
	_, rest, ok := strings.Cut(o.log.String(), `"door":"`+name+`","address":"`)
	if !ok {
		return ""
	}
	address, _, _ := strings.Cut(rest, `"`)
	return address
}

// settled waits until the projections have seen everything.
func (o *office) settled() error {
	for end := time.Now().Add(5 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		lag, err := o.metric("sijill_projection_lag_entries")
		if err != nil || lag == 0 {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("the projections are %.0f entries behind", lag)
		}
	}
}
