package web

import (
	"strings"
	"testing"

	"sijill/internal/search"
)

func plain(s string) []search.Span { return []search.Span{{Text: s}} }

func TestBlocks(t *testing.T) {
	got := blocks("\r\nDear all,\r\nsecond line\r\n\r\n> quoted\r\n>> twice\r\nanswer  \n\n\n\nend", plain)
	want := []struct {
		quote bool
		text  string
	}{{false, "Dear all,\nsecond line"}, {true, "quoted\n> twice"}, {false, "answer"}, {false, "end"}}
	if len(got) != len(want) {
		t.Fatalf("%+v", got)
	}
	for i, w := range want {
		if got[i].Quote != w.quote || got[i].Spans[0].Text != w.text {
			t.Errorf("%d: %+v, want %+v", i, got[i], w)
		}
	}
	if blocks("", plain) != nil || blocks("\n\n \n", plain) != nil {
		t.Error("nothing gives something")
	}
}

// Links are what is typed, no more and no less, and only web addresses.
func TestLinks(t *testing.T) {
	for in, link := range map[string]string{
		"see https://diwan.example/a?b=c&d=e.": "https://diwan.example/a?b=c&d=e",
		"(http://diwan.example/x)":             "http://diwan.example/x",
		"على https://diwan.example/سجل، ثم":    "https://diwan.example/سجل",
		"javascript:alert(1)":                  "",
		"xhttps://diwan.example":               "",
		"https://a\u202egpj.exe":               "",
		`https://diwan.example/"onclick=x`:     "https://diwan.example/",
		"ftp://diwan.example and mailto:a@b.c": "",
	} {
		var links, all string
		for _, s := range spans(in, plain) {
			links += s.Link
			all += s.Text
		}
		if links != link || all != in {
			t.Errorf("%q: link %q, text %q", in, links, all)
		}
	}
	if long := spans(strings.Repeat("https://x.example/ ", 10000), plain); len(long) != 20000 {
		t.Error(len(long))
	}
}
