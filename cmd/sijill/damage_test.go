package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"sijill/internal/db"
	"sijill/internal/office"
)

// damageMail is how many messages the office has that is to be damaged.
const damageMail = 40

// filled makes a small office with mail of both doors in it, and stops it in
// order.
func filled(t testing.TB) *home {
	t.Helper()
	h := newHome(t)
	server := h.serve()
	s := connect(t, server.smtp)
	for n := range damageMail {
		s.deliver(t, letter("damage", n), laila, sami)
	}
	s.close()
	server.stop()
	h.must("import", "--account", sami, newSource(t, 5, 0).path)
	h.sound()
	return h
}

// offices are copies of one office, each to be damaged and put right again.
type offices struct {
	whole *home
	free  chan *home
}

func newOffices(t testing.TB, whole *home, n int) *offices {
	o := &offices{whole, make(chan *home, n)}
	for range n {
		o.free <- copyHome(t, whole.dir)
	}
	return o
}

// with hands out a whole copy of the office.
func (o *offices) with(fn func(h *home)) {
	h := <-o.free
	defer func() { o.free <- h }()
	if err := os.RemoveAll(h.dir); err != nil {
		h.Fatal(err)
	}
	h.put(o.whole.dir)
	fn(h)
}

// audit runs the audit in this process, as main does, and returns what it said.
func (h *home) audit() (said string, status int) {
	var out, err bytes.Buffer
	status = run([]string{"audit", "--dir", h.dir}, &out, &err)
	return out.String() + err.String(), status
}

// flip turns one bit of a file.
func (h *home) flip(name string, at int64) {
	h.Helper()
	path := h.path(name)
	b, err := os.ReadFile(path)
	if err != nil {
		h.Fatal(err)
	}
	b[at] ^= 1 << (at % 8)
	info, err := os.Stat(path)
	if err != nil {
		h.Fatal(err)
	}
	if err := errors.Join(os.Remove(path), os.WriteFile(path, b, info.Mode())); err != nil {
		h.Fatal(err)
	}
}

// frame is where the message of an entry is.
type frame struct{ entry, segment, at, end int64 }

// frames reads where the entries' messages are.
func (h *home) frames() (list []frame) {
	h.Helper()
	o := h.open()
	err := o.DB.Read(h.Context(), func(tx *db.Tx) error {
		return tx.Each("SELECT number, segment, at, at + 20 + length FROM entry WHERE segment IS NOT NULL", nil, func(r db.Row) error {
			var f frame
			err := r.Scan(&f.entry, &f.segment, &f.at, &f.end)
			list = append(list, f)
			return err
		})
	})
	if err != nil {
		h.Fatal(err)
	}
	return list
}

// One bit turned anywhere in a sealed message is found, and the entry is named.
func TestDamagedSegments(t *testing.T) {
	h := filled(t)
	copies := newOffices(t, h, 2)
	var wg sync.WaitGroup
	trials := 0
	for _, f := range h.frames() {
		places := []int64{f.at, f.at + 3, f.at + 4, f.at + 19, f.at + 20, f.end - 1} // Length, id, data.
		for range 2 {
			places = append(places, f.at+rand.Int64N(f.end-f.at))
		}
		trials += len(places)
		wg.Go(func() {
			for _, at := range places {
				copies.with(func(c *home) { c.flippedSegment(f, at) })
			}
		})
	}
	wg.Wait()
	if trials < 200 {
		t.Errorf("only %d places", trials)
	}
	t.Logf("%d places", trials)
}

func (h *home) flippedSegment(f frame, at int64) {
	h.Helper()
	h.flip(fmt.Sprintf("segments/%08d.seg", f.segment), at)
	said, status := h.audit()
	if status == 0 || !strings.Contains(said, fmt.Sprintf("DAMAGED  entry %d: segment %d at %d: ", f.entry, f.segment, f.at)) {
		h.Errorf("segment %d, byte %d of entry %d: status %d\n%s", f.segment, at, f.entry, status, said)
	}
}

// The header of a segment is claimed by every entry in it.
func TestDamagedSegmentHeader(t *testing.T) {
	h := filled(t)
	for at := range int64(32) {
		c := copyHome(t, h.dir)
		c.flip("segments/00000001.seg", at)
		if said, status := c.audit(); status == 0 || !strings.Contains(said, "segment") {
			t.Errorf("header byte %d: status %d\n%s", at, status, said)
		}
	}
}

