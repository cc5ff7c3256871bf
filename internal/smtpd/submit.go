package smtpd

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sijill"
	"sijill/internal/message"

	"github.com/emersion/go-smtp"
)

// Submitter knows who may send. It is called from many goroutines.
type Submitter interface {
	// Authenticate checks what a client signs in with. A wrong name or password
	// is an error that wraps people.ErrCredentials, too many tries one that
	// holds a people.ErrSlowDown; any other error is taken as passing.
	Authenticate(ctx context.Context, user, password string, from netip.Addr) (Sender, error)
}

// Sender is a signed-in client: an account by way of one credential. It belongs
// to one connection, and its methods are called one after another.
type Sender interface {
	// Account is whose limits the connection counts against.
	Account() int64
	// Class is written into the trace field of what is sent.
	Class(from string) sijill.Class
	// MaySend returns nil where the address is one of the sender's, of the
	// credential's class. The error wraps fs.ErrPermission where it is not, or
	// is a *Refusal; any other error is taken as passing.
	MaySend(ctx context.Context, from string) error
	// Submit returns only when the message is durable and queued. Its error may
	// be a *Refusal; any other asks the client to send it again.
	Submit(ctx context.Context, m *Submission) (Receipt, error)
	// Close is called once, when the connection ends.
	Close()
}

// Recipient is one RCPT TO with the wishes of RFC 3461 section 4.
type Recipient struct {
	Address string
	Notify  []string // NEVER, or any of SUCCESS, FAILURE, DELAY; none where nothing was said
	// Original is ORCPT, decoded, and OriginalType its address type; both empty
	// where it was not given.
	Original, OriginalType string
}

// Submission is one message to be sent.
type Submission struct {
	From       string // MAIL FROM; empty for the null sender
	HeaderFrom string // the one address of the From field
	// HeaderOthers are the other addresses in From's place: of Sender, Resent-From
	// and Resent-Sender; at most eleven. The sender may write from all of them.
	HeaderOthers []string
	To           []Recipient
	Return       string // RET: FULL, HDRS or empty
	EnvelopeID   string // ENVID, decoded; may be empty
	// SMTPUTF8 and RequireTLS are the parameters of RFC 6531 and RFC 8689.
	SMTPUTF8, RequireTLS bool
	// Envelope is to be sealed with Original. Its Trace holds our Received
	// field and the Date and Message-ID where the client gave none.
	Envelope message.Envelope
	// Original is what the client sent, byte for byte.
	Original []byte
	// ToSend is what others are to get: Trace, then Original without Bcc,
	// Resent-Bcc and Return-Path. It does not tell where the client is.
	ToSend []byte
}

// Refusal is an answer that the peer is to hear. As an error of Submit or
// MaySend, or in a Verdict, it replaces the general ones.
type Refusal struct {
	Code     int    // 4yz or 5yz
	Enhanced [3]int // RFC 3463; its class follows from Code
	Text     string // one line of ASCII, without addresses or content
}

// Error implements error; it is the text that the peer hears.
func (r *Refusal) Error() string { return r.Text }

// reply makes of a refusal what can be sent, whatever stands in it.
func (r *Refusal) reply() reply {
	code, e := r.Code, r.Enhanced
	if code < 400 || code > 599 {
		code = replyUnsealed.Code
	}
	e[0] = code / 100
	if e[1] < 0 || e[1] > 999 || e[2] < 0 || e[2] > 999 {
		e[1], e[2] = 0, 0
	}
	text := strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, r.Text)
	if text == "" {
		text = "refused"
	}
	return say(code, e[0], e[1], e[2], text[:min(len(text), maxRefusal)])
}

// maxRefusal keeps reply lines within the 512 octets of RFC 5321 section
// 4.5.3.1.5.
const maxRefusal = 480

// refused turns an error into the reply that it holds, or nil.
func refused(err error) reply {
	var r *Refusal
	if errors.As(err, &r) {
		return r.reply()
	}
	return nil
}

// maySubmit tells whether the client has done what comes before MAIL: TLS and
// AUTH (RFC 6409 section 4.3, RFC 8314 section 3).
func (s *session) maySubmit() reply {
	switch {
	case s.g.tls == "":
		return replyTLSFirst
	case s.g.sender == nil:
		return replyAuthFirst
	}
	return nil
}

// beginSubmission asks whether the sender may send from this address now. The
// null sender is let through, for notices of receipt (RFC 8098 section 3): the
// From field decides.
func (s *session) beginSubmission(from string) reply {
	if from != "" {
		if r := s.mayUse(from, replyNotYours); r != nil {
			return r
		}
	}
	if !s.g.srv.senders.message(s.g.sender.Account(), time.Now()) {
		return replySenderMessages
	}
	return nil
}

// mayUse asks the sender whether an address is theirs; no is the answer if not.
func (s *session) mayUse(address string, no reply) reply {
	ctx, cancel := context.WithTimeout(s.g.srv.ctx, lookupTime)
	defer cancel()
	err := s.g.sender.MaySend(ctx, address)
	switch r := refused(err); {
	case err == nil:
		return nil
	case r != nil:
		return r
	case errors.Is(err, fs.ErrPermission):
		return no
	}
	s.g.srv.opt.Log.Error("sender's address not checked", "err", err)
	return replyLookup
}

// addSubmission adds a recipient of a submission. One given twice stays one.
func (s *session) addSubmission(to string, o *smtp.RcptOptions) reply {
	if !s.g.srv.senders.recipient(s.g.sender.Account(), time.Now()) {
		return replySenderRecipients
	}
	address := quote(to)
	if slices.Contains(s.to, address) {
		return nil
	}
	r := Recipient{Address: address, Original: o.OriginalRecipient, OriginalType: string(o.OriginalRecipientType)}
	for _, n := range o.Notify {
		r.Notify = append(r.Notify, string(n))
	}
	s.to = append(s.to, address)
	s.recipients = append(s.recipients, r)
	return nil
}

// submit has the letter sealed and queued, and returns the reply to it.
func (s *session) submit() reply {
	g := s.g
	if r := s.sound(); r != nil {
		return r
	}
	raw := g.letter.bytes
	release, ok := g.borrow(int64(len(raw)))
	if !ok {
		return replyMemory
	}
	defer release()
	m, r := s.submission(raw, time.Now().UTC())
	if r != nil {
		return r
	}
	receipt, err := g.sender.Submit(g.srv.ctx, m)
	if err != nil {
		if r := refused(err); r != nil {
			return r
		}
		return g.srv.unsealed(err)
	}
	return s.accepted(receipt)
}

// submission checks the header and makes what the Sender gets.
func (s *session) submission(raw []byte, now time.Time) (*Submission, reply) {
	h, r := readHeader(raw)
	if r != nil {
		return nil, r
	}
	for _, address := range append([]string{h.from}, h.others...) {
		if r := s.mayUse(address, replyFromNotYours); r != nil {
			return nil, r
		}
	}
	m := &Submission{
		From: s.from, HeaderFrom: h.from, HeaderOthers: h.others, To: s.recipients, Return: s.ret, EnvelopeID: s.id,
		SMTPUTF8: s.utf8, RequireTLS: s.requireTLS, Envelope: s.envelope(now), Original: raw,
	}
	m.Envelope.Trace = s.sent(now, h)
	m.ToSend = slices.Concat([]byte(m.Envelope.Trace), message.RemoveFields(raw, "Bcc", "Resent-Bcc", "Return-Path"))
	return m, nil
}
