package imapd

import (
	"strings"
	"testing"

	"sijill"
)

func TestSignInAndCapabilities(t *testing.T) {
	h := serve(t)
	c := h.dial(t)
	c.wants(`ID ("name" "test")`, `* ID ("name" "Sijill")`)
	caps := c.ok("CAPABILITY")[0]
	for _, want := range []string{"IMAP4rev1", "IMAP4rev2", " ID ", "AUTH=PLAIN", "SASL-IR"} {
		if !strings.Contains(caps, want) {
			t.Errorf("no %s in %s", want, caps)
		}
	}
	c.refused("LOGIN layla wrong", "NO [AUTHENTICATIONFAILED]")
	c.refused("LOGIN slow x", "NO [UNAVAILABLE]")
	c.refused("LOGIN broken x", "NO [SERVERBUG]")
	_, tagged := c.do("LOGIN layla " + bothPassword)
	for _, want := range []string{"OK [CAPABILITY ID ", "IDLE", "UIDPLUS", "MOVE", "SPECIAL-USE", "NAMESPACE", "ESEARCH", "SEARCHRES", "LIST-STATUS", " LITERAL+ ", "BINARY", "UNAUTHENTICATE", "APPENDLIMIT=52428800"} {
		if !strings.Contains(tagged, want) {
			t.Errorf("no %s in %s", want, tagged)
		}
	}
	if again := c.ok("CAPABILITY")[0]; strings.Contains(tagged+again, "LITERAL-") || !strings.Contains(again, " LITERAL+ ") {
		t.Errorf("two kinds of literals: %s, %s", tagged, again)
	}
	c.ok("ID NIL")
	c.ok("UNAUTHENTICATE")
	c.refused("SELECT INBOX", "BAD")
	c.ok("LOGIN \"\xd9\x84\xd9\x8a\xd9\x84\xd9\x89\" " + bothPassword)
	if log := h.log.String(); strings.Contains(log, "0123456789") || strings.Contains(log, "layla") {
		t.Error("the log has a password or a name")
	}
	if s := h.Stats(); s.SignedIn != 2 || s.Failed != 3 || s.TLS != 1 {
		t.Errorf("stats %+v", s)
	}
}

func TestFailuresEndTheConnection(t *testing.T) {
	h := serve(t)
	c := h.dial(t)
	for range 5 {
		c.refused("LOGIN layla wrong", "NO [AUTHENTICATIONFAILED]")
	}
	if l := c.line(); !strings.HasPrefix(l, "* BYE") {
		t.Errorf("got %q", l)
	}
}

func TestNames(t *testing.T) {
	h := serve(t)
	c := h.sign(t, bothPassword)
	c.wants("NAMESPACE", `* NAMESPACE (("" "/")("Office/" "/")("Personal/" "/")) NIL NIL`)
	list := strings.Join(c.ok(`LIST "" *`), "\n")
	for _, want := range []string{
		`(\HasNoChildren) "/" INBOX`, `(\NonExistent \Noselect \HasChildren) "/" "Office"`,
		`(\HasNoChildren \Sent) "/" "Office/Sent"`, `(\HasNoChildren) "/" "Personal/Inbox"`, `(\HasNoChildren \Sent) "/" "Personal/Sent"`,
	} {
		if !strings.Contains(list, want) {
			t.Errorf("no %s in\n%s", want, list)
		}
	}
	if strings.Contains(list, "Office/Inbox") {
		t.Error("the office's inbox has two names")
	}
	c.wants(`LIST "" %`, `* LIST (\HasNoChildren) "/" INBOX`, `* LIST (\NonExistent \Noselect \HasChildren) "/" "Office"`,
		`* LIST (\NonExistent \Noselect \HasChildren) "/" "Personal"`)
	c.wants(`LIST "" ""`, `* LIST (\Noselect) "/" ""`)
	c.refused("CREATE Loose", "NO [CANNOT]")
	c.ok("CREATE Personal/&BkQGJgZEBiE-/2026") // any modified UTF-7
	c.ok(`CREATE "inbox/below"`)
	if l := c.ok(`LIST "" "INBOX/%"`); !contains1(l, `"INBOX/below"`) {
		t.Errorf("%q", l)
	}
	c.refused("RENAME Office/Sent Office/X", "NO [CANNOT]")
	c.ok("CREATE Office/a/b")
	c.refused("RENAME Office/a/b Personal/b", "NO [CANNOT]")
	c.ok("RENAME Office/a/b Office/c")
	c.refused("CREATE Office/c", "NO [ALREADYEXISTS]")
	c.ok("DELETE Office/c")
	c.refused("DELETE Office/c", "NO [NONEXISTENT]")
	c.refused("SELECT nowhere", "NO [NONEXISTENT]")
	c.ok("UNSUBSCRIBE Office/Junk")
	if l := c.ok(`LSUB "" *`); contains1(l, "Office/Junk") || !contains1(l, "Office/Sent") {
		t.Errorf("%q", l)
	}
	c.wants(`LIST "" "Office/Sent" RETURN (STATUS (MESSAGES UIDNEXT))`,
		`* LIST (\HasNoChildren \Sent) "/" "Office/Sent"`, `* STATUS "Office/Sent" (MESSAGES 0 UIDNEXT 1)`)

	alone := h.sign(t, personalPassword)
	alone.wants("NAMESPACE", `* NAMESPACE (("" "/")) NIL NIL`)
	if l := alone.ok(`LIST "" *`); !contains1(l, "INBOX") || !contains1(l, `"Sent"`) || contains1(l, "Office") {
		t.Errorf("%q", l)
	}
	alone.ok("CREATE Loose")
}

