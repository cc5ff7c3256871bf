package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sijill"
	"sijill/internal/config"
)

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
// other tests: on a quiet one it is a five-hundredth.
const idled = 10 * time.Second

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
		{"the contact in other words", hindHome, string(mailOf("spelt", hindHome, "clerk@ministry.example")), `"a@b"@Desk.Ministry.example.`, "550 5.7.1", "office address"},
		{"an answer far up", hindHome, "References: <question@test.example>" + strings.Repeat("\r\n <x@y.example>", 40) + "\r\n" + string(mailOf("far", hindHome, "x@abroad.example")), "x@abroad.example", "550 5.7.1", "office address"},
		{"sent again by the other identity", hind, "Resent-From: " + hindHome + "\r\n" + string(mailOf("again", hind, "x@abroad.example")), "x@abroad.example", "550 5.7.1", "identities"},
		{"sent again by another", hind, "Resent-Sender: " + sami + "\r\n" + string(mailOf("again2", hind, "x@abroad.example")), "x@abroad.example", "550 5.7.1", "yours"},
		{"From of another", hind, string(mailOf("forged", sami, "x@abroad.example")), "x@abroad.example", "55", "one of yours"},
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
