package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sijill/internal/config"
)

// canaries are words that nobody uses, by where they stand in a message. What
// has one of them in it has read the message.
type canaries map[string]string

func newCanaries() canaries {
	c := canaries{}
	for _, where := range []string{"name", "author", "subject", "id", "body", "file", "detail", "sent", "friend", "appended", "appended-id"} {
		var b strings.Builder
		for range 8 {
			b.WriteByte("bdfgklmnprtvz"[rand.IntN(13)])
			b.WriteByte("aeiou"[rand.IntN(5)])
		}
		c[where] = b.String()
	}
	return c
}

// in tells where the words of b stood. An index may cut the first letters, which
// a word shares with its neighbour, and a stemmer the last.
func (c canaries) in(b []byte) (found []string) {
	b = bytes.ToLower(b)
	for where, word := range c {
		if bytes.Contains(b, []byte(word[4:13])) {
			found = append(found, where)
		}
	}
	slices.Sort(found)
	return found
}

// letter is a message full of them.
func (c canaries) letter() []byte {
	return fmt.Appendf(nil, "From: %s <%s@abroad.example>\r\nTo: <hind+%s@home.example>\r\nSubject: about %s\r\nMessage-ID: <%s@abroad.example>\r\n"+
		"Date: Sat, 21 Nov 2026 08:30:00 +0300\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nDear H., %s.\r\n--b\r\n"+
		"Content-Type: text/plain; name=%s.txt\r\nContent-Disposition: attachment; filename=%s.txt\r\n\r\nfile\r\n--b--\r\n",
		c["name"], c["author"], c["detail"], c["subject"], c["id"], c["body"], c["file"], c["file"])
}

// secretOffice is an office where hind has personal mail with canaries in it, and
// does with it what people do.
type secretOffice struct {
	*home
	*population
	r        *running
	personal canaries
	office   canaries // In mail of the office, which the others may read.
	entry    int64    // Of the personal message.
	web      *browser // hind's
	program  *mailProgram
}

func newSecretOffice(t *testing.T) *secretOffice {
	t.Helper()
	far := newFarEnd(t)
	zone := far.zone(t)
	o := &secretOffice{personal: newCanaries(), office: newCanaries()}
	o.home, o.population = populatedHome(t, func(c *config.Config) { c.DNS.Servers, c.Delivery.Port = []string{zone.Addr}, far.port })
	o.r = o.serveMail()
	s := connect(t, o.r.smtp)
	o.entry = s.deliver(t, o.personal.letter(), "hind+"+o.personal["detail"]+"@home.example")
	s.deliver(t, o.office.letter(), hind)
	o.signIn()
	c := o.program
	c.must(t, "CREATE Personal/Kept")
	msg := fmt.Appendf(nil, "Subject: %s\r\nMessage-ID: <%s@home.example>\r\n\r\n%[1]s\r\n", o.personal["appended"], o.personal["appended-id"])
	if uid, err := c.put("Personal/Inbox", "", msg); err != nil || uid == 0 {
		t.Fatal(uid, err)
	}
	for _, to := range []string{"Personal/Junk", "Personal/Inbox", "Personal/Kept"} { // The filter learns on the way.
		lines, _ := c.must(t, "UID SEARCH TEXT %s", o.personal["body"])
		c.must(t, "UID MOVE %s %s", lines[0][strings.LastIndex(lines[0], " ")+1:], to)
		c.must(t, "SELECT %s", to)
	}
	o.writes(far)
	return o
}

// writes sends a personal letter and waits until it has left.
func (o *secretOffice) writes(far *farEnd) {
	o.Helper()
	s, err := submit(o.r.door("submissions"), o.hind)
	if err != nil {
		o.Fatal(err)
	}
	defer s.close()
	to := o.personal["friend"] + "@abroad.example"
	msg := strings.ReplaceAll(string(mailOf("sent", hindHome, to)), "This is", o.personal["sent"])
	if reply, err := s.post(hindHome, []byte(msg), to); err != nil || !strings.HasPrefix(reply, "250") {
		o.Fatal(reply, err)
	}
	await(o, "the letter has left", func() bool {
		far.mu.Lock()
		defer far.mu.Unlock()
		return far.taken["sent"] == 1
	})
}

// signIn has hind read her mail on the web and with a program.
func (o *secretOffice) signIn() {
	o.Helper()
	o.program, o.web = o.r.imap(o.hind), newBrowser(o.r.http, "127.0.0.1")
	if status, err := o.web.signIn("hind", o.hind.password); status != http.StatusSeeOther || err != nil {
		o.Fatal(status, err)
	}
	o.program.must(o, "SELECT Personal/Inbox")
	await(o, "hind can read her mail", func() bool {
		_, body := o.web.get(o, fmt.Sprintf("/m/%d", o.entry))
		return slices.Contains(o.personal.in(body), "subject")
	})
}

