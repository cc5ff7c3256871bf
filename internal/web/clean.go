package web

import (
	"io"
	"net/url"
	"regexp"
	"strings"

	"github.com/microcosm-cc/bluemonday"
	"golang.org/x/net/html"
)

// cleaner makes HTML mail safe to show. bluemonday keeps only what the policy
// names, and what is left is then rewritten: images, links, colours. It is safe
// for concurrent use.
type cleaner struct {
	sanitize func(source string) string
}

// maxHTML is how many bytes of HTML are shown of a message. Cleaning two megabytes
// of the worst takes a third of a second.
const maxHTML = 2 << 20

// shownHTML is what is shown of a message's HTML; cut says that it goes on. A tag
// that it ends in is dropped when it is cleaned.
func shownHTML(source string) (shown string, cut bool) {
	if len(source) > maxHTML {
		source = withoutData(source)
	}
	if len(source) <= maxHTML {
		return source, false
	}
	return strings.ToValidUTF8(source[:maxHTML], ""), true
}

// How files are written into addresses (RFC 2397), and the shortest that is worth
// taking out, in bytes.
const (
	dataMark  = ";base64,"
	dataChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
	dataLeast = 1 << 10
)

// withoutData takes out the files that stand within the HTML of large letters.
// None is ever shown, and the words that come after them would be cut off.
func withoutData(source string) string {
	var b strings.Builder
	for {
		before, data, found := strings.Cut(source, dataMark)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteString(dataMark)
		if source = strings.TrimLeft(data, dataChars); len(data)-len(source) < dataLeast {
			b.WriteString(data[:len(data)-len(source)])
		}
	}
}

// cleaned is HTML that is safe in a frame.
type cleaned struct {
	html   string
	styled bool // The message sets colours, and needs the paper they were chosen for.
}

var colour = regexp.MustCompile(`^(?i:#[0-9a-f]{3,8}|[a-z]{3,22}|rgba?\([0-9., %]{3,40}\))$`)

// schemes are those of the addresses that a message may name.
var schemes = []string{"http", "https", "mailto", "cid"}

func newCleaner() *cleaner {
	p := bluemonday.NewPolicy()
	p.AllowElements("a", "abbr", "address", "article", "b", "bdi", "bdo", "blockquote", "br", "caption", "center", "cite",
		"code", "col", "colgroup", "dd", "del", "div", "dl", "dt", "em", "figcaption", "figure", "font", "footer",
		"h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "i", "img", "ins", "kbd", "li", "mark", "ol", "p", "pre",
		"q", "s", "samp", "section", "small", "span", "strike", "strong", "sub", "sup", "table", "tbody", "td",
		"tfoot", "th", "thead", "tr", "tt", "u", "ul", "var", "wbr")
	p.AllowNoAttrs().OnElements("a", "span", "font", "img")
	p.AllowAttrs("dir").Matching(regexp.MustCompile(`^(?i:rtl|ltr|auto)$`)).Globally()
	p.AllowAttrs("lang").Matching(regexp.MustCompile(`^[A-Za-z-]{2,20}$`)).Globally()
	p.AllowAttrs("align", "valign").Matching(regexp.MustCompile(`^[A-Za-z]{3,10}$`)).Globally()
	p.AllowAttrs("title", "alt").Globally()
	p.AllowAttrs("width", "height").Matching(regexp.MustCompile(`^[0-9]{1,4}%?$`)).OnElements("img", "table", "td", "th", "col", "hr")
	p.AllowAttrs("border", "cellpadding", "cellspacing", "colspan", "rowspan", "start").Matching(regexp.MustCompile(`^[0-9]{1,3}$`)).
		OnElements("table", "td", "th", "img", "ol")
	p.AllowAttrs("bgcolor", "color").Matching(colour).Globally()
	p.AllowAttrs("size").Matching(regexp.MustCompile(`^[+-]?[0-9]$`)).OnElements("font")
	p.AllowAttrs("href").OnElements("a")
	p.AllowAttrs("src").OnElements("img")
	p.AllowURLSchemes(schemes...)
	p.AllowRelativeURLs(false)
	p.RequireParseableURLs(true)
	p.AllowAttrs("style").Globally() // Judged in style.go.
	return &cleaner{sanitize: p.Sanitize}
}

// clean makes source safe. Remote images stay only when images is true. inline
// gives the address of the message's own part with a Content-ID, or "".
func (c *cleaner) clean(source string, images bool, inline func(cid string) string) cleaned {
	var out cleaned
	var b strings.Builder
	z := html.NewTokenizer(strings.NewReader(c.sanitize(source)))
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			if z.Err() == io.EOF {
				out.html = b.String()
			}
			return out
		}
		if kind != html.StartTagToken && kind != html.SelfClosingTagToken {
			b.Write(z.Raw())
			continue
		}
		t := z.Token()
		if style := safeStyle(take(&t, "style")); style != "" {
			t.Attr = append(t.Attr, html.Attribute{Key: "style", Val: style})
		}
		out.styled = out.styled || setsColour(t)
		switch t.Data {
		case "img":
			image(&t, images, inline)
		case "a":
			link(&t)
		}
		b.WriteString(t.String())
	}
}

func setsColour(t html.Token) bool {
	for _, a := range t.Attr {
		if a.Key == "bgcolor" || a.Key == "color" || a.Key == "style" && (strings.Contains(a.Val, "color") || strings.Contains(a.Val, "background")) {
			return true
		}
	}
	return false
}

// image points an image at the message's own part, or takes its address away.
func image(t *html.Token, images bool, inline func(string) string) {
	src := take(t, "src")
	scheme, rest, _ := strings.Cut(src, ":")
	switch strings.ToLower(scheme) {
	case "cid":
		if inline != nil {
			src = inline(strings.TrimSpace(rest))
		}
	case "http", "https":
		if !images || !elsewhere(src) {
			src = ""
			t.Attr = append(t.Attr, html.Attribute{Key: "class", Val: "blocked"})
		}
	default:
		src = ""
	}
	if src != "" {
		t.Attr = append(t.Attr, html.Attribute{Key: "src", Val: src}, html.Attribute{Key: "referrerpolicy", Val: "no-referrer"})
	}
	for _, a := range t.Attr {
		if a.Key == "alt" {
			return
		}
	}
	t.Attr = append(t.Attr, html.Attribute{Key: "alt"})
}

// link makes a link open elsewhere without telling where it was followed from.
func link(t *html.Token) {
	href := take(t, "href")
	if !elsewhere(href) && !strings.HasPrefix(strings.ToLower(href), "mailto:") {
		return
	}
	t.Attr = append(t.Attr,
		html.Attribute{Key: "href", Val: href},
		html.Attribute{Key: "target", Val: "_blank"},
		html.Attribute{Key: "rel", Val: "noopener noreferrer nofollow"})
}

// elsewhere tells whether an address is that of a host on the web. "http:x" is
// not: browsers take it for a page of our own.
func elsewhere(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil
}

// take removes an attribute and returns its value.
func take(t *html.Token, key string) (value string) {
	kept := t.Attr[:0]
	for _, a := range t.Attr {
		if a.Key == key {
			value = a.Val
		} else {
			kept = append(kept, a)
		}
	}
	t.Attr = kept
	return value
}
