package outbox

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"html"
	"mime"
	"mime/quotedprintable"
	"strings"
	"time"
	"unicode"

	"sijill/internal/message"
)

// notice is what a report of delivery (RFC 3464) is made of.
type notice struct {
	hostname string
	now      time.Time
	until    time.Time // When trying ends.
	letter   *letter
	action   action
	list     []*recipient
	header   []byte // Of the letter.
	whole    []byte // The letter, where it is to be given back; else nil.

	words    *words
	language string
	original *message.Message // What can be read of the letter: its header.
	b        bytes.Buffer
}

// compose writes the report: what a person reads, what a program reads, and
// what came back (RFC 6522).
func (n *notice) compose() []byte {
	n.words, n.language = wordsOf(n.letter.language)
	n.original = message.Parse(n.header)
	outer, inner := randomID(), randomID()
	n.top(outer)
	n.part(outer)
	n.line("Content-Type: multipart/alternative; boundary=\"%s\"", inner)
	n.line("Content-Language: %s", n.language)
	n.line("")
	n.text(inner, "text/plain", n.plain())
	n.text(inner, "text/html", n.html())
	n.line("--%s--", inner)
	n.part(outer)
	n.statusPart()
	n.part(outer)
	n.returned()
	n.line("--%s--", outer)
	return n.b.Bytes()
}