func (b *browser) get(t testing.TB, path string) (status int, body []byte) {
	t.Helper()
	r, err := b.do(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err = io.ReadAll(io.LimitReader(r.Body, 4<<20))
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	return r.StatusCode, body
}

var links = regexp.MustCompile(`(?:href|src)="(/[^"#]*)`)

// crawl reads every page that leads from one to the other, and those of every
// entry and folder whether anything leads there or not.
func (o *secretOffice) crawl(b *browser) (read int) {
	o.Helper()
	todo := []string{"/", "/admin", "/folders", "/settings", "/reminders", "/open", "/rows", "/search?q=abroad.example", "/search?q=is:unread",
		"/compose/people?q=a", "/compose/identity?to=a@abroad.example"}
	for n := range o.size() {
		for _, p := range []string{"", "/body", "/part/0", "/part/1", "/part/2", "/cid/1", "/original.eml", "/presented.eml", "/proof", "/verify"} {
			todo = append(todo, fmt.Sprintf("/m/%d%s", n, p))
		}
		todo = append(todo, fmt.Sprintf("/compose?re=%d&how=forward", n), fmt.Sprintf("/compose?draft=%d", n))
	}
	for n := range 40 {
		todo = append(todo, fmt.Sprintf("/f/%d", n), fmt.Sprintf("/rows?f=%d", n), fmt.Sprintf("/admin/accounts/%d", n))
	}
	seen := map[string]bool{"/events": true}
	for len(todo) > 0 && read < 1500 {
		path := todo[0]
		todo = todo[1:]
		if seen[path] {
			continue
		}
		seen[path] = true
		_, body := b.get(o, path)
		read++
		if found := o.personal.in(body); len(found) > 0 {
			o.Errorf("%s shows %v", path, found)
		}
		for _, m := range links.FindAllSubmatch(body, -1) {
			todo = append(todo, html.UnescapeString(string(m[1])))
		}
	}
	for where, word := range o.personal { // The page repeats what was looked for.
		_, body := b.get(o, "/search?q="+url.QueryEscape(word))
		if found := slices.DeleteFunc(o.personal.in(body), func(s string) bool { return s == where }); len(found) > 0 {
			o.Errorf("searching for %s shows %v", where, found)
		}
	}
	return read
}

// commands runs every command that prints something of mail.
func (o *secretOffice) commands() {
	o.Helper()
	lines := [][]string{{"status"}, {"status", "--json"}, {"user", "list", "--json"}, {"user", "address", "list"}, {"queue", "list"}, {"queue", "list", "--json"},
		{"audit"}, {"audit", "--json"}, {"tiles", filepath.Join(o.TempDir(), "tiles")}, {"backup", filepath.Join(o.TempDir(), "backup")}, {"rebuild", "--check"}, {"dkim"}}
	for n := range o.size() {
		for _, args := range [][]string{{"show"}, {"show", "--raw"}, {"show", "--json"}, {"prove", "--envelope"}} {
			if n == o.entry || args[0] == "show" {
				lines = append(lines, append(args, fmt.Sprint(n)))
			}
		}
	}
	for _, account := range []string{hind, hindHome} {
		for _, where := range []string{"body", "subject", "appended", "sent"} {
			lines = append(lines, []string{"search", "--json", "--account", account, o.personal[where]})
		}
	}
	for _, args := range lines {
		stdout, stderr, _ := o.sijill(args...)
		found := o.personal.in([]byte(stdout + stderr))
		if args[0] == "search" && stdout == "[]\n" {
			found = nil
		}
		if len(found) > 0 {
			o.Errorf("sijill %.60q shows %v", args[:len(args)-1], found)
		}
		if path := args[len(args)-1]; filepath.IsAbs(path) {
			o.files(path)
		}
	}
	if found := o.must("search", "--json", "--account", hind, o.office["body"]); len(o.office.in([]byte(found))) == 0 {
		o.Error("searching finds not even office mail")
	}
}

// files wants no file of a directory to have a canary in it.
func (o *secretOffice) files(dir string) {
	o.Helper()
	read := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		read++
		if found := append(o.personal.in(b), o.office.in(b)...); len(found) > 0 {
			o.Errorf("%s has %v in it", path, found)
		}
		return err
	})
	if err != nil || read == 0 {
		o.Errorf("%d files of %s were read: %v", read, dir, err)
	}
}

