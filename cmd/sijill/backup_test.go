package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// A backup has folders, places, flags, keywords and UIDs, and recovering brings
// them back too.
func TestStateIsBackedUp(t *testing.T) {
	h, p := populatedHome(t, nil)
	r := h.serveMail()
	c := r.imap(p.hind)
	c.must(t, "CREATE Office/Kept")
	for n := range 5 {
		if uid, err := c.put("Office/Kept", `\Flagged Important`, mailOf(fmt.Sprintf("kept-%d", n), hind, hind)); err != nil || uid == 0 {
			t.Fatal(uid, err)
		}
	}
	c.must(t, "SELECT Office/Kept")
	c.must(t, "UID MOVE 2 INBOX")
	want := c.all(t, "Office/Kept")
	lines, _ := c.must(t, "STATUS Office/Kept (UIDVALIDITY UIDNEXT)")
	dest := h.TempDir() + "/copy"
	h.must("backup", dest)
	older := copyHome(t, dest)
	if uid, err := c.put("Office/Kept", `\Answered`, mailOf("kept-later", hind, hind)); err != nil || uid == 0 {
		t.Fatal(uid, err)
	}
	wantNow := c.all(t, "Office/Kept")
	r.stop()
	check := func(what string, at *home, want map[string][]stored) {
		t.Helper()
		r := at.serveMail()
		defer r.stop()
		c := r.imap(p.hind)
		got := c.all(t, "Office/Kept")
		if fmt.Sprint(got) != fmt.Sprint(want) || len(got) == 0 {
			t.Errorf("%s has\n%.300v\nand not\n%.300v", what, got, want)
		}
		if now, _ := c.must(t, "STATUS Office/Kept (UIDVALIDITY UIDNEXT)"); what == "the backup" && now[0] != lines[0] {
			t.Errorf("%s: %s, and not %s", what, now[0], lines[0])
		}
		at.must("rebuild", "--check")
	}
	key, err := os.ReadFile(h.path(keyName))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(older.path(keyName), key, 0o600); err != nil {
		t.Fatal(err)
	}
	check("the backup", copyHome(t, older.dir), want)
	if said := older.must("recover", h.dir); !strings.Contains(said, "Folders, flags") {
		t.Errorf("recover: %s", said)
	}
	older.sound()
	check("what was recovered", older, wantNow)
}
