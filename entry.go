package sijill

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Hash is a SHA-256 value. It is the hash type of the tlog package, so that
// trees, proofs and commitments share one.
type Hash = tlog.Hash

// ID names one sealed message: 16 random bytes.
type ID = [16]byte

// MaxEntry is the longest entry in bytes. C2SP tlog-tiles gives the length of
// an entry in a bundle sixteen bits.
const MaxEntry = 1<<16 - 1

// MaxInteger is the largest magnitude of an integer in an entry, 2^53-1, so
// that every language reads the same number.
const MaxInteger = 1<<53 - 1

// ErrEntry says that bytes are not the canonical encoding of an entry, or that
// an entry can't be encoded.
var ErrEntry = errors.New("not a canonical entry")

// Kind says what an entry records. A kind is 1 to 32 letters a to z; a reader
// accepts kinds that it doesn't know, since they can be proven all the same.
type Kind string

// The kinds of entry.
const (
	Captured  Kind = "captured"  // a message was sealed on its way in, out or between accounts
	Filed     Kind = "filed"     // a captured message was put into a compartment
	Sorted    Kind = "sorted"    // a message was found to be work or personal, with a reason
	Moved     Kind = "moved"     // a message changed folder
	Expunged  Kind = "expunged"  // a message was taken out of a mailbox; its record stays
	Destroyed Kind = "destroyed" // a message's key was destroyed; its entry stays
	Sent      Kind = "sent"      // a message was handed over for delivery
	Outcome   Kind = "outcome"   // what became of a delivery
	Imported  Kind = "imported"  // a source of older mail was read, with its counts
	Opened    Kind = "opened"    // a message was opened by somebody other than its owner
	Login     Kind = "login"     // somebody signed in, or failed to
	Key       Kind = "key"       // a key was made, shared, rotated or deleted
	Request   Kind = "request"   // a request for records
	Decision  Kind = "decision"  // a decision on a request
	Redaction Kind = "redaction" // passages were withheld, each with its ground
	Release   Kind = "release"   // records were released
	Comment   Kind = "comment"   // a reader's comment was published
	Alert     Kind = "alert"     // a detector fired
	Incident  Kind = "incident"  // an incident was opened, changed or closed
	Vote      Kind = "vote"      // a party voted
	Grant     Kind = "grant"     // a right was granted or withdrawn
	Use       Kind = "use"       // a granted right was used
	Config    Kind = "config"    // the settings of the register changed
)

// Entry is one line of the register.
type Entry struct {
	// Time is when the office says it happened, in whole microseconds of the
	// years 1970 to 9999. Marshal cuts off what is finer.
	Time time.Time
	Kind Kind
	// Actor names the door or the person's pseudonym: at most 128 printable
	// ASCII characters; "" for none.
	Actor string
	// Accounts holds the pseudonyms of the accounts concerned, each 32
	// lower-case hexadecimal digits, in the order of the writer.
	Accounts []string
	// Message refers to a sealed message; nil where there is none.
	Message *Message
	// Fields is a canonical JSON object of the kind's own fields; nil where
	// there are none. See [MarshalFields].
	Fields json.RawMessage
}

// Message is what an entry says of a sealed message. Only ID must be given;
// a zero Hash is left out of the entry.
type Message struct {
	ID ID
	// Commitment binds the message's bytes, and Units is the number of units
	// they were cut into; see [Commit]. Units is left out without Commitment.
	Commitment Hash
	Units      int
	// Envelope binds what is known besides the bytes; see [CommitEnvelope].
	Envelope Hash
	// Ciphertext is the SHA-256 of the sealed message; see [Seal].
	Ciphertext Hash
}

// timeFormat is RFC 3339 in UTC with exactly six digits of a second.
const timeFormat = "2006-01-02T15:04:05.000000Z"

// Marshal returns the canonical bytes of the entry. It wraps ErrEntry where a
// member is out of its bounds or the whole is longer than MaxEntry.
func (e *Entry) Marshal() ([]byte, error) {
	b := make([]byte, 0, 512+len(e.Fields)+35*len(e.Accounts))
	return e.Append(b)
}