func randomID() string {
	var b [12]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

func (n *notice) line(format string, args ...any) {
	fmt.Fprintf(&n.b, format+"\r\n", args...)
}

func (n *notice) part(boundary string) { n.line("--%s", boundary) }

// top writes the header. It answers the letter, so that both stand in one
// thread, and nobody's machine answers it (RFC 3834).
func (n *notice) top(boundary string) {
	n.line("From: %s <MAILER-DAEMON@%s>", encodeWords(n.words.name), n.hostname)
	n.line("To: <%s>", n.letter.sender)
	n.line("Subject: %s", encodeWords(n.words.subject[n.action]+": "+n.subject()))
	n.line("Date: %s", n.now.UTC().Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	n.line("Message-ID: <%s@%s>", randomID(), n.hostname)
	if id := n.original.MessageID(); id != "" && ascii(id) {
		n.line("In-Reply-To: <%s>", id)
		n.line("References: <%s>", strings.Join(n.references(id), ">\r\n <"))
	}
	n.line("Auto-Submitted: auto-replied")
	n.line("MIME-Version: 1.0")
	n.line("Content-Type: multipart/report; report-type=delivery-status;\r\n boundary=\"%s\"", boundary)
	n.line("")
}

// references are the letter's own, the last of many, and the letter.
func (n *notice) references(id string) (refs []string) {
	for _, ref := range n.original.References() {
		if ref != id && ascii(ref) && len(ref) < 900 {
			refs = append(refs, ref)
		}
	}
	return append(refs[max(0, len(refs)-20):], id)
}

func (n *notice) subject() string {
	s := []rune(strings.TrimSpace(showable(n.original.Subject())))
	if len(s) > 150 {
		s = append(s[:150], '…')
	}
	if len(s) == 0 {
		return n.words.none
	}
	return string(s)
}

// encodeWords writes a text as encoded words on folded lines (RFC 2047).
func encodeWords(s string) string {
	return strings.ReplaceAll(mime.QEncoding.Encode("utf-8", s), "?= =?", "?=\r\n =?")
}

// text writes a part that is read by people.
func (n *notice) text(boundary, kind, text string) {
	n.part(boundary)
	n.line("Content-Type: %s; charset=utf-8", kind)
	n.line("Content-Transfer-Encoding: quoted-printable")
	n.line("")
	w := quotedprintable.NewWriter(&n.b)
	_, _ = w.Write([]byte(text)) // To memory.
	_ = w.Close()
	n.line("")
}

// stamp is a time as everybody reads it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// isolate keeps what is written from left to right, whole, within a line of the
// other direction, or with letters of it (Unicode Bidirectional Algorithm, LRI and
// PDI).
func (n *notice) isolate(s string) string {
	if n.words.dir == "rtl" || strings.ContainsFunc(s, fromRight) {
		return "\u2066" + s + "\u2069"
	}
	return s
}

// free keeps a text of whichever direction whole within a line (FSI and PDI).
func (n *notice) free(s string) string {
	if n.words.dir == "rtl" || strings.ContainsFunc(s, fromRight) {
		return "\u2068" + s + "\u2069"
	}
	return s
}

// fromRight tells letters of scripts that are written from right to left.
func fromRight(r rune) bool {
	return unicode.In(r, unicode.Arabic, unicode.Hebrew, unicode.Syriac, unicode.Thaana, unicode.Nko, unicode.Adlam)
}

// outro says, below those that failed, what becomes of the others.
func (n *notice) outro() string {
	others := n.letter.sentTo - len(n.list)
	if n.action != actionFailed || others <= 0 {
		return ""
	}
	return n.words.alone.of(len(n.list)) + " " + n.words.others.of(others)
}

// said is what a server answered, or what we found ourselves.
func (n *notice) said(r *recipient, host func(string) string) (label, answer string) {
	answer = r.answer
	if r.code != 0 {
		answer = fmt.Sprintf("%d %s %s", r.code, r.status, r.answer)
	}
	if r.lastHost != "" && r.code != 0 {
		return fmt.Sprintf(n.words.answered, host(r.lastHost)), answer
	}
	return n.words.says, answer
}

func (n *notice) plain() string {
	w, b := n.words, &strings.Builder{}
	fmt.Fprintf(b, "%s\r\n\r\n", w.intro[n.action].of(len(n.list)))
	for _, r := range n.list {
		fmt.Fprintf(b, "%s\r\n", n.isolate(r.address))
		if n.action == actionFailed || n.action == actionDelayed {
			label, answer := n.said(r, n.isolate)
			fmt.Fprintf(b, "%s\r\n%s %s\r\n", w.reason(r.status), label, n.isolate(answer))
			if r.doubt > 0 {
				fmt.Fprintf(b, "%s\r\n", w.doubt)
			}
		}
		b.WriteString("\r\n")
	}
	if text := n.outro(); text != "" {
		fmt.Fprintf(b, "%s\r\n\r\n", text)
	}
	fmt.Fprintf(b, "%s: %s\r\n", w.letter, n.free(n.subject()))
	fmt.Fprintf(b, "%s: %s\r\n", w.sent, n.isolate(stamp(fromMicro(n.letter.start))))
	if n.action == actionDelayed {
		fmt.Fprintf(b, "%s: %s\r\n", w.until, n.isolate(stamp(n.until)))
	}
	return b.String()
}

func (n *notice) html() string {
	w, b := n.words, &strings.Builder{}
	ltr := func(s string) string { return `<bdi dir="ltr">` + html.EscapeString(s) + "</bdi>" }
	fmt.Fprintf(b, "<!DOCTYPE html>\r\n<html lang=\"%s\" dir=\"%s\"><head><meta charset=\"utf-8\"><title>%s</title></head>\r\n<body dir=\"%s\">\r\n",
		n.language, w.dir, html.EscapeString(w.subject[n.action]), w.dir)
	fmt.Fprintf(b, "<p>%s</p>\r\n<ul>\r\n", html.EscapeString(w.intro[n.action].of(len(n.list))))
	for _, r := range n.list {
		fmt.Fprintf(b, "<li><p><strong>%s</strong>", ltr(r.address))
		if n.action == actionFailed || n.action == actionDelayed {
			label, answer := n.said(r, ltr)
			fmt.Fprintf(b, "<br>%s</p>\r\n<p>%s %s", html.EscapeString(w.reason(r.status)), label, ltr(answer))
			if r.doubt > 0 {
				fmt.Fprintf(b, "<br>%s", html.EscapeString(w.doubt))
			}
		}
		b.WriteString("</p></li>\r\n")
	}
	b.WriteString("</ul>\r\n")
	if text := n.outro(); text != "" {
		fmt.Fprintf(b, "<p>%s</p>\r\n", html.EscapeString(text))
	}
	fmt.Fprintf(b, "<p>%s: <bdi>%s</bdi><br>%s: %s", w.letter, html.EscapeString(n.subject()), w.sent, ltr(stamp(fromMicro(n.letter.start))))
	if n.action == actionDelayed {
		fmt.Fprintf(b, "<br>%s: %s", w.until, ltr(stamp(n.until)))
	}
	b.WriteString("</p>\r\n</body></html>\r\n")
	return b.String()
}

// global tells whether the part for programs needs more than ASCII (RFC 6533).
func (n *notice) global() bool {
	for _, r := range n.list {
		if !ascii(r.address) || !ascii(r.answer) || !ascii(r.orcpt) {
			return true
		}
	}
	return false
}

// statusPart writes what programs read (RFC 3464 section 2).
func (n *notice) statusPart() {
	if n.global() {
		n.line("Content-Type: message/global-delivery-status")
		n.line("Content-Transfer-Encoding: 8bit")
	} else {
		n.line("Content-Type: message/delivery-status")
	}
	n.line("")
	if n.letter.envid != "" {
		n.line("Original-Envelope-Id: %s", n.letter.envid)
	}
	n.line("Reporting-MTA: dns; %s", n.hostname)
	n.line("Arrival-Date: %s", rfcDate(fromMicro(n.letter.start)))
	for _, r := range n.list {
		n.line("")
		n.statusOf(r)
	}
	n.line("")
}

func rfcDate(t time.Time) string { return t.UTC().Format("Mon, 02 Jan 2006 15:04:05 -0700") }

func addressType(address string) string {
	if ascii(address) {
		return "rfc822"
	}
	return "utf-8"
}

func (n *notice) statusOf(r *recipient) {
	if kind, address, ok := strings.Cut(r.orcpt, ";"); ok && printable(kind) {
		n.line("Original-Recipient: %s;%s", kind, address)
	}
	n.line("Final-Recipient: %s;%s", addressType(r.address), r.address)
	act := n.action
	if r.owed == owesRelayed {
		act = actionRelayed
	}
	n.line("Action: %s", act)
	n.line("Status: %s", r.status)
	if r.lastHost != "" && r.code != 0 {
		n.line("Remote-MTA: dns; %s", r.lastHost)
	}
	if r.code != 0 {
		n.line("Diagnostic-Code: smtp;%s", fold(fmt.Sprintf("%d %s %s", r.code, r.status, r.answer)))
	} else if r.answer != "" {
		n.line("Diagnostic-Code: x-sijill;%s", fold(r.answer))
	}
	n.line("Last-Attempt-Date: %s", rfcDate(fromMicro(r.tried)))
	if n.action == actionDelayed {
		n.line("Will-Retry-Until: %s", rfcDate(n.until))
	}
}

// fold breaks a long text between words.
func fold(s string) string {
	var b strings.Builder
	room := 60
	for _, w := range strings.Fields(s) {
		for len(w) > 400 {
			w = strings.ToValidUTF8(w[:400], "")
		}
		if room -= len(w) + 1; room < 0 {
			b.WriteString("\r\n")
			room = 70 - len(w)
		}
		b.WriteString(" " + w)
	}
	return b.String()
}

// returned writes what comes back: the letter's header, or all of it.
func (n *notice) returned() {
	body, kind := n.header, "text/rfc822-headers"
	if n.whole != nil {
		body, kind = n.whole, "message/rfc822"
	}
	if !ascii(string(n.header)) {
		kind = "message/global-headers"
		if n.whole != nil {
			kind = "message/global"
		}
	}
	n.line("Content-Type: %s", kind)
	if !ascii(string(body)) {
		n.line("Content-Transfer-Encoding: 8bit")
	}
	n.line("")
	n.b.Write(body)
	n.line("") // This one belongs to the boundary.
}
