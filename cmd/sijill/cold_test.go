package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sijill"
	"sijill/internal/config"
	"sijill/internal/db"
	"sijill/internal/message"
	"sijill/internal/office"
	"sijill/internal/record"
	"sijill/internal/vault"
)

// oldOffice is an office in which hind has mail of eight months ago and of today,
// of both classes.
type oldOffice struct {
	*home
	*population
	past       time.Time // Eight months ago.
	old, young map[sijill.Class]canaries
	oldMail    map[sijill.Class]int64 // Entries.
}

func newOldOffice(t *testing.T) *oldOffice {
	t.Helper()
	o := &oldOffice{past: time.Now().AddDate(0, -8, 0), old: map[sijill.Class]canaries{}, young: map[sijill.Class]canaries{}, oldMail: map[sijill.Class]int64{}}
	o.home, o.population = populatedHome(t, nil)
	in := o.open()
	for _, c := range []sijill.Class{sijill.Office, sijill.Personal} {
		o.old[c], o.young[c] = newCanaries(), newCanaries()
		in.Vault.SetClock(func() time.Time { return o.past })
		o.oldMail[c] = o.add(in, c, sijill.Captured, o.old[c].letter(), o.past)
		o.add(in, c, sijill.Filed, []byte("From: <hind@diwan.example>\r\nSubject: filed "+o.old[c]["sent"]+"\r\nMessage-ID: <filed-"+string(c)+"@test.example>\r\n\r\nfiled\r\n"), o.past)
		in.Vault.SetClock(time.Now)
		o.add(in, c, sijill.Captured, o.young[c].letter(), time.Now())
		// It goes on what is cold.
		o.add(in, c, sijill.Captured, fmt.Appendf(nil, "From: <a@abroad.example>\r\nSubject: Re: about %s\r\nMessage-ID: <answer-%s@test.example>\r\nIn-Reply-To: <%s@abroad.example>\r\n\r\nyes\r\n",
			o.young[c]["subject"], c, o.old[c]["id"]), time.Now())
	}
	if err := in.Follower.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	return o
}

// add puts a message of hind's on the register.
func (o *oldOffice) add(in *office.Office, class sijill.Class, kind sijill.Kind, msg []byte, at time.Time) int64 {
	o.Helper()
	a, err := in.People.Lookup(o.Context(), hind)
	if err != nil {
		o.Fatal(err)
	}
	d := record.Draft{Kind: kind, Actor: "test", Holders: []int64{a.ID}, Class: class,
		Content: &record.Content{Message: msg, Envelope: message.Envelope{Time: at, Internal: &at, Door: "test"}}}
	rc, err := in.Register.Append(o.Context(), d)
	if err != nil {
		o.Fatal(err)
	}
	return rc.Entry
}

// finds wants a thief to read words of these canaries, or none but the Message-ID,
// which an answer that is hot names.
func finds(t *testing.T, what string, c canaries, b []byte, want bool) {
	t.Helper()
	if found := slices.DeleteFunc(c.in(b), func(w string) bool { return w == "id" }); slices.Contains(found, "body") != want || !want && len(found) > 0 {
		t.Errorf("%s: found %v", what, found)
	}
}

