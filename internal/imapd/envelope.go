package imapd

import (
	"strings"
	"time"

	"sijill/internal/mailbox"
	"sijill/internal/message"

	"github.com/emersion/go-imap/v2"
)

// envelopeOf makes the envelope of a message from its summary, without opening
// it.
func envelopeOf(s *mailbox.Summary) *imap.Envelope {
	date, _ := message.ParseDate(s.Date)
	return &imap.Envelope{
		Date: dateWithin(date), Subject: message.DecodeWords(s.Subject),
		From: addressList(s.From), Sender: addressList(s.Sender), ReplyTo: addressList(s.ReplyTo),
		To: addressList(s.To), Cc: addressList(s.Cc), Bcc: addressList(s.Bcc),
		InReplyTo: identifiers(s.InReplyTo), MessageID: strings.Trim(strings.TrimSpace(s.MessageID), "<>"),
	}
}

func identifiers(v string) []string {
	var all []string
	for _, id := range strings.Fields(v) {
		if id = strings.Trim(id, "<>"); id != "" {
			all = append(all, id)
		}
	}
	return all
}

// summaryOf makes the summary of a message that had to be opened for it.
func summaryOf(raw []byte, p *mailbox.Place) *mailbox.Summary {
	m := message.Parse(raw)
	value := func(name string) string {
		var all []string
		for _, f := range m.Header.All(name) {
			all = append(all, strings.Join(strings.Fields(strings.ToValidUTF8(f.Raw(), "\ufffd")), " "))
		}
		return strings.Join(all, ", ")
	}
	return &mailbox.Summary{
		Entry: p.Entry, Size: int64(len(raw)), Internal: time.Unix(p.Row>>rowDateBits, 0).UTC(),
		Date: value("Date"), Subject: value("Subject"), From: value("From"), Sender: value("Sender"), ReplyTo: value("Reply-To"),
		To: value("To"), Cc: value("Cc"), Bcc: value("Bcc"), InReplyTo: value("In-Reply-To"), MessageID: value("Message-ID"),
	}
}

// rowDateBits are the bits of a row's id below its date; see mailbox.RowID.
const rowDateBits = 24
