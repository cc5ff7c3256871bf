package outbox

import (
	"bufio"
	"strings"
	"testing"
	"unicode/utf8"
)

// What a server answers is a stranger's.
func FuzzReply(f *testing.F) {
	for _, s := range []string{"250 ok\r\n", "250-2.1.0 a\r\n250 2.1.0 b\r\n", "550\r\n", "450-x\n451 y\n", "250 \xff\x00\u202e\r\n", "2", strings.Repeat("250-x\r\n", 300), strings.Repeat("x", 5000) + "\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, lines, err := readReply(bufio.NewReaderSize(strings.NewReader(s), maxReplyLine))
		if err != nil {
			return
		}
		if r.code < 200 || r.code > 599 || r.status == "" || len(lines) == 0 || len(lines) > maxReplyLines {
			t.Fatalf("%+v", r)
		}
		if !utf8.ValidString(r.text) || strings.ContainsFunc(r.text, control) || len(r.text) > maxReplyText {
			t.Fatalf("%q", r.text)
		}
	})
}

// So is a policy.
func FuzzPolicy(f *testing.F) {
	f.Add(enforce)
	f.Add("version: STSv1\nmode: none\nmax_age: 99999999999999999999")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parsePolicy(s)
		if err != nil {
			return
		}
		if p.maxAge < 0 || p.maxAge > maxPolicyAge || p.mode != "none" && len(p.mx) == 0 {
			t.Fatalf("%+v", p)
		}
		p.allows("mx.abroad.example")
		policyID([]string{s})
	})
}

// An address that is accepted can't end or add to a command, nor can anything
// that stands beside it.
func FuzzCommands(f *testing.F) {
	f.Add("a@b.example", "rfc822;x", "env")
	f.Add("\"a b\"@b.example", "utf-8;هند@b.example", "+=")
	f.Fuzz(func(t *testing.T, address, orcpt, envid string) {
		l := Letter{From: address, To: []Recipient{{Address: address, ORCPT: orcpt}}, Message: []byte("x: y\r\n\r\n"), EnvID: envid}
		p := &Parcel{letter: l}
		if p.checkEnvelope() != nil {
			return
		}
		c := &conn{ext: map[string]string{"DSN": "", "SMTPUTF8": ""}}
		row := &letter{sender: address, envid: envid, flags: flagUTF8}
		for _, line := range []string{c.mailFrom(row), c.rcptTo(row, &recipient{address: address, orcpt: orcpt})} {
			if strings.ContainsFunc(line, control) || strings.Count(line, "> ") > 1 && address[0] != '"' {
				t.Fatalf("%q", line)
			}
		}
	})
}

// What comes back in a notice is folded: no line of it begins another field.
func FuzzFold(f *testing.F) {
	f.Add("550 5.1.1 no such user " + strings.Repeat("x", 1000))
	f.Fuzz(func(t *testing.T, s string) {
		for i, line := range strings.Split(fold(showable(s)), "\r\n") {
			if i > 0 && !strings.HasPrefix(line, " ") || len(line) > 998 || strings.ContainsAny(line, "\r\n") {
				t.Fatalf("%q", line)
			}
		}
	})
}
