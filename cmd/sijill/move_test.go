package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// appPassword makes a password for a mail program.
func (h *home) appPassword(name, scope string) string {
	h.Helper()
	c := h.command("user", "app-password", "--scope", scope, name)
	c.Env = append(c.Env, "SIJILL_PASSWORD="+secret)
	out, err := c.Output()
	if err != nil {
		h.Fatalf("making an app password: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// moved is what a move says at its end.
type moved struct {
	Seen, Captured, Already, Refused int
	Resumed                          bool
}

// An account moves here from another server. The move is killed again and again
// and goes on; nothing is lost or doubled, and the next one brings what is new.
func TestMove(t *testing.T) {
	const n = 300
	old, h := newHome(t), newHome(t)
	server := old.serve("--imaps", "127.0.0.1:0")
	s := connect(t, server.smtp)
	for i := range n {
		s.deliver(t, letter("moving", i), laila)
	}
	app := old.appPassword("laila", "office")
	await(t, "the door is open", func() bool { return server.door("imaps") != "" })
	_, port, err := net.SplitHostPort(server.door("imaps"))
	if err != nil {
		t.Fatal(err)
	}
	move := func() *exec.Cmd {
		c := h.command("import", "--json", "--account", laila, "--roots", old.path("tls", "self-signed.pem"), "--imap", "imaps://laila@localhost:"+port)
		c.Env = append(c.Env, "SIJILL_IMAP_PASSWORD="+app)
		return c
	}
	for i := range 4 {
		c := move()
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(100+60*i) * time.Millisecond)
		if err := syscall.Kill(-c.Process.Pid, syscall.SIGKILL); err == nil {
			c.Wait()
		}
	}
	again := func() (m moved) {
		out, err := move().Output()
		if err == nil {
			err = json.Unmarshal(out, &m)
		}
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return m
	}
	if m := again(); m.Seen != n || m.Captured != n || m.Refused != 0 {
		t.Errorf("moved: %+v", m)
	}
	h.sound()
	for i := range n {
		raw := letter("moving", i)
		subject, _, _ := strings.Cut(strings.TrimPrefix(string(raw[strings.Index(string(raw), "Subject: "):]), "Subject: "), "\r\n")
		if i%29 == 0 { // Each search starts the program.
			var found []Found
			out := h.must("search", "--json", "--account", laila, fmt.Sprintf("subject:%q", subject))
			if err := json.Unmarshal([]byte(out), &found); err != nil || len(found) != 1 {
				t.Errorf("message %d is there %d times (%v)", i, len(found), err)
			}
		}
	}
	s.deliver(t, letter("moving", n), laila)
	if m := again(); m.Captured != n+1 || !m.Resumed {
		t.Errorf("what came since: %+v", m)
	}
	if out := h.must("rebuild", "--check"); !strings.Contains(out, "The projections are what") {
		t.Error(out)
	}
}
