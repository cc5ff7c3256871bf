package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// gauge reads a metric of a server that shows them.
func (r *running) gauge(name string) string {
	r.Helper()
	_, body := fetch(r, "http://"+r.door("metrics")+"/metrics")
	found := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindStringSubmatch(body)
	if found == nil {
		r.Fatalf("there is no metric %s", name)
	}
	return found[1]
}

// well tells whether /healthz says so.
func (r *running) well() bool {
	r.Helper()
	status, _ := fetch(r, "http://"+r.http+"/healthz")
	return status == 200
}

// A watcher sees a full disk: before anybody has sent anything by the room that is
// left, and then by what the register says.
func TestWatchingAFullDisk(t *testing.T) {
	dir := smallDisk(t)
	h := &home{t, filepath.Join(dir, "office")}
	h.put(blank)
	server := h.serve("--metrics", "127.0.0.1:0")
	if server.well() {
		t.Error("with less than 20 MiB left /healthz says that all is well")
	}
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 12<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if failing := server.gauge("sijill_register_failing"); failing != "0" {
		t.Errorf("before anything was refused sijill_register_failing is %s", failing)
	}
	for _, size := range []int{400 << 10, 4 << 10} {
		server.fill(size, newLedger())
	}
	if failing := server.gauge("sijill_register_failing"); failing != "1" {
		t.Errorf("while mail is refused sijill_register_failing is %s", failing)
	}
	if err := os.Truncate(ballast, 0); err != nil {
		t.Fatal(err)
	}
	connect(t, server.smtp).deliver(t, letter("after", 1), laila)
	if failing := server.gauge("sijill_register_failing"); failing != "0" {
		t.Errorf("with room again sijill_register_failing is %s", failing)
	}
	server.kill()
}

// A register is not retired under a running server, which would refuse all mail from
// then on. What stands in the way of a journal is said when the server starts.
func TestRetireBesideServer(t *testing.T) {
	h := newHome(t)
	settings, err := os.ReadFile(h.path("sijill.toml"))
	if err != nil {
		t.Fatal(err)
	}
	with := strings.Replace(string(settings), "[smtp]", "[smtp]\njournal = [\"archive@diwan.example\"]\njournal_peers = [\"127.0.0.1\"]", 1)
	if err := os.WriteFile(h.path("sijill.toml"), []byte(with), 0o600); err != nil {
		t.Fatal(err)
	}
	server := h.serve("--metrics", "127.0.0.1:0")
	if !strings.Contains(server.log.String(), "a journal address has no account") {
		t.Errorf("nothing is said of the journal address:\n%s", server.log)
	}
	if _, err, status := h.sijill("retire", "--yes"); status != 1 || !strings.Contains(err, "a server runs on this directory: stop it first") {
		t.Errorf("retire beside a server: %d, %s", status, err)
	}
	if out := h.must("status"); !strings.Contains(out, ": a server runs on the directory") || !strings.Contains(out, "the first certificate ends 20") {
		t.Errorf("status: %s", out)
	}
	if end := server.gauge("sijill_certificate_end_seconds"); end == "0" {
		t.Error("the metrics don't know when the certificate ends")
	}
	connect(t, server.smtp).deliver(t, letter("still", 1), laila)
	if !server.well() {
		t.Error("/healthz says that something is wrong")
	}
	server.stop()
	if out := h.must("retire", "--yes"); !strings.Contains(out, ".2") {
		t.Error(out)
	}
}