// Months pass, and what is old is closed: to the thief who has the disk and the
// server's key, and in the files. The owner's recovery code opens it; a password
// does not.
func TestColdToThieves(t *testing.T) {
	o := newOldOffice(t)
	before := steal(t, copyHome(t, o.dir).dir)
	before.work()
	finds(t, "before, the old office mail", o.old[sijill.Office], before.reads(), true)
	dry := o.must("cool", "--dry-run")
	month := o.past.UTC().Format("2006-01")
	for _, want := range []string{"2 would be closed", month + "  office    hind", month + "  personal  hind"} {
		if !strings.Contains(dry, want) {
			t.Errorf("it isn't told that %q:\n%s", want, dry)
		}
	}
	if again := o.must("cool", "--dry-run"); again != dry {
		t.Errorf("telling has changed something: %s", again)
	}
	if said := o.must("cool"); !strings.Contains(said, "2 closed") {
		t.Errorf("cool: %s", said)
	}
	if said := o.must("cool", "--json"); !strings.Contains(said, `"closed":[]`) {
		t.Errorf("once more: %s", said)
	}
	stolen := copyHome(t, o.dir)
	h := steal(t, stolen.dir)
	h.work()
	for _, class := range []sijill.Class{sijill.Office, sijill.Personal} {
		finds(t, "a thief, the old mail, "+string(class), o.old[class], h.reads(), false)
		finds(t, "the pages, the old mail, "+string(class), o.old[class], h.pages.Bytes(), false)
	}
	finds(t, "a thief, today's office mail", o.young[sijill.Office], h.reads(), true)
	finds(t, "a thief, today's personal mail", o.young[sijill.Personal], h.reads(), false)
	noFreePages(t, stolen)
	inside := stolen.open()
	for class, n := range o.oldMail {
		it, err := inside.Register.ItemFor(t.Context(), n, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := it.Content(); !errors.Is(err, vault.ErrClosed) {
			t.Errorf("the server itself, the old mail, %s: %v", class, err)
		}
	}
	secrets := secretsOf(t, inside, o.hind)
	h.learn(secrets[0])
	h.learn(secrets[1])
	h.work()
	finds(t, "with the password, today's personal mail", o.young[sijill.Personal], h.reads(), true)
	for _, class := range []sijill.Class{sijill.Office, sijill.Personal} {
		finds(t, "with the passwords, the old mail, "+string(class), o.old[class], h.reads(), false)
	}
	h.learn(secrets[2])
	h.work()
	for _, class := range []sijill.Class{sijill.Office, sijill.Personal} {
		finds(t, "with the recovery code, the old mail, "+string(class), o.old[class], h.reads(), true)
	}
	o.sound()
}

// noFreePages wants a database of projections without pages that nothing uses:
// they would have old words in them.
func noFreePages(t *testing.T, h *home) {
	t.Helper()
	in := h.open()
	defer in.Close()
	free := -1
	if err := in.Mail.Read(t.Context(), func(tx *db.Tx) error { return tx.One("PRAGMA freelist_count", nil, &free) }); err != nil || free != 0 {
		t.Errorf("%d free pages: %v", free, err)
	}
	if s, err := os.Stat(h.path(office.MailFile + "-wal")); err == nil && s.Size() > 1<<20 {
		t.Errorf("the log has %d octets", s.Size())
	}
}

// The machine stops after the keys were deleted: what is cold leaves lists and
// index at the next start, and no rebuild brings it back. Nor does a mail.db that
// is made anew.
func TestColdAfterACrash(t *testing.T) {
	o := newOldOffice(t)
	in := o.open()
	if _, err := in.Register.Cool(t.Context(), "keep", in.ColdBefore(time.Now())); err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if found := o.old[sijill.Office].in([]byte(o.must("search", "--json", "--account", hind, "filed OR "+o.old[sijill.Office]["body"]))); len(found) == 0 {
		t.Error("the rows are gone already")
	}
	r := o.serve()
	await(t, "it leaves the index", func() bool {
		return strings.Contains(r.log.String(), "have left") || strings.Contains(r.log.String(), "has left")
	})
	r.stop()
	clean := func(when string) {
		finds(t, when, o.old[sijill.Office], steal(t, o.dir).pages.Bytes(), false)
		if said := o.must("search", "--json", "--account", hind, o.old[sijill.Office]["body"]); said != "[]\n" {
			t.Errorf("%s: search finds %s", when, said)
		}
		if said := o.must("search", "--json", "--account", hind, o.young[sijill.Office]["body"]); said == "[]\n" {
			t.Errorf("%s: search doesn't find what is hot", when)
		}
	}
	clean("after the start")
	o.must("rebuild", "--check")
	o.must("rebuild")
	clean("after a rebuild")
	o.must("rebuild", "--check")
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(o.path(office.MailFile + suffix)); err != nil && suffix == "" {
			t.Fatal(err)
		}
	}
	r = o.serveMail()
	c := r.imap(o.hind)
	await(t, "the notice is there", func() bool {
		lines, _ := c.must(t, "STATUS INBOX (MESSAGES)")
		return strings.Contains(lines[0], "MESSAGES 3")
	})
	r.stop()
	clean("in a new mail.db")
}

