package sijill

import (
	"encoding/binary"
	"fmt"
	"time"
)

// The compact form of an entry is for storing: it has what the canonical form
// has, in about a third of the bytes. It is never hashed or shown; Marshal of
// what UnmarshalBinary reads gives back the canonical bytes. All integers are
// unsigned varints of encoding/binary, and text is preceded by its length:
//
//	form     = 1 time kind actor accounts parts [message] fields
//	time     = microseconds since 1970
//	accounts = their number, 16 bytes each
//	parts    = 1 where there is a message, else 0; 2, 4 and 8 are added for
//	           its commitment, envelope and ciphertext
//	message  = id (16) [commitment (32) units] [envelope (32)] [ciphertext (32)]
const compactForm = 1

// Parts of a message that a compact form has.
const (
	hasMessage = 1 << iota
	hasCommitment
	hasEnvelope
	hasCiphertext
)

// AppendBinary appends the compact form of the entry to b. It implements
// encoding.BinaryAppender. It wraps ErrEntry where Marshal would.
func (e *Entry) AppendBinary(b []byte) ([]byte, error) {
	if err := e.check(); err != nil {
		return b, fmt.Errorf("encode entry: %w", err)
	}
	b = binary.AppendUvarint(append(b, compactForm), uint64(e.Time.UnixMicro()))
	b = appendText(appendText(b, string(e.Kind)), e.Actor)
	b = binary.AppendUvarint(b, uint64(len(e.Accounts)))
	for _, a := range e.Accounts {
		for i := 0; i < len(a); i += 2 {
			b = append(b, unhex(a[i])<<4|unhex(a[i+1]))
		}
	}
	return appendText(e.Message.appendCompact(b), string(e.Fields)), nil
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// unhex is the value of a lower-case hexadecimal digit.
func unhex(c byte) byte {
	if c >= 'a' {
		return c - 'a' + 10
	}
	return c - '0'
}

func (m *Message) appendCompact(b []byte) []byte {
	if m == nil {
		return append(b, 0)
	}
	at := len(b)
	b = append(append(b, hasMessage), m.ID[:]...)
	if m.Commitment != (Hash{}) {
		b[at] |= hasCommitment
		b = binary.AppendUvarint(append(b, m.Commitment[:]...), uint64(m.Units))
	}
	if m.Envelope != (Hash{}) {
		b[at] |= hasEnvelope
		b = append(b, m.Envelope[:]...)
	}
	if m.Ciphertext != (Hash{}) {
		b[at] |= hasCiphertext
		b = append(b, m.Ciphertext[:]...)
	}
	return b
}

// UnmarshalBinary reads a compact form into the entry. It implements
// encoding.BinaryUnmarshaler. It wraps ErrEntry for anything that AppendBinary
// would not write.
func (e *Entry) UnmarshalBinary(b []byte) error {
	c := compact{b: b}
	if form := c.take(1); c.bad || form[0] != compactForm {
		return fmt.Errorf("read compact entry: %w", ErrEntry)
	}
	out := Entry{Time: time.UnixMicro(int64(c.uvarint())).UTC(), Kind: Kind(c.text()), Actor: c.text()}
	for n := c.uvarint(); n > 0 && !c.bad; n-- {
		out.Accounts = append(out.Accounts, fmt.Sprintf("%x", c.take(16)))
	}
	out.Message = c.message()
	if fields := c.text(); fields != "" {
		out.Fields = []byte(fields)
	}
	if c.bad || len(c.b) > 0 {
		return fmt.Errorf("read compact entry: %w", ErrEntry)
	}
	if err := out.check(); err != nil {
		return fmt.Errorf("read compact entry: %w", err)
	}
	*e = out
	return nil
}

// compact reads a compact form; once something is missing, it is bad.
type compact struct {
	b   []byte
	bad bool
}

func (c *compact) take(n uint64) []byte {
	if n > uint64(len(c.b)) {
		c.b, c.bad = nil, true
		return make([]byte, min(n, 32))
	}
	out := c.b[:n]
	c.b = c.b[n:]
	return out
}

func (c *compact) uvarint() uint64 {
	v, n := binary.Uvarint(c.b)
	if n <= 0 || n > 1 && c.b[n-1] == 0 {
		c.b, c.bad = nil, true
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *compact) text() string {
	n := c.uvarint()
	if n > uint64(len(c.b)) {
		c.b, c.bad = nil, true
		return ""
	}
	return string(c.take(n))
}

func (c *compact) hash() Hash { return Hash(c.take(32)) }

func (c *compact) message() *Message {
	parts := c.take(1)[0]
	if parts == 0 {
		return nil
	}
	m := &Message{ID: ID(c.take(16))}
	if parts&hasCommitment != 0 {
		m.Commitment, m.Units = c.hash(), int(c.uvarint())
	}
	if parts&hasEnvelope != 0 {
		m.Envelope = c.hash()
	}
	if parts&hasCiphertext != 0 {
		m.Ciphertext = c.hash()
	}
	c.bad = c.bad || parts&hasMessage == 0 || parts > hasMessage|hasCommitment|hasEnvelope|hasCiphertext
	return m
}
