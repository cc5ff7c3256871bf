package web

import (
	"regexp"
	"strings"
)

// maxStyle is the longest style attribute in bytes that is looked at.
const maxStyle = 4 << 10

// Values that a style may have. None of them can hold an address, a quotation
// mark or an escape, and none takes content out of its place.
var (
	// length has no minus sign: nothing can be pushed out of sight.
	length = regexp.MustCompile(`^(?i:[0-9.]{1,6}(px|pt|em|rem|%|ex)?|auto)( (?i:[0-9.]{1,6}(px|pt|em|rem|%|ex)?|auto)){0,3}$`)
	word   = regexp.MustCompile(`^(?i:[a-z-]{2,20}|[1-9]00)$`)
	size   = regexp.MustCompile(`^(?i:[0-9.]{1,5}(px|pt|em|rem|%)?|[a-z-]{5,8})$`)
	border = regexp.MustCompile(`^(?i:[0-9.]{1,4}(px|pt)? (solid|dashed|dotted|double)( (#[0-9a-f]{3,8}|[a-z]{3,22}))?|none|0)$`)
)

// styles are the properties that may stay, and what their values must look like.
var styles = map[string]*regexp.Regexp{
	"color": colour, "background-color": colour, "background": colour, "border-color": colour,
	"margin": length, "margin-top": length, "margin-bottom": length, "margin-left": length, "margin-right": length,
	"padding": length, "padding-top": length, "padding-bottom": length, "padding-left": length, "padding-right": length,
	"width": length, "max-width": length, "height": length, "border-radius": length, "border-width": length, "border-spacing": length, "text-indent": length,
	"font-weight": word, "font-style": word, "text-decoration": word, "text-align": word, "vertical-align": word, "direction": word,
	"border-collapse": word, "white-space": word, "text-transform": word, "list-style-type": word, "display": word, "border-style": word,
	"font-size": size, "line-height": size,
	"border": border, "border-top": border, "border-bottom": border, "border-left": border, "border-right": border,
}

// safeStyle keeps the declarations of a style attribute that are known to be
// harmless. It knows nothing of the grammar of CSS beyond that: a declaration
// that means something else than its plain reading doesn't match.
func safeStyle(style string) string {
	if len(style) > maxStyle {
		return ""
	}
	var kept []string
	for declaration := range strings.SplitSeq(style, ";") {
		name, value, _ := strings.Cut(declaration, ":")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		if bare, ok := strings.CutSuffix(strings.ToLower(value), "!important"); ok {
			value = strings.TrimSpace(bare)
		}
		if allowed := styles[name]; allowed != nil && allowed.MatchString(value) {
			kept = append(kept, name+": "+value)
		}
	}
	return strings.Join(kept, "; ")
}
