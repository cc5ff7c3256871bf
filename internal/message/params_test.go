package message

import (
	"slices"
	"strings"
	"testing"
)

func TestFilename(t *testing.T) {
	for _, tt := range []struct{ name, field, want string }{
		{"plain", `attachment; filename=a.pdf`, "a.pdf"},
		{"quoted", `attachment; filename="a b.pdf"; size=3`, "a b.pdf"},
		{"escaped", `attachment; filename="a \"b\".pdf"`, `a "b".pdf`},
		{"spaces without quotes", `attachment; filename=a b (1).pdf; size=3`, "a b (1).pdf"},
		{"quotes inside quotes", `attachment; filename="the "final" report.pdf"`, `the "final" report.pdf`},
		{"never closed", `attachment; filename="a.pdf; size=3`, "a.pdf"},
		{"semicolon missing", `attachment; filename="a.pdf" size=3`, "a.pdf"},
		{"semicolon missing before", `attachment filename=a.pdf`, "a.pdf"},
		{"space around equals", `attachment; filename = "a.pdf"`, "a.pdf"},
		{"RFC 2231", `attachment; filename*=utf-8'ar'%D8%B3%D8%AC%D9%84.pdf`, "سجل.pdf"},
		{"RFC 2231 beats plain", `attachment; filename=register.pdf; filename*=UTF-8''%D8%B3%D8%AC%D9%84.pdf`, "سجل.pdf"},
		{"continued", `attachment; filename*0="a long "; filename*1="name"; filename*2=.pdf`, "a long name.pdf"},
		{"continued, out of order", `attachment; filename*1=c.pdf; filename*0=ab`, "abc.pdf"},
		{"continued and encoded", `attachment; filename*0*=utf-8''%D8%B3%D8; filename*1*=%AC%D9%84; filename*2=.pdf`, "سجل.pdf"},
		{"RFC 2231 in windows-1256", `attachment; filename*=windows-1256''%D3%CC%E1.pdf`, "سجل.pdf"},
		{"RFC 2231 without charset", `attachment; filename*=%D8%B3%D8%AC%D9%84.pdf`, "سجل.pdf"},
		{"RFC 2047", `attachment; filename="=?utf-8?B?2LPYrNmE?=.pdf"`, "سجل.pdf"},
		{"RFC 2047 in two words", `attachment; filename="=?utf-8?B?2LPY?= =?utf-8?B?rNmE?=.pdf"`, "سجل.pdf"},
		{"RFC 2047 continued", `attachment; filename*0="=?utf-8?B?2LPY"; filename*1="rNmE?=.pdf"`, "سجل.pdf"},
		{"RFC 2047 unquoted", `attachment; filename==?utf-8?Q?a=20b.pdf?=`, "a b.pdf"},
		{"raw UTF-8", `attachment; filename="سجل.pdf"`, "سجل.pdf"},
		{"Windows folders", `attachment; filename="C:\temp\a.pdf"`, "a.pdf"},
		{"folders", `attachment; filename="../../etc/passwd"`, "passwd"},
		{"only dots", `attachment; filename=".."`, ""},
		{"control characters", "attachment; filename=\"a\x00\x1bb.pdf\"", "ab.pdf"},
		{"none", `attachment`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := Parse([]byte("Content-Type: application/pdf\nContent-Disposition: " + tt.field + "\n\nx"))
			check(t, m)
			if got := m.Root.Filename(); got != tt.want || m.Root.Disposition != "attachment" {
				t.Errorf("got %q, want %q; disposition %q", got, tt.want, m.Root.Disposition)
			}
			m = Parse([]byte("Content-Type: " + strings.NewReplacer("attachment", "application/pdf", "file", "").Replace(tt.field) + "\n\nx"))
			check(t, m)
			if got := m.Root.Filename(); got != tt.want || m.Root.MediaType() != "application/pdf" {
				t.Errorf("in Content-Type: got %q, want %q; type %s", got, tt.want, m.Root.MediaType())
			}
		})
	}
}

func TestContentTypeParams(t *testing.T) {
	for _, tt := range []struct{ field, charset, format string }{
		{`text/plain; charset=utf-8; format=flowed`, "utf-8", "flowed"},
		{`TEXT/PLAIN; CHARSET="utf-8"; Format=flowed`, "utf-8", "flowed"},
		{`text/plain;charset=utf-8;;format=flowed;`, "utf-8", "flowed"},
		{`text/plain; charset=utf-8 format=flowed`, "utf-8", "flowed"},
		{`text/plain charset=utf-8; format=flowed`, "utf-8", "flowed"},
		{`text/plain; charset="utf-8" format=flowed`, "utf-8", "flowed"},
		{`text/plain (comment); charset=utf-8 (Unicode); format=flowed`, "utf-8", "flowed"},
		{`text/plain; charset="utf-8; format=flowed`, "utf-8", "flowed"},
		{`text/plain; charset; format=flowed`, "", "flowed"},
		{`text/plain; charset=utf-8; charset=x; format=flowed`, "utf-8", "flowed"},
	} {
		p := Parse([]byte("Content-Type: " + tt.field + "\n\n")).Root
		if p.MediaType() != "text/plain" || p.Charset() != tt.charset || p.Params.Get("format") != tt.format {
			t.Errorf("%s: got %s %v", tt.field, p.MediaType(), p.Params)
		}
	}
}

func TestAttachments(t *testing.T) {
	m := Parse(fixture(t, "attachments.eml"))
	check(t, m)
	type row struct {
		name, kind string
		size       int64
		inline     bool
	}
	var got []row
	for _, a := range m.Attachments() {
		got = append(got, row{a.Name, a.Type, a.Size, a.Inline})
		if n := len(a.Part.Decoded()); a.Part.Nested == nil && int64(n) != a.Size {
			t.Errorf("%s: size %d, decoded %d", a.Name, a.Size, n)
		}
	}
	want := []row{
		{"", "image/png", 8, true},
		{"notes.txt", "text/plain", 20, false},
		{"fix.patch", "text/x-patch", 18, true},
		{"winmail.dat", "application/ms-tnef", 4, false},
		{"Minutes May.eml", "message/rfc822", got[4].size, false},
		{"minutes.pdf", "application/pdf", 4, false},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	if id := m.Attachments()[0].ContentID; id != "seal@x" {
		t.Errorf("content id %q", id)
	}
	const text = "Hello\n\nread with the text\n\nSubject: Minutes / May\n\ninner text"
	if got := m.Text(); got != text {
		t.Errorf("text %q", got)
	}
}