// contents reads every row of every table, to tell whether a damaged database
// still says the same.
func (h *home) contents() (rows []string, err error) {
	o, err := openOffice(h.Context(), &Globals{Dir: h.dir}, Out{io.Discard, io.Discard})
	if err != nil {
		return nil, err
	}
	defer o.Close()
	err = o.DB.Read(h.Context(), func(tx *db.Tx) error {
		var tables []string
		err := tx.Each("SELECT name FROM sqlite_schema WHERE type = 'table'", nil, func(r db.Row) error {
			var name string
			err := r.Scan(&name)
			tables = append(tables, name)
			return err
		})
		for _, name := range tables {
			var columns int
			err = errors.Join(err, tx.One("SELECT count(*) FROM pragma_table_info(?)", []any{name}, &columns),
				tx.Each("SELECT * FROM \""+name+"\"", nil, func(r db.Row) error {
					values, places := make([]any, columns), make([]any, columns)
					for i := range values {
						places[i] = &values[i]
					}
					err := r.Scan(places...)
					rows = append(rows, fmt.Sprint(name, values))
					return err
				}))
		}
		return err
	})
	slices.Sort(rows)
	return rows, err
}

// One bit turned anywhere in the database is found, unless nothing rests on it:
// then the database says what it said before.
func TestDamagedDatabase(t *testing.T) {
	h := filled(t)
	want, err := h.contents()
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(h.path(office.RegisterFile))
	if err != nil {
		t.Fatal(err)
	}
	copies := newOffices(t, h, 2)
	var mu sync.Mutex
	found, nothing := 0, 0
	var wg sync.WaitGroup
	const trials = 120
	for i := range int64(trials) {
		at := i*info.Size()/trials + rand.Int64N(info.Size()/trials)
		wg.Go(func() {
			copies.with(func(c *home) {
				c.flip(office.RegisterFile, at)
				harmless := c.flippedDatabase(at, want)
				mu.Lock()
				defer mu.Unlock()
				if harmless {
					nothing++
				} else {
					found++
				}
			})
		})
	}
	wg.Wait()
	if found < trials/2 {
		t.Errorf("of %d flips only %d meant anything", trials, found)
	}
	t.Logf("%d flips over %d pages found, %d where nothing rests", found, info.Size()/4096, nothing)
}

// sensible is how a finding or an error names what is damaged.
var sensible = regexp.MustCompile(`DAMAGED  (entry|entries|database|head|tree hashes|message keys|checkpoint|segment)|the key does not belong|malformed|not a database`)

func (h *home) flippedDatabase(at int64, want []string) (harmless bool) {
	h.Helper()
	said, status := h.audit()
	if status != 0 {
		if !sensible.MatchString(said) {
			h.Errorf("register.db byte %d: found, but said is only\n%s", at, said)
		}
		return false
	}
	got, err := h.contents()
	if err != nil || !slices.Equal(got, want) {
		h.Errorf("register.db byte %d: the audit passes, but the database says something else (%v)", at, err)
	}
	return true
}

// A few kinds of damage through the program itself.
func TestDamageByTheProgram(t *testing.T) {
	h := filled(t)
	seg := "segments/00000001.seg"
	last := h.frames()[damageMail-1]
	for name, c := range map[string]struct {
		do   func(h *home) error
		want string
	}{
		"segment deleted":     {func(h *home) error { return os.Remove(h.path(seg)) }, "segment 1"},
		"segment truncated":   {func(h *home) error { return os.Truncate(h.path(seg), last.at+5) }, "the segment ends before the message does"},
		"segment emptied":     {func(h *home) error { return os.Truncate(h.path(seg), 0) }, "segment 1"},
		"messages swapped":    {func(h *home) error { return h.swap(seg) }, "the message there has another id"},
		"bit in a message":    {func(h *home) error { h.flip(seg, last.end-9); return nil }, fmt.Sprintf("entry %d: segment 1 at %d", last.entry, last.at)},
		"bit in the database": {func(h *home) error { h.flip(office.RegisterFile, 3*4096+77); return nil }, ""},
		"database cut":        {func(h *home) error { return os.Truncate(h.path(office.RegisterFile), 8*4096) }, ""},
		"database deleted":    {func(h *home) error { return os.Remove(h.path(office.RegisterFile)) }, ""},
		"checkpoint forged":   {func(h *home) error { h.flip(office.CheckpointFile, 40); return nil }, "checkpoint"},
	} {
		t.Run(name, func(t *testing.T) {
			c2 := copyHome(t, h.dir)
			if err := c.do(c2); err != nil {
				t.Fatal(err)
			}
			out, err, status := c2.sijill("audit")
			if status == 0 || !strings.Contains(out+err, c.want) || strings.Contains(out, "The register is sound") {
				t.Errorf("status %d, want %q\n%s%s", status, c.want, out, err)
			}
			if strings.Contains(out+err, "panic") || strings.Contains(out+err, "goroutine ") {
				t.Errorf("it crashed:\n%s%s", out, err)
			}
		})
	}
}

// swap exchanges the ids of the first two frames of a segment.
func (h *home) swap(segment string) error {
	b, err := os.ReadFile(h.path(segment))
	if err != nil {
		return err
	}
	list := h.frames()
	one, two := b[list[0].at+4:list[0].at+20], b[list[1].at+4:list[1].at+20]
	keep := slices.Clone(one)
	copy(one, two)
	copy(two, keep)
	return os.WriteFile(h.path(segment), b, 0o600)
}

