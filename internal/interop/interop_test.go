package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/transparency-dev/formats/log"
	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
)

// entries is how many entries the log has: more than two full tiles.
const entries = 700

// How long fsck may take. On a log that is damaged v1.0.4 may wait for ever (its
// workers leave while it still has work to hand out): running out of patience
// then counts as a refusal. A sound log takes it a tenth of a second.
const (
	patience      = time.Minute
	shortPatience = 6 * time.Second
)

// published is a log as the program exports it.
type published struct {
	dir     string // tlog-tiles
	ed25519 string // Verifier keys.
	mldsa   string
}

// programs builds the program and Tessera's fsck.
func programs(t *testing.T) (sijill, fsck string) {
	t.Helper()
	dir := t.TempDir()
	sijill, fsck = filepath.Join(dir, "sijill"), filepath.Join(dir, "fsck")
	for _, c := range []struct{ dir, out, pkg string }{
		{filepath.Join("..", ".."), sijill, "./cmd/sijill"},
		{".", fsck, "github.com/transparency-dev/tessera/cmd/fsck"},
	} {
		cmd := exec.Command("go", "build", "-o", c.out, c.pkg)
		cmd.Dir = c.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("building %s: %v\n%s", c.pkg, err, out)
		}
	}
	return sijill, fsck
}

// publish makes an office with mail in it and exports its log.
func publish(t *testing.T, sijill string) *published {
	t.Helper()
	dir := t.TempDir()
	p := &published{dir: filepath.Join(dir, "tiles")}
	mbox := filepath.Join(dir, "mail.mbox")
	office := filepath.Join(dir, "office")
	run := func(args ...string) string {
		cmd := exec.Command(sijill, args...)
		cmd.Env = append(os.Environ(), "SIJILL_DIR="+office)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("sijill %v: %v", args, err)
		}
		return string(out)
	}
	run("init", "--office", "Diwan", "--domain", "diwan.example", "--account", "laila@diwan.example")
	var status struct{ Entries int }
	if err := json.Unmarshal([]byte(run("status", "--json")), &status); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(mbox, letters(entries-status.Entries-1), 0o600); err != nil { // The import itself is an entry too.
		t.Fatal(err)
	}
	run("import", "--account", "laila@diwan.example", mbox)
	run("tiles", p.dir)
	keys := strings.Fields(run("key"))
	if len(keys) != 2 {
		t.Fatalf("keys: %v", keys)
	}
	p.ed25519, p.mldsa = keys[0], keys[1]
	return p
}

func letters(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, "From scribe@abroad.example Sat Nov 21 08:30:00 2026\nFrom: Scribe <scribe@abroad.example>\nSubject: letter %d\n\nختم %d\n\n", i, i)
	}
	return b.Bytes()
}

// check runs fsck on a log. It returns an error unless fsck is content.
func (p *published) check(t *testing.T, fsck, dir string, patience time.Duration) error {
	t.Helper()
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(p.ed25519), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, fsck, "--ui=false", "--v=1", "--storage_url=file://"+dir, "--public_key="+key)
	out, err := cmd.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("%w: %s", err, out)
	case bytes.Contains(out, []byte("fsck failed")): // It exits with 0 all the same.
		_, why, _ := bytes.Cut(out, []byte("fsck failed"))
		why, _, _ = bytes.Cut(why, []byte("\n"))
		return errors.New("fsck failed" + string(why))
	case !bytes.Contains(out, []byte("Successfully fsck'd log")):
		return fmt.Errorf("fsck does not say that it has succeeded: %s", out)
	}
	return nil
}

// What the program publishes holds in the eyes of others.
func TestForeignVerifiers(t *testing.T) {
	sijill, fsck := programs(t)
	p := publish(t, sijill)
	t.Run("fsck", func(t *testing.T) {
		if err := p.check(t, fsck, p.dir, patience); err != nil {
			t.Errorf("fsck refuses the log: %v", err)
		}
	})
	for name, at := range map[string]int{ // The checkpoint in its root hash.
		"checkpoint": 30, "tile/0/000": 4000, "tile/0/002.p/188": 4000, "tile/1/000.p/2": 40,
		"tile/entries/001": 4000, "tile/entries/002.p/188": 4000,
	} {
		t.Run("damaged "+strings.ReplaceAll(name, "/", " "), func(t *testing.T) {
			t.Parallel()
			dir := damaged(t, p.dir, name, at)
			err := p.check(t, fsck, dir, shortPatience)
			if err == nil {
				t.Error("fsck accepts a damaged log")
			}
			t.Log(err)
		})
	}
	t.Run("checkpoint", func(t *testing.T) { p.checkpoint(t, publish(t, sijill).ed25519) })
}

// damaged copies a log and turns one bit of a file.
func damaged(t *testing.T, log, name string, at int) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "tiles")
	if err := os.CopyFS(dir, os.DirFS(log)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[at] ^= 4
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// checkpoint parses and verifies the checkpoint with transparency.dev's
// packages, under both of its signatures; under another's key, and with another
// size, it must not verify.
func (p *published) checkpoint(t *testing.T, otherKey string) {
	signed, err := os.ReadFile(filepath.Join(p.dir, "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	ed25519, err := fnote.NewVerifier(p.ed25519)
	if err != nil {
		t.Fatal(err)
	}
	mldsa, err := fnote.NewMLDSAVerifier(p.mldsa)
	if err != nil {
		t.Fatal(err)
	}
	forged := bytes.Replace(signed, []byte("\n700\n"), []byte("\n701\n"), 1)
	for _, v := range []note.Verifier{ed25519, mldsa} {
		c, rest, n, err := log.ParseCheckpoint(signed, "diwan.example/register", v)
		if err != nil {
			t.Fatal(err)
		}
		if c.Size != entries || len(rest) != 0 || len(n.Sigs) != 1 || len(n.UnverifiedSigs) != 1 {
			t.Errorf("checkpoint %+v, rest %q, %d signatures verified", c, rest, len(n.Sigs))
		}
		if _, _, _, err := log.ParseCheckpoint(forged, "diwan.example/register", v); err == nil {
			t.Error("a forged size is accepted")
		}
	}
	n, err := note.Open(signed, note.VerifierList(ed25519, mldsa))
	if err != nil || len(n.Sigs) != 2 {
		t.Errorf("both signatures: %v", err)
	}
	other, err := fnote.NewVerifier(otherKey)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := log.ParseCheckpoint(signed, "diwan.example/register", other); err == nil {
		t.Error("another register's key verifies the checkpoint")
	}
}
