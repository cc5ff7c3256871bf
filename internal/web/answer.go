package web

import (
	"fmt"
	"slices"
	"strings"

	"sijill"
	"sijill/internal/message"
)

// maxQuote is how much of a message is quoted, in bytes.
const maxQuote = 128 << 10

// answering is a letter that answers or forwards a message, from the identity
// that the message came to.
func (s *site) answering(r *request, ids []Identity) (*Letter, []KeptFile, error) {
	entry, err := r.number("re", 0)
	if err != nil {
		return nil, nil, err
	}
	row, err := s.Mailbox.Get(r.Context(), r.viewer, entry)
	if err != nil {
		return nil, nil, fmt.Errorf("finding a message: %w", err)
	}
	m, err := s.parsed(r, entry)
	if err != nil {
		return nil, nil, err
	}
	l := &Letter{Draft: -1, Answers: entry, How: r.URL.Query().Get("how")}
	who, ok := addressed(ids, m, classOf(row.Class))
	if !ok {
		who = s.pick(r, ids, classOf(row.Class))
	}
	l.from(who)
	base, _ := message.SubjectBase(m.Subject())
	switch l.How {
	case HowForward, HowAttach:
		l.Subject = "Fwd: " + base
	case HowReply, HowAll:
		l.Subject = "Re: " + base
		l.recipients(ids, m)
	default:
		return nil, nil, fmt.Errorf("answering in an unknown way: %w", errBadRequest)
	}
	files, err := s.quote(r, l, m, ids)
	return l, files, err
}

// addressed is the identity of a class that a message went to or came from.
func addressed(ids []Identity, m *message.Message, class sijill.Class) (Identity, bool) {
	for _, list := range [][]message.Address{m.To(), m.Cc(), m.Bcc(), m.From()} {
		for _, a := range list {
			for _, i := range ids {
				if classOf(i.Class) == class && sameAddress(i.Address, a.Addr) {
					return i, true
				}
			}
		}
	}
	return Identity{}, false
}

// sameAddress tells whether two addresses are one mailbox, whatever detail is
// behind a plus sign (RFC 5233).
func sameAddress(a, b string) bool {
	return a != "" && strings.EqualFold(withoutDetail(a), withoutDetail(b))
}

func withoutDetail(addr string) string {
	at := strings.LastIndexByte(addr, '@')
	if plus := strings.IndexByte(addr, '+'); plus > 0 && plus < at {
		return addr[:plus] + addr[at:]
	}
	return addr
}

// recipients are those that an answer goes to: who wrote, or whom one wrote to
// oneself; for all, everyone else too.
func (l *Letter) recipients(ids []Identity, m *message.Message) {
	mine := func(a message.Address) bool {
		return slices.ContainsFunc(ids, func(i Identity) bool { return sameAddress(i.Address, a.Addr) })
	}
	l.To = m.ReplyTo()
	if len(l.To) == 0 {
		l.To = m.From()
	}
	own := len(m.From()) > 0 && mine(m.From()[0])
	if own {
		l.To = m.To()
	}
	if l.How == HowAll {
		if !own {
			l.Cc = append(l.Cc, m.To()...)
		}
		l.Cc = append(l.Cc, m.Cc()...)
		l.Cc = slices.DeleteFunc(l.Cc, func(a message.Address) bool {
			return mine(a) || a.Addr == "" || slices.ContainsFunc(l.To, func(b message.Address) bool { return strings.EqualFold(a.Addr, b.Addr) })
		})
	}
	l.To = l.To[:min(len(l.To), maxRecipients)]
	l.Cc = l.Cc[:min(len(l.Cc), maxRecipients-len(l.To))]
}

// quote puts the text of the message below that of the letter, or the whole
// message beside it.
func (s *site) quote(r *request, l *Letter, m *message.Message, ids []Identity) ([]KeptFile, error) {
	own := signed("", l.signature(ids))
	if l.How == HowAttach {
		l.Text = own
		return []KeptFile{{ID: fmt.Sprintf("%d.eml", l.Answers), Name: messageName(m), Kind: "EML", Size: int64(len(m.Bytes()))}}, nil
	}
	head, err := s.quoteHead(r, l, m)
	if err != nil {
		return nil, err
	}
	text := m.Text()
	if len(text) > maxQuote {
		text = strings.ToValidUTF8(text[:maxQuote], "") + "\n…"
	}
	text = strings.ReplaceAll(strings.TrimSpace(text), "\r\n", "\n")
	if l.How == HowForward {
		l.Text = own + "\n\n" + head + "\n\n" + text + "\n"
		return s.keptOf(r, l.Answers)
	}
	l.Text = own + "\n\n" + head + "\n" + quoted(text) + "\n"
	return nil, nil
}

// quoted marks lines as someone else's.
func quoted(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if strings.HasPrefix(line, ">") || line == "" {
			b.WriteString(">" + line + "\n")
		} else {
			b.WriteString("> " + line + "\n")
		}
	}
	return b.String()
}

// quoteHead says whose words follow.
func (s *site) quoteHead(r *request, l *Letter, m *message.Message) (string, error) {
	from := ""
	if f := m.From(); len(f) > 0 {
		from = f[0].String()
		if l.How != HowForward && f[0].Name != "" {
			from = f[0].Name
		}
	}
	date := ""
	if t, ok := m.Date(); ok {
		date = r.locale.Full(t.In(s.Location))
	}
	key := "quote.wrote"
	switch {
	case l.How == HowForward:
		key = "quote.forwarded"
	case date == "":
		key = "quote.undated"
	}
	head, err := r.locale.Plain(key, from, date, m.Subject(), addressList(m.To()))
	return plainText(head), err
}
