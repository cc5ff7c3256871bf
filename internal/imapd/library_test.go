package imapd

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sijill"
	"sijill/internal/mailbox"
)

// The tests of this file hold what the library or its example backend got wrong
// when they were tried.

func (h *house) fill(n int) {
	for i := range n {
		h.office.put(sijill.Office, "Inbox", letter(i+1), 0)
	}
}

func TestMoveTellsExpungeOnce(t *testing.T) {
	h := serve(t)
	h.fill(4)
	c := h.selected(t, officePassword, "INBOX")
	other := h.selected(t, officePassword, "INBOX")
	got := c.ok("MOVE 2:3 Archive")
	if len(got) != 3 || !strings.HasPrefix(got[0], "* OK [COPYUID ") || !strings.Contains(got[0], " 2:3 1:2] ") || got[1] != "* 3 EXPUNGE" || got[2] != "* 2 EXPUNGE" {
		t.Fatalf("got %q", got)
	}
	c.wants("NOOP")
	other.wants("NOOP", "* 3 EXPUNGE", "* 2 EXPUNGE")
	other.wants("NOOP")
	c.wants("FETCH 1:* UID", "* 1 FETCH (UID 1)", "* 2 FETCH (UID 4)")
	if got := other.ok("UID MOVE 4 Archive"); len(got) != 2 || got[1] != "* 2 EXPUNGE" {
		t.Fatalf("got %q", got)
	}
	c.wants("NOOP", "* 2 EXPUNGE")
}

func TestExamineChangesNothing(t *testing.T) {
	h := serve(t)
	h.fill(2)
	h.office.put(sijill.Office, "Inbox", letter(3), mailbox.FlagDeleted)
	c := h.sign(t, officePassword)
	u, tagged := c.do("EXAMINE INBOX")
	if !strings.HasPrefix(tagged, "OK [READ-ONLY]") || !contains1(u, "[PERMANENTFLAGS ()]") {
		t.Fatalf("%q %s", u, tagged)
	}
	for _, cmd := range []string{`STORE 1 +FLAGS (\Deleted)`, `UID STORE 1 FLAGS.SILENT (\Seen)`, "EXPUNGE", "UID EXPUNGE 1:*", "MOVE 1 Archive", "UID MOVE 1 Archive"} {
		c.refused(cmd, "NO ")
	}
	c.ok("FETCH 1 BODY[]")
	c.ok("FETCH 1 BINARY[1]")
	c.wants("FETCH 1:3 FLAGS", "* 1 FETCH (FLAGS ())", "* 2 FETCH (FLAGS ())", `* 3 FETCH (FLAGS (\Deleted))`)
	c.wants("CLOSE")
	c.ok("EXAMINE INBOX")
	c.ok("COPY 1 Archive")
	c.wants("UNSELECT")
	c.wants("STATUS INBOX (MESSAGES UNSEEN DELETED)", "* STATUS INBOX (MESSAGES 3 UNSEEN 3 DELETED 1)")
	c.ok("SELECT INBOX")
	c.wants("CLOSE")
	c.wants("STATUS INBOX (MESSAGES)", "* STATUS INBOX (MESSAGES 2)")
}

func TestFetchAllAfterAnothersExpunge(t *testing.T) {
	h := serve(t)
	h.fill(5)
	a, b := h.selected(t, officePassword, "INBOX"), h.selected(t, officePassword, "INBOX")
	b.ok(`STORE 2 +FLAGS.SILENT (\Deleted)`)
	b.wants("EXPUNGE", "* 2 EXPUNGE")
	u, tagged := a.do("FETCH 1:* UID")
	want := []string{"* 1 FETCH (UID 1)", "* 3 FETCH (UID 3)", "* 4 FETCH (UID 4)", "* 5 FETCH (UID 5)"}
	if !slices.Equal(u, want) || !strings.HasPrefix(tagged, "OK [EXPUNGEISSUED]") {
		t.Fatalf("got %q %s", u, tagged)
	}
	a.wants("SEARCH ALL", "* SEARCH 1 3 4 5")
	a.wants("NOOP", "* 2 EXPUNGE")
	a.wants("FETCH 1:* UID", "* 1 FETCH (UID 1)", "* 2 FETCH (UID 3)", "* 3 FETCH (UID 4)", "* 4 FETCH (UID 5)")
	b.ok("NOOP")
	a.wants(`STORE 4 FLAGS (\Flagged)`, `* 4 FETCH (FLAGS (\Flagged))`)
	b.wants("NOOP", `* 4 FETCH (UID 5 FLAGS (\Flagged))`)
}

