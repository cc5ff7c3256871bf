package imapd

import (
	"fmt"
	"strings"
	"testing"

	"sijill"
)

// A folder whose name has an "&" is found under that name, whatever the client has
// enabled, and however it writes the name.
func TestAmpersandInNames(t *testing.T) {
	h := serve(t)
	old := h.sign(t, officePassword)
	for _, enable := range []string{"ENABLE UTF8=ACCEPT", "ENABLE IMAP4rev2"} {
		t.Run(enable, func(t *testing.T) {
			c := h.sign(t, officePassword)
			c.refused("CREATE R&D", "BAD")
			if u := c.ok(enable); len(u) != 1 || !strings.HasPrefix(u[0], "* ENABLED "+strings.Fields(enable)[1]) {
				t.Fatalf("%q", u)
			}
			c.ok(`CREATE "R&D"`)
			c.wants(`LIST "" "R&*"`, `* LIST (\HasNoChildren) "/" "R&D"`)
			c.wants(`LSUB "" R&%`, `* LSUB (\HasNoChildren) "/" "R&D"`)
			c.wants("STATUS {3+}\r\nR&D (MESSAGES)", `* STATUS "R&D" (MESSAGES 0)`)
			c.wants(`LIST "" R&D RETURN (STATUS (MESSAGES))`, `* LIST (\HasNoChildren) "/" "R&D"`, `* STATUS "R&D" (MESSAGES 0)`)
			c.start("APPEND R&D (A&B) {10+}\r\na & b &- c")
			if _, tagged := c.finish(); !strings.HasPrefix(tagged, "OK [APPENDUID") {
				t.Fatal(tagged)
			}
			c.ok("SELECT R&D")
			c.wants("FETCH 1 (FLAGS BODY.PEEK[])", "* 1 FETCH (FLAGS (A&B) BODY[] {10}\r\na & b &- c)")
			c.ok("COPY 1 R&D")
			c.ok("UID MOVE 2 R&D")
			c.ok(`RENAME R&D "&&- &BicG-"`)
			c.wants(`LIST "" &%`, `* LIST (\HasNoChildren) "/" "&&- &BicG-"`)
			c.ok("UNSUBSCRIBE {10}\r\n&&- &BicG-")
			c.ok(`SUBSCRIBE "&&- &BicG-"`)
			old.wants(`LIST "" &-%`, `* LIST (\HasNoChildren) "/" "&-&-- &-BicG-"`)
			c.ok(`STORE 1:* FLAGS (\Deleted)`)
			c.ok("CLOSE")
			c.ok(`DELETE "&&- &BicG-"`)
			c.send("t&g NOOP\r\nt&g LIST \"\" x&y\r\n")
			for _, want := range []string{"t&g OK NOOP", "t&g OK LIST"} {
				if l := c.line(); !strings.HasPrefix(l, want) {
					t.Errorf("%q", l)
				}
			}
			c.ok("UNAUTHENTICATE")
			c.ok("LOGIN layla " + officePassword)
			c.refused("SELECT R&D", "BAD")
		})
	}
}

// A name that grows longer than the library reads is refused, and what follows is
// read as what it is.
func TestLongNames(t *testing.T) {
	h := serve(t)
	h.office.put(sijill.Office, "Inbox", letter(1), 0)
	c := h.sign(t, officePassword)
	c.ok("ENABLE UTF8=ACCEPT")
	for _, name := range []string{strings.Repeat("&", 40_000), strings.Repeat("x", 60_000)} {
		c.refused("SELECT "+name, "BAD")
		c.refused(fmt.Sprintf("APPEND %s {%d+}\r\nb LOGOUT\r\nxx", name, 12), "BAD")
		c.refused(fmt.Sprintf("APPEND %s {12}", name), "BAD")
		c.ok("NOOP")
	}
}