// setBack gives an office whose database is older than its segments and its
// checkpoint, and the newer database.
func setBack(t *testing.T) (h *home, newer string) {
	t.Helper()
	h = newHome(t)
	server := h.serve()
	s := connect(t, server.smtp)
	s.deliver(t, letter("early", 0), laila)
	s.close()
	server.stop()
	older := filepath.Join(t.TempDir(), "older.db")
	if err := copyFile(h.path(office.RegisterFile), older); err != nil {
		t.Fatal(err)
	}
	server = h.serve()
	s = connect(t, server.smtp)
	for n := range damageMail {
		s.deliver(t, letter("late", n), laila)
	}
	s.close()
	server.stop()
	h.must("search", "--account", laila, "late")
	newer = filepath.Join(t.TempDir(), "newer.db")
	if err := errors.Join(os.Rename(h.path(office.RegisterFile), newer), copyFile(older, h.path(office.RegisterFile))); err != nil {
		t.Fatal(err)
	}
	return h, newer
}

// An old copy of the database is noticed, nothing is appended to it, and
// looking at it destroys nothing: with the right database all is there again.
func TestDatabaseSetBack(t *testing.T) {
	h, newer := setBack(t)
	if out, _, status := h.sijill("audit"); status == 0 || !strings.Contains(out, "set back") {
		t.Errorf("audit: status %d\n%s", status, out)
	}
	if out := h.must("status"); !strings.Contains(out, "NOTHING IS APPENDED") {
		t.Errorf("status: %s", out)
	}
	server := h.serve()
	reply, err := connect(t, server.smtp).send(letter("refused", 0), laila)
	if err != nil || !strings.HasPrefix(reply, "451 4.3.0 ") {
		t.Errorf("a register that is behind answers %q, %v", reply, err)
	}
	if status, _ := fetch(t, "http://"+server.http+"/healthz"); status == 200 {
		t.Error("/healthz says that all is well")
	}
	server.kill()
	if _, err, status := h.sijill("import", "--account", laila, newSource(t, 1, 0).path); status == 0 || !strings.Contains(err, "behind") {
		t.Errorf("import: status %d, %s", status, err)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(h.path(office.RegisterFile + suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if err := os.Rename(newer, h.path(office.RegisterFile)); err != nil {
		t.Fatal(err)
	}
	h.sound()
	if raw := h.must("show", "--raw", fmt.Sprint(damageMail)); raw != string(letter("late", damageMail-1)) {
		t.Error("the last message is another")
	}
}

// A register whose tail is lost goes on under another name; what arrives from
// then on is found.
func TestRetire(t *testing.T) {
	h, _ := setBack(t)
	if _, err, status := h.sijill("retire"); status == 0 || !strings.Contains(err, "--yes") {
		t.Errorf("retire without --yes: status %d, %s", status, err)
	}
	if out := h.must("retire", "--yes"); !strings.Contains(out, "diwan.example/register.2") {
		t.Errorf("retire: %s", out)
	}
	h.sound()
	server := h.serve()
	s := connect(t, server.smtp)
	for n := range 3 {
		s.deliver(t, letter("after", n), laila)
	}
	s.close()
	server.stop()
	h.sound()
	var found []Found
	if err := json.Unmarshal([]byte(h.must("search", "--json", "--account", laila, "after")), &found); err != nil {
		t.Fatal(err)
	}
	if len(found) != 3 {
		t.Errorf("%d of 3 new messages are found", len(found))
	}
	if out, _, status := h.sijill("rebuild", "--check"); status != 0 {
		t.Errorf("rebuild --check: %s", out)
	}
}

// The write-ahead log of a killed server holds what it acknowledged: without it
// the register is behind its own checkpoint, and says so.
func TestLogDeleted(t *testing.T) {
	h, acknowledged := newHome(t), newLedger()
	server := h.serve()
	s := connect(t, server.smtp)
	for n := range 10 {
		msg := letter("wal", n)
		acknowledged.add(s.deliver(t, msg, laila), msg)
	}
	await(t, "the checkpoint is kept", func() bool {
		b, err := os.ReadFile(h.path(office.CheckpointFile))
		return err == nil && strings.HasPrefix(string(b), "diwan.example/register\n10\n")
	})
	server.kill()
	whole := copyHome(t, h.dir)
	if err := os.Remove(h.path(office.RegisterFile + "-wal")); err != nil {
		t.Fatal(err)
	}
	if out, err, status := h.sijill("audit"); status == 0 || !strings.Contains(out+err, "set back") {
		t.Errorf("audit without the log: status %d\n%s%s", status, out, err)
	}
	if out := h.must("status"); !strings.Contains(out, "NOTHING IS APPENDED") {
		t.Errorf("status: %s", out)
	}
	whole.sound()
	acknowledged.check(whole)
	h.must("recover", whole.dir)
	h.sound()
	acknowledged.check(h)
}
