// Package message reads mail as it really is.
//
// It promises three things about any bytes whatever: Parse never fails and
// never panics; its time and memory are linear in the size of the input, with
// bounds on depth, parts and header fields; and every string it gives is valid
// UTF-8, but for Field.Raw. What is broken is read as far as it can be, and what is past a bound
// becomes body text with a warning. The package changes no byte of a message:
// parts are ranges of the bytes that came in.
//
// Decoding is lazy. Parse only finds the structure; charsets, transfer
// encodings, addresses and dates are decoded when they are asked for. A
// Message is read-only after Parse and may be used by several goroutines.
package message

import "sync"

// Bounds on the structure of one message, those nested in it included.
const (
	// MaxDepth is how deeply parts may nest.
	MaxDepth = 50
	// MaxParts is how many parts are told apart.
	MaxParts = 1000
	// MaxFields is how many header fields are told apart, over all parts.
	MaxFields = 10000
	// MaxText is the length in bytes at which Text stops.
	MaxText = 1 << 20
	// MaxAddresses is how many addresses one list gives.
	MaxAddresses = 10000
)

// Message is a parsed message, the outermost or one nested in it.
type Message struct {
	// Root is the outermost part: the message's own header and body.
	Root *Part
	// Header is Root's header.
	Header Header
	// Warnings says in plain words, without content, what was broken and how
	// it was read. Those of nested messages are with the outermost one.
	Warnings []string

	raw     []byte // what offsets point into
	charset string // first charset that a text part names; explains raw 8-bit header bytes
	memo    memo
}

// memo keeps what several readers of one message ask for and is dear to make.
type memo struct {
	textOnce, toOnce sync.Once
	text             string
	to               []Address
}

// Raw returns the bytes that the message's offsets point into: those given to
// Parse or, for a nested message that was itself encoded, the decoded ones.
func (m *Message) Raw() []byte { return m.raw }

// Bytes returns the message's own bytes, header and body.
func (m *Message) Bytes() []byte { return m.raw[m.Root.HeaderStart:m.Root.End] }

// Part is one MIME entity. Its header is Raw[HeaderStart:BodyStart], the empty
// line included, and its body Raw[BodyStart:End]; the line break before a
// boundary belongs to the boundary (RFC 2046 section 5.1.1).
type Part struct {
	HeaderStart, BodyStart, End int

	Header Header
	// Type and Subtype are lower-case; text and plain where none is given.
	Type, Subtype string
	// Params are those of Content-Type, decoded.
	Params Params
	// Encoding is the transfer encoding in lower case: 7bit where none is given.
	Encoding string
	// Disposition is lower-case: inline, attachment, empty or whatever else was written.
	Disposition string
	// Children are the parts of a multipart.
	Children []*Part
	// Nested is the message in a message/rfc822 or message/global part. Its
	// offsets are into the same bytes unless Encoding hid it; see Message.Raw.
	Nested *Message

	msg *Message
}

// Param is one parameter of a structured field.
type Param struct {
	Name  string // lower-case, without the asterisks of RFC 2231
	Value string // decoded
}

// Params are the parameters of a structured field in order.
type Params []Param

// Header is a header section: its fields in order.
type Header struct {
	Fields []Field
}

// Field is one header field with its folded lines.
type Field struct {
	// Name is as written; empty for a line that is no field.
	Name string
	// Start is the offset of the name, Value that of the byte after the colon,
	// End that after the last line ending, all into Message.Raw.
	Start, Value, End int

	raw string
	msg *Message
}

// Address is one mailbox of an address list.
type Address struct {
	Name string // display name, decoded; may be empty
	Addr string // local@domain as written; empty when only a name was given
}

// Attachment is a part that is not the text one reads.
type Attachment struct {
	Name      string // decoded, without folders; may be empty
	Type      string // such as application/pdf
	Size      int64  // decoded size in bytes; exact unless the encoding is broken
	ContentID string // without angle brackets
	Inline    bool   // shown within the text
	Part      *Part
}
