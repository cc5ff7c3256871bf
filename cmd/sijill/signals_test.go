package main

import (
	"net/http"
	"syscall"
	"testing"
)

// A server that hangs from no terminal goes on after SIGHUP, which is sent to
// servers so that they read their files again.
func TestServerOutlivesHangup(t *testing.T) {
	t.Parallel()
	r := newHome(t).serveApart()
	for range 2 {
		if err := r.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "the log says that it came", func() bool { return r.says("SIGHUP changes nothing") })
	res, err := http.Get("http://" + r.http + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Error(res.Status)
	}
	r.stop()
}

// A server at a terminal ends with it, in order.
func TestServerEndsWithTerminal(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	p := h.atTerminal("serve", "--smtp", "127.0.0.1:0", "--lmtp", "off", "--http", "off", "--metrics", "off",
		"--imap", "off", "--imaps", "off", "--submission", "off", "--submissions", "off")
	p.sees(`"door":"smtp","address":"`)
	signals(p, syscall.SIGHUP)
	p.ends(0)
}
