package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal is a program with a terminal of its own, as a person has one.
type terminal struct {
	testing.TB
	cmd    *exec.Cmd
	person *os.File // The person's end.
	screen *buffer
	ended  chan struct{}
	status int // Read after ended.
}

// atTerminal runs the program on the office at a terminal.
func (h *home) atTerminal(args ...string) *terminal {
	h.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		h.Skipf("no terminals here: %v", err)
	}
	h.Cleanup(func() { person.Close() })
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		h.Fatal(err)
	}
	far, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		h.Fatal(err)
	}
	t := &terminal{TB: h.TB, cmd: h.command(args...), person: person, screen: &buffer{grown: make(chan struct{}, 1)}, ended: make(chan struct{})}
	t.cmd.Stdin, t.cmd.Stdout, t.cmd.Stderr = far, far, far
	t.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := t.cmd.Start(); err != nil {
		h.Fatal(err)
	}
	// The far end stays open here, so that what the program left can be looked at.
	h.Cleanup(func() { far.Close() })
	go io.Copy(t.screen, person)
	go func() {
		_ = t.cmd.Wait() // How it ended is in its state.
		t.status = t.cmd.ProcessState.ExitCode()
		close(t.ended)
	}()
	return t
}

// sees waits for words on the screen.
func (t *terminal) sees(words string) {
	t.Helper()
	await(t, words+" is on the screen", func() bool { return strings.Contains(t.screen.String(), words) })
}

// types types, perhaps nothing, as a person does once the terminal hides what is typed.
func (t *terminal) types(keys string) {
	t.Helper()
	await(t, "what is typed is hidden", func() bool { return !t.echoes() })
	if _, err := t.person.WriteString(keys); err != nil {
		t.Fatal(err)
	}
}

// echoes tells whether the terminal shows what is typed.
func (t *terminal) echoes() bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(t.person.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// ends waits for the program to end by itself.
func (t *terminal) ends(status int) {
	t.Helper()
	select {
	case <-t.ended:
	case <-time.After(patience):
		t.Fatalf("it doesn't end; on the screen:\n%s", t.screen)
	}
	if t.status != status {
		t.Errorf("status %d, want %d; on the screen:\n%s", t.status, status, t.screen)
	}
}

// Whoever is asked for a secret can leave, by keys or by a signal, and has the
// terminal back as it was.
func TestQuestionsEnd(t *testing.T) {
	t.Parallel()
	locked := newHome(t)
	c := locked.command("init", "--dir", locked.path("locked"), "--passphrase", "--office", "X", "--domain", "diwan.example", "--account", laila)
	c.Env = append(c.Env, "SIJILL_PASSPHRASE=a long passphrase")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, question := range map[string]struct {
		prompt string
		args   []string
	}{
		"init":         {"Password, 12", []string{"init", "--dir", locked.path("new"), "--office", "X", "--domain", "diwan.example", "--account", laila}},
		"passphrase":   {"Passphrase of the key: ", []string{"status", "--dir", locked.path("locked")}},
		"passwd":       {"Password, 12", []string{"user", "passwd", sami}},
		"app-password": {"Password of the account: ", []string{"user", "app-password", sami}},
		"import":       {"Password at mail.invalid: ", []string{"import", "--account", sami, "--imap", "imaps://sami@mail.invalid"}},
	} {
		for way, leave := range map[string]func(*terminal){
			"Ctrl-C":  func(p *terminal) { p.types("half a word\x03") },
			"SIGTERM": func(p *terminal) { p.types(""); signals(p, syscall.SIGTERM) },
			"SIGHUP":  func(p *terminal) { p.types(""); signals(p, syscall.SIGHUP) },
		} {
			t.Run(name+" "+way, func(t *testing.T) {
				h := &home{t, locked.dir}
				p := h.atTerminal(question.args...)
				p.sees(question.prompt)
				leave(p)
				p.ends(1)
				p.sees("interrupted")
				if !p.echoes() {
					t.Error("the terminal doesn't show what is typed")
				}
				if strings.Contains(p.screen.String(), "half") {
					t.Error("what was typed is on the screen")
				}
			})
		}
	}
	if _, err := os.Stat(locked.path("new")); err == nil {
		t.Error("an office that nobody finished is there")
	}
}

func signals(p *terminal, s syscall.Signal) {
	if err := p.cmd.Process.Signal(s); err != nil {
		p.Fatal(err)
	}
}

// A slip at the prompts of init leaves nothing, and the second try goes through.
func TestInitAfterSlips(t *testing.T) {
	t.Parallel()
	h := &home{t, filepath.Join(t.TempDir(), "office")}
	key := h.dir + ".key"
	args := []string{"init", "--key-file", key, "--passphrase", "--office", "X", "--domain", "diwan.example", "--account", laila}
	const good, right = "a long passphrase", "a password of hers"
	for _, slip := range []struct {
		said  string
		lines []string
	}{
		{"a passphrase needs 12 characters or more", []string{"short"}},
		{"the two passphrases differ", []string{good, "a longer passphrase"}},
		{"12 characters or more, 1,024 bytes", []string{good, good, "elevenchars"}},
		{"the two passwords differ", []string{good, good, right, "a password of his"}},
	} {
		p := h.atTerminal(args...)
		p.answers(slip.lines...)
		p.ends(1)
		p.sees(slip.said)
		for _, path := range []string{h.dir, key} {
			if _, err := os.Stat(path); err == nil {
				t.Errorf("%s: %s is there", slip.said, path)
			}
		}
	}
	p := h.atTerminal(args...)
	p.answers(good, good, right, right)
	p.ends(0)
	p.sees("X is ready in")
	p = h.atTerminal("user", "app-password", laila)
	p.answers(good, right)
	p.ends(0)
}

// answers types lines, each when it is asked for.
func (t *terminal) answers(lines ...string) {
	t.Helper()
	for i, line := range lines {
		await(t, fmt.Sprintf("question %d", i+1), func() bool { return strings.Count(t.screen.String(), ": ") > i && !t.echoes() })
		t.types(line + "\n")
	}
}
