package message

import (
	"bytes"
	"html"
	"strings"

	nethtml "golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// maxQuoteDepth is how many > a line of text may get from nested quotations.
const maxQuoteDepth = 10

// appendHTMLText appends the text of HTML as one reads it: blocks on lines of
// their own, quotations marked, scripts and styles left out. It stops when out
// is past limit bytes long.
func appendHTMLText(out, source []byte, limit int) []byte {
	z := nethtml.NewTokenizer(bytes.NewReader(source))
	t := htmlText{out: out, start: len(out), limit: limit}
	for len(t.out) < limit {
		switch z.Next() {
		case nethtml.ErrorToken:
			return t.out // the end: reading bytes from memory has no other error
		case nethtml.TextToken:
			if !t.hidden {
				t.text(z.Text())
			}
			t.hidden = false
		case nethtml.StartTagToken, nethtml.SelfClosingTagToken:
			name, _ := z.TagName()
			t.open(atom.Lookup(name))
		case nethtml.EndTagToken:
			name, _ := z.TagName()
			t.close(atom.Lookup(name))
		}
	}
	return t.out
}

// htmlText writes text while it hears of tags.
type htmlText struct {
	out    []byte
	start  int // where the text began in out
	limit  int
	hidden bool // the next text belongs to an element that is not shown
	pre    int
	quotes int
	breaks int // line ends to write before the next text
	space  bool
}

func (t *htmlText) open(tag atom.Atom) {
	t.hidden = false
	switch tag {
	case atom.Script, atom.Style, atom.Title, atom.Noscript, atom.Textarea, atom.Iframe, atom.Noframes, atom.Noembed:
		t.hidden = true // the tokenizer gives all of their content as one text
	case atom.Br:
		t.breaks = min(t.breaks+1, 2)
	case atom.Li:
		t.block(1)
		t.word([]byte("•"))
		t.space = true
	case atom.Td, atom.Th:
		t.space = true
	case atom.Pre:
		t.block(2)
		t.pre++
	case atom.Blockquote:
		t.block(1)
		t.quotes = min(t.quotes+1, maxQuoteDepth)
	default:
		t.block(lineBreaks(tag))
	}
}

func (t *htmlText) close(tag atom.Atom) {
	t.hidden = false
	switch tag {
	case atom.Pre:
		t.pre = max(t.pre-1, 0)
		t.block(2)
	case atom.Blockquote:
		t.block(1)
		t.quotes = max(t.quotes-1, 0)
	default:
		t.block(lineBreaks(tag))
	}
}

// lineBreaks is how many line ends part the element from its neighbours.
func lineBreaks(tag atom.Atom) int {
	switch tag {
	case atom.P, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Ul, atom.Ol, atom.Table, atom.Hr:
		return 2
	case atom.Div, atom.Tr, atom.Li, atom.Dt, atom.Dd, atom.Dl, atom.Section, atom.Article, atom.Header,
		atom.Footer, atom.Address, atom.Center, atom.Form, atom.Fieldset, atom.Body, atom.Caption, atom.Option:
		return 1
	}
	return 0
}

func (t *htmlText) block(breaks int) { t.breaks = max(t.breaks, breaks) }

// text writes text with its spaces collapsed as a browser does, unless it is
// preformatted.
func (t *htmlText) text(text []byte) {
	if t.pre > 0 {
		text = appendTidy(nil, text)
		for line, rest, more := bytes.Cut(text, []byte("\n")); ; line, rest, more = bytes.Cut(rest, []byte("\n")) {
			if len(line) > 0 {
				t.word(line)
			}
			if !more {
				return
			}
			t.breaks = min(t.breaks+1, 2)
		}
	}
	if len(text) > 0 && isHTMLSpace(text) > 0 {
		t.space = true
	}
	for text = trimHTMLSpace(text); len(text) > 0; text = trimHTMLSpace(text) {
		end := 0
		for end < len(text) && isHTMLSpace(text[end:]) == 0 {
			end++
		}
		t.word(text[:end])
		t.space = end < len(text)
		text = text[end:]
	}
}

// word writes a word after the line ends or the space that are due.
func (t *htmlText) word(word []byte) {
	atStart := len(t.out) == t.start
	switch {
	case atStart:
		t.quote()
	case t.breaks > 0:
		for range t.breaks {
			t.out = append(t.out, '\n')
		}
		t.quote()
	case t.space:
		t.out = append(t.out, ' ')
	}
	t.breaks, t.space = 0, false
	t.out = appendTidy(t.out, word)
}

func (t *htmlText) quote() {
	for range t.quotes {
		t.out = append(t.out, '>')
	}
	if t.quotes > 0 {
		t.out = append(t.out, ' ')
	}
}

// isHTMLSpace returns the length of the space that text begins with, or 0. The
// no-break space counts: mail uses it to lay out, not to keep words together.
func isHTMLSpace(text []byte) int {
	switch c := text[0]; {
	case c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f':
		return 1
	case c == 0xc2 && len(text) > 1 && text[1] == 0xa0:
		return 2
	}
	return 0
}

func trimHTMLSpace(text []byte) []byte {
	for len(text) > 0 {
		n := isHTMLSpace(text)
		if n == 0 {
			break
		}
		text = text[n:]
	}
	return text
}

// HTML returns the message's HTML as UTF-8, exactly as the sender wrote it
// otherwise: it must be sanitised before anybody sees it. Several parts of it
// follow each other, with plain text between them marked up to look as it is.
// ok is false where the message has none. Messages inside are left out.
func (m *Message) HTML() (source string, ok bool) {
	if !hasHTML(m.Root) {
		return "", false
	}
	var h htmlWriter
	h.part(m.Root, true)
	return h.out.String(), h.found
}

type htmlWriter struct {
	out   strings.Builder
	found bool
}

func (h *htmlWriter) part(p *Part, alone bool) {
	switch {
	case p.Nested != nil:
	case p.Subtype == "alternative" && len(p.Children) > 0:
		h.part(richest(p), true)
	case len(p.Children) > 0:
		for _, child := range p.Children {
			h.part(child, false)
		}
	case p.isText(alone):
		h.leaf(p)
	}
}

// richest chooses the last alternative with HTML in it, else the first.
func richest(p *Part) *Part {
	for i := len(p.Children) - 1; i >= 0; i-- {
		if hasHTML(p.Children[i]) {
			return p.Children[i]
		}
	}
	return p.Children[0]
}

func hasHTML(p *Part) bool {
	if p.Type == "text" && p.Subtype == "html" && p.Disposition != "attachment" {
		return true
	}
	for _, child := range p.Children {
		if hasHTML(child) {
			return true
		}
	}
	return false
}

func (h *htmlWriter) leaf(p *Part) {
	text := bytes.ToValidUTF8(decodeCharset(p.Decoded(), p.textCharset()), []byte("\ufffd"))
	if p.Subtype == "html" {
		h.found = true
		h.out.Write(bytes.TrimPrefix(text, []byte("\ufeff")))
		return
	}
	w := textWriter{limit: MaxText}
	w.leaf(p)
	h.out.WriteString(`<div style="white-space: pre-wrap">` + html.EscapeString(string(w.out)) + "</div>\n")
}
