// Package mbox reads mailbox files of the mbox family as a stream.
//
// Promises:
//   - The spans that a Reader returns tile the file: each begins where the one
//     before ended, the first at 0, the last ends at the end. No byte is
//     skipped in silence; what is no message comes back as a span that says why.
//   - Time is linear in the size of the file; memory is bounded by the limit on
//     one message, however large the file is.
//   - What is undone (quoting, line ends) is undone exactly, see Span.Message.
//
// # Where a message begins
//
// A line that begins with "From " is a separator when it stands at the start of
// the file or after an empty line, and what follows looks like a sender and a
// date (RFC 4155, appendix A, and the looser forms that programs have written).
// "From " alone on its line, as Thunderbird writes it, counts when a header
// field follows. Any other such line belongs to the message it stands in.
//
// The empty line before a separator, or at the end of the file, belongs to the
// container; exactly one is taken off.
//
// # The variants
//
// mboxrd puts one ">" before each line that is "From " after any number of ">";
// one ">" is taken off, which is exact. mboxo puts it before "From " only, so
// ">From " in the file may have been either and no reader can know. The two
// can't be told apart, except that a message with an unquoted "From " line
// was written by neither: then nothing is taken off. mboxcl2 quotes nothing and
// gives the length of the body in Content-Length; the length is believed only
// where a separator, or the end of the file, stands at its end, and only in a
// file that begins with messages that all have such a length.
package mbox

import (
	"io"
)

// DefaultMaxMessage is the limit on one message where none is given.
const DefaultMaxMessage = 150 << 20

// Variant says how "From " lines inside messages were kept apart from
// separators.
type Variant uint8

const (
	Auto Variant = iota // find out; the zero value
	RD                  // mboxrd: ">" before ">*From "
	O                   // mboxo: ">" before "From " only
	CL2                 // mboxcl2: nothing quoted, Content-Length tells the end
)

// String is the variant's usual name.
func (v Variant) String() string {
	return [...]string{"mbox", "mboxrd", "mboxo", "mboxcl2"}[v&3]
}

// Kind says what a span holds.
type Kind uint8

const (
	Message  Kind = iota // one message, perhaps of no bytes
	Blank                // empty lines or a byte order mark before the first message
	Garbage              // bytes before the first separator that are no message
	TooLarge             // a message above the limit; its bytes were not kept
	Cut                  // what was read of a message before reading failed
)

// Span is one stretch of the file.
type Span struct {
	Kind   Kind
	Offset int64 // where it begins in the file
	Length int64 // bytes, separator and container's empty line included
	From   From  // the separator, for Message, TooLarge and Cut
	Raw    []byte
	// Raw is the message as the container holds it, valid until the next
	// call of Next. It is nil unless Kind is Message.

	ByLength bool // the end was told by Content-Length
	Loose    int  // lines in it that begin with "From " and are no separators

	variant Variant // how to undo quoting
}

// Options set up a Reader; the zero value is useful.
type Options struct {
	Variant    Variant
	MaxMessage int64 // bytes of one message in the container; DefaultMaxMessage if 0
}

// Stats counts what a Reader has met so far.
type Stats struct {
	Messages   int64 // spans of kind Message
	ByLength   int64 // messages whose end Content-Length told
	BadLengths int64 // messages whose Content-Length was not believed
	Loose      int64 // "From " lines that were no separators
}

// Reader splits an mbox. It is for one goroutine.
type Reader struct {
	src     io.Reader
	max     int64
	variant Variant
	stats   Stats
	span    Span

	buf []byte // read and not yet returned: buf[pos:]
	pos int
	off int64 // offset of buf[pos] in the file
	err error // what src returned last; sticky

	begun bool
	found bool // the variant was found, not told
}

// NewReader returns a Reader of the mbox that src gives from its start.
func NewReader(src io.Reader, o Options) *Reader {
	if o.MaxMessage <= 0 {
		o.MaxMessage = DefaultMaxMessage
	}
	return &Reader{src: src, max: o.MaxMessage, variant: o.Variant}
}

// Variant is the variant as found or as told; Auto before the first Next.
// Where it was found, RD stands for "mboxrd or mboxo".
func (r *Reader) Variant() Variant { return r.variant }

// Stats returns the counts so far.
func (r *Reader) Stats() Stats { return r.stats }

// Next returns the next span, which is valid until the call after. At the end
// of the file it returns io.EOF; where reading failed, the error of the source
// after a span of kind Cut with what was lost.
func (r *Reader) Next() (*Span, error) {
	blank := 0
	if !r.begun {
		blank = r.begin()
	}
	r.ensure(1)
	if len(r.window()) == 0 {
		return nil, r.err
	}
	r.shrink()
	r.span = Span{Offset: r.off, variant: r.variant}
	if r.found {
		r.span.variant = RD // for what Content-Length does not tell
	}
	if blank > 0 {
		return r.finish(Blank, blank), nil
	}
	from, n, ok := r.fromAt(0)
	if !ok {
		return r.garbage(), nil
	}
	r.span.From = from
	if r.variant == CL2 {
		if s := r.byLength(n); s != nil {
			return s, nil
		}
	}
	return r.bySeparator(n), nil
}

// begin looks at the file's first window, settles the variant, and returns the
// length of the blank stretch in front of a first separator.
func (r *Reader) begin() int {
	r.begun = true
	r.ensure(detectWindow)
	w := r.window()
	blank := blankPrefix(w)
	if _, _, ok := separator(w[blank:]); !ok {
		blank = 0
	}
	if r.variant == Auto {
		r.variant = RD
		r.found = true
		if r.chained(blank) {
			r.variant = CL2
		}
	}
	return blank
}

// garbage is the span up to the first line that looks like a separator. The
// empty line before it is not asked for: a whole message would be lost with it.
func (r *Reader) garbage() *Span {
	end, _, _ := r.findEnd(0, r.endOfGarbage)
	return r.finish(Garbage, end)
}

// bySeparator is the message whose separator is n bytes long and which ends at
// the next separator.
func (r *Reader) bySeparator(n int) *Span {
	end, whole, loose := r.findEnd(n-1, r.endOfMessage)
	r.span.Loose = loose
	r.stats.Loose += int64(loose)
	switch {
	case r.atFailure(end):
		return r.finish(Cut, end)
	case !whole:
		return r.finish(TooLarge, end)
	}
	raw := trimEmptyLine(r.window()[n:end])
	if int64(len(raw)) > r.max {
		return r.finish(TooLarge, end)
	}
	return r.message(raw, end)
}

func (r *Reader) message(raw []byte, end int) *Span {
	r.stats.Messages++
	r.span.Raw = raw
	return r.finish(Message, end)
}

// finish ends the span at window offset end and moves past it. Bytes that were
// dropped on the way are counted in already, since off has moved with them.
func (r *Reader) finish(k Kind, end int) *Span {
	r.advance(end)
	r.span.Kind = k
	r.span.Length = r.off - r.span.Offset
	return &r.span
}

// atFailure says whether end is where the source failed rather than ended.
func (r *Reader) atFailure(end int) bool {
	return end == len(r.window()) && r.err != nil && r.err != io.EOF
}
