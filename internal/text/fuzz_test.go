package text

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func FuzzTokens(f *testing.F) {
	for _, s := range []string{
		"john.doe@enron.com. don't", "هيلارى وَالكتاب ١٢٣", "a.b@c@d-e_", "\xff\xd9a'\xe2\x80\x99s", "ﷺ ﬃ １２ｘ", "日本語カタ", "e\u0301\u0301\u0640",
		strings.Repeat("ﷺ", 30), strings.Repeat("a", 70) + "é", "O’Brien’s’", "a'é",
	} {
		f.Add(s)
	}
	a := New()
	f.Fuzz(func(t *testing.T, s string) {
		tokens := a.Tokens(nil, s)
		terms := make([]string, len(tokens))
		for i, tok := range tokens {
			terms[i] = tok.Term
			switch {
			case tok.Term == "" || len(tok.Term) > MaxTerm || !utf8.ValidString(tok.Term):
				t.Fatalf("term %q of %q", tok.Term, s)
			case strings.ContainsAny(tok.Term, " \"=*()\x00"):
				t.Fatalf("term %q of %q has a character that no term may have", tok.Term, s)
			case tok.Start < 0 || tok.Start >= tok.End || tok.End > len(s):
				t.Fatalf("term %q at %d to %d of %q", tok.Term, tok.Start, tok.End, s)
			}
		}
		if got := a.Terms(s); got != strings.Join(terms, " ") {
			t.Fatalf("Terms and Tokens differ for %q: %q, %q", s, got, terms)
		}
		if p := a.Prefix(s); len(p) > MaxTerm || strings.ContainsAny(p, " \"") {
			t.Fatalf("Prefix(%q) = %q", s, p)
		}
	})
}
