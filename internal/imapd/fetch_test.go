package imapd

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"sijill"
	"sijill/internal/mailbox"
)

const nested = "Date: Mon, 2 Mar 2026 10:00:00 +0300\r\n" +
	"From: \"Layla, of the office\" <layla@diwan.example>\r\n" +
	"To: Samir <samir@diwan.example>,\r\n group <g@diwan.example>\r\n" +
	"Subject: =?windows-1256?B?x+HT4cfj?=\r\n" +
	"Message-ID: <outer@diwan.example>\r\n" +
	"MIME-Version: 1.0\r\n" +
	"Content-Type: multipart/mixed; boundary=out\r\n" +
	"\r\n" +
	"preamble\r\n" +
	"--out\r\n" +
	"Content-Type: text/plain; charset=utf-8\r\n" +
	"Content-Transfer-Encoding: base64\r\n" +
	"\r\n" +
	"2LPZhNin2YUK\r\n" +
	"--out\r\n" +
	"Content-Type: message/rfc822\r\n" +
	"Content-Disposition: attachment; filename*=utf-8''%D8%B3.eml\r\n" +
	"\r\n" +
	"Subject: inner\r\n" +
	"Content-Type: multipart/alternative; boundary=in\r\n" +
	"\r\n" +
	"--in\r\n" +
	"\r\n" +
	"inner text\n" +
	"two lines\r\n" +
	"--in\r\n" +
	"Content-Type: text/html\r\n" +
	"\r\n" +
	"<p>inner</p>\r\n" +
	"--in--\r\n" +
	"\r\n" +
	"--out--\r\n" +
	"epilogue\r\n"

// piece gives what one FETCH item returned.
func (c *client) piece(item string) string {
	c.t.Helper()
	u := c.ok("FETCH 1 (" + item + ")")
	if len(u) != 1 {
		c.t.Fatalf("%s: %q", item, u)
	}
	_, rest, ok := strings.Cut(u[0], "}\r\n")
	if !ok {
		c.t.Fatalf("%s: %q", item, u[0])
	}
	return strings.TrimSuffix(rest, ")")
}

func TestSections(t *testing.T) {
	h := serve(t)
	h.office.put(sijill.Office, "Inbox", nested, 0)
	c := h.selected(t, officePassword, "INBOX")
	header, body, _ := strings.Cut(nested, "\r\n\r\n")
	header += "\r\n\r\n"
	part := nested[strings.Index(nested, "Subject: inner"):strings.Index(nested, "\r\n--out--")]
	for item, want := range map[string]string{
		"BODY.PEEK[]":                             nested,
		"BODY.PEEK[HEADER]":                       header,
		"RFC822.HEADER":                           header,
		"BODY.PEEK[TEXT]":                         body,
		"BODY.PEEK[]<10.20>":                      nested[10:30],
		"BODY.PEEK[]<100000.20>":                  "",
		"BODY.PEEK[]<0.9223372036854775807>":      nested,
		"BODY.PEEK[TEXT]<4.2147483647>":           body[4:],
		"BODY.PEEK[]<4294967295.1>":               "",
		"BODY.PEEK[HEADER.FIELDS (X.1234567890)]": "\r\n",
		"BODY.PEEK[1]":                            "2LPZhNin2YUK",
		"BINARY.PEEK[1]":                          "سلام\n",
		"BODY.PEEK[1.MIME]":                       "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n",
		"BODY.PEEK[2]":                            part,
		"BODY.PEEK[2.HEADER]":                     part[:strings.Index(part, "--in")],
		"BODY.PEEK[2.TEXT]":                       part[strings.Index(part, "--in"):],
		"BODY.PEEK[2.1]":                          "inner text\ntwo lines",
		"BODY.PEEK[2.2]":                          "<p>inner</p>",
		"BODY.PEEK[2.2.MIME]":                     "Content-Type: text/html\r\n\r\n",
		"BODY.PEEK[2.HEADER.FIELDS (subject)]":    "Subject: inner\r\n\r\n",
		"BODY.PEEK[3]":                            "",
		"BODY.PEEK[1.1]":                          "",
		"BODY.PEEK[HEADER.FIELDS (To X)]":         "To: Samir <samir@diwan.example>,\r\n group <g@diwan.example>\r\n\r\n",
		"BODY.PEEK[HEADER.FIELDS.NOT (Date From To Subject Message-ID MIME-Version)]": "Content-Type: multipart/mixed; boundary=out\r\n\r\n",
	} {
		if got := c.piece(item); got != want {
			t.Errorf("%s:\n got %q\nwant %q", item, got, want)
		}
	}
	c.wants("FETCH 1 BINARY.SIZE[1]", "* 1 FETCH (BINARY.SIZE[1] 9)")
	c.wants("FETCH 1 FLAGS", "* 1 FETCH (FLAGS ())")
	if u := c.ok("FETCH 1 BODY[1]"); len(u) != 1 || !strings.Contains(u[0], `FLAGS (\Seen)`) {
		t.Errorf("%q", u)
	}
	c.wants("NOOP")
}