var exists0 = regexp.MustCompile(`\* (\d+) EXISTS`)

// Mail programs see what is hot, and in each folder one message that tells of the
// rest, which nothing that they do changes. A program that has the folder open is
// told what left it.
func TestColdInMailPrograms(t *testing.T) {
	o := newOldOffice(t)
	r := o.serveMailHot()
	watching := r.imap(o.hind)
	lines, _ := watching.must(t, "SELECT INBOX")
	if m := exists0.FindStringSubmatch(strings.Join(lines, "\n")); m == nil || m[1] != "3" {
		t.Fatalf("%q", lines)
	}
	o.cool(t)
	lines, _ = watching.must(t, "NOOP")
	if all := strings.Join(lines, "\n"); !strings.Contains(all, "* 1 EXPUNGE") || !strings.Contains(all, "* 3 EXISTS") {
		t.Errorf("what is told: %q", lines)
	}
	c := r.imap(o.hind)
	for _, folder := range []string{"INBOX", "Personal/Inbox"} {
		got := c.all(t, folder)
		notice := noticeIn(got)
		if len(got) != 3 || len(notice) != 1 || notice[0].flags != `\Seen` {
			t.Fatalf("%s has %v", folder, got)
		}
		for _, want := range []string{"In this folder one message is older than", "/open", "في هذا المجلد رسالة واحدة", "Auto-Submitted: auto-generated"} {
			if text := message.Parse([]byte(notice[0].body)).Text(); !strings.Contains(text+notice[0].body, want) {
				t.Errorf("the notice doesn't say %q:\n%s", want, text)
			}
		}
		o.untouchable(t, c, folder, notice[0])
		if again := noticeIn(r.imap(o.hind).all(t, folder)); len(again) != 1 || again[0] != notice[0] {
			t.Errorf("%s: the notice has become %v", folder, again)
		}
		lines, _ := c.must(t, "STATUS %s (MESSAGES UNSEEN SIZE UIDNEXT)", folder)
		if !strings.Contains(lines[0], "MESSAGES 3") || !strings.Contains(lines[0], "UNSEEN 2") {
			t.Errorf("%s: %q", folder, lines)
		}
		c.must(t, "SELECT %s", folder)
		lines, _ = c.must(t, "FETCH 1:* (ENVELOPE INTERNALDATE RFC822.SIZE BODYSTRUCTURE)")
		if len(lines) != 3 || !strings.Contains(strings.Join(lines, ""), "postmaster") {
			t.Errorf("%s: %q", folder, lines)
		}
	}
	for _, folder := range []string{"Office/Archive", "Personal/Archive"} { // What was filed.
		if got := c.all(t, folder); len(got) != 1 || len(noticeIn(got)) != 1 {
			t.Errorf("%s has %v", folder, got)
		}
	}
	r.stop()
	o.must("rebuild", "--check")
	o.sound()
}

// serveMailHot serves without closing anything: hot_days is long.
func (o *oldOffice) serveMailHot() *running {
	o.Helper()
	o.setHotDays(36500)
	return o.serveMail()
}

func (o *oldOffice) setHotDays(days int) {
	o.Helper()
	c, err := config.Read(o.dir)
	if err != nil {
		o.Fatal(err)
	}
	c.Keep.HotDays = days
	if err := os.Remove(o.path(config.File)); err != nil {
		o.Fatal(err)
	}
	if err := c.Write(o.dir); err != nil {
		o.Fatal(err)
	}
}

// cool closes what is older than 180 days.
func (o *oldOffice) cool(t *testing.T) {
	t.Helper()
	o.setHotDays(180)
	o.must("cool")
}

// noticeIn gives the messages that the server has written.
func noticeIn(all map[string][]stored) (list []stored) {
	for id, s := range all {
		if strings.HasPrefix(id, "older-mail.") {
			list = append(list, s...)
		}
	}
	return list
}

