package message

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// ErrAddress is returned by Compose for an address that no header can carry.
var ErrAddress = errors.New("not an address")

// ErrField is returned by Compose for a header field that is not allowed: of a
// malformed name, or one that Compose itself writes.
var ErrField = errors.New("not a field that can be set")

// Draft is a message to be composed.
type Draft struct {
	From    Address
	Sender  Address // written where it has an address
	ReplyTo []Address
	To, Cc  []Address
	// Bcc is written too: the author's own copy tells who got the message.
	// RemoveFields takes it out of what others get.
	Bcc     []Address
	Subject string
	Date    time.Time // with the author's zone; the zero time writes none

	// MessageID is without angle brackets; where it is empty one is made, its
	// right side Hostname or else the domain of From.
	MessageID, Hostname string
	// InReplyTo and References are ids without angle brackets; what can't be
	// an id is left out.
	InReplyTo, References []string
	// Fields are written after the others, as unstructured text.
	Fields []HeaderField

	// Text is plain text with any line ends. Flowed has its paragraphs wrapped
	// as format=flowed (RFC 3676), so that phones fit them to their width.
	Text   string
	Flowed bool
	// HTML is shown in place of Text where it is not empty.
	HTML string
	// Files are attached in order; those Inline with a ContentID belong to HTML.
	Files []File
	// Report makes the message a multipart/report (RFC 6522) of which Text is
	// what people read.
	Report *Report
}

// HeaderField is one header field.
type HeaderField struct{ Name, Value string }

// File is what is attached to a Draft.
type File struct {
	Name      string // without folders; may be empty
	Type      string // such as image/png; empty is application/octet-stream
	ContentID string // without angle brackets
	Inline    bool
	Data      []byte
	// Open, where set, is read in place of Data.
	Open func() (io.ReadCloser, error)
}

// Report is the part of a message that programs read (RFC 6522, RFC 3464).
type Report struct {
	Kind string // delivery-status or disposition-notification
	// Groups are written apart by an empty line: for a delivery status, that of
	// the message and one for each recipient.
	Groups [][]HeaderField
	// Message is what the report is about, its header alone if HeaderOnly; none
	// where it is empty.
	Message    []byte
	HeaderOnly bool
}

// NeedsUTF8 tells whether an address of the draft has a local part that only
// SMTPUTF8 (RFC 6531) carries. Domains can be written in ASCII always.
func (d *Draft) NeedsUTF8() bool {
	for _, list := range [][]Address{{d.From, d.Sender}, d.ReplyTo, d.To, d.Cc, d.Bcc} {
		for _, a := range list {
			if local, _ := splitAddress(a.Addr); !isASCII(local) {
				return true
			}
		}
	}
	return false
}

// Compose writes a message: headers by RFC 5322, 2047 and 2231, parts by RFC
// 2045 and 2046. Lines end with CR LF and are at most 998 octets, for the most
// part 78; all is ASCII but for the addresses of a draft that NeedsUTF8. Parse
// reads back what was put in, text made valid UTF-8 and free of control
// characters in the header. It returns an error that wraps ErrAddress or
// ErrField for what can't be written, and errors of Files' Open and readers.
func Compose(d *Draft) ([]byte, error) {
	c := composer{draft: d}
	c.header()
	if c.err == nil {
		c.body()
	}
	if c.err != nil {
		return nil, fmt.Errorf("composing a message: %w", c.err)
	}
	return c.out.Bytes(), nil
}

// Writable tells whether Compose takes an address.
func Writable(addr string) bool {
	_, ok := writableAddress(addr)
	return ok
}

// composer writes one message. The first error stays.
type composer struct {
	draft *Draft
	out   bytes.Buffer
	err   error
}

func (c *composer) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

