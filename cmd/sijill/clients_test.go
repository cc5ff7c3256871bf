package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// model is what somebody expects of the messages that he alone touches.
type model struct {
	series string
	folder map[string]string   // Absent: it was deleted.
	copied map[string]string   // Where there is a copy besides; what has one is left alone.
	flags  map[string][]string // By their letters in Maildir.
	came   map[string]int64    // In which round a message came to its folder.
	round  atomic.Int64        // Of another program's work; 0: there is none.
	gentle atomic.Bool         // Nothing is taken out of a folder.
	made   int
	ops    int
}

func newModel(series string) *model {
	return &model{series: series, folder: map[string]string{}, copied: map[string]string{}, flags: map[string][]string{}, came: map[string]int64{}}
}

// maildirFlags are flags of IMAP by their letters in Maildir.
var maildirFlags = map[string]string{"D": `\Draft`, "F": `\Flagged`, "R": `\Answered`, "S": `\Seen`}

// other is the folder to which messages of a folder are moved: on the same side
// of the wall.
func other(folder string) string {
	i := slices.Index(hindsFolders, folder)
	return hindsFolders[i^1]
}

func (m *model) add(folder string, flags ...string) (id string, msg []byte) {
	m.made++
	id = fmt.Sprintf("%s-%d", m.series, m.made)
	m.folder[id], m.flags[id] = folder, flags
	return id, mailOf(id, hind, hind)
}

// any is one of the messages, or "". In a round, those that have come to their folder
// in it are left alone.
func (m *model) any() string {
	round := m.round.Load()
	for id := range m.folder { // In random order.
		if m.copied[id] == "" && (round == 0 || m.came[id] < round) {
			return id
		}
	}
	return ""
}

// toggle changes a flag and tells whether it is set now.
func (m *model) toggle(id, flag string) (set bool) {
	if i := slices.Index(m.flags[id], flag); i >= 0 {
		m.flags[id] = slices.Delete(slices.Clone(m.flags[id]), i, i+1)
		return false
	}
	m.flags[id] = append(slices.Clone(m.flags[id]), flag)
	slices.Sort(m.flags[id])
	return true
}

// online is a mail program that does one thing at once, with a message that it
// finds by its id.
type online interface {
	add(folder string, msg []byte) error
	flag(folder, id, sign, flag string) error
	move(folder, id, to string) error
	copy(folder, id, to string) error
	expunge(folder, id string) error
}

// byIMAP does one thing through IMAP, or waits a little for messages that it may touch.
func (m *model) byIMAP(c online) error {
	id := m.any()
	if id == "" && len(m.folder) > 20 {
		time.Sleep(time.Millisecond)
		return nil
	}
	m.ops++
	from := m.folder[id]
	defer func() { m.came[id] = m.round.Load() }()
	switch what := rand.IntN(20); {
	case id == "" || what < 6 && len(m.folder) < 40:
		var msg []byte
		id, msg = m.add(hindsFolders[rand.IntN(4)])
		return c.add(m.folder[id], msg)
	case what < 14 || m.gentle.Load() && what != 17:
		flag := []string{"F", "R", "S"}[rand.IntN(3)]
		sign := map[bool]string{true: "+", false: "-"}[m.toggle(id, flag)]
		return c.flag(from, id, sign, flag)
	case what < 17:
		m.folder[id] = other(from)
		return c.move(from, id, other(from))
	case what < 18:
		m.copied[id] = other(from)
		return c.copy(from, id, other(from))
	}
	delete(m.folder, id)
	return c.expunge(from, id)
}

func (c *mailProgram) add(folder string, msg []byte) error {
	uid, err := c.put(folder, "", msg)
	if err == nil && uid == 0 {
		err = errors.New("APPEND was refused")
	}
	return err
}

// with does something with a message.
func (c *mailProgram) with(folder, id, format string, args ...any) error {
	uid, err := c.find(folder, id)
	if err != nil {
		return err
	}
	return c.done(format, append([]any{uid}, args...)...)
}

func (c *mailProgram) flag(folder, id, sign, flag string) error {
	return c.with(folder, id, "UID STORE %s %sFLAGS.SILENT (%s)", sign, maildirFlags[flag])
}

func (c *mailProgram) move(folder, id, to string) error {
	return c.with(folder, id, "UID MOVE %s %s", to)
}

func (c *mailProgram) copy(folder, id, to string) error {
	return c.with(folder, id, "UID COPY %s %s", to)
}

func (c *mailProgram) expunge(folder, id string) error {
	return errors.Join(c.with(folder, id, `UID STORE %s +FLAGS (\Deleted)`), c.with(folder, id, "UID EXPUNGE %s"))
}

// done is do for what must be answered OK.
func (c *mailProgram) done(format string, args ...any) error {
	_, tagged, err := c.do(format, args...)
	if err == nil && !strings.HasPrefix(tagged, "OK") {
		err = fmt.Errorf("%s: %s", format, tagged)
	}
	return err
}

