package outbox

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/message"
)

// Letter is a message and where it goes.
type Letter struct {
	Account int64        // The sender's; holder of the outcomes.
	Class   sijill.Class // Of the outcomes; sijill.Office when empty.
	From    string       // MAIL FROM; empty for notices, which never get one themselves.
	To      []Recipient
	// Language of notices to the sender: "ar" or "en".
	Language string
	// Message as it is to be sent, signatures included, in lines ended by CRLF.
	Message []byte
	// Ret and EnvID are those of RFC 3461 section 4, decoded: "FULL", "HDRS" or
	// nothing, and any printable text.
	Ret, EnvID string
	// NotBefore is when it may leave; zero means at once.
	NotBefore time.Time
	// SMTPUTF8 says that the sender asked for it (RFC 6531).
	SMTPUTF8 bool
	// RequireTLS says that it may only go where TLS is certain (RFC 8689).
	RequireTLS bool
}

// Recipient is one of a letter.
type Recipient struct {
	Address string
	// Notify holds the words of RFC 3461 section 4.1: NEVER, or some of
	// SUCCESS, FAILURE and DELAY. Without any, of failure and delay.
	Notify []string
	// ORCPT is the original recipient (RFC 3461 section 4.2): its type, a
	// semicolon and the address, decoded.
	ORCPT string
}

// Facts about a letter that its row keeps in one number.
type flag int64

const (
	flagUTF8    flag = 1 << iota // The sender asked for SMTPUTF8, or an address needs it.
	flagHeader8                  // Its header has other characters than ASCII.
	flagBody8                    // Its body has.
	flagRequire                  // RequireTLS.
)

// A recipient's or a part's id is its letter's entry with a number behind it.
const (
	numberBits = 20
	maxNumber  = 1<<numberBits - 1
)

// Parcel is a letter that is sealed and ready to be queued.
type Parcel struct {
	letter  Letter
	flags   flag
	hops    int
	domains []string // Of the recipients.
	key     [32]byte
	parts   [][]byte
	o       *Outbox
}

// AddressError wraps ErrLetter, where mail can't be sent to a recipient's address
// whoever wrote it. What it says is for logs, and doesn't name the address.
type AddressError struct{ Address string }

func (e *AddressError) Error() string { return "a recipient's address: " + ErrLetter.Error() }

func (e *AddressError) Unwrap() error { return ErrLetter }

// Prepare checks a letter and seals its message; it takes no database. The
// error wraps ErrLetter when it can't be sent.
func (o *Outbox) Prepare(l Letter) (*Parcel, error) {
	if l.Class == "" {
		l.Class = sijill.Office
	}
	p := &Parcel{letter: l, o: o}
	if err := p.checkEnvelope(); err != nil {
		return nil, err
	}
	if err := p.inspect(); err != nil {
		return nil, err
	}
	rand.Read(p.key[:])
	var err error
	p.parts, err = sealParts(p.key, l.Message)
	p.letter.Message = nil
	return p, err
}

func (p *Parcel) checkEnvelope() error {
	l := &p.letter
	if n := len(l.To); n == 0 || n > maxNumber {
		return fmt.Errorf("number of recipients: %w", ErrLetter)
	}
	if l.From != "" && !isAddress(l.From) {
		return fmt.Errorf("the sender's address: %w", ErrLetter)
	}
	if l.Ret != "" && l.Ret != "FULL" && l.Ret != "HDRS" || !printable(l.EnvID) || len(l.EnvID) > 100 {
		return fmt.Errorf("RET or ENVID: %w", ErrLetter)
	}
	for _, r := range l.To {
		domain := domainOf(r.Address)
		if domain == "" || !isAddress(r.Address) {
			return &AddressError{r.Address}
		}
		if !isNotify(r.Notify) || !utf8.ValidString(r.ORCPT) || strings.ContainsFunc(r.ORCPT, control) || len(r.ORCPT) > 500 {
			return fmt.Errorf("NOTIFY or ORCPT: %w", ErrLetter)
		}
		p.domains = append(p.domains, domain)
		if !ascii(localPart(r.Address)) {
			p.flags |= flagUTF8
		}
	}
	if l.SMTPUTF8 || !ascii(localPart(l.From)) {
		p.flags |= flagUTF8
	}
	if l.RequireTLS {
		p.flags |= flagRequire
	}
	return nil
}

