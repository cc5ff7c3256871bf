package view

import (
	"encoding/json"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/text/feature/plural"
)

func newViews(t *testing.T) *Views {
	t.Helper()
	v, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Arabic has all six plural forms of CLDR, English two. A catalog has them for
// each phrase that counts, and for no other.
var pluralForms = map[string][]plural.Form{
	"ar": {plural.Zero, plural.One, plural.Two, plural.Few, plural.Many, plural.Other},
	"en": {plural.One, plural.Other},
}

func TestCatalogsAreComplete(t *testing.T) {
	v := newViews(t)
	for _, l := range v.locales {
		for _, o := range v.locales {
			for key, theirs := range o.words {
				ours, ok := l.words[key]
				if !ok {
					t.Errorf("%s lacks %q, which %s has", l.Tag, key, o.Tag)
				} else if (ours.forms == nil) != (theirs.forms == nil) {
					t.Errorf("%q counts in only one of %s and %s", key, l.Tag, o.Tag)
				}
			}
		}
		for key, p := range l.words {
			if p.forms == nil {
				if strings.TrimSpace(p.one) == "" {
					t.Errorf("%s: %q says nothing", l.Tag, key)
				}
				continue
			}
			for _, f := range pluralForms[l.Tag] {
				if strings.TrimSpace(p.forms[f]) == "" {
					t.Errorf("%s: %q lacks plural form %v", l.Tag, key, f)
				}
			}
			if len(p.forms) != len(pluralForms[l.Tag]) {
				t.Errorf("%s: %q has a plural form that the language doesn't", l.Tag, key)
			}
		}
	}
}

// A name said twice in a catalog would hide one of its phrases.
func TestCatalogsSayNothingTwice(t *testing.T) {
	for _, tag := range []string{"ar", "en"} {
		b, err := fs.ReadFile(own, "catalog/"+tag+".json")
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		d := json.NewDecoder(strings.NewReader(string(b)))
		for depth := 0; ; {
			tok, err := d.Token()
			if err != nil {
				break
			}
			switch x := tok.(type) {
			case json.Delim:
				if x == '{' {
					depth++
				} else {
					depth--
				}
			case string:
				if depth == 1 && d.More() && strings.Contains(string(b), "\n  \""+x+"\":") {
					if seen[x] {
						t.Errorf("%s says %q twice", tag, x)
					}
					seen[x] = true
				}
			}
		}
		if len(seen) < 100 {
			t.Errorf("only %d phrases found in %s", len(seen), tag)
		}
	}
}

// Every phrase that a template names is in the catalog. New can't find that
// out: names are looked up when a page is drawn.
func TestTemplatesNameKnownPhrases(t *testing.T) {
	v := newViews(t)
	call := regexp.MustCompile(`\.L\.(?:T|Plain|Pattern) "([^"]+)"`)
	n := 0
	err := fs.WalkDir(own, "page", func(name string, d fs.DirEntry, err error) error {
		if err != nil || path.Ext(name) != ".html" {
			return err
		}
		b, err := fs.ReadFile(own, name)
		for _, m := range call.FindAllStringSubmatch(string(b), -1) {
			n++
			if !v.locales[0].Has(m[1]) {
				t.Errorf("%s names %q, which no catalog has", name, m[1])
			}
		}
		return err
	})
	if err != nil || n < 50 {
		t.Fatalf("%d names found: %v", n, err)
	}
}

func TestPlurals(t *testing.T) {
	v := newViews(t)
	ar, en := v.Locale("", "ar"), v.Locale("", "en")
	for n, want := range map[int64]string{
		0: "لا رسائل", 1: "رسالة واحدة", 2: "رسالتان", 3: "٣ رسائل", 10: "١٠ رسائل", 11: "١١ رسالة", 99: "٩٩ رسالة",
		100: "١٠٠ رسالة", 103: "١٠٣ رسائل", 111: "١١١ رسالة", 500000: "٥٠٠٬٠٠٠ رسالة", 10_000_003: "١٠٬٠٠٠٬٠٠٣ رسائل",
	} {
		got, err := ar.Plain("messages", n)
		if got = strings.NewReplacer("\u2068", "", "\u2069", "").Replace(got); err != nil || got != want {
			t.Errorf("%d: %q, %v; want %q", n, got, err, want)
		}
	}
	for n, want := range map[int]string{0: "0 messages", 1: "1 message", 2: "2 messages", 21: "21 messages"} {
		got, err := en.Plain("messages", n)
		if got = strings.NewReplacer("\u2068", "", "\u2069", "").Replace(got); err != nil || got != want {
			t.Errorf("%d: %q, %v; want %q", n, got, err, want)
		}
	}
}

// What a stranger wrote stays text in a phrase, and is set apart.
func TestArgumentsAreEscapedAndIsolated(t *testing.T) {
	l := newViews(t).Locale("", "en")
	got, err := l.T("query.date", `<script>"{0}`)
	if err != nil || !strings.HasPrefix(string(got), `<bdi>&lt;script&gt;&#34;{0}</bdi> `) {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := l.T("no such phrase"); err == nil {
		t.Error("an unknown phrase is no error")
	}
}

func TestLanguageIsChosen(t *testing.T) {
	v := newViews(t)
	for _, c := range []struct{ accept, chosen, preferred, want string }{
		{"", "", "", "ar"},
		{"en-GB,en;q=0.9", "", "", "en"},
		{"ar-AE,en;q=0.5", "", "", "ar"},
		{"de,fr", "", "", "ar"},
		{"en", "ar", "", "ar"},
		{"en", "", "ar", "ar"},
		{"ar", "en", "ar", "en"},
		{"ar", "xx", "", "ar"},
		{";;;\xff", "", "", "ar"},
	} {
		if got := v.Locale(c.accept, c.chosen, c.preferred).Tag; got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// Styles know no left and right, so that they serve both directions, and no
// address but those of the fonts.
func TestStylesAreLogical(t *testing.T) {
	physical := regexp.MustCompile(`(?m)(?:^|[{;\s])((?:margin|padding|border|inset)-(?:left|right|top|bottom)[a-z-]*|left|right|top|bottom|(?:min-|max-)?(?:width|height)|text-align)\s*:\s*([^;}]+)`)
	n := 0
	err := fs.WalkDir(own, "page", func(name string, d fs.DirEntry, err error) error {
		if err != nil || path.Ext(name) != ".css" {
			return err
		}
		n++
		b, err := fs.ReadFile(own, name)
		b = regexp.MustCompile(`(?s)/\*.*?\*/`).ReplaceAll(b, nil)
		for _, m := range physical.FindAllStringSubmatch(string(b), -1) {
			if m[1] != "text-align" || strings.Contains(m[2], "left") || strings.Contains(m[2], "right") {
				t.Errorf("%s: %s: %s", name, m[1], m[2])
			}
		}
		if strings.Contains(string(b), "url(") || strings.Contains(string(b), "@import") {
			t.Errorf("%s names an address", name)
		}
		return err
	})
	if err != nil || n < 5 {
		t.Fatalf("%d styles found: %v", n, err)
	}
}

// The policy forbids whatever is inline or evaluated; templates must have none.
func TestNothingIsInline(t *testing.T) {
	inline := regexp.MustCompile(`(?i)<script(?:>|[^>]*[^r]>\s*\S)|\sstyle=|\son[a-z]+=|hx-on|javascript:|<style`)
	eval := regexp.MustCompile(`\beval\(|new Function|innerHTML|outerHTML|insertAdjacentHTML|document\.write`)
	err := fs.WalkDir(own, "page", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(own, name)
		if path.Ext(name) == ".html" {
			for _, m := range inline.FindAllString(string(b), -1) {
				if !strings.Contains(m, "defer></script>") && !strings.HasPrefix(m, "<script src") {
					t.Errorf("%s: %s", name, m)
				}
			}
		}
		if m := eval.FindString(string(b)); m != "" {
			t.Errorf("%s: %s", name, m)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestStaticFiles(t *testing.T) {
	s := newViews(t).Static()
	url, err := s.URL("verify.js")
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w
	}
	w := get(url)
	if w.Code != http.StatusOK || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") || w.Header().Get("Content-Type") != "text/javascript; charset=utf-8" {
		t.Errorf("%s: %d %v", url, w.Code, w.Header())
	}
	for _, bad := range []string{"/static/0000000000000000/verify.js", "/static/verify.js", "/static/", "/static/../view.go", strings.Replace(url, "verify.js", "base.html", 1)} {
		if w := get(bad); w.Code != http.StatusNotFound || strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d", bad, w.Code)
		}
	}
	if _, err := s.URL("absent.js"); err == nil {
		t.Error("naming a file that isn't there is no error")
	}
}

// Without the files from npm the styles name no fonts, and nothing fails.
func TestWithoutAssets(t *testing.T) {
	s, err := newStatic(own, fstest.MapFS{"assets/.gitignore": {}})
	if err != nil {
		t.Fatal(err)
	}
	if s.Has("htmx.min.js") || strings.Contains(string(s.files["sijill.css"].body), "@font-face") {
		t.Error("files that aren't there are named")
	}
	for _, name := range pages {
		if _, err := parse(own, s, name); err != nil {
			t.Error(err)
		}
	}
	with := fstest.MapFS{"assets/naskh-400.woff2": {Data: []byte("font")}}
	if s, err = newStatic(own, with); err != nil || strings.Count(string(s.files["sijill.css"].body), "@font-face") != 1 {
		t.Errorf("one font gives not one rule: %v", err)
	}
	if !slices.ContainsFunc(faces, func(f face) bool { return f.file == "naskh-400.woff2" }) {
		t.Error("the font isn't one of ours")
	}
}
