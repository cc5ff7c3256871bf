package message

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestText(t *testing.T) {
	const alternative = "Content-Type: multipart/alternative; boundary=b\n\n"
	const html = "--b\nContent-Type: text/html\n\n<p>rich</p>\n"
	for _, tt := range []struct{ name, raw, want string }{
		{"plain", "\na\r\nb\rc\x00\n", "a\nb\nc"},
		{"alternative", alternative + "--b\n\nplain\n" + html + "--b--", "plain"},
		{"alternative, HTML first", alternative + html + "--b\n\nplain\n--b--", "plain"},
		{"alternative, plain blank", alternative + "--b\n\n \u00a0\n\n" + html + "--b--", "rich"},
		{"alternative, plain missing", alternative + html + "--b--", "rich"},
		{"alternative in mixed", "Content-Type: multipart/mixed; boundary=m\n\n--m\n" + alternative + "--b\n\nplain\n" + html + "--b--\n--m\n\nfooter\n--m--", "plain\n\nfooter"},
		{"report", "Content-Type: multipart/report; boundary=b\n\n--b\n\nfailed\n--b\nContent-Type: message/delivery-status\n\nStatus: 5.1.1\n--b\nContent-Type: text/rfc822-headers\n\nSubject: x\n--b--",
			"failed\n\nStatus: 5.1.1\n\nSubject: x"},
		{"signed", "Content-Type: multipart/signed; boundary=b\n\n--b\n\ntext\n--b\nContent-Type: application/pgp-signature\n\nxyz\n--b--", "text"},
		{"attached text left out", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\ntext\n--b\nContent-Disposition: attachment\n\nmore\n--b--", "text"},
		{"a message inside", "Content-Type: message/rfc822\n\nFrom: Omar <o@x.example>\nSubject: =?utf-8?Q?s=C3=A9al?=\n\ninner", "From: Omar <o@x.example>\nSubject: séal\n\ninner"},
		{"only an attachment", "Content-Type: application/pdf\n\n%PDF", ""},
		{"uuencoded text stays", "\nbegin 644 a\n#86)C\n`\nend\n", "begin 644 a\n#86)C\n`\nend"},
		{"multipart without parts", "Content-Type: multipart/mixed; boundary=b\n\nall the same\n", "all the same"},
		{"flowed", "Content-Type: text/plain; format=flowed\n\nOne line \nin two.\n Fromage\n> quoted \n> too\nend\n-- \nme\n",
			"One line in two.\nFromage\n> quoted too\nend\n-- \nme"},
		{"flowed with delsp", "Content-Type: text/plain; format=flowed; delsp=yes\n\nsplit \nword\n", "splitword"},
		{"flowed quote is cut", "Content-Type: text/plain; format=flowed\n\n> quoted \nown\n", "> quoted \nown"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := Parse([]byte(tt.raw))
			check(t, m)
			if got := m.Text(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestHTMLText(t *testing.T) {
	for _, tt := range []struct{ name, html, want string }{
		{"blocks", "<h1>Title</h1><p>One\n  two</p><div>three</div><div>four<br>five</div>", "Title\n\nOne two\n\nthree\nfour\nfive"},
		{"inline", "a<b>b</b> <i>c</i>&nbsp;&amp; <a href='http://x.example'>link</a>", "ab c & link"},
		{"hidden", "<head><title>t</title><style>p{}</style></head><script>x()</script>shown<!-- not -->", "shown"},
		{"list", "<ul><li>one</li><li>two</li></ul>end", "• one\n• two\n\nend"},
		{"table", "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"},
		{"quotation", "me<blockquote>you<blockquote>me before</blockquote></blockquote>", "me\n> you\n>> me before"},
		{"preformatted", "x<pre>a  b\n  c</pre>y", "x\n\na  b\n  c\n\ny"},
		{"broken", "<p>a<p>b</i></div><td", "a\n\nb"},
		{"entities", "&#x633;&#x62c;&#x644; &lt;b&gt; &copy;", "سجل <b> ©"},
		{"empty", "", ""},
		{"end tags only", "</p></blockquote></pre></ul>x", "x"},
		{"style in the body", "a<style>b</style>c<textarea>d</textarea>e", "ace"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := Parse([]byte("Content-Type: text/html; charset=utf-8\n\n" + tt.html))
			check(t, m)
			if got := m.Text(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestTextIsBounded(t *testing.T) {
	body := strings.Repeat("سجل ", MaxText/4)
	for _, header := range []string{
		"Content-Type: text/plain\n\n", "Content-Type: text/html\n\n",
		"Content-Type: text/plain; charset=utf-8; format=flowed\n\n",
	} {
		text := Parse([]byte(header + body)).Text()
		if len(text) > MaxText || len(text) < MaxText-16 || !utf8.ValidString(text) || strings.ContainsRune(text, '\ufffd') {
			t.Errorf("%q: %d bytes", header, len(text))
		}
	}
}

func TestHTML(t *testing.T) {
	m := Parse([]byte("Content-Type: multipart/mixed; boundary=m\n\n--m\nContent-Type: multipart/alternative; boundary=a\n\n" +
		"--a\n\nplain\n--a\nContent-Type: text/html; charset=windows-1256\n\n<p>\xd3\xcc\xe1</p>\n--a--\n--m\n\na <footer>\n--m--"))
	html, ok := m.HTML()
	want := "<p>سجل</p><div style=\"white-space: pre-wrap\">a &lt;footer&gt;</div>\n"
	if !ok || html != want {
		t.Errorf("got %q %v", html, ok)
	}
	m = Parse([]byte("Content-Type: text/html\n\n<meta http-equiv=content-type content='text/html; charset=windows-1256'>\xd3\xcc\xe1"))
	if html, _ := m.HTML(); !strings.HasSuffix(html, "سجل") {
		t.Errorf("charset of its own: got %q", html)
	}
	if html, ok := Parse([]byte("\nplain")).HTML(); ok || html != "" {
		t.Errorf("plain text has HTML %q", html)
	}
}

func TestSnippet(t *testing.T) {
	for _, tt := range []struct {
		text string
		n    int
		want string
	}{
		{"Dear  all,\n\n  yes.\n", 80, "Dear all, yes."},
		{"> question\n>> older\nAnswer\n", 80, "Answer"},
		{"> only\n> quoted\n", 80, "only quoted"},
		{"-----\nTitle\n=====\n", 80, "Title"},
		{"\u200b\u200b a\u00adb \u034f\n", 80, "ab"},
		{"السجل العام", 5, "السجل"},
		{"one two", 4, "one"},
		{"", 10, ""},
		{"text", 0, ""},
		{"text", -1, ""},
	} {
		if got := Snippet(tt.text, tt.n); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.text, got, tt.want)
		}
	}
	m := Parse([]byte("\n> q\n\nhello\n"))
	if got := m.Snippet(20); got != "hello" {
		t.Errorf("got %q", got)
	}
}

func TestSubjectBase(t *testing.T) {
	for _, tt := range []struct {
		in, want string
		reply    bool
	}{
		{"Canals", "Canals", false},
		{"Re: Canals", "Canals", true},
		{"RE[3]:  Fwd: re : Canals", "Canals", true},
		{"Re(2): Canals", "Canals", true},
		{"[water] Re: [water] Canals", "Canals", true},
		{"[water] Canals", "Canals", false},
		{"[water]", "[water]", false},
		{"Canals (fwd)", "Canals", true},
		{"AW: SV: VS: WG: Antw: TR: RV: Canals", "Canals", true},
		{"رد: القنوات", "القنوات", true},
		{"إعادة توجيه: رد: القنوات", "القنوات", true},
		{"ردّ : القنوات", "القنوات", true},
		{"回复：Canals", "Canals", true},
		{"Regarding: Canals", "Regarding: Canals", false},
		{"Canals: re: plan", "Canals: re: plan", false},
		{"Re:", "", true},
		{"", "", false},
		{": x", ": x", false},
	} {
		if base, reply := SubjectBase(tt.in); base != tt.want || reply != tt.reply {
			t.Errorf("%q: got %q %v", tt.in, base, reply)
		}
	}
}
