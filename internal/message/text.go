package message

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// maxHTML bounds the HTML that one message may have turned to text, in bytes.
const maxHTML = 8 << 20

// Text returns what a person reads: the plain text parts, else the HTML turned
// into text, and messages inside after a block of their header. Attachments
// are left out. Lines end with LF; what is past MaxText is cut off.
func (m *Message) Text() string {
	m.memo.textOnce.Do(func() { m.memo.text = m.reading(MaxText) })
	return m.memo.text
}

func (m *Message) reading(limit int) string {
	w := textWriter{limit: limit, html: maxHTML}
	w.out = make([]byte, 0, min(limit, m.Root.End-m.Root.BodyStart+64))
	w.part(m.Root, true)
	if len(w.out) > limit {
		w.out = trimRune(w.out[:limit])
	}
	return string(bytes.Trim(w.out, "\n"))
}

// trimRune cuts off a character of which the end is missing.
func trimRune(b []byte) []byte {
	for i := 1; i <= utf8.UTFMax && i <= len(b); i++ {
		if utf8.RuneStart(b[len(b)-i]) {
			if !utf8.FullRune(b[len(b)-i:]) {
				return b[:len(b)-i]
			}
			break
		}
	}
	return b
}

// textWriter collects the text of a message.
type textWriter struct {
	out   []byte
	limit int
	html  int // bytes of HTML that may still be read
}

// part writes the text of p; alone says that p is all there is, so that a name
// does not make it an attachment.
func (w *textWriter) part(p *Part, alone bool) {
	switch {
	case len(w.out) >= w.limit:
	case p.Nested != nil:
		w.nested(p.Nested)
	case p.Subtype == "alternative" && len(p.Children) > 0:
		w.alternative(p)
	case len(p.Children) > 0:
		for _, child := range p.Children {
			w.part(child, false)
		}
	case p.isText(alone):
		w.leaf(p)
	}
}

// alternative writes the first plain part that is not blank, else the first
// of the others.
func (w *textWriter) alternative(p *Part) {
	for _, plain := range []bool{true, false} {
		for _, child := range p.Children {
			if plain != (child.Type == "text" && child.Subtype == "plain") {
				continue
			}
			mark := len(w.out)
			w.part(child, true)
			if len(bytes.TrimSpace(w.out[mark:])) > 0 {
				return
			}
			w.out = w.out[:mark]
		}
	}
}

// nested writes a message within, below its header.
func (w *textWriter) nested(m *Message) {
	w.gap()
	for _, name := range []string{"From", "To", "Cc", "Date", "Subject"} {
		if value := m.Header.Get(name); value != "" && len(w.out) < w.limit {
			w.out = append(w.out, name+": "+value+"\n"...)
		}
	}
	w.part(m.Root, true)
}

// gap leaves an empty line between one part and the next.
func (w *textWriter) gap() {
	if w.out = bytes.TrimRight(w.out, "\n"); len(w.out) > 0 {
		w.out = append(w.out, "\n\n"...)
	}
}

func (w *textWriter) leaf(p *Part) {
	w.gap()
	left := max(w.limit-len(w.out), 0)
	if p.isHTML() {
		left = min(w.html, len(p.Body()))
		w.html -= left
	}
	text := p.decodedPrefix(left)
	if len(text) >= left {
		text = trimRune(text)
	}
	text = decodeCharset(text, p.textCharset())
	switch {
	case p.isHTML():
		w.out = appendHTMLText(w.out, text, w.limit)
	case strings.EqualFold(p.Params.Get("format"), "flowed"):
		text = unflow(appendTidy(nil, text), strings.EqualFold(p.Params.Get("delsp"), "yes"))
		w.out = append(w.out, text...)
	default:
		w.out = appendTidy(w.out, text)
	}
}

// decodedPrefix returns about the first n bytes of Decoded.
func (p *Part) decodedPrefix(n int) []byte {
	body := p.Body()
	switch p.bodyEncoding() {
	case "base64":
		body = body[:min(len(body), n/2*3+4)]
		var d base64Decoder
		return d.flush(d.decode(make([]byte, 0, len(body)/4*3+3), body))
	case "quoted-printable":
		body = body[:min(len(body), 3*n)]
		return appendQP(make([]byte, 0, len(body)), body)
	}
	return body[:min(len(body), n)]
}

// isText tells whether the part is text that is read with the message.
func (p *Part) isText(alone bool) bool {
	if p.Disposition == "attachment" || p.Type != "text" {
		return p.Disposition != "attachment" &&
			(p.isMultipart() || p.Type == "message" && p.Subtype != "partial" && p.Subtype != "external-body")
	}
	switch {
	case alone || p.Disposition == "inline":
		return true
	case p.Subtype == "plain" || p.isHTML() || p.Subtype == "rfc822-headers" || p.Subtype == "markdown":
		return p.Filename() == ""
	}
	return false
}

func (p *Part) isHTML() bool {
	return p.Type == "text" && (p.Subtype == "html" || p.Subtype == "enriched" || p.Subtype == "richtext")
}

// textCharset is the charset of a text part; HTML may name its own.
func (p *Part) textCharset() string {
	charset := p.Charset()
	if charset == "" && p.isHTML() {
		charset = metaCharset(p.decodedPrefix(2048))
	}
	return charset
}

// metaCharset finds the charset that HTML gives itself.
func metaCharset(b []byte) string {
	i := bytes.Index(bytes.ToLower(b), []byte("charset="))
	if i < 0 {
		return ""
	}
	label := bytes.TrimLeft(b[min(len(b), i+len("charset=")):], "\"' ")
	if end := bytes.IndexAny(label, "\"'/>; \t\r\n"); end >= 0 {
		label = label[:end]
	}
	if label := string(label); len(label) <= 40 && !strings.HasPrefix(strings.ToLower(label), "utf-16") {
		return label
	}
	return ""
}

// appendTidy appends text as UTF-8 without control characters, its lines
// ended by LF.
func appendTidy(out, text []byte) []byte {
	if !utf8.Valid(text) {
		text = bytes.ToValidUTF8(text, []byte("\ufffd"))
	}
	from := 0
	for i, c := range text {
		if c >= ' ' && c != 0x7f || c == '\n' || c == '\t' {
			continue
		}
		out = append(out, text[from:i]...)
		from = i + 1
		if c == '\f' || c == '\r' && (i+1 == len(text) || text[i+1] != '\n') {
			out = append(out, '\n')
		}
	}
	return append(out, text[from:]...)
}

// unflow joins the lines that format=flowed has broken (RFC 3676): a line that
// ends in a space goes on in the next of the same quote depth.
func unflow(text []byte, delsp bool) []byte {
	out := make([]byte, 0, len(text))
	flowing, depth := false, 0
	for len(text) > 0 {
		end := lineEnd(text, 0)
		line := bytes.TrimSuffix(text[:end], []byte("\n"))
		text = text[end:]
		quotes := len(line) - len(bytes.TrimLeft(line, ">"))
		line = bytes.TrimPrefix(line[quotes:], []byte(" ")) // stuffed
		signature := string(line) == "-- "
		if flowing && (quotes != depth || signature) {
			out = append(out, '\n')
			flowing = false
		}
		if !flowing && quotes > 0 {
			out = append(append(out, bytes.Repeat([]byte(">"), quotes)...), ' ')
		}
		flowing = !signature && bytes.HasSuffix(line, []byte(" "))
		if flowing && delsp {
			line = line[:len(line)-1]
		}
		if out = append(out, line...); !flowing {
			out = append(out, '\n')
		}
		depth = quotes
	}
	return out
}