func TestFlagsKeepTheirCase(t *testing.T) {
	h := serve(t)
	h.fill(1)
	c := h.selected(t, officePassword, "INBOX")
	c.wants(`STORE 1 FLAGS (\SEEN \answered Follow-Up $Label1)`, `* 1 FETCH (FLAGS (\Answered \Seen Follow-Up $Label1))`, `* FLAGS (\Answered \Flagged \Deleted \Seen \Draft Follow-Up $Label1)`)
	c.wants("FETCH 1 FLAGS", `* 1 FETCH (FLAGS (\Answered \Seen Follow-Up $Label1))`)
	c.wants("SEARCH KEYWORD follow-up", "* SEARCH 1")
	c.wants("SEARCH UNKEYWORD $label1", "* SEARCH")
	c.wants(`STORE 1 -FLAGS.SILENT (Follow-Up \Seen)`)
	c.wants("FETCH 1 FLAGS", `* 1 FETCH (FLAGS (\Answered $Label1))`)
	c.refused(`STORE 1 +FLAGS (\Unheard)`, "NO")
	c.append("INBOX", `\Flagged KeepMe`, letter(2))
	c.wants("FETCH 2 FLAGS", `* 2 FETCH (FLAGS (\Flagged KeepMe))`)
}

func TestLongLiteralsAndSets(t *testing.T) {
	h := serve(t)
	h.fill(3)
	c := h.selected(t, officePassword, "INBOX")
	began := time.Now()

	long := strings.Repeat("x", 6000)
	c.start(fmt.Sprintf("SEARCH SUBJECT {%d}", len(long)))
	if l := c.line(); !strings.HasPrefix(l, "+ ") {
		t.Fatalf("got %q", l)
	}
	c.send("%s\r\n", long)
	if u, tagged := c.finish(); !strings.HasPrefix(tagged, "OK") || u[0] != "* SEARCH" {
		t.Fatalf("%q %s", u, tagged)
	}
	c.start(`SEARCH SUBJECT {8+}` + "\r\nletter 2 SEEN")
	c.finish()

	c.refused("SEARCH SUBJECT {60000}", "NO [TOOBIG]") // nothing of it is sent
	huge := strings.Repeat("b LOGOUT\r\n", 6000)
	c.refused(fmt.Sprintf("SEARCH OR SUBJECT {%d+}\r\n%s SUBJECT {5+}\r\nhello", len(huge), huge), "NO [TOOBIG]")
	c.refused("SEARCH SUBJECT {16+}\r\nfoo\r\nb LOGOUT\r\nx", "BAD")
	c.refused("FOO {12+}\r\nb LOGOUT\r\n\r\n", "BAD")

	var set strings.Builder
	for i := range 20000 {
		fmt.Fprintf(&set, "%d,", 2*i+1)
	}
	uids := set.String() + "3"
	if len(uids) < 100_000 {
		t.Fatal("the set is too short for this test")
	}
	c.wants("UID FETCH "+uids+" (FLAGS)", "* 1 FETCH (UID 1 FLAGS ())", "* 3 FETCH (UID 3 FLAGS ())")
	c.wants("UID SEARCH UID "+uids, "* SEARCH 1 3")
	c.refused("NOOP "+strings.Repeat("y", 200_000), "BAD")
	c.wants("UID SEARCH ALL", "* SEARCH 1 2 3")
	if d := time.Since(began); d > 30*time.Second {
		t.Errorf("it took %v", d)
	}
}

func TestSearchKeepsSmaller(t *testing.T) {
	h := serve(t)
	h.office.put(sijill.Office, "Inbox", letter(1), 0)
	h.office.put(sijill.Office, "Inbox", letter(2)+strings.Repeat("a long line\r\n", 100), 0)
	c := h.selected(t, officePassword, "INBOX")
	c.wants("SEARCH SMALLER 1000 SINCE 1-Jan-2020", "* SEARCH 1")
	c.wants("SEARCH LARGER 1000 SMALLER 5000 LARGER 10", "* SEARCH 2")
	c.wants("SEARCH NOT SMALLER 1000", "* SEARCH 2")
	c.wants("SEARCH OR SMALLER 10 SUBJECT SMALLER", "* SEARCH")
	c.wants(`SEARCH (SMALLER 1000 SUBJECT "smaller 5")`, "* SEARCH")
}