func TestStructureAndEnvelope(t *testing.T) {
	h := serve(t)
	h.office.put(sijill.Office, "Inbox", nested, 0)
	h.office.put(sijill.Office, "Inbox", "Subject: plain\n\nline\nline", 0)
	c := h.selected(t, officePassword, "INBOX")
	h.office.mu.Lock()
	h.office.opened = 0
	h.office.mu.Unlock()
	c.wants("FETCH 1 ENVELOPE", `* 1 FETCH (ENVELOPE ("Mon, 02 Mar 2026 10:00:00 +0300" "=?utf-8?q?=D8=A7=D9=84=D8=B3=D9=84=D8=A7=D9=85?="`+
		` (("Layla, of the office" NIL "layla" "diwan.example")) (("Layla, of the office" NIL "layla" "diwan.example"))`+
		` (("Layla, of the office" NIL "layla" "diwan.example")) (("Samir" NIL "samir" "diwan.example")("group" NIL "g" "diwan.example"))`+
		` NIL NIL NIL "<outer@diwan.example>"))`)
	c.wants("FETCH 1:2 RFC822.SIZE", fmt.Sprintf("* 1 FETCH (RFC822.SIZE %d)", len(nested)), "* 2 FETCH (RFC822.SIZE 25)")
	if h.office.opened != 0 {
		t.Errorf("%d messages were opened", h.office.opened)
	}
	c.wants("FETCH 1 BODYSTRUCTURE", `* 1 FETCH (BODYSTRUCTURE (("text" "plain" ("charset" "utf-8") NIL NIL "base64" 12 1 NIL NIL NIL NIL)`+
		`("message" "rfc822" NIL NIL NIL "7bit" 153 (NIL "inner" NIL NIL NIL NIL NIL NIL NIL NIL)`+
		` (("text" "plain" NIL NIL NIL "7bit" 20 2 NIL NIL NIL NIL)("text" "html" NIL NIL NIL "7bit" 12 1 NIL NIL NIL NIL)`+
		` "alternative" ("boundary" "in") NIL NIL NIL) 12 NIL ("attachment" ("filename*" "utf-8''%D8%B3.eml")) NIL NIL)`+
		` "mixed" ("boundary" "out") NIL NIL NIL))`)
	c.wants("FETCH 2 BODY", `* 2 FETCH (BODY ("text" "plain" NIL NIL NIL "7bit" 9 2))`)
	c.ok("FETCH 1:* ALL")
	c.ok("FETCH 1:* FULL")
}

func TestFetchRefusals(t *testing.T) {
	h := serve(t)
	h.fill(3)
	c := h.selected(t, officePassword, "INBOX")
	c.refused("FETCH 4 FLAGS", "BAD")
	c.refused("FETCH 0 FLAGS", "BAD")
	for _, item := range []string{"BODY[9999999999]", "BODY.PEEK[1.9999999999.MIME]", "body[9999999999.1]", "BINARY[1.9999999999]", "BINARY.PEEK[9999999999]", "BINARY.SIZE[9999999999]"} {
		c.refused("FETCH 1 ("+item+")", "BAD")
	}
	c.refused("FETCH 1 BODY.PEEK[]<4294967296.10>", "NO [LIMIT]")
	c.refused("FETCH 1 (X)", "BAD")
	c.refused("FETCH 1 ("+strings.Repeat("BODY.PEEK[] ", 200)+"UID)", "NO [LIMIT]")
	c.wants("UID FETCH 4000 FLAGS")
	h.office.mu.Lock()
	h.office.open = func(entry int64) error {
		if entry == 1 {
			return errors.New("the key is gone")
		}
		return nil
	}
	h.office.mu.Unlock()
	u, tagged := c.do("FETCH 1:3 BODY.PEEK[TEXT]")
	if len(u) != 2 || !strings.HasPrefix(tagged, "NO [UNAVAILABLE] 1 of the messages") {
		t.Errorf("%q %s", u, tagged)
	}
	if strings.Contains(tagged, "key") {
		t.Error("an internal error was told")
	}
}

func TestFetchOfManyKeepsOrder(t *testing.T) {
	h := serve(t)
	h.fill(1200)
	c := h.selected(t, officePassword, "INBOX")
	u := c.ok("FETCH 1:* (UID BODY[])")
	if len(u) != 1200 {
		t.Fatalf("%d responses", len(u))
	}
	for i, r := range u {
		want := fmt.Sprintf("* %d FETCH (UID %d FLAGS (\\Seen) BODY[] {%d}\r\n%s)", i+1, i+1, len(letter(i+1)), letter(i+1))
		if r != want {
			t.Fatalf("got %q\nwant %q", r, want)
		}
	}
	if u := c.ok("SEARCH UNSEEN"); u[0] != "* SEARCH" {
		t.Errorf("%q", u)
	}
	h.office.put(sijill.Office, "Inbox", letter(5000), mailbox.FlagSeen)
	if u := c.ok("NOOP"); len(u) != 1 || u[0] != "* 1201 EXISTS" {
		t.Errorf("%q", u)
	}
}

