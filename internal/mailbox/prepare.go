package mailbox

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"sijill"
	"sijill/internal/message"
	"sijill/internal/record"
)

// What a row keeps of the strings of a message, in octets. A list shows a line;
// a sender decides how long they are, so there must be an end.
const (
	maxName    = 100
	maxAddr    = 254
	maxTo      = 80
	maxSubject = 255
	maxSnippet = 168
	maxFolder  = 255
)

// snippetLength is the length of a snippet in characters, whatever their octets.
const snippetLength = 84

// maxReferences is how many Message-IDs of a message count for threads: the
// first, which began the conversation, and the last ones.
const maxReferences = 32

// draft is what the rows of a message are made from.
type draft struct {
	sort     time.Time
	sent     any // Unix seconds, or nil.
	received any
	internal any
	captured int64
	size     int64

	from                 message.Address
	to, subject, snippet string
	attachments          int

	folder string
	seen   bool

	references []int64 // Hashes of the message's own Message-ID and of those it names.
	about      int64   // Hash of the base subject; 0 where it is empty.
	reply      bool    // Marked as a reply or forward, or names other messages.
}

// Prepare makes the draft of a captured message, or nil where there is nothing
// to show: another kind of entry, or content that can't be opened.
func (m *Mailbox) Prepare(it *record.Item) (any, error) {
	if it.Entry.Kind != sijill.Captured || len(it.Holders) == 0 {
		return nil, nil
	}
	c, err := it.Content()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("opening entry %d for the mailbox: %w", it.Index, err)
	}
	p, err := it.Parsed()
	if err != nil {
		return nil, fmt.Errorf("parsing entry %d for the mailbox: %w", it.Index, err)
	}
	d := &draft{
		captured:    it.Entry.Time.Unix(),
		size:        int64(len(c.Message)),
		from:        author(p, &c.Envelope),
		to:          display(recipients(p)),
		subject:     cut(p.Subject(), maxSubject),
		snippet:     cut(p.Snippet(snippetLength), maxSnippet),
		attachments: len(p.Attachments()),
		folder:      cut(folderName(c.Envelope.Folder), maxFolder),
		seen:        c.Envelope.Seen,
	}
	d.date(p, &c.Envelope, it.Entry.Time)
	d.refer(p)
	return d, nil
}

// date keeps the dates of a message apart and chooses the one to sort by: the
// Date header if it is believable, else the date that the mailbox had, else
// the arrival.
func (d *draft) date(p *message.Message, e *message.Envelope, sealed time.Time) {
	arrival := e.Time
	if arrival.IsZero() {
		arrival = sealed
	}
	d.sort = arrival
	if e.Internal != nil {
		d.internal, d.sort = e.Internal.Unix(), *e.Internal
	}
	if t, ok := p.Received(); ok {
		d.received = t.Unix()
	}
	if t, ok := p.Date(); ok {
		d.sent = t.Unix()
		if t.Unix() >= 0 && t.Before(arrival.AddDate(0, 0, 1)) {
			d.sort = t
		}
	}
}

// refer notes what threads are made from.
func (d *draft) refer(p *message.Message) {
	named := p.References()
	if len(named) > maxReferences {
		named = slices.Concat(named[:1], named[len(named)-maxReferences+1:])
	}
	own := p.MessageID()
	for _, id := range append([]string{own}, named...) {
		if h := hash(id); id != "" && !slices.Contains(d.references, h) {
			d.references = append(d.references, h)
		}
	}
	base, marked := message.SubjectBase(p.Subject())
	if base = strings.ToLower(strings.Join(strings.Fields(base), " ")); base != "" {
		d.about = hash(base)
	}
	d.reply = marked || len(named) > 0
}

// hash is short, since the tables hold millions, and not to be steered by who
// writes a Message-ID more cheaply than SHA-256 allows.
func hash(s string) int64 {
	sum := sha256.Sum256([]byte(s))
	return int64(binary.BigEndian.Uint64(sum[:]))
}

// author is whom a list shows: the author, else who sent it.
func author(p *message.Message, e *message.Envelope) message.Address {
	for _, list := range [][]message.Address{p.From(), p.Sender()} {
		if len(list) > 0 {
			return message.Address{Name: cut(list[0].Name, maxName), Addr: cut(list[0].Addr, maxAddr)}
		}
	}
	return message.Address{Addr: cut(e.From, maxAddr)}
}

// recipients are those that a list shows: Cc only where there is no To.
func recipients(p *message.Message) []message.Address {
	if to := p.To(); len(to) > 0 {
		return to
	}
	return p.Cc()
}

// display joins recipients for reading; what doesn't fit is counted.
func display(list []message.Address) string {
	var b strings.Builder
	for i, a := range list {
		word := a.Name
		if word == "" {
			word = a.Addr
		}
		word = cut(word, maxTo/2)
		if i > 0 && b.Len()+len(word) > maxTo-len(", +99999") {
			return b.String() + ", +" + strconv.Itoa(len(list)-i)
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(word)
	}
	return b.String()
}

// folderName gives "" for the inbox, whatever an import calls it (RFC 9051,
// section 5.1: INBOX has no case).
func folderName(s string) string {
	if s = strings.ToValidUTF8(s, "\uFFFD"); strings.EqualFold(s, "inbox") {
		return ""
	}
	return s
}

// cut shortens s to n octets, whole characters and an ellipsis.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	end := n - len("…")
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}
