package main

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every command works while the server runs on the same directory and takes
// mail.
func TestCommandsBesideServer(t *testing.T) {
	h, acknowledged := newHome(t), newLedger()
	server := h.serve()
	first := connect(t, server.smtp).deliver(t, letter("known", 7), laila, sami)
	wait := load(server.smtp, "beside", 4, acknowledged)
	await(t, "mail arrives", func() bool { return acknowledged.size() > 50 })

	var found []Found
	if err := json.Unmarshal([]byte(h.must("search", "--json", "--account", sami, "subject:known")), &found); err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || found[0].Entry != first || found[0].Subject != "known letter 7" {
		t.Errorf("found %+v", found)
	}
	if raw := h.must("show", "--raw", fmt.Sprint(first)); raw != string(letter("known", 7)) {
		t.Error("show --raw gives something else")
	}
	h.proves(first, letter("known", 7))
	h.sound()
	h.must("status", "--json")

	s := newSource(t, 1500, 0)
	c, out := h.importing(s)
	if err := c.Wait(); err != nil {
		t.Fatal(err)
	}
	s.reconciled(h, out)

	h.must("user", "add", "hind@diwan.example")
	connect(t, server.smtp).deliver(t, letter("hind", 1), "hind@diwan.example")
	await(t, "the new account's mail is found", func() bool {
		return strings.Contains(h.must("search", "--account", "hind@diwan.example", "ختم"), "hind letter 1")
	})
	h.must("user", "passwd", sami)
	h.must("rebuild", "search")
	h.must("rebuild")
	h.backup()

	server.kill() // The load ends with it.
	wait()
	h.sound()
	h.must("rebuild", "--check")
	acknowledged.check(h)
	once(h, s)
	t.Logf("%d messages came in meanwhile", acknowledged.size())
}

// proves makes a proof of an entry and verifies it without the office.
func (h *home) proves(entry int64, msg []byte) {
	h.Helper()
	dir := h.TempDir()
	proof, message, key := filepath.Join(dir, "proof"), filepath.Join(dir, "message"), filepath.Join(dir, "key")
	for name, b := range map[string]string{proof: h.must("prove", fmt.Sprint(entry)), message: string(msg), key: h.must("key")} {
		if err := os.WriteFile(name, []byte(b), 0o600); err != nil {
			h.Fatal(err)
		}
	}
	stranger := &home{h.TB, filepath.Join(dir, "nothing")}
	if out := stranger.must("verify", proof, message, "--key", key); !strings.Contains(out, "to the last byte") {
		h.Errorf("verify: %s", out)
	}
}

// backup makes a backup, and wants it to be sound and whole.
func (h *home) backup() {
	h.Helper()
	copied := &home{h.TB, filepath.Join(h.TempDir(), "copy")}
	h.must("backup", copied.dir)
	if exists(copied.path(keyName)) {
		h.Error("the backup has the server's key in it")
	}
	out := copied.must("audit", "--json", "--key-file", h.path(keyName))
	var r struct{ Entries, Messages, Opened int64 }
	if err := json.Unmarshal([]byte(out), &r); err != nil || r.Entries == 0 || r.Opened != r.Messages {
		h.Errorf("the backup's audit: %+v, %v", r, err)
	}
	copied.must("rebuild", "--check", "--key-file", h.path(keyName))
}

// The checkpoint and the tiles that the server hands out are those that the
// program exports; the entries are not handed out.
func TestTilesServed(t *testing.T) {
	h := newHome(t)
	s := newSource(t, 700, 0)
	c, _ := h.importing(s)
	if err := c.Wait(); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "tiles")
	h.must("tiles", dir)
	server := h.serve()
	same, hidden := 0, 0
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		want, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			return err
		}
		status, got := fetch(t, "http://"+server.http+"/log/"+path)
		switch {
		case strings.HasPrefix(path, "tile/entries/"):
			hidden++
			if status != http.StatusNotFound {
				t.Errorf("%s is served with status %d", path, status)
			}
		case status != http.StatusOK || got != string(want):
			t.Errorf("%s: status %d, other bytes than exported", path, status)
		default:
			same++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if same != 5 || hidden != 3 { // A checkpoint, two full tiles, a partial one, one above; three bundles.
		t.Errorf("%d files compared, %d hidden", same, hidden)
	}
	if status, _ := fetch(t, "http://"+server.http+"/log/tile/0/000.p/77"); status != http.StatusOK {
		t.Errorf("a part of a full tile: status %d", status)
	}
	if status, _ := fetch(t, "http://"+server.http+"/log/tile/0/009"); status != http.StatusNotFound {
		t.Errorf("a tile beyond the end: status %d", status)
	}
}

func fetch(t testing.TB, url string) (status int, body string) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(b)
}