func TestSearchKeys(t *testing.T) {
	h := serve(t)
	for i, raw := range []string{
		letter(1),
		"From: samir@diwan.example\r\nTo: layla@diwan.example\r\nCc: c@diwan.example\r\nSubject: =?utf-8?B?2KXYudmE2KfZhg==?=\r\nDate: Fri, 1 Jan 2021 23:30:00 -0800\r\nMessage-ID: <x@y>\r\nX-Box: blue sky\r\n\r\nThe canal was dug.\r\n",
		"From: layla@diwan.example\r\nSubject: canal\r\n\r\nNothing of it here.\r\n",
	} {
		h.office.put(sijill.Office, "Inbox", raw, mailbox.Flags(i%2)*mailbox.FlagFlagged)
	}
	c := h.selected(t, officePassword, "INBOX")
	for keys, want := range map[string]string{
		"ALL": " 1 2 3", "FLAGGED": " 2", "UNFLAGGED UNDELETED": " 1 3", "NOT FLAGGED": " 1 3",
		"FROM samir": " 2", "FROM layla": " 1 3", "TO layla": " 2", "CC c@": " 2", "BCC x": "",
		"CHARSET UTF-8 SUBJECT \"اعلان\"": " 2", `SUBJECT "إعلان"`: " 2",
		"TEXT canal": " 2 3", "BODY canal": " 2", "BODY nothing": " 3", `TEXT "-"`: " 2",
		"HEADER Message-ID x@y": " 2", "HEADER X-Box sky": " 2", `HEADER X-Box ""`: " 2", `HEADER Cc ""`: " 2",
		"SENTON 1-Jan-2021": " 2", "SENTSINCE 2-Jan-2021": " 1", "SENTBEFORE 2-Jan-2021": " 2", "BEFORE 1-Jan-2020": "",
		"OR FLAGGED SUBJECT canal": " 2 3", "OR (FROM layla TO office) NOT 1:2": " 1 3", "2:*": " 2 3", "UID 3:99": " 3", "UID 99:*": " 3",
		"NEW": "", "OLD": " 1 2 3", "LARGER 150": " 1 2",
	} {
		c.wants("SEARCH "+keys, "* SEARCH"+want)
	}
	for set, want := range map[string]string{ // RFC 9051, section 6.4.4: of what there is not, nothing
		"4": "", "99": "", "99:120": "", "3:99": " 3", "99:3": " 3", "99:*": " 3", "*": " 3", "NOT 99": " 1 2 3", "2,99": " 2", "UID 99": "", "UID 99:*": " 3",
	} {
		c.wants("SEARCH "+set, "* SEARCH"+want)
	}
	c.wants("SEARCH RETURN (MIN MAX COUNT ALL) ALL", `* ESEARCH (TAG "`+fmt.Sprintf("t%d", c.n+1)+`") ALL 1:3 MIN 1 MAX 3 COUNT 3`)
	c.ok("SEARCH RETURN (SAVE) FLAGGED")
	c.wants("FETCH $ UID", "* 2 FETCH (UID 2)")
	c.wants(`UID STORE $ +FLAGS.SILENT (\Deleted)`)
	c.ok("SEARCH RETURN (SAVE) ALL")
	c.wants("UID EXPUNGE $", "* 2 EXPUNGE")
	c.refused("SEARCH CHARSET ISO-8859-6 ALL", "NO [BADCHARSET]")
	c.refused("SEARCH SINCE yesterday", "BAD")
	c.refused("SEARCH "+strings.Repeat("NOT ", 100)+"ALL", "NO [LIMIT]")
	c.refused("SEARCH "+strings.Repeat("SEEN ", 2000)+"ALL", "NO [LIMIT]")
}

func TestTidyLeavesTheRest(t *testing.T) {
	const in = "* 1 FETCH (FLAGS () ENVELOPE (NIL \") (\" ((\"a\\\") (\" NIL \"b\" {5}\r\n) (\"x) (NIL NIL \"c\" \"d\")) NIL ((NIL NIL NIL NIL)) NIL) BODY[] {4}\r\n) ()) \r\n"
	const want = "* 1 FETCH (FLAGS () ENVELOPE (NIL \") (\" ((\"a\\\") (\" NIL \"b\" {5}\r\n) (\"x)(NIL NIL \"c\" \"d\")) NIL ((NIL NIL NIL NIL)) NIL) BODY[] {4}\r\n) ()) \r\n"
	for size := 1; size < len(in); size++ {
		var tidied tidy
		var got []byte
		for part := range slices.Chunk([]byte(in), size) {
			got = append(got, tidied.filter(part)...)
		}
		if string(got) != want {
			t.Fatalf("in pieces of %d:\n got %q\nwant %q", size, got, want)
		}
	}
}