func (c *composer) header() {
	d := c.draft
	if !d.Date.IsZero() {
		c.line("Date: " + d.Date.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	}
	c.addresses("From", []Address{d.From})
	if d.Sender.Addr != "" {
		c.addresses("Sender", []Address{d.Sender})
	}
	c.addresses("Reply-To", d.ReplyTo)
	c.addresses("To", d.To)
	c.addresses("Cc", d.Cc)
	c.addresses("Bcc", d.Bcc)
	if len(d.To)+len(d.Cc) == 0 && len(d.Bcc) > 0 {
		c.line("To: undisclosed-recipients:;")
	}
	if subject := headerText(d.Subject); subject != "" {
		c.text("Subject", subject)
	}
	c.line("Message-ID: <" + c.messageID() + ">")
	c.ids("In-Reply-To", d.InReplyTo)
	c.ids("References", d.References)
	for _, f := range d.Fields {
		if !fieldAllowed(f.Name) {
			c.fail(ErrField)
			return
		}
		c.text(f.Name, headerText(f.Value))
	}
	c.line("MIME-Version: 1.0")
}

// line writes a line of the header.
func (c *composer) line(s string) {
	c.out.WriteString(s)
	c.out.WriteString("\r\n")
}

// text writes an unstructured field.
func (c *composer) text(name, value string) {
	w := fold{}
	w.add(name + ":")
	w.unstructured(value)
	c.line(w.String())
}

// addresses writes an address field unless the list is empty.
func (c *composer) addresses(name string, list []Address) {
	if len(list) == 0 {
		return
	}
	w := fold{}
	w.add(name + ":")
	for i, a := range list {
		addr, ok := writableAddress(a.Addr)
		if !ok {
			c.fail(ErrAddress)
			return
		}
		comma := ","
		if i == len(list)-1 {
			comma = ""
		}
		if label := tidyName(headerText(a.Name)); label != "" {
			w.phrase(label)
			addr = "<" + addr + ">"
		}
		w.word(addr + comma)
	}
	c.line(w.String())
}

// messageID returns the draft's id, or makes one.
func (c *composer) messageID() string {
	if id := tidyID(c.draft.MessageID); goodID(id) {
		return id
	}
	host := c.draft.Hostname
	if host == "" {
		_, host = splitAddress(c.draft.From.Addr)
	}
	host, _ = asciiDomain(host)
	if !goodID(host) {
		host = "localhost"
	}
	return rand.Text() + "@" + host
}

// ids writes a field of message ids, each on its own line after the first.
func (c *composer) ids(name string, list []string) {
	w := fold{}
	w.add(name + ":")
	any := false
	for _, id := range list {
		if goodID(id) {
			w.word("<" + id + ">")
			any = true
		}
	}
	if any {
		c.line(w.String())
	}
}

// goodID tells whether an id can stand between angle brackets in ASCII.
func goodID(id string) bool {
	if id == "" || len(id) > 900 {
		return false
	}
	for i := range len(id) {
		if c := id[i]; c <= ' ' || c >= 0x7f || c == '<' || c == '>' {
			return false
		}
	}
	return true
}

// ownFields are written by Compose from the other members of a Draft.
var ownFields = []string{
	"Date", "From", "Sender", "Reply-To", "To", "Cc", "Bcc", "Subject", "Message-ID", "In-Reply-To", "References",
	"MIME-Version", "Content-Type", "Content-Transfer-Encoding", "Content-Disposition", "Content-ID",
}

// fieldAllowed tells whether a name is one of RFC 5322 section 2.2 that is left
// to the author.
func fieldAllowed(name string) bool {
	if name == "" || len(name) > 70 {
		return false
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || c == ':' {
			return false
		}
	}
	for _, own := range ownFields {
		if strings.EqualFold(own, name) {
			return false
		}
	}
	return true
}

// headerText makes any text fit for a header value: one line of UTF-8.
func headerText(s string) string {
	return clean(strings.ReplaceAll(s, "\r\n", " "))
}

// validText makes any text fit for a body: UTF-8, lines ended by CR LF, the last
// one too.
func validText(s string) []byte {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\ufffd")
	}
	s = strings.ReplaceAll(s, "\r\n", "\n")
	s = strings.ReplaceAll(s, "\r", "\n")
	if s != "" && !strings.HasSuffix(s, "\n") {
		s += "\n"
	}
	return []byte(strings.ReplaceAll(s, "\n", "\r\n"))
}
