package message

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func toBase64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// outline draws the structure of a part: types in brackets.
func outline(p *Part) string {
	out := p.MediaType()
	if p.Nested != nil {
		return out + "<" + outline(p.Nested.Root) + ">"
	}
	if len(p.Children) == 0 {
		return out
	}
	var inner []string
	for _, child := range p.Children {
		inner = append(inner, outline(child))
	}
	return out + "(" + strings.Join(inner, " ") + ")"
}

func TestStructure(t *testing.T) {
	const mixed = "Content-Type: multipart/mixed; boundary=b\n\n"
	for _, tt := range []struct{ name, raw, want string }{
		{"empty", "", "text/plain"},
		{"no header", "\nbody", "text/plain"},
		{"only a body", "Dear all,\nhow are you?\n", "text/plain"},
		{"two parts", mixed + "preamble\n--b\n\none\n--b\nContent-Type: IMAGE/PNG\n\ntwo\n--b--\nepilogue", "multipart/mixed(text/plain image/png)"},
		{"not closed", mixed + "--b\n\none\n--b\nContent-Type: text/html\n\ntwo", "multipart/mixed(text/plain text/html)"},
		{"closed with words behind", mixed + "--b\n\none\n--b--the end\n--b\n\ntwo", "multipart/mixed(text/plain)"},
		{"spaces after the boundary", mixed + "--b \t\n\none\n--b-- \n", "multipart/mixed(text/plain)"},
		{"no part", mixed + "text", "multipart/mixed"},
		{"boundary begins another", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/alternative; boundary=bb\n\n--bb\n\nx\n--bb--\n--b\n\ny\n--b--",
			"multipart/mixed(multipart/alternative(text/plain) text/plain)"},
		{"outer boundary ends the inner", "Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\nx\n--o\n\ny\n--o--",
			"multipart/mixed(multipart/mixed(text/plain) text/plain)"},
		{"header cut by a boundary", mixed + "--b\nContent-Type: text/html\n--b\n\nx\n--b--", "multipart/mixed(text/html text/plain)"},
		{"boundary missing", "Content-Type: multipart/mixed\n\n--x\nContent-Type: text/html\n\nx\n--x--", "multipart/mixed(text/html)"},
		{"boundary missing, none found", "Content-Type: multipart/mixed\n\ntext", "multipart/mixed"},
		{"boundary empty", "Content-Type: multipart/mixed; boundary=\"\"\n\n--\ntext", "multipart/mixed"},
		{"boundary not closed by a quote", "Content-Type: multipart/mixed; boundary=\"b\n\n--b\n\nx\n--b--", "multipart/mixed(text/plain)"},
		{"digest", "Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: x\n\ny\n--b--", "multipart/digest(message/rfc822<text/plain>)"},
		{"forwarded", mixed + "--b\nContent-Type: message/rfc822\n\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\nx\n--c--\n--b\nContent-Type: text/html\n\n--b--",
			"multipart/mixed(message/rfc822<multipart/mixed(text/plain)> text/html)"},
		{"type without subtype", "Content-Type: text\n\nx", "text/plain"},
		{"type that is none", "Content-Type: pdf\n\nx", "application/octet-stream"},
		{"type twice", "Content-Type: text/html\nContent-Type: text/plain\n\nx", "text/html"},
		{"byte order mark", "\xef\xbb\xbfContent-Type: text/html\n\nx", "text/html"},
		{"mbox line", "From a@b Mon Jan  1 00:00:00 2001\nContent-Type: text/html\n\nx", "text/html"},
		{"space before the colon", "Content-Type : text/html\n\nx", "text/html"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, raw := range []string{tt.raw, strings.ReplaceAll(tt.raw, "\n", "\r\n")} {
				m := Parse([]byte(raw))
				check(t, m)
				if got := outline(m.Root); got != tt.want {
					t.Errorf("got %s, want %s", got, tt.want)
				}
			}
		})
	}
}