// Append appends the canonical bytes of the entry to b, as Marshal returns
// them, and leaves b alone on an error.
func (e *Entry) Append(b []byte) ([]byte, error) {
	if err := e.check(); err != nil {
		return b, fmt.Errorf("encode entry: %w", err)
	}
	start := len(b)
	out := append(b, '{')
	if len(e.Accounts) > 0 {
		out = append(out, `"accounts":["`...)
		for i, a := range e.Accounts {
			if i > 0 {
				out = append(out, `","`...)
			}
			out = append(out, a...)
		}
		out = append(out, `"],`...)
	}
	if e.Actor != "" {
		out = append(out, `"actor":`...)
		out = append(appendString(out, e.Actor), ',')
	}
	if len(e.Fields) > 0 {
		out = append(out, `"fields":`...)
		out = append(append(out, e.Fields...), ',')
	}
	out = append(out, `"kind":"`...)
	out = append(append(out, e.Kind...), `",`...)
	if e.Message != nil {
		out = append(out, `"message":`...)
		out = append(e.Message.append(out), ',')
	}
	out = append(out, `"time":"`...)
	out = appendTime(out, e.Time)
	out = append(out, `","v":1}`...)
	if len(out)-start > MaxEntry {
		return b, fmt.Errorf("encode entry: longer than %d bytes: %w", MaxEntry, ErrEntry)
	}
	return out, nil
}

func (m *Message) append(b []byte) []byte {
	b = append(b, '{')
	if m.Ciphertext != (Hash{}) {
		b = append(b, `"ciphertext":"`...)
		b = append(base64.StdEncoding.AppendEncode(b, m.Ciphertext[:]), `",`...)
	}
	if m.Commitment != (Hash{}) {
		b = append(b, `"commitment":"`...)
		b = append(base64.StdEncoding.AppendEncode(b, m.Commitment[:]), `",`...)
	}
	if m.Envelope != (Hash{}) {
		b = append(b, `"envelope":"`...)
		b = append(base64.StdEncoding.AppendEncode(b, m.Envelope[:]), `",`...)
	}
	b = append(b, `"id":"`...)
	b = append(hex.AppendEncode(b, m.ID[:]), '"')
	if m.Commitment != (Hash{}) {
		b = append(b, `,"units":`...)
		b = strconv.AppendInt(b, int64(m.Units), 10)
	}
	return append(b, '}')
}

// appendTime writes timeFormat by hand: it is on the path of every capture.
func appendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	b = appendDigits(b, year, 4)
	b = appendDigits(append(b, '-'), int(month), 2)
	b = appendDigits(append(b, '-'), day, 2)
	b = appendDigits(append(b, 'T'), hour, 2)
	b = appendDigits(append(b, ':'), minute, 2)
	b = appendDigits(append(b, ':'), second, 2)
	b = appendDigits(append(b, '.'), t.Nanosecond()/1000, 6)
	return append(b, 'Z')
}

func appendDigits(b []byte, v, width int) []byte {
	b = append(b, "000000"[:width]...)
	for i := len(b) - 1; v > 0; i-- {
		b[i] = byte('0' + v%10)
		v /= 10
	}
	return b
}

// check holds an entry to the bounds that ParseEntry holds bytes to, so that
// whatever Marshal writes can be read.
func (e *Entry) check() error {
	if !isKind(string(e.Kind)) {
		return fmt.Errorf("kind: %w", ErrEntry)
	}
	if y := e.Time.UTC().Year(); y < 1970 || y > 9999 {
		return fmt.Errorf("time: %w", ErrEntry)
	}
	if len(e.Actor) > maxActor || !isPrintable(e.Actor) {
		return fmt.Errorf("actor: %w", ErrEntry)
	}
	for _, a := range e.Accounts {
		if !isPseudonym(a) {
			return fmt.Errorf("account: %w", ErrEntry)
		}
	}
	if m := e.Message; m != nil && (m.Units < 0 || m.Units > MaxUnits || m.Commitment == (Hash{}) && m.Units != 0) {
		return fmt.Errorf("units: %w", ErrEntry)
	}
	if len(e.Fields) > 0 {
		if err := checkObject(e.Fields); err != nil {
			return fmt.Errorf("fields: %w", ErrEntry)
		}
	}
	return nil
}

const maxActor = 128

func isKind(s string) bool {
	if len(s) < 1 || len(s) > 32 {
		return false
	}
	for i := range len(s) {
		if s[i] < 'a' || s[i] > 'z' {
			return false
		}
	}
	return true
}

func isPseudonym(s string) bool {
	if len(s) != 32 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}
