package imapd

import (
	"fmt"
	"strings"
	"testing"

	"sijill"
)

func TestAddressList(t *testing.T) {
	for in, want := range map[string]string{
		"":                         "",
		"a@x.example, b@y.example": "a|x.example b|y.example",
		"undisclosed-recipients:;": "undisclosed-recipients| |",
		"Team: A <a@x.example>, b@y.example; , c@z.example": "Team| a|x.example b|y.example | c|z.example",
		`d@x.example, "A: B": a@x.example;Other:;`:          "d|x.example A: B| a|x.example | Other| |",
		"=?utf-8?q?a:b;?= <a@x.example>":                    "a|x.example",
		"=?utf-8?b?2YHYsdmK2YI=?=: a@x.example;":            "=?utf-8?q?=D9=81=D8=B1=D9=8A=D9=82?=| a|x.example |",
		"mailto:a@x.example;":                               "a|x.example",
		"Team: a@x.example":                                 "a|x.example", // no end: no group
		"a (see: this; that) <a@x.example>":                 "a|x.example",
		"<a:b;@x.example>, c@y.example":                     "a:b;|x.example c|y.example",
		`"a:b;"@x.example`:                                  "a:b;|x.example",
		`"a b\"c"@x.example`:                                `a b"c|x.example`,
		`""@x.example`:                                      "unknown|x.example",
		":;, a@x.example":                                   "a|x.example",
	} {
		var got []string
		for _, a := range addressList(in) {
			got = append(got, a.Mailbox+"|"+a.Host)
		}
		if g := strings.Join(got, " "); g != want {
			t.Errorf("%q:\n got %s\nwant %s", in, g, want)
		}
	}
	if n := len(addressList(strings.Repeat("a:;", 100_000))); n > 30_000 {
		t.Errorf("%d addresses", n)
	}
}

// FuzzAddressList holds that groups are told in pairs, and nothing else as one.
func FuzzAddressList(f *testing.F) {
	f.Add("Team: A <a@x.example>, b@y.example; , c@z.example")
	f.Add(`"A: B": a@x.example;Other:;`)
	f.Add("=?utf-8?q?a:b;?= (c:;(d)) <e:;>,")
	f.Fuzz(func(t *testing.T, v string) {
		open := false
		for _, a := range addressList(v) {
			if a.Host != "" {
				if a.Mailbox == "" {
					t.Fatalf("%q: an address without a local part", v)
				}
				continue
			}
			if begins := a.Mailbox != ""; begins == open {
				t.Fatalf("%q: a group in another, or an end without a beginning", v)
			}
			open = !open
		}
		if open {
			t.Fatalf("%q: a group without an end", v)
		}
	})
}

// Addresses are told alike in an envelope and in those inside of structures: no
// spaces between them, quotes off, groups marked.
func TestAddressesOnTheWire(t *testing.T) {
	inner := "From: \"a b\"@x.example, C <c@y.example>\r\nTo: Team: d@z.example, e@z.example;\r\n\r\ninside\r\n"
	mixed := "MIME-Version: 1.0\r\n" + inner[:strings.Index(inner, "\r\n\r\n")] + "\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" +
		"--b\r\n\r\ntext\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n" + inner + "--b--\r\n"
	from := `((NIL NIL "a b" "x.example")("C" NIL "c" "y.example"))`
	envelope := `(NIL NIL ` + from + " " + from + " " + from + ` ((NIL NIL "Team" NIL)(NIL NIL "d" "z.example")(NIL NIL "e" "z.example")(NIL NIL NIL NIL)) NIL NIL NIL NIL)`
	h := serve(t)
	h.office.put(sijill.Office, "Inbox", mixed, 0)
	c := h.selected(t, officePassword, "INBOX")
	text := `("text" "plain" NIL NIL NIL "7bit" 4 1%s)`
	nested := fmt.Sprintf(`("message" "rfc822" NIL NIL NIL "7bit" %d %s ("text" "plain" NIL NIL NIL "7bit" 6 1%%s) 4%%s)`, len(inner)-2, envelope)
	more := " NIL NIL NIL NIL"
	body := "(" + fmt.Sprintf(text, "") + fmt.Sprintf(nested, "", "") + ` "mixed")`
	whole := "(" + fmt.Sprintf(text, more) + fmt.Sprintf(nested, more, more) + ` "mixed" ("boundary" "b") NIL NIL NIL)`
	for cmd, want := range map[string]string{
		"ENVELOPE": "ENVELOPE " + envelope, "BODY": "BODY " + body, "BODYSTRUCTURE": "BODYSTRUCTURE " + whole, "(BODY ENVELOPE)": "ENVELOPE " + envelope + " BODY " + body,
	} {
		got := c.ok("FETCH 1 " + cmd)
		if len(got) != 1 || got[0] != "* 1 FETCH ("+want+")" {
			t.Errorf("%s:\n got %s\nwant %s", cmd, got, want)
		}
	}
	if full := c.ok("FETCH 1 FULL"); !strings.HasSuffix(full[0], "BODY "+body+")") || !strings.Contains(full[0], "ENVELOPE "+envelope+" INTERNALDATE") {
		t.Errorf("%s", full)
	}
}
