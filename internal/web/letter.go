package web

import (
	"regexp"
	"strings"

	"sijill/internal/message"
	"sijill/internal/search"
)

// Block is a paragraph of plain text, or a run of quoted lines.
type Block struct {
	Quote bool
	Spans []TextSpan
}

// TextSpan is a piece of text: a link, a word that was searched for, or
// neither.
type TextSpan struct {
	Text, Link string
	Hit        bool
}

// maxLetter is how many bytes of plain text a page shows.
const maxLetter = 256 << 10

// letter chooses how a message's text is shown: HTML in a frame where there is
// some, unless plain text was asked for.
func (s *site) letter(r *request, m *Message, parsed *message.Message, mark func(string) []search.Span) {
	html, ok := parsed.HTML()
	plain := r.URL.Query().Get("view") == "text"
	if ok && !plain {
		images := r.wantsImages(m.Entry)
		html, m.Cut = shownHTML(html)
		if !images {
			m.Blocked = remoteImages(html)
		}
		m.ImagesLink = m.here(r, "images", r.imagesToken(m.Entry))
		m.Switch = m.here(r, "view", "text")
		m.Frame = m.link("/body")
		if images {
			m.Frame += "?images=" + r.imagesToken(m.Entry)
		}
		return
	}
	if ok {
		m.Switch = m.here(r, "", "")
	}
	text := parsed.Text()
	if len(text) > maxLetter {
		text, m.Cut = strings.ToValidUTF8(text[:maxLetter], ""), true
	}
	m.Blocks = blocks(text, mark)
}

// blocks cuts plain text at empty lines and where quoting begins and ends.
// Lines stay as they were typed.
func blocks(text string, mark func(string) []search.Span) []Block {
	var out []Block
	var lines []string
	quote := false
	flush := func() {
		if t := strings.Trim(strings.Join(lines, "\n"), "\n"); t != "" {
			out = append(out, Block{Quote: quote, Spans: spans(t, mark)})
		}
		lines = lines[:0]
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n\t ")
		if q := strings.HasPrefix(line, ">"); q != quote || line == "" {
			flush()
			quote = q
		}
		if quote {
			line = strings.TrimPrefix(strings.TrimPrefix(line, ">"), " ")
		}
		lines = append(lines, line)
	}
	flush()
	return out
}

var webAddress = regexp.MustCompile(`(?i)\bhttps?://[^\s<>"'«»“”\x{2066}-\x{2069}\x{202a}-\x{202e}]{3,900}`)

// spans finds web addresses and the words that were searched for.
func spans(text string, mark func(string) []search.Span) []TextSpan {
	var out []TextSpan
	words := func(t string) {
		for _, p := range mark(t) {
			out = append(out, TextSpan{Text: p.Text, Hit: p.Hit})
		}
	}
	at := 0
	for _, loc := range webAddress.FindAllStringIndex(text, -1) {
		link := strings.TrimRight(text[loc[0]:loc[1]], ".,;:!?)]}،؛؟*_")
		if loc[0] > at {
			words(text[at:loc[0]])
		}
		out = append(out, TextSpan{Text: link, Link: link})
		at = loc[0] + len(link)
	}
	if at < len(text) {
		words(text[at:])
	}
	return out
}
