package mailbox

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

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
)

// snippetLength is the length of a snippet in characters, whatever their octets.
const snippetLength = 84

// maxReferences is how many Message-IDs of a message count for threads: the
// first, which began the conversation, and the last ones.
const maxReferences = 32

// draft is what the rows of a message are made from.
type draft struct {
	sort     time.Time
	dated    bool // sort is the Date header.
	sent     any  // Unix seconds, or nil.
	received any
	internal any
	captured int64
	size     int64

	from                 message.Address
	to, subject, snippet string
	attachments          int

	folder     string // Of an import; "" for the inbox.
	seen, junk bool

	id       string // Message-ID.
	envelope []byte // See packEnvelope.

	references []int64 // Hashes of the message's own Message-ID and of those it names.
	about      int64   // Hash of the base subject; 0 where it is empty.
	reply      bool    // Marked as a reply or forward, or names other messages.
}

func newDraft(c *record.Content, p *message.Message, sealed time.Time) *draft {
	d := &draft{
		captured:    sealed.Unix(),
		size:        int64(len(c.Message)),
		from:        author(p, &c.Envelope),
		to:          display(recipients(p)),
		subject:     cut(p.Subject(), maxSubject),
		snippet:     cut(p.Snippet(snippetLength), maxSnippet),
		attachments: len(p.Attachments()),
		folder:      folderName(c.Envelope.Folder),
		seen:        c.Envelope.Seen,
		junk:        c.Envelope.Junk,
		id:          p.MessageID(),
	}
	d.date(p, &c.Envelope, sealed)
	d.refer(p)
	return d
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
			d.sort, d.dated = t, true
		}
	}
}

// given takes the date in unix seconds that a client gave a message.
func (d *draft) given(internal int64) {
	d.internal = internal
	if !d.dated {
		d.sort = time.Unix(internal, 0)
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

// folderName makes a name of an import one that a folder can have, "" for the
// inbox.
func folderName(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	var parts []string
	for p := range strings.SplitSeq(s, "/") {
		if p = strings.TrimSpace(p); p != "" && len(parts) < maxLevels {
			parts = append(parts, p)
		}
	}
	s = inboxCase(strings.TrimSpace(cut(strings.Join(parts, "/"), maxFolder)))
	if s == roleName(RoleInbox) {
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
