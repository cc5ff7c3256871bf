package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/office"
)

// kills is how often a process dies in each of these tests.
const kills = 15

// A server that is killed while twenty sessions send has everything that it
// acknowledged, each time and at the end.
func TestServerKilled(t *testing.T) {
	h, acknowledged := newHome(t), newLedger()
	for run := range kills {
		before := acknowledged.size()
		s := h.serve()
		wait := load(s.smtp, fmt.Sprintf("run%d", run), 20, acknowledged)
		await(t, "the first message is sealed", func() bool { return acknowledged.size() > before })
		time.Sleep(time.Duration(200+rand.IntN(300)) * time.Millisecond) // The moment of death is left to chance.
		s.kill()
		wait()
	}
	h.sound()
	acknowledged.check(h)
	h.must("rebuild", "--check")
	t.Logf("%d kills, %d messages acknowledged", kills, acknowledged.size())
}

// source is an mbox to import, and what its messages become.
type source struct {
	path     string
	messages map[[32]byte]bool // Different ones.
	seen     int               // All, with those that come twice.
	refused  int
}

// newSource writes an mbox of n messages. Every 100th comes twice and every
// 500th is nothing but its From_ line.
func newSource(t testing.TB, n, number int) *source {
	t.Helper()
	s := &source{path: filepath.Join(t.TempDir(), fmt.Sprintf("year-%d.mbox", number)), messages: map[[32]byte]bool{}}
	var b bytes.Buffer
	add := func(msg []byte) {
		b.WriteString("From scribe@abroad.example Sat Nov 21 08:30:00 2026\n")
		b.Write(bytes.ReplaceAll(msg, []byte("\r\n"), []byte("\n")))
		b.WriteString("\n")
		s.seen++
	}
	for i := range n {
		msg := letter(fmt.Sprintf("year%d", number), i)
		s.messages[sha256.Sum256(msg)] = true
		add(msg)
		if i%100 == 0 {
			add(msg)
		}
		if i%500 == 0 {
			add(nil)
			s.refused++
		}
	}
	if err := os.WriteFile(s.path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// reconciliation is what import prints with --json; what of it stands in the
// entry is what counts.
type reconciliation struct {
	Entry                            int64
	Seen, Captured, Already, Refused int
}

// importing starts an import of a source.
func (h *home) importing(s *source) (c *exec.Cmd, out *bytes.Buffer) {
	h.Helper()
	c, out = h.command("import", "--json", "--account", laila, s.path), &bytes.Buffer{}
	c.Stdout = out
	if err := c.Start(); err != nil {
		h.Fatal(err)
	}
	return c, out
}

// reconciled wants the counts of a finished import to add up, those in its entry
// and those that it printed. A run that was killed between its last entry and
// its end has printed nothing: the next one only names the entry.
func (s *source) reconciled(h *home, out *bytes.Buffer) {
	h.Helper()
	var printed reconciliation
	if err := json.Unmarshal(out.Bytes(), &printed); err != nil {
		h.Fatalf("%v in %q", err, out)
	}
	var shown struct {
		Entry struct{ Fields reconciliation }
	}
	if err := json.Unmarshal([]byte(h.must("show", "--json", fmt.Sprint(printed.Entry))), &shown); err != nil {
		h.Fatal(err)
	}
	r := shown.Entry.Fields
	if r.Seen != s.seen || r.Captured != len(s.messages) || r.Refused != s.refused || r.Seen != r.Captured+r.Already+r.Refused {
		h.Errorf("reconciliation %+v; the source has %d, %d of them different, %d not mail", r, s.seen, len(s.messages), s.refused)
	}
	if r.Entry = printed.Entry; r != printed && !strings.Contains(out.String(), `"imported_before":true`) {
		h.Errorf("printed %+v, sealed %+v", printed, r)
	}
}

// once wants every message of the sources to be in the register exactly once
// through the import door.
func once(h *home, sources ...*source) (imports int) {
	h.Helper()
	o := h.open()
	times := map[[32]byte]int{}
	size, _ := o.Register.Head()
	for n := range size {
		it, err := o.Register.Item(h.Context(), n)
		if err != nil {
			h.Fatal(err)
		}
		if it.Entry.Kind == sijill.Imported {
			imports++
		}
		if it.Entry.Actor != "import" || it.Entry.Kind != sijill.Captured {
			continue
		}
		c, err := it.Content()
		if err != nil {
			h.Fatal(err)
		}
		times[sha256.Sum256(c.Message)]++
	}
	for _, s := range sources {
		for sum := range s.messages {
			if times[sum] != 1 {
				h.Errorf("a message of %s is there %d times", filepath.Base(s.path), times[sum])
			}
			delete(times, sum)
		}
	}
	if len(times) > 0 {
		h.Errorf("%d messages are there that no source has", len(times))
	}
	return imports
}

// importSize is how many different messages a source has.
const importSize = 10_000

// progress reads how far imports have come, as far as that is saved.
func (h *home) progress() (saved string) {
	h.Helper()
	o, err := openOffice(h.Context(), &Globals{Dir: h.dir}, Out{io.Discard, io.Discard})
	if err != nil {
		h.Fatal(err)
	}
	defer o.Close()
	err = o.DB.Read(h.Context(), func(tx *db.Tx) error {
		return tx.Each("SELECT name, state FROM progress ORDER BY name", nil, func(r db.Row) error {
			var name, state string
			err := r.Scan(&name, &state)
			saved += name + state
			return err
		})
	})
	if err != nil {
		h.Fatal(err)
	}
	return saved
}

// killSoon kills an import: mostly before it has saved its progress, which it
// does several times a second, and in every fifth run just after.
func (h *home) killSoon(run int, c *exec.Cmd) {
	h.Helper()
	if run%5 != 4 {
		time.Sleep(time.Duration(60+rand.IntN(250)) * time.Millisecond)
		kill(c)
		return
	}
	before := h.progress()
	await(h, "progress is saved, or all is in", func() bool { return ended(c) || h.progress() != before })
	kill(c)
}

// ended tells whether a process has ended that nobody has waited for yet.
func ended(c *exec.Cmd) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.Process.Pid))
	return err != nil || bytes.Contains(stat, []byte(") Z "))
}