// untouchable tries to change a notice.
func (o *oldOffice) untouchable(t *testing.T, c *mailProgram, folder string, notice stored) {
	t.Helper()
	c.must(t, "SELECT %s", folder)
	for _, cmd := range []string{`UID STORE %d +FLAGS (\Deleted \Flagged)`, `UID STORE %d FLAGS.SILENT ()`, `UID EXPUNGE %d`, `UID FETCH %d (BODY[])`} {
		if _, _, err := c.do(cmd, notice.uid); err != nil {
			t.Fatal(err)
		}
	}
	c.must(t, "EXPUNGE")
	to := "Office/Trash"
	if strings.HasPrefix(folder, "Personal") {
		to = "Personal/Trash"
	}
	for _, cmd := range []string{"UID MOVE %d %s", "UID COPY %d %s"} {
		if _, tagged, err := c.do(cmd, notice.uid, to); err != nil || !strings.HasPrefix(tagged, "NO [CANNOT]") {
			t.Errorf(cmd+": %s %v", notice.uid, to, tagged, err)
		}
	}
	c.must(t, "UID MOVE 1:* %s", to) // Among others it stays.
	if left := c.all(t, folder); len(left) != 1 || len(noticeIn(left)) != 1 {
		t.Errorf("moving all from %s leaves %v", folder, left)
	}
	c.must(t, "SELECT %s", to)
	c.must(t, "UID MOVE 1:* %s", folder)
}

// mbsync, both ways and with removal on both sides, loses and doubles nothing when
// months grow cold: what is hot stays as it is, what is cold leaves its copy, and
// the notice is there once.
func TestColdWithMbsync(t *testing.T) {
	o := newOldOffice(t)
	r, d := o.serveMailHot(), newMaildir(t)
	d.sync(r, o.hind)
	before := d.all(t, "INBOX")
	if len(before) != 3 {
		t.Fatalf("%v", before)
	}
	size := o.size()
	o.cool(t)
	for range 3 {
		d.sync(r, o.hind)
	}
	after := d.all(t, "INBOX")
	if len(after) != 3 || len(noticeIn(after)) != 1 {
		t.Errorf("after cooling: %v", after)
	}
	cold := o.old[sijill.Office]["id"]
	for id, list := range after {
		if len(list) != 1 || id == cold || !strings.HasPrefix(id, "older-mail.") && before[id][0].body != list[0].body {
			t.Errorf("%s: %v", id, list)
		}
	}
	// Its person deletes the copy of the notice.
	if err := os.Remove(noticeIn(after)[0].path); err != nil {
		t.Fatal(err)
	}
	d.sync(r, o.hind)
	d.sync(r, o.hind)
	c := r.imap(o.hind)
	if got := c.all(t, "INBOX"); len(got) != 3 || len(noticeIn(got)) != 1 {
		t.Errorf("the server has %v", got)
	}
	for id, list := range d.all(t, "INBOX") {
		if len(list) != 1 {
			t.Errorf("%s is there %d times", id, len(list))
		}
	}
	for n := size; n < o.size(); n++ {
		if said := o.must("show", "--json", fmt.Sprint(n)); strings.Contains(said, `"captured"`) || strings.Contains(said, `"expunged"`) {
			t.Errorf("a program has made an entry of it: %s", said)
		}
	}
}