// find selects a folder and finds a message in it.
func (c *mailProgram) find(folder, id string) (uid string, err error) {
	if err := c.done("SELECT %s", folder); err != nil {
		return "", err
	}
	lines, _, err := c.do(`UID SEARCH HEADER Message-ID "<%s@"`, id)
	for _, l := range lines {
		if f := strings.Fields(l); len(f) == 3 && f[1] == "SEARCH" {
			return f[2], err
		}
	}
	return "", errors.Join(err, fmt.Errorf("%s is not in %s, or not once: %q", id, folder, lines))
}

// byFiles does one thing in the tree of files, while mbsync is not running.
func (m *model) byFiles(t testing.TB, d *maildir) {
	t.Helper()
	m.ops++
	id := m.any()
	what := rand.IntN(10)
	if id == "" || what < 3 {
		id, msg := m.add(hindsFolders[rand.IntN(4)], "S")
		d.write(t, m.folder[id], id, strings.ReplaceAll(string(msg), "\r\n", "\n"))
		return
	}
	here := d.all(t, m.folder[id])[id]
	if len(here) != 1 {
		t.Fatalf("%s is %d times here in %s", id, len(here), m.folder[id])
	}
	base, _, _ := strings.Cut(filepath.Base(here[0].path), ":2,")
	var to string
	switch {
	case what < 7:
		m.toggle(id, []string{"F", "R", "S"}[rand.IntN(3)])
		to = filepath.Join(d.dir, "mail", m.folder[id], "cur", base+":2,"+strings.Join(m.flags[id], ""))
	case what < 9:
		m.folder[id] = other(m.folder[id])
		name, _, _ := strings.Cut(base, ",U=") // A file that comes from elsewhere has no UID here.
		to = filepath.Join(d.dir, "mail", m.folder[id], "cur", fmt.Sprintf("%s.%d:2,%s", name, m.ops, strings.Join(m.flags[id], "")))
	default:
		delete(m.folder, id)
		if err := os.Remove(here[0].path); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err := os.Rename(here[0].path, to); err != nil {
		t.Fatal(err)
	}
}

func (m *maildir) write(t testing.TB, folder, id, msg string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(m.dir, "mail", folder, "cur", id+":2,S"), []byte(msg), 0o600); err != nil {
		t.Fatal(err)
	}
}

// holds wants folders to have the messages of a model, as they should be.
func (m *model) holds(t testing.TB, where string, in map[string]map[string][]stored) {
	t.Helper()
	for _, folder := range hindsFolders {
		for id, list := range in[folder] {
			if !strings.HasPrefix(id, m.series+"-") {
				continue
			}
			switch want := strings.Join(m.flags[id], ""); {
			case m.folder[id] != folder && m.copied[id] != folder || len(list) != 1:
				t.Errorf("%s: %s is %d times in %s, and should be in %q", where, id, len(list), folder, m.folder[id])
			case letters(list[0].flags) != want:
				t.Errorf("%s: %s has the flags %q, and should have %q", where, id, list[0].flags, want)
			case tuid.ReplaceAllString(list[0].body, "") != string(mailOf(id, hind, hind)):
				t.Errorf("%s: %s was changed", where, id)
			}
		}
	}
	for id, folder := range m.folder {
		if len(in[folder][id]) == 0 {
			t.Errorf("%s: %s is lost from %s", where, id, folder)
		}
	}
	for id, folder := range m.copied {
		if len(in[folder][id]) == 0 {
			t.Errorf("%s: the copy of %s is lost from %s", where, id, folder)
		}
	}
}

// letters writes flags of IMAP as those of Maildir, which it leaves alone.
func letters(flags string) string {
	if !strings.Contains(flags, `\`) {
		return flags
	}
	var b strings.Builder
	for _, l := range []string{"D", "F", "R", "S"} {
		if strings.Contains(flags, maildirFlags[l]) {
			b.WriteString(l)
		}
	}
	return b.String()
}

// Two mail programs at once, mbsync and one that works while it syncs, see both
// identities and do 400 things: none loses, doubles or changes a message.
func TestTwoClients(t *testing.T) {
	h, p := populatedHome(t, nil)
	r, d := h.serveMail(), newMaildir(t)
	d.sync(r, p.hind)
	a, b := newModel("online"), newModel("files")
	ended := make(chan error, 1)
	go func() {
		c, err := signIMAP(r.door("imaps"), p.hind)
		for err == nil && a.ops < 200 {
			err = a.byIMAP(c)
		}
		ended <- err
	}()
	rounds := 0
	for ; b.ops < 200; rounds++ {
		for range 20 {
			b.byFiles(t, d)
		}
		d.sync(r, p.hind)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	d.sync(r, p.hind)
	d.sync(r, p.hind)
	c := r.imap(p.hind)
	here, there := map[string]map[string][]stored{}, map[string]map[string][]stored{}
	for _, folder := range hindsFolders {
		here[folder], there[folder] = d.all(t, folder), c.all(t, folder)
	}
	for _, m := range []*model{a, b} {
		m.holds(t, "server", there)
		m.holds(t, "files", here)
	}
	r.stop()
	h.sound()
	h.must("rebuild", "--check")
	t.Logf("%d and %d operations with %d runs of mbsync; %d messages are left", a.ops, b.ops, rounds+3, len(a.folder)+len(b.folder))
}
