package message

import (
	"strings"
	"testing"
)

func TestCanonicalAddress(t *testing.T) {
	const arabic = "xn--mgbexc3i.example"
	for in, want := range map[string]string{
		"A@Ministry.Example":             "a@ministry.example",
		"a@ministry.example.":            "a@ministry.example",
		"a@ministry.example..":           "a@ministry.example.", // No name of DNS: it is not the same.
		` "a@b"@Ministry.example`:        "a@b@ministry.example",
		`"a"@x.example`:                  "a@x.example",
		`"a\"b"."c"@x.example`:           `a"b.c@x.example`,
		"a@وزارة.example":                "a@" + arabic,
		"a@XN--MGBEXC3I.example.":        "a@" + arabic,
		"a@وزارة。example．":               "a@" + arabic,
		"a@mini\u00adstry.example":       "a@ministry.example",
		"a@ＭＩＮＩＳＴＲＹ.example":             "a@ministry.example",
		"a@b_ad.وزارة.example":           "a@b_ad." + arabic,
		"a@-\u0640-.ministry.example":    "a@-\u0640-.ministry.example",
		"Rene\u0301@x.example":           "ren\u00e9@x.example",
		"nothing":                        "nothing",
		"":                               "",
		"a@" + strings.Repeat("س.", 600): "a@" + strings.TrimSuffix(strings.Repeat("س.", 600), "."),
	} {
		got := CanonicalAddress(in)
		if got != want {
			t.Errorf("%.80q: %.80q, want %.80q", in, got, want)
		}
		if _, domain := splitAddress(got); CanonicalDomain(domain) != strings.TrimSuffix(domain, ".") {
			t.Errorf("%.80q: not stable", got)
		}
	}
}

func TestAnswers(t *testing.T) {
	var many strings.Builder
	for range 2000 {
		many.WriteString(" <other@x.example>\r\n")
	}
	for name, head := range map[string]string{
		"a long list":         "References: <plan@x>" + many.String(),
		"a second field":      "References: <a@x>\r\nReferences: <plan@x>\r\n",
		"a second answer":     "In-Reply-To: <a@x>\r\nIn-Reply-To: <plan@x>\r\n",
		"the last of many":    "References:" + many.String() + "In-Reply-To:" + many.String() + " <plan@x>\r\n",
		"without brackets":    "In-Reply-To: see plan@x\r\n",
		"before a long field": "References: <plan@x>\r\nReferences:" + many.String(),
	} {
		ids := Parse([]byte(head + "\r\n")).Answers()
		if len(ids) == 0 || len(ids) > maxNamed || ids[0] != "plan@x" && ids[len(ids)-1] != "plan@x" {
			t.Errorf("%s: %d ids, without the one that matters", name, len(ids))
		}
	}
	if ids := Parse([]byte("Subject: x\r\n\r\n")).Answers(); ids != nil {
		t.Errorf("ids %q of nothing", ids)
	}
}
