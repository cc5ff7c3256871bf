package message

import (
	"slices"
	"strings"
	"testing"
)

func TestParseAddresses(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{``, ``},
		{`a@x.example`, `|a@x.example`},
		{`<a@x.example>`, `|a@x.example`},
		{`Layla <l@x.example>, "Nasser, Omar" <o@x.example>`, `Layla|l@x.example; Nasser, Omar|o@x.example`},
		{`Haddad, Layla <l@x.example>, o@x.example`, `Haddad, Layla|l@x.example; |o@x.example`},
		{`root, "Layla" <l@x.example>`, `root|; Layla|l@x.example`},
		{`Skilling, Haddad, Layla <l@x.example>`, `Skilling|; Haddad, Layla|l@x.example`},
		{`l@x.example (Layla (the clerk))`, `Layla (the clerk)|l@x.example`},
		{`Layla Haddad l@x.example`, `Layla Haddad|l@x.example`},
		{`a@x.example b@x.example`, `|a@x.example; |b@x.example`},
		{`A <a@x.example> B <b@x.example>`, `A|a@x.example; B|b@x.example`},
		{`a@x.example; b@x.example;`, `|a@x.example; |b@x.example`},
		{`,, a@x.example,,`, `|a@x.example`},
		{`undisclosed-recipients:;`, ``},
		{`unlisted-recipients:; (no To-header on input)`, ``},
		{`Clerks: a@x.example, B <b@x.example>;, c@x.example`, `|a@x.example; B|b@x.example; |c@x.example`},
		{`<@relay.example,@b.example:a@x.example>`, `|a@x.example`},
		{`"john doe"@x.example`, `|"john doe"@x.example`},
		{`John <"john doe"@x.example>`, `John|"john doe"@x.example`},
		{`john @ x . example`, `|john@x.example`},
		{`<a(first)@x.example>`, `|a@x.example`},
		{`=?utf-8?B?2YTZitmE2Yk=?= <l@x.example>`, `ليلى|l@x.example`},
		{`"=?utf-8?B?2YTZitmE2Yk=?=" <l@x.example>`, `ليلى|l@x.example`},
		{`=?utf-8?Q?Haddad,_Layla?= <l@x.example>`, `Haddad, Layla|l@x.example`},
		{`=?utf-8?Q?Haddad, Layla?= <l@x.example>, b@x.example`, `Haddad, Layla|l@x.example; |b@x.example`},
		{`=?utf-8?Q?Layla_<l@x.example>?=`, `Layla|l@x.example`},
		{`=?utf-8?B?TGF5bGEgPGxAeC5leGFtcGxlPg==?=`, `Layla|l@x.example`},
		{`l@x.example (=?utf-8?B?2YTZitmE2Yk=?=)`, `ليلى|l@x.example`},
		{`'l@x.example' <l@x.example>`, `l@x.example|l@x.example`},
		{`Layla <mailto:l@x.example>`, `Layla|l@x.example`},
		{`Layla <l@x.example`, `Layla|l@x.example`},
		{`Layla <l@x.example, Omar <o@x.example>`, `Layla|l@x.example; Omar|o@x.example`},
		{`<<l@x.example>>`, `|l@x.example`},
		{`Layla <the clerk> Haddad <l@x.example>`, `Layla the clerk Haddad|l@x.example`},
		{`"Layla <l@x.example>`, `Layla|l@x.example`},
		{`Layla`, `Layla|`},
		{`<>`, ``},
		{`Haddad, Layla </O=DIWAN/CN=LHADDAD>`, `Haddad, Layla|/O=DIWAN/CN=LHADDAD`},
		{`ليلى <l@مثال.example>`, `ليلى|l@مثال.example`},
		{"\"La\x00yla\x1b\" <l@x.example>", `Layla|l@x.example`},
	} {
		var got []string
		for _, a := range ParseAddresses(tt.in) {
			got = append(got, a.Name+"|"+a.Addr)
		}
		if joined := strings.Join(got, "; "); joined != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.in, joined, tt.want)
		}
	}
}

func TestManyAddresses(t *testing.T) {
	if n := len(ParseAddresses(strings.Repeat("a@x.example,", 2*MaxAddresses))); n != MaxAddresses {
		t.Errorf("%d addresses", n)
	}
}

func TestAddressString(t *testing.T) {
	for want, a := range map[string]Address{"A <a@x>": {"A", "a@x"}, "a@x": {"", "a@x"}, "A": {"A", ""}} {
		if got := a.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestIDs(t *testing.T) {
	for _, tt := range []struct{ header, id, refs string }{
		{"Message-ID: <a@x>\nReferences: <b@x> <c@x>\nIn-Reply-To: <c@x>", "a@x", "b@x c@x"},
		{"Message-Id: a@x\nReferences: b@x, c@x\nIn-Reply-To: d@x", "a@x", "b@x c@x d@x"},
		{"Message-ID: <a\n @x>\nReferences: <b@x><c@x>\n\t<d@x>", "a@x", "b@x c@x d@x"},
		{"In-Reply-To: Your message of Monday <b@x>", "", "b@x"},
		{"In-Reply-To: Message from layla@x.example of Monday", "", ""},
		{"References: <b@x <c@x>", "", "b@x c@x"},
		{"References: <>\nMessage-ID:", "", ""},
	} {
		m := Parse([]byte(tt.header + "\n\n"))
		check(t, m)
		if m.MessageID() != tt.id || !slices.Equal(m.References(), strings.Fields(tt.refs)) {
			t.Errorf("%q: id %q, references %q", tt.header, m.MessageID(), m.References())
		}
	}
}