func TestFoldersInFolders(t *testing.T) {
	h := serve(t)
	c := h.sign(t, officePassword)
	c.ok("CREATE Trade")
	c.ok("CREATE Trade/Spices/Sumac")
	c.refused("DELETE Trade", "NO [HASCHILDREN]")
	c.ok("UNSUBSCRIBE Trade")
	c.wants(`LSUB "" T%`, `* LSUB (\Noselect \HasChildren) "/" "Trade"`, `* LSUB (\HasNoChildren) "/" "Trash"`)
	c.wants(`LSUB "" Trade/%`, `* LSUB (\Noselect \HasChildren) "/" "Trade/Spices"`)
	c.wants(`LSUB "" Trade*`, `* LSUB (\Noselect \HasChildren) "/" "Trade/Spices"`, `* LSUB (\HasNoChildren) "/" "Trade/Spices/Sumac"`)
	c.wants(`LIST "" Trade`, `* LIST (\HasChildren) "/" "Trade"`)
	c.ok("UNSUBSCRIBE Trade/Spices/Sumac")
	c.wants(`LSUB "" Trade%`)
	c.ok("DELETE Trade/Spices/Sumac")
	c.ok("DELETE Trade")
	c.refused(`CREATE Kept (USE (\Archive))`, "BAD")
	c.refused("SELECT Kept", "NO [NONEXISTENT]")
}

func TestArabicNamesInBothEncodings(t *testing.T) {
	h := serve(t)
	c := h.sign(t, officePassword)
	c.ok("CREATE &BicGRAYoBjEGSgYv-") // البريد
	if l := c.ok(`LIST "" &BicGRAYoBjEGSgYv-`); len(l) != 1 || !strings.HasSuffix(l[0], `"&BicGRAYoBjEGSgYv-"`) {
		t.Errorf("%q", l)
	}
	c.ok("ENABLE IMAP4rev2")
	if l := c.ok(`LIST "" "البريد"`); len(l) != 1 || !strings.HasSuffix(l[0], `"البريد"`) {
		t.Errorf("%q", l)
	}
	if l := c.ok(`SELECT "البريد"`); !contains1(l, `* LIST () "/" "البريد"`) {
		t.Errorf("%q", l)
	}
}

func TestTheWall(t *testing.T) {
	h := serve(t)
	h.office.put(sijill.Office, "Inbox", letter(1), 0)
	c := h.selected(t, bothPassword, "INBOX")
	for _, cmd := range []string{"COPY 1 Personal/Inbox", "MOVE 1 Personal/Inbox", "UID MOVE 1 Personal/Archive"} {
		_, tagged := c.do(cmd)
		if !strings.HasPrefix(tagged, "NO [CANNOT] ") || !strings.Contains(tagged, "kept apart") {
			t.Errorf("%s: %s", cmd, tagged)
		}
	}
	c.wants("UID SEARCH ALL", "* SEARCH 1")
	c.refused("COPY 1 Office/nowhere", "NO [TRYCREATE]")
}