// inspect looks at the message. A bare CR or LF could end it early for another
// server (RFC 5321 section 2.3.8), so that none is sent.
func (p *Parcel) inspect() error {
	b := p.letter.Message
	if bytes.IndexByte(b, 0) >= 0 || bytes.Count(b, []byte("\r\n")) != bytes.Count(b, []byte("\n")) ||
		bytes.Count(b, []byte("\r\n")) != bytes.Count(b, []byte("\r")) {
		return fmt.Errorf("line ends: %w", ErrLetter)
	}
	m := message.Parse(b)
	p.hops = len(m.Header.All("Received"))
	if !ascii(string(b[:m.Root.BodyStart])) {
		p.flags |= flagHeader8
	}
	for _, c := range b[m.Root.BodyStart:] {
		if c >= 0x80 {
			p.flags |= flagBody8
			break
		}
	}
	return nil
}

// Enqueue puts the letter into the queue, in the transaction of its *sent*
// entry: it is meant for record.Draft.With. Call Kick once that is committed.
func (p *Parcel) Enqueue(tx *db.Tx, entry int64) error {
	l, now := &p.letter, p.o.now()
	start := now
	if l.NotBefore.After(now) {
		start = l.NotBefore
	}
	size := int64(0)
	for i, part := range p.parts {
		size += int64(len(part) - partOverhead)
		if _, err := tx.Exec("INSERT INTO outbox_part (id, data) VALUES (?, ?)", entry<<numberBits+int64(i), part); err != nil {
			return fmt.Errorf("queueing a letter: %w", err)
		}
	}
	_, err := tx.Exec(`INSERT INTO outbox_letter (entry, account, class, sender, language, ret, envid, flags, hops, sent_to, size, start, key)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, entry, l.Account, string(l.Class), l.From, l.Language, l.Ret, l.EnvID,
		int64(p.flags), p.hops, len(l.To), size, micro(start), wrapKey(p.o.opts.Key, p.key, entry))
	if err != nil {
		return fmt.Errorf("queueing a letter: %w", err)
	}
	return p.enqueueRecipients(tx, entry, start)
}

func (p *Parcel) enqueueRecipients(tx *db.Tx, entry int64, start time.Time) error {
	seen := map[string]bool{}
	for i, r := range p.letter.To {
		_, err := tx.Exec(`INSERT INTO outbox_recipient (id, address, domain, notify, orcpt, state, due, attempts, tried, held, began, doubt, told, owed, code, status, answer, host, captured)
			VALUES (?, ?, ?, ?, ?, 0, ?, 0, 0, 0, 0, 0, 0, 0, 0, '', '', '', 0)`,
			entry<<numberBits+int64(i), r.Address, p.domains[i], strings.ToUpper(strings.Join(r.Notify, ",")), r.ORCPT, micro(start))
		if err != nil {
			return fmt.Errorf("queueing a recipient: %w", err)
		}
		if !seen[p.domains[i]] {
			seen[p.domains[i]] = true
			if err := wake(tx, p.domains[i], micro(start)); err != nil {
				return err
			}
		}
	}
	return nil
}

// isAddress tells whether an address can stand in a command: local part and
// domain, no longer than a path may be (RFC 5321 section 4.5.3.1.3), and
// nothing that ends or splits the command.
func isAddress(a string) bool {
	at := strings.LastIndexByte(a, '@')
	if at < 1 || at == len(a)-1 || len(a) > 320 || !utf8.ValidString(a) || strings.ContainsFunc(a, control) {
		return false
	}
	if strings.ContainsAny(a[at:], " <>\"") {
		return false
	}
	return !strings.ContainsAny(a[:at], " <>") || a[0] == '"' && a[at-1] == '"'
}

func control(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

func isNotify(words []string) bool {
	for _, w := range words {
		switch strings.ToUpper(w) {
		case "SUCCESS", "FAILURE", "DELAY":
		case "NEVER":
			if len(words) > 1 {
				return false
			}
		default:
			return false
		}
	}
	return true
}

func localPart(a string) string { return a[:max(0, strings.LastIndexByte(a, '@'))] }

// domainOf gives the domain of an address as DNS has it, in lower case; an
// address literal as it is (RFC 5321 section 4.1.3); empty when it is neither.
func domainOf(a string) string {
	d := strings.ToLower(a[strings.LastIndexByte(a, '@')+1:])
	if strings.HasPrefix(d, "[") {
		if literal(d).IsValid() {
			return d
		}
		return ""
	}
	d = strings.TrimSuffix(d, ".")
	if !ascii(d) {
		var err error
		if d, err = idna.Lookup.ToASCII(d); err != nil {
			return ""
		}
	}
	if d == "" || len(d) > 253 || strings.Contains(d, "..") || d[0] == '.' || strings.ContainsFunc(d, notInName) {
		return ""
	}
	return d
}

func notInName(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.' && r != '_'
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
