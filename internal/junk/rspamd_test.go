package junk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func arrival(raw []byte) *Mail {
	return &Mail{
		Peer: netip.MustParseAddr("192.0.2.7"), Hello: "client.example", From: "a@b.example", To: []string{"hind@diwan.example", "salim@diwan.example"}, Message: raw,
	}
}

func TestRspamdActions(t *testing.T) {
	action := ""
	var asked *http.Request
	var body []byte
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r
		body, _ = io.ReadAll(r.Body)
		fmt.Fprintf(w, `{"action":%q,"score":7.5,"required_score":15,"is_skipped":%v,"symbols":{"X":{"score":1}}}`, strings.TrimPrefix(action, "skip "), strings.HasPrefix(action, "skip "))
	}))
	defer s.Close()
	r, err := NewRspamd(s.URL, "secret-word", time.Second)
	must(t, err)
	for a, want := range map[string]Result{
		"no action":       {Known: true, Score: 7.5, Mark: "no_action"},
		"add header":      {Known: true, Junk: true, Score: 7.5, Mark: "add_header"},
		"rewrite subject": {Known: true, Junk: true, Score: 7.5, Mark: "rewrite_subject"},
		"reject":          {Known: true, Junk: true, Reject: true, Score: 7.5, Mark: "reject"},
		"soft reject":     {Known: true, Defer: true, Score: 7.5, Mark: "soft_reject"},
		"greylist":        {Known: true, Defer: true, Score: 7.5, Mark: "greylist"},
		"skip no action":  {Mark: "skipped"},
		"skip reject":     {Known: true, Junk: true, Reject: true, Score: 7.5, Mark: "reject"},
		"new thing":       {Mark: "unknown"},
	} {
		action = a
		got, err := r.Score(context.Background(), arrival(unwanted))
		if got != want || (err != nil) != (a == "new thing") {
			t.Errorf("%q: %+v, %v", a, got, err)
		}
	}
	h := asked.Header
	if asked.URL.Path != "/checkv2" || h.Get("Ip") != "192.0.2.7" || h.Get("Helo") != "client.example" || h.Get("From") != "<a@b.example>" ||
		!slices.Equal(h["Rcpt"], []string{"<hind@diwan.example>", "<salim@diwan.example>"}) || h.Get("Password") != "secret-word" || string(body) != string(unwanted) {
		t.Errorf("it was asked %v %q", h, body)
	}
}

// Whatever is wrong with rspamd, mail comes in, marked.
func TestRspamdFailsOpen(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"error":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"forbidden": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) },
		"redirect":  func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other", http.StatusFound) },
		"nonsense":  func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") },
		"endless": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"action":"`)
			for range 100 {
				io.WriteString(w, strings.Repeat("x", 1<<16))
			}
		},
		"slow":   func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); <-r.Context().Done() },
		"hangup": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		s := httptest.NewServer(h)
		r, err := NewRspamd(s.URL, "", 100*time.Millisecond)
		must(t, err)
		began := time.Now()
		got, err := r.Score(context.Background(), arrival(unwanted))
		if err == nil || got != (Result{Mark: "unreachable"}) || time.Since(began) > 20*time.Second {
			t.Errorf("%s: %+v, %v after %v", name, got, err, time.Since(began))
		}
		if err != nil && strings.Contains(err.Error(), s.URL) {
			t.Errorf("the error tells the address: %v", err)
		}
		s.Close()
	}
	r, err := NewRspamd("http://127.0.0.1:9", "", time.Second)
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := r.Score(ctx, arrival(unwanted)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	for _, bad := range []string{"", "localhost:11333", "ftp://x", "http://"} {
		if _, err := NewRspamd(bad, "", 0); err == nil {
			t.Errorf("address %q is taken", bad)
		}
	}
}

// The real thing knows the test message of all junk filters, and lets others in.
func TestRealRspamd(t *testing.T) {
	program, err := exec.LookPath("rspamd")
	if err != nil {
		t.Skip("rspamd is not installed")
	}
	base := startRspamd(t, program)
	r, err := NewRspamd(base, "", 10*time.Second)
	must(t, err)
	gtube := []byte("From: a@b.example\r\nTo: hind@diwan.example\r\nSubject: test\r\nMessage-ID: <1@b.example>\r\nDate: Sun, 22 Nov 2026 04:05:06 +0000\r\n\r\n" +
		"XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n")
	got, err := r.Score(context.Background(), arrival(gtube))
	if err != nil || !got.Known || !got.Reject {
		t.Errorf("the test message: %+v, %v", got, err)
	}
	got, err = r.Score(context.Background(), arrival(wanted))
	if err != nil || !got.Known || got.Reject || got.Score > 15 {
		t.Errorf("a letter: %+v, %v", got, err)
	}
	t.Logf("rspamd gives the letter %.1f points: %s", got.Score, got.Mark)
}

// startRspamd runs rspamd with one worker on loopback and all it writes in a
// folder of the test.
func startRspamd(t *testing.T, program string) (base string) {
	t.Helper()
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	addr := l.Addr().String()
	l.Close()
	config := fmt.Sprintf(`
options { filters = ""; pidfile = "%[1]s/pid"; url_tld = "%[1]s/domains"; dns { nameserver = ["127.0.0.1:9"]; timeout = 0.1s; retransmits = 1; } }
logging { type = "file"; filename = "%[1]s/log"; level = "error"; }
actions { reject = 15; add_header = 6; greylist = 4; }
worker "normal" { bind_socket = "%[2]s"; count = 1; }
`, dir, addr)
	must(t, os.WriteFile(filepath.Join(dir, "domains"), []byte("com\nexample\n"), 0o600)) // the whole list takes it long to compile
	path := filepath.Join(dir, "rspamd.conf")
	must(t, os.WriteFile(path, []byte(config), 0o600))
	cmd := exec.Command(program, "-f", "-i", "-c", path, "--var=DBDIR="+dir, "--var=RUNDIR="+dir)
	cmd.Dir = dir
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	must(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		done := make(chan struct{})
		go func() { cmd.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(5 * time.Second):
			cmd.Process.Kill()
		}
	})
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		resp, err := http.Get("http://" + addr + "/ping")
		if err == nil {
			resp.Body.Close()
			return "http://" + addr
		}
	}
	log, _ := os.ReadFile(filepath.Join(dir, "log"))
	t.Skipf("rspamd did not start within ten seconds\n%s\n%s", out.String(), log)
	return ""
}
