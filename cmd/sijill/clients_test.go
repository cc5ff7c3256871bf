package main

import (
	"encoding/json"
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

	"sijill"
	"sijill/internal/config"
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

// A sign-in name shows both identities, an address one, and nothing is copied or
// moved from one to the other.
func TestIdentitiesApart(t *testing.T) {
	h, p := populatedHome(t, nil)
	r := h.serveMail()
	for _, who := range []struct {
		name string
		want string
	}{{"hind", "INBOX Office/Sent Personal/Inbox Personal/Sent"}, {hind, "INBOX Sent"}, {hindHome, "INBOX Sent"}} {
		c := r.imap(credentials{name: who.name, app: p.hind.app})
		lines, _ := c.must(t, `LIST "" *`)
		all := strings.Join(lines, "\n") + "\n"
		for _, want := range strings.Fields(who.want) {
			if !strings.Contains(all, ` `+want+"\n") && !strings.Contains(all, ` "`+want+"\"\n") {
				t.Errorf("%s doesn't see %s:\n%s", who.name, want, all)
			}
		}
		if who.name != "hind" && (strings.Contains(all, "Personal/") || strings.Contains(all, "Office/")) {
			t.Errorf("%s sees more than one identity:\n%s", who.name, all)
		}
	}
	c := r.imap(p.hind)
	for _, way := range [][2]string{{"INBOX", "Personal/Archive"}, {"Personal/Inbox", "Office/Archive"}} {
		id := strings.ToLower(way[0][:3])
		uid, err := c.put(way[0], "", mailOf(id, hind, hind))
		if err != nil || uid == 0 {
			t.Fatal(uid, err)
		}
		for _, cmd := range []string{"UID COPY", "UID MOVE"} {
			c.must(t, "SELECT %s", way[0])
			_, tagged, err := c.do("%s %d %s", cmd, uid, way[1])
			if err != nil || !strings.HasPrefix(tagged, "NO [CANNOT]") || !strings.Contains(tagged, "kept apart") {
				t.Errorf("%s from %s to %s: %s %v", cmd, way[0], way[1], tagged, err)
			}
		}
		if len(c.all(t, way[0])[id]) != 1 || len(c.all(t, way[1])) != 0 {
			t.Errorf("something crossed from %s to %s", way[0], way[1])
		}
	}
	for _, folder := range []string{"Office/Sent", "Office/Drafts"} {
		if uid, err := c.put(folder, "", mailOf("stray", hindHome, "friend@abroad.example")); uid != 0 || err != nil {
			t.Errorf("a copy of a personal letter lies in %s: %d %v", folder, uid, err)
		}
		if uid, err := c.put(folder, "", mailOf("own", hind, "friend@abroad.example")); uid == 0 || err != nil {
			t.Errorf("a copy of an office letter in %s: %d %v", folder, uid, err)
		}
	}
}

// A program puts a copy of what it has sent into Sent: each letter is there once.
func TestSentOnce(t *testing.T) {
	h, p := populatedHome(t, nil)
	r := h.serveMail()
	c := r.imap(p.hind)
	s, err := submit(r.door("submissions"), p.hind)
	if err != nil {
		t.Fatal(err)
	}
	for from, folder := range map[string]string{hind: "Office/Sent", hindHome: "Personal/Sent"} {
		msg := mailOf("once", from, from)
		if reply, err := s.post(from, msg, from); err != nil || !strings.HasPrefix(reply, "250 ") {
			t.Fatal(reply, err)
		}
		uid, err := c.put(folder, `\Seen`, msg)
		if err != nil || uid == 0 {
			t.Fatal(uid, err)
		}
		if got := c.all(t, folder)["once"]; len(got) != 1 || got[0].uid != uid || got[0].flags != `\Seen` {
			t.Errorf("%s has %+v, not the copy %d alone", folder, got, uid)
		}
	}
	r.stop()
	h.sound()
}

// idled is how soon new mail has to be seen, on a machine that is busy with
// other tests: on a quiet one it is a fiftieth.
const idled = time.Second

// New mail of both identities is seen by IDLE soon after the 250.
func TestSeenByIdle(t *testing.T) {
	h, p := populatedHome(t, nil)
	r := h.serveMail()
	for folder, to := range map[string]string{"INBOX": hind, "Personal/Inbox": hindHome} {
		c := r.imap(p.hind)
		c.must(t, "SELECT %s", folder)
		if _, err := fmt.Fprint(c.conn, "i IDLE\r\n"); err != nil {
			t.Fatal(err)
		}
		if l, err := c.line(); err != nil || !strings.HasPrefix(l, "+") {
			t.Fatal(l, err)
		}
		s := connect(t, r.smtp)
		var all []time.Duration
		for n := range 25 {
			s.deliver(t, mailOf(fmt.Sprintf("idle-%d", n), "sender@abroad.example", to), to)
			began := time.Now()
			if l, err := c.line(); err != nil || l != fmt.Sprintf("* %d EXISTS", n+1) {
				t.Fatal(l, err)
			}
			all = append(all, time.Since(began))
		}
		slices.Sort(all)
		t.Logf("%s: seen %v after the 250 in the middle, %v at the latest", folder, all[12].Round(time.Microsecond), all[24].Round(time.Microsecond))
		if all[12] > idled {
			t.Errorf("%s: seen only %v after the 250", folder, all[12])
		}
	}
}

// A personal message that is expunged is destroyed, which the register shows; an
// office message that is expunged stays on record.
func TestExpungedIsDestroyed(t *testing.T) {
	h, p := populatedHome(t, nil)
	r := h.serveMail()
	s, c := connect(t, r.smtp), r.imap(p.hind)
	entries := map[string]int64{}
	for folder, to := range map[string]string{"INBOX": hind, "Personal/Inbox": hindHome} {
		entries[folder] = s.deliver(t, mailOf("away", "sender@abroad.example", to), to)
		var uid string
		await(t, "it is there", func() (ok bool) {
			var err error
			uid, err = c.find(folder, "away")
			return err == nil
		})
		c.must(t, `UID STORE %s +FLAGS (\Deleted)`, uid)
		c.must(t, "EXPUNGE")
		if left := c.all(t, folder); len(left) != 0 {
			t.Errorf("%s still has %v", folder, left)
		}
	}
	kinds := map[string]sijill.Kind{"INBOX": sijill.Expunged, "Personal/Inbox": sijill.Destroyed}
	for folder, kind := range kinds {
		await(t, fmt.Sprintf("the %s entry is there", kind), func() bool {
			return slices.ContainsFunc(h.entries(), func(e shownEntry) bool {
				return e.Entry.Kind == kind && slices.Contains(e.Entry.Fields.Entries, entries[folder])
			})
		})
	}
	if _, said, status := h.sijill("show", "--raw", fmt.Sprint(entries["Personal/Inbox"])); status == 0 || !strings.Contains(said, "can be opened") {
		t.Errorf("the destroyed message: status %d, %s", status, said)
	}
	if raw := h.must("show", "--raw", fmt.Sprint(entries["INBOX"])); raw != string(mailOf("away", "sender@abroad.example", hind)) {
		t.Error("the office message is not on record")
	}
	h.sound()
}

// shownEntry is an entry as "show --json" prints it.
type shownEntry struct {
	N     int64
	Entry struct {
		Kind   sijill.Kind
		Actor  string
		Fields struct {
			sijill.LoginFields
			Entries []int64
			Class   string
		}
	}
}

// entries reads all entries by the program.
func (h *home) entries() (list []shownEntry) {
	h.Helper()
	for n := range h.size() {
		var e shownEntry
		if err := json.Unmarshal([]byte(h.must("show", "--json", fmt.Sprint(n))), &e); err != nil {
			h.Fatal(err)
		}
		list = append(list, e)
	}
	return list
}

// A letter that crosses the wall is refused with advice, and so is one in
// somebody else's name; nothing of them is on the register.
func TestSubmissionAtTheWall(t *testing.T) {
	far := newFarEnd(t)
	zone := far.zone(t)
	h, p := populatedHome(t, func(c *config.Config) {
		c.DNS.Servers, c.Delivery.Port, c.Wall.Contacts = []string{zone.Addr}, far.port, []string{"ministry.example"}
	})
	r := h.serveMail()
	in := connect(t, r.smtp)
	in.deliver(t, mailOf("question", "sender@abroad.example", hind), hind)
	c := r.imap(p.hind)
	await(t, "the question is there", func() bool { _, err := c.find("INBOX", "question"); return err == nil })
	s, err := submit(r.door("submissions"), p.hind)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	before := h.size()
	answer := "In-Reply-To: <question@test.example>\r\n" + string(mailOf("answer", hindHome, "sender@abroad.example"))
	for _, l := range []struct{ what, from, msg, to, code, advice string }{
		{"an answer to office mail", hindHome, answer, "sender@abroad.example", "550 5.7.1", "office address"},
		{"a letter to a contact", hindHome, string(mailOf("contact", hindHome, "clerk@ministry.example")), "clerk@ministry.example", "550 5.7.1", "office address"},
		{"From of another", hind, string(mailOf("forged", sami, "x@abroad.example")), "x@abroad.example", "55", "one of your"},
		{"MAIL FROM of another", sami, string(mailOf("forged2", sami, "x@abroad.example")), "x@abroad.example", "55", "this sign-in writes from"},
		{"two identities", hind, string(mailOf("mixed", hindHome, "x@abroad.example")), "x@abroad.example", "550 5.7.1", "identities"},
	} {
		reply, err := s.post(l.from, []byte(l.msg), l.to)
		if err != nil || !strings.HasPrefix(reply, l.code) || !strings.Contains(reply, l.advice) {
			t.Errorf("%s: %s %v", l.what, reply, err)
		}
	}
	if n := h.size(); n != before {
		t.Errorf("%d entries were made", n-before)
	}
	office := strings.ReplaceAll(answer, hindHome, hind)
	if reply, err := s.post(hind, []byte(office), "sender@abroad.example"); err != nil || !strings.HasPrefix(reply, "250 ") {
		t.Errorf("the same from the office: %s %v", reply, err)
	}
	await(t, "it arrives", func() bool {
		far.mu.Lock()
		defer far.mu.Unlock()
		return far.taken["answer"] == 1
	})
}