// On the web cold mail stands in its place, closed; a step-up opens it in lists,
// threads, search, the message and its proof, and the end of the session closes it.
func TestColdOnTheWeb(t *testing.T) {
	o := newOldOffice(t)
	o.must("cool")
	r := o.serve()
	b := newBrowser(r.http, "127.0.0.1")
	if status, err := b.signIn("hind", o.hind.password); status != http.StatusSeeOther || err != nil {
		t.Fatal(status, err)
	}
	both := []sijill.Class{sijill.Office, sijill.Personal}
	pages := func(class sijill.Class) []string {
		n := o.oldMail[class]
		return []string{"/search?q=" + o.old[class]["subject"], fmt.Sprintf("/m/%d", n), fmt.Sprintf("/m/%d/original.eml", n)}
	}
	shut := func(when string) {
		t.Helper()
		for _, class := range both {
			for _, p := range append(pages(class), "/") {
				_, body := b.get(t, p)
				if found := slices.DeleteFunc(o.old[class].in(body), func(w string) bool { return strings.HasPrefix(p, "/search") && w == "subject" }); len(found) > 0 {
					t.Errorf("%s, %s: %s shows %v", when, class, p, found)
				}
			}
		}
	}
	shut("before")
	res, err := b.do("/", nil)
	if err != nil {
		t.Fatal(err)
	}
	list := res.Header.Get("Location")
	if _, body := b.get(t, list); strings.Count(string(body), "row-closed") != 1 || len(o.old[sijill.Office].in(body)) > 0 {
		t.Errorf("the list has %d closed lines", strings.Count(string(body), "row-closed"))
	}
	if status, body := b.get(t, fmt.Sprintf("/m/%d", o.oldMail[sijill.Office])); status == http.StatusOK || !strings.Contains(string(body), "/open?back=") {
		t.Errorf("the closed message: %d, and no word of how it is opened", status)
	}
	if res, err := b.do("/open", url.Values{"code": {o.hind.recovery}}); err != nil || res.StatusCode != http.StatusSeeOther {
		t.Fatal(res.StatusCode, err)
	}
	for _, class := range both {
		for _, p := range pages(class) {
			await(t, p+" shows it", func() bool {
				_, body := b.get(t, p)
				return len(slices.DeleteFunc(o.old[class].in(body), func(w string) bool { return w == "subject" })) > 0
			})
		}
		if status, body := b.get(t, fmt.Sprintf("/m/%d/proof", o.oldMail[class])); status != http.StatusOK || len(body) < 200 {
			t.Errorf("the proof of cold mail: %d, %d octets", status, len(body))
		}
	}
	if _, body := b.get(t, list); !slices.Contains(o.old[sijill.Office].in(body), "subject") {
		t.Error("the list doesn't show it")
	}
	_, body := b.get(t, fmt.Sprintf("/m/%d", o.oldMail[sijill.Office]))
	if !slices.Contains(o.young[sijill.Office].in(body), "subject") {
		t.Error("its thread lacks the answer, which is hot")
	}
	if res, err := b.do("/sign-out", url.Values{}); err != nil || res.StatusCode != http.StatusSeeOther {
		t.Fatal(res, err)
	}
	if status, err := b.signIn("hind", o.hind.password); status != http.StatusSeeOther || err != nil {
		t.Fatal(status, err)
	}
	shut("with the password, later")
}

// offlineimap, both ways, likewise.
func TestColdWithOfflineimap(t *testing.T) {
	if _, err := exec.LookPath("offlineimap"); err != nil {
		t.Skip("offlineimap is not installed")
	}
	o := newOldOffice(t)
	r, d := o.serveMailHot(), newMaildir(t)
	_, port, _ := net.SplitHostPort(r.door("imaps"))
	_ = d.command(t, r.door("imaps"), o.hind) // It writes the certificate.
	conf := fmt.Sprintf("[general]\naccounts = a\nmetadata = %[1]s/meta\nui = quiet\n[Account a]\nlocalrepository = l\nremoterepository = r\n"+
		"[Repository l]\ntype = Maildir\nlocalfolders = %[1]s/mail\n[Repository r]\ntype = IMAP\nremotehost = localhost\nremoteport = %[2]s\n"+
		"remoteuser = hind\nremotepass = %[3]s\nssl = yes\nsslcacertfile = %[1]s/cert.pem\n", d.dir, port, o.hind.app)
	if err := os.WriteFile(d.dir+"/offline", []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	pull := func() {
		t.Helper()
		c := exec.Command("timeout", "60", "offlineimap", "-o", "-c", d.dir+"/offline")
		c.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + d.dir, "LC_ALL=C.UTF-8"}
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("offlineimap: %v\n%s", err, out)
		}
	}
	pull()
	if got := d.all(t, "INBOX"); len(got) != 3 {
		t.Fatalf("%v", got)
	}
	o.cool(t)
	for range 2 {
		pull()
		got := d.all(t, "INBOX")
		if len(got) != 3 || len(noticeIn(got)) != 1 {
			t.Errorf("after cooling: %v", got)
		}
	}
	if got := r.imap(o.hind).all(t, "INBOX"); len(got) != 3 || len(noticeIn(got)) != 1 {
		t.Errorf("the server has %v", got)
	}
}