// importKilled imports sources one after the other, killing the import again and
// again, and returns them when it has been killed often enough and the last is
// in.
func importKilled(h *home) (sources []*source, resumed int) {
	s := newSource(h, importSize, 0)
	for run, killed := 0, 0; ; run++ {
		c, out := h.importing(s)
		if killed < kills {
			h.killSoon(run, c)
		}
		if err := c.Wait(); err != nil {
			if c.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				h.Fatal(err)
			}
			killed++
			continue
		}
		s.reconciled(h, out)
		if strings.Contains(out.String(), `"resumed":true`) {
			resumed++
		}
		sources = append(sources, s)
		if killed == kills {
			return sources, resumed
		}
		s = newSource(h, importSize, len(sources)) // This machine is quick: there must be something left to kill.
	}
}

// An import that is killed again and again goes on where it was, loses nothing,
// doubles nothing, and adds up.
func TestImportKilled(t *testing.T) {
	h := newHome(t)
	sources, resumed := importKilled(h)
	h.sound()
	if n := once(h, sources...); n != len(sources) {
		t.Errorf("%d imported entries for %d sources", n, len(sources))
	}
	if resumed == 0 {
		t.Error("no import went on from its saved progress")
	}
	again := h.must("import", "--json", "--account", laila, sources[0].path)
	if !strings.Contains(again, `"imported_before":true`) {
		t.Errorf("the same file again: %s", again)
	}
	h.must("rebuild", "--check")
	t.Logf("%d kills over %d sources of %d messages, %d taken up again", kills, len(sources), sources[0].seen, resumed)
}

// Server and import die at the same moment on the same directory.
func TestServerAndImportKilled(t *testing.T) {
	h, acknowledged := newHome(t), newLedger()
	s := newSource(t, 8000, 0)
	for run := range 6 {
		before := acknowledged.size()
		server := h.serve()
		c, _ := h.importing(s)
		wait := load(server.smtp, fmt.Sprintf("both%d", run), 20, acknowledged)
		await(t, "the first message is sealed", func() bool { return acknowledged.size() > before })
		time.Sleep(time.Duration(100+rand.IntN(300)) * time.Millisecond)
		kill(c)
		server.kill()
		_ = c.Wait() // It was killed, or was quick enough to finish.
		wait()
	}
	c, out := h.importing(s)
	if err := c.Wait(); err != nil {
		t.Fatalf("the last import: %v", err)
	}
	h.sound()
	acknowledged.check(h)
	s.reconciled(h, out)
	once(h, s)
	h.must("rebuild", "--check")
	t.Logf("6 kills of both, %d messages acknowledged by SMTP, %d imported", acknowledged.size(), len(s.messages))
}

// A server that is asked to stop under load answers what it has taken and loses
// nothing.
func TestStopUnderLoad(t *testing.T) {
	h, acknowledged := newHome(t), newLedger()
	s := h.serve()
	wait := load(s.smtp, "stop", 20, acknowledged)
	await(t, "some hundred messages are sealed", func() bool { return acknowledged.size() > 300 })
	s.stop()
	wait()
	h.sound()
	acknowledged.check(h)
	if strings.Contains(s.log.String(), "were cut") {
		t.Errorf("sessions were cut:\n%s", s.log)
	}
}

// Ctrl-C stops an import with a word about going on, and it goes on.
func TestImportInterrupted(t *testing.T) {
	h := newHome(t)
	s := newSource(t, importSize, 0)
	c, _ := h.importing(s)
	await(t, "something is imported", func() bool { return ended(c) || h.size() > 100 })
	_ = c.Process.Signal(os.Interrupt)
	if err := c.Wait(); err == nil {
		t.Skip("this machine is too quick: the import was done before it could be interrupted")
	} else if c.ProcessState.ExitCode() != 1 {
		t.Fatalf("an interrupted import ended with %v", err)
	}
	c, out := h.importing(s)
	if err := c.Wait(); err != nil {
		t.Fatal(err)
	}
	s.reconciled(h, out)
	once(h, s)
	h.sound()
}

// A folder of segments that can't be opened is an error in words.
func TestSegmentsUnusable(t *testing.T) {
	h := newHome(t)
	segments := filepath.Join(h.dir, office.SegmentsDir)
	if err := os.RemoveAll(segments); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(segments, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, stderr, status := h.sijill("status")
	if status != 1 || !strings.Contains(stderr, "segment folder") || strings.Contains(stderr, "panic") {
		t.Fatalf("status %d: %s", status, stderr)
	}
}

// size is how many entries the register has.
func (h *home) size() int64 {
	h.Helper()
	var s struct{ Entries int64 }
	if err := json.Unmarshal([]byte(h.must("status", "--json")), &s); err != nil {
		h.Fatal(err)
	}
	return s.Entries
}