// An administrator, whatever page, command or door is tried, reads nothing of an
// owner's personal mail while the owner is signed in; and after resetting the
// owner's password neither.
func TestAdministratorReadsNoPersonalMail(t *testing.T) {
	o := newSecretOffice(t)
	for _, who := range []credentials{o.laila, o.sami} {
		b := newBrowser(o.r.http, "127.0.0.1")
		if status, err := b.signIn(who.name, who.password); status != http.StatusSeeOther || err != nil {
			t.Fatal(status, err)
		}
		t.Logf("%s has read %d pages", who.name, o.crawl(b))
		for _, path := range []string{"/copy", "/dismiss"} {
			if r, err := b.do(fmt.Sprintf("/m/%d%s", o.entry, path), url.Values{"sure": {"1"}}); err != nil || r.StatusCode < 400 {
				t.Errorf("%s %s: %v %v", who.name, path, r.StatusCode, err)
			}
		}
		for _, name := range []string{"hind", hind, hindHome} {
			if c, err := signIMAP(o.r.door("imaps"), credentials{name: name, app: who.app}); err == nil {
				t.Errorf("%s gets in as %s", who.name, name)
			} else if c != nil {
				c.close()
			}
		}
		c := o.r.imap(who)
		list, _ := c.must(t, `LIST "" *`)
		for _, l := range list {
			folder := l[strings.LastIndex(l, " ")+1:]
			if strings.Contains(l, `\No`) {
				continue // It only holds others.
			}
			c.must(t, "EXAMINE %s", folder)
			lines, _ := c.must(t, "UID FETCH 1:* (ENVELOPE BODY.PEEK[])")
			if found := o.personal.in([]byte(strings.Join(lines, ""))); len(found) > 0 {
				t.Errorf("%s sees %v in %s", who.name, found, folder)
			}
		}
	}
	o.commands()
	o.files(o.dir)
	o.takesOver()
	o.files(o.dir)
	if found := append(o.personal.in([]byte(o.r.log.String())), o.office.in([]byte(o.r.log.String()))...); len(found) > 0 {
		t.Errorf("the log has %v in it", found)
	}
}

// takesOver resets the owner's password, while she is signed in, and signs in
// with it.
func (o *secretOffice) takesOver() {
	o.Helper()
	form := url.Values{"label": {"x"}, "scope": {"both"}}
	if r, err := o.web.do("/settings/apps", form); err != nil || r.StatusCode >= 400 {
		o.Fatalf("hind can't make an app password: %v %v", r, err)
	}
	var taken credentials
	if err := o.population.at(o.dir).run("taken over by laila", nil, "user", "passwd", hind); err != nil {
		o.Fatal(err)
	}
	taken = credentials{name: "hind", password: "taken over by laila", app: o.hind.app}
	b := newBrowser(o.r.http, "127.0.0.1")
	if status, err := b.signIn(taken.name, taken.password); status != http.StatusSeeOther || err != nil {
		o.Fatal(status, err)
	}
	if r, err := b.do("/search?q=abroad.example", nil); err != nil || r.Header.Get("Location") != "/settings/password" {
		o.Errorf("before choosing a password: %v %v", r, err)
	}
	chosen := url.Values{"old": {taken.password}, "password": {"chosen by laila"}, "again": {"chosen by laila"}}
	if r, err := b.do("/settings/password", chosen); err != nil || r.StatusCode != http.StatusSeeOther {
		o.Fatalf("choosing a password: %v %v", r, err)
	}
	if _, body := b.get(o, "/search?q=abroad.example"); !slices.Contains(o.office.in(body), "subject") {
		o.Error("not even the office mail is there")
	}
	o.Logf("whoever took over has read %d pages", o.crawl(b))
	if r, err := b.do("/settings/apps", form); err != nil || r.StatusCode < 400 {
		o.Errorf("an app password for personal mail: %v %v", r.StatusCode, err)
	}
	for path, form := range map[string]url.Values{
		"/settings/forwarding": {"class": {"personal"}, "to": {laila}},
		"/settings/vacation":   {"class": {"personal"}, "on": {"1"}, "text": {"Away."}},
		"/compose":             {"from": {hindHome}, "to": {laila}, "subject": {"x"}, "text": {"x"}, "do": {"send"}},
	} {
		if r, err := b.do(path, form); err != nil || r.StatusCode != http.StatusForbidden {
			o.Errorf("%s for closed personal mail: %v %v", path, r.StatusCode, err)
		}
	}
	if c, err := signIMAP(o.r.door("imaps"), taken); err == nil {
		c.close()
		o.Error("the app passwords still work")
	}
	// Another process did it: the server looks every few seconds.
	await(o, "a mail program that was signed in before is cut off", func() bool {
		_, _, err := o.program.do("NOOP")
		return err != nil
	})
}

// at is the same population in another directory.
func (p *population) at(dir string) *population {
	moved := *p
	moved.made = dir
	return &moved
}
