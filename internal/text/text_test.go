package text

import (
	"strings"
	"testing"
)

func TestTerms(t *testing.T) {
	a := New()
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"--- *** ؟ ،", ""},
		{"The meetings WERE running", "the meet were run"},
		{"don't John's O’Brien’s cats' 'quoted'", "dont john obrien cat quot"},
		{"1,234.56 b2b 2015-03-10", "1 234 56 b2b 2015 03 10"},
		{"john.doe@enron.com", "john doe enron com john.doe@enron.com"},
		{"<J_Doe+x@Mail.Enron.COM>,", "j doe x mail enron com j_doe+x@mail.enron.com"},
		{"a@b@c.d", "a b a@b c d"},
		{"www.enron.com/a-b", "www enron com a b"},
		{"end. Next", "end next"},
		{"CAFÉ café cafe\u0301 naïve", "cafe cafe cafe naiv"},
		{"ｆｕｌｌ ﬁles", "full file"},
		{"هيلاري هيلارى هِيلارِي هيـــلاري", "هيلار هيلار هيلار هيلار"},
		{"والكتاب الكتاب كتاب للمدرسة مدرسة المدرسه", "كتاب كتاب كتاب مدرس مدرس مدرس"},
		{"١٢٣ ۱۲۳ 123", "123 123 123"},
		{"ﻫﻴﻼﺭﻱ", "هيلار"},
		{"ﷲ", "له"},
		{"سئل سيل", "سئل سيل"},
		{"emailالبريد 15مارس", "email بريد 15 مارس"},
		{"日本語 です", "日 本 語 で す"},
		{"\xff\xfeabc\xffdef\xd9", "abc def"},
		{"soft\u00adhyphen \u200fهيلاري\u200f", "softhyphen هيلار"},
		{strings.Repeat("x", 100), strings.Repeat("x", 64)},
	} {
		if got := a.Terms(c.in); got != c.want {
			t.Errorf("Terms(%q)\n got %q\nwant %q", c.in, got, c.want)
		}
	}
}

func TestTokensSayWhereTheyWere(t *testing.T) {
	s := "قال هيلارى: write to John.Doe@enron.com, it's John’s"
	var got []string
	for _, tok := range New().Tokens(nil, s) {
		got = append(got, s[tok.Start:tok.End])
	}
	want := "قال|هيلارى|write|to|John|Doe|enron|com|John.Doe@enron.com|it|John"
	if g := strings.Join(got, "|"); g != want {
		t.Errorf("got %s\nwant %s", g, want)
	}
}

func TestPrefix(t *testing.T) {
	a := New()
	for in, want := range map[string]string{
		"Running": "running", "الكتا": "كتا", "هيلارى": "هيلاري", "É": "e",
		"": "", "a b": "", "a.b": "", "ﷺ": "",
	} {
		if got := a.Prefix(in); got != want {
			t.Errorf("Prefix(%q) = %q, want %q", in, got, want)
		}
	}
}
