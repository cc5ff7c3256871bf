package view

import (
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
)

// Locale is one language of the pages: its words, digits and dates. It is
// read-only and safe for concurrent use.
type Locale struct {
	Tag  string // For lang: "ar" or "en".
	Name string // The language's own name for itself.
	Dir  string // For dir: "rtl" or "ltr".

	tag      language.Tag
	words    map[string]text
	digits   []rune // Zero to nine.
	thousand string
	decimal  string
}

// text is a phrase of a catalog: one form, or one for each plural form. {0} and
// so on stand for arguments.
type text struct {
	one   string
	forms map[plural.Form]string
}

// forms are the names that catalogs use for plural forms (CLDR).
var forms = map[string]plural.Form{
	"zero": plural.Zero, "one": plural.One, "two": plural.Two,
	"few": plural.Few, "many": plural.Many, "other": plural.Other,
}

func (t *text) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &t.one)
	}
	var named map[string]string
	if err := json.Unmarshal(b, &named); err != nil {
		return err
	}
	t.forms = map[plural.Form]string{}
	for name, s := range named {
		f, ok := forms[name]
		if !ok {
			return fmt.Errorf("%q is no plural form", name)
		}
		t.forms[f] = s
	}
	return nil
}

// Digits that a person may choose, whatever the language.
const (
	ArabicIndic = "arab"
	Latin       = "latn"
)

// WithDigits is the language with other digits than it has of its own:
// ArabicIndic or Latin. Any other name leaves it as it is.
func (l *Locale) WithDigits(name string) *Locale {
	c := *l
	switch name {
	case ArabicIndic:
		c.digits, c.thousand, c.decimal = []rune("٠١٢٣٤٥٦٧٨٩"), "٬", "٫"
	case Latin:
		c.digits, c.thousand, c.decimal = []rune("0123456789"), ",", "."
	}
	return &c
}

// Numbers names the digits in use, ArabicIndic or Latin.
func (l *Locale) Numbers() string {
	if l.digits[0] == '0' {
		return Latin
	}
	return ArabicIndic
}

func loadLocales(files fs.FS) ([]*Locale, error) {
	all := []*Locale{
		{Tag: "ar", Name: "العربية", Dir: "rtl", tag: language.Arabic, digits: []rune("٠١٢٣٤٥٦٧٨٩"), thousand: "٬", decimal: "٫"},
		{Tag: "en", Name: "English", Dir: "ltr", tag: language.English, digits: []rune("0123456789"), thousand: ",", decimal: "."},
	}
	for _, l := range all {
		b, err := fs.ReadFile(files, "catalog/"+l.Tag+".json")
		if err != nil {
			return nil, fmt.Errorf("reading catalog %s: %w", l.Tag, err)
		}
		if err := json.Unmarshal(b, &l.words); err != nil {
			return nil, fmt.Errorf("reading catalog %s: %w", l.Tag, err)
		}
	}
	return all, nil
}

// Locales are the languages that there are, the default one first.
func (v *Views) Locales() []*Locale { return v.locales }

// Locale picks a language: the first of the wishes that there is, else what
// the browser's Accept-Language asks for, else Arabic.
func (v *Views) Locale(accept string, wishes ...string) *Locale {
	for _, w := range wishes {
		for _, l := range v.locales {
			if l.Tag == w {
				return l
			}
		}
	}
	tags, _, err := language.ParseAcceptLanguage(accept)
	if err != nil || len(tags) == 0 {
		return v.locales[0]
	}
	known := make([]language.Tag, len(v.locales))
	for i, l := range v.locales {
		known[i] = l.tag
	}
	if _, i, sure := language.NewMatcher(known).Match(tags...); sure > language.No {
		return v.locales[i]
	}
	return v.locales[0]
}

// T is the phrase of key as HTML. Arguments are formatted by the language and
// set apart in <bdi>, since a name or number of the other direction would
// reorder the words around it (UAX #9). The first integer chooses the plural
// form. A key that isn't there is an error.
func (l *Locale) T(key string, args ...any) (template.HTML, error) {
	s, err := l.phrase(key, args)
	if err != nil {
		return "", err
	}
	s = template.HTMLEscapeString(s)
	for i, a := range args {
		v := "<bdi>" + template.HTMLEscapeString(l.format(a)) + "</bdi>"
		s = strings.ReplaceAll(s, "{"+strconv.Itoa(i)+"}", v)
	}
	return template.HTML(s), nil
}

// Plain is the phrase of key as plain text, for titles and attributes.
// Arguments are set apart by isolate controls.
func (l *Locale) Plain(key string, args ...any) (string, error) {
	s, err := l.phrase(key, args)
	if err != nil {
		return "", err
	}
	for i, a := range args {
		s = strings.ReplaceAll(s, "{"+strconv.Itoa(i)+"}", "\u2068"+l.format(a)+"\u2069")
	}
	return s, nil
}

// Pattern is the phrase of key with its placeholders, for a script to fill.
func (l *Locale) Pattern(key string) (string, error) { return l.phrase(key, nil) }

// Has tells whether the catalog has key.
func (l *Locale) Has(key string) bool { _, ok := l.words[key]; return ok }

func (l *Locale) phrase(key string, args []any) (string, error) {
	t, ok := l.words[key]
	if !ok {
		return "", fmt.Errorf("catalog %s has no %q: %w", l.Tag, key, fs.ErrNotExist)
	}
	if t.forms == nil {
		return t.one, nil
	}
	for _, a := range args {
		if n, ok := integer(a); ok {
			return t.forms[l.form(n)], nil
		}
	}
	return t.forms[plural.Other], nil
}

// form is the plural form of n; x/text wants it below 10,000,000 and the rules
// only look at the last digits.
func (l *Locale) form(n int64) plural.Form {
	if n > 9_999_999 {
		n = 1_000_000 + n%1_000_000
	}
	return plural.Cardinal.MatchPlural(l.tag, int(n), 0, 0, 0, 0)
}

func integer(a any) (int64, bool) {
	switch n := a.(type) {
	case int:
		return int64(n), true
	case int64:
		return n, true
	}
	return 0, false
}

func (l *Locale) format(a any) string {
	if n, ok := integer(a); ok {
		return l.Number(n)
	}
	switch v := a.(type) {
	case time.Time:
		return l.Date(v)
	case string:
		return v
	}
	return fmt.Sprint(a)
}

// Number is n in the language's digits, in groups of three.
func (l *Locale) Number(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + strings.ReplaceAll(l.Digits(s), ",", l.thousand)
}

// Digits writes the digits of s as the language does.
func (l *Locale) Digits(s string) string {
	if l.digits[0] == '0' {
		return s
	}
	return strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' {
			return l.digits[r-'0']
		}
		return r
	}, s)
}

// Bytes is a size in the unit that suits it, powers of 1024.
func (l *Locale) Bytes(n int64) (string, error) {
	units := []string{"size.b", "size.kb", "size.mb", "size.gb"}
	f, u := float64(n), 0
	for f >= 1024 && u < len(units)-1 {
		f, u = f/1024, u+1
	}
	s := strconv.FormatFloat(f, 'f', 1, 64)
	if u == 0 || f >= 100 {
		s = strconv.FormatFloat(f, 'f', 0, 64)
	}
	s = strings.TrimSuffix(s, ".0")
	unit, err := l.phrase(units[u], nil)
	return l.Digits(strings.Replace(s, ".", l.decimal, 1)) + "\u00a0" + unit, err
}