func TestOffsets(t *testing.T) {
	raw := "Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n--b\r\nX: 1\r\n\r\none\r\n\r\n--b\r\n\r\n--b--\r\nepilogue\r\n"
	m := Parse([]byte(raw))
	check(t, m)
	var got []string
	for _, p := range m.Root.Children {
		got = append(got, fmt.Sprintf("%q %q", raw[p.HeaderStart:p.BodyStart], raw[p.BodyStart:p.End]))
	}
	want := []string{`"X: 1\r\n\r\n" "one\r\n"`, `"\r\n" ""`}
	if !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	if n := m.Root.Children[0].Lines(); n != 1 {
		t.Errorf("%d lines", n)
	}
	f := m.Header.Lookup("subject")
	if raw[f.Start:f.End] != "Subject: x\r\n" || raw[f.Value:f.End] != " x\r\n" {
		t.Errorf("field %q", raw[f.Start:f.End])
	}
}

func TestHeaderWithoutEmptyLine(t *testing.T) {
	for _, tt := range []struct{ raw, subject, text string }{
		{"Subject: a\nHello there,\nyou.\n", "a", "Hello there,\nyou."},
		{"Subject: a\nwrapped without a space\nX: y\n\nbody", "a", "body"},
		{"Subject: a\n b\n\tc\n\nbody", "a b c", "body"},
		{"Subject: a\nno field\n\nbody", "a", "body"},
		{"X: y", "", ""},
		{"Subject:\n\nbody", "", "body"},
		{" a line that continues nothing\nSubject: a\n\nbody", "a", "body"},
	} {
		m := Parse([]byte(tt.raw))
		check(t, m)
		if m.Subject() != tt.subject || m.Text() != tt.text {
			t.Errorf("%q: subject %q, text %q", tt.raw, m.Subject(), m.Text())
		}
	}
}

func TestHeaderAccess(t *testing.T) {
	m := Parse([]byte("Received: one\nTo: a@x\nreceived: two\nTO: b@x\n\n"))
	if got := m.Header.Values("RECEIVED"); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("got %q", got)
	}
	if got := m.Header.Get("Cc"); got != "" {
		t.Errorf("got %q", got)
	}
	if got := m.To(); len(got) != 2 || got[1].Addr != "b@x" {
		t.Errorf("got %v", got)
	}
}

func TestEncodings(t *testing.T) {
	for _, tt := range []struct{ name, encoding, body, want string }{
		{"none", "", "a=20b", "a=20b"},
		{"base64", "base64", "SGVs\r\nbG8=\r\n", "Hello"},
		{"base64 with rubbish", "BASE64", "SG*Vs\x00bG 8=", "Hello"},
		{"base64 unpadded", "base64", "SGVsbG8", "Hello"},
		{"base64 twice", "base64", "SGVsbG8=SGVsbG8=", "HelloHello"},
		{"quoted-printable", "quoted-printable", "a=20b=\r\nc=E2=82=AC \r\nd", "a bc€\r\nd"},
		{"quoted-printable broken", "Quoted-Printable;", "a=2 b=zz c= \nd=e2=", "a=2 b=zz cd\xe2"},
		{"in quotes", `"base64"`, "SGVsbG8=", "Hello"},
		{"with a comment", "base64 (yes)", "SGVsbG8=", "Hello"},
		{"unknown", "8bits", "Hello", "Hello"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := Parse([]byte("Content-Transfer-Encoding: " + tt.encoding + "\r\n\r\n" + tt.body))
			if got := string(m.Root.Decoded()); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			checkReader(t, m.Root)
		})
	}
}

// TestReaderInPieces: reading a piece at a time gives what reading at once does.
func TestReaderInPieces(t *testing.T) {
	text := strings.Repeat("0123456789 سجل\r\n", 4000)
	folded := ""
	for chunk := range slices.Chunk([]byte(toBase64(text)), 76) {
		folded += string(chunk) + "\r\n"
	}
	for encoding, body := range map[string]string{
		"base64":           folded,
		"quoted-printable": strings.Repeat("=D8=B3 and =\r\nmore  \r\n", 4000),
		"8bit":             text,
	} {
		m := Parse([]byte("Content-Transfer-Encoding: " + encoding + "\r\n\r\n" + body))
		checkReader(t, m.Root)
		if size := m.Attachments(); len(size) != 0 {
			t.Error("text is an attachment")
		}
	}
}
