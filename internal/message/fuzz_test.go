package message

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "\n", "a", ":", "Subject: x\n\ny",
		"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b\nContent-Type: message/rfc822\n\nSubject: y\n\nz\n--b--\ne",
		"Content-Type: multipart/alternative; boundary=\"b\n\n--b\nContent-Type: text/html; charset=windows-1256\n\n<p>\xd3\xcc\xe1<pre>x</pre>\n--b--",
		"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogeAoKeQ==",
		"Content-Type: text/plain; format=flowed; delsp=yes; charset=utf-7\nContent-Disposition: inline; filename*0*=utf-8''%D8; filename*1*=%B3\n\n> a \n> +BjM- \n-- \n",
		"X-MS-Journal-Report:\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nSender: a@b\nTo: c@d\n--b\nContent-Type: message/rfc822\n\nSubject: x\n\ny\n--b--",
		"Content-Type: a/b\nContent-Transfer-Encoding: quoted-printable\n\n=====",
		"From a@b\nReceived: x; Mon, 2 Jan 2006 15:04:05 -0700\nReferences: <a@b> <c@d\nIn-Reply-To: <e@f>\n\n",
		"Content-Type: text/plain; charset=iso-2022-kr\nContent-Transfer-Encoding: quoted-printable\n\n=1B$)C=0E1b7O=0F=\nx",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m := Parse(b)
		check(t, m)
		checkReader(t, m.Root)
		j, ok := DetectJournal(b)
		if ok && j.End > int64(len(b)) {
			t.Error("the inner message ends outside")
		}
		e := Envelope{Journal: j}
		if len(e.Inner(b)) > 2*len(b) {
			t.Error("the inner message is longer than all of it")
		}
	})
}

func FuzzAddress(f *testing.F) {
	for _, seed := range []string{
		`a@b`, `"A, B" <a@b>, C <c@d>`, `G: a@b, c@d;`, `=?utf-8?Q?a?= <b@c>`, `<@a,@b:c@d>`, `A <b> C <d@e`, `a (b (c) d) @ e`, `"a\"b"@c`, `Doe, John <j@d>`,
		`=?utf-8?B?PGFAYj4=?=`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		size := 0
		for _, a := range ParseAddresses(s) {
			if a.Name == "" && a.Addr == "" {
				t.Error("an empty address")
			}
			if text := a.Name + a.Addr; !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
				t.Errorf("not fit to be shown: %q", text)
			}
			size += len(a.Name) + len(a.Addr)
		}
		if size > 16*len(s)+16 {
			t.Errorf("%d bytes from %d", size, len(s))
		}
	})
}

func FuzzDate(f *testing.F) {
	for _, seed := range []string{
		"Mon, 2 Jan 2006 15:04:05 -0700 (MST)", "2006-01-02T15:04:05.5Z", "1/2/06 3:04 PM", "Mon Jan 2 15:04:05 GMT+3 2006", "2.1.2006 15.04.05",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, ok := ParseDate(s)
		if !ok {
			return
		}
		if d.Year() < 0 || d.Year() > 10000 {
			t.Errorf("year %d", d.Year())
		}
		const layout = "2 Jan 2006 15:04:05 -0700"
		if _, offset := d.Zone(); d.Year() < 1000 || d.Year() > 9999 || offset%60 != 0 {
			return
		}
		again, ok := ParseDate(d.Format(layout))
		if !ok || again.Unix() != d.Unix() {
			t.Errorf("%q gives %v, written again %v", s, d, again)
		}
	})
}

func FuzzWord(f *testing.F) {
	for _, seed := range []string{
		"=?utf-8?Q?a_=C3=A9?= b", "=?utf-8?B?2LPY?= =?utf-8?B?rNmE?=", "=?u?q?=?=?=", "=?utf-7?Q?+BjM-?=", "=?iso-2022-jp?B?GyRCNS1PPxsoQg==?=", "=?gb2312?Q?=BC?= =?gb2312?Q?=C7?=",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		out := DecodeWords(s)
		if !utf8.ValidString(out) || strings.ContainsFunc(out, unicode.IsControl) {
			t.Errorf("not fit to be shown: %q", out)
		}
		if len(out) > 16*len(s) {
			t.Errorf("%d bytes from %d", len(out), len(s))
		}
		SubjectBase(out)
		parseParams(s)
	})
}
