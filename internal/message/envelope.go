package message

import (
	"slices"
	"time"
)

// Envelope is what is known about a message besides its bytes. It is stored
// with them and is no part of them.
type Envelope struct {
	Door     string     `json:"door"`                // smtp, lmtp, submission, import or another way in
	From     string     `json:"from,omitempty"`      // MAIL FROM as given; empty for the null sender
	To       []string   `json:"to,omitempty"`        // RCPT TO as given
	Client   string     `json:"client,omitempty"`    // the peer's IP address
	Hello    string     `json:"hello,omitempty"`     // EHLO, HELO or LHLO name as given
	TLS      string     `json:"tls,omitempty"`       // version and cipher suite
	Time     time.Time  `json:"time"`                // when it arrived
	Internal *time.Time `json:"internal,omitempty"`  // the mailbox's own date, on import
	Trace    string     `json:"trace,omitempty"`     // fields of ours to be presented before the message, each ended by CRLF
	Folder   string     `json:"folder,omitempty"`    // folder to file it in; empty for the inbox
	Seen     bool       `json:"seen,omitempty"`      // already read, on import
	Source   string     `json:"source,omitempty"`    // base name of the imported source
	SourceID string     `json:"source_id,omitempty"` // identity of the imported source
	Offset   int64      `json:"offset,omitempty"`    // byte offset in the source
	LineEnds string     `json:"line_ends,omitempty"` // how line ends were normalised
	Journal  *Journal   `json:"journal,omitempty"`   // set when the message is a journal report
	Auth     string     `json:"auth,omitempty"`      // what the checks on arrival found, as words: dkim=pass dmarc=pass spf=pass
	Junk     bool       `json:"junk,omitempty"`      // the checks on arrival took it for junk
	Evidence string     `json:"evidence,omitempty"`  // SHA-256, in hex, of the evidence kept for Auth
	// EvidenceBody is the evidence itself, where it is nowhere else: of personal
	// mail.
	EvidenceBody []byte `json:"evidence_body,omitempty"`
}

// Journal is what a journal report says about the message in it.
type Journal struct {
	Sender     string   `json:"sender"`
	Recipients []string `json:"recipients"`
	// The inner message is raw[Start:End] where it is stored as it is. Both
	// are 0 where it is encoded and has to be decoded from its part.
	Start int64 `json:"start,omitempty"`
	End   int64 `json:"end,omitempty"`
}

// Inner returns the message that people read: the one inside a journal report,
// else raw itself.
func (e *Envelope) Inner(raw []byte) []byte {
	j := e.Journal
	if j == nil {
		return raw
	}
	if 0 <= j.Start && j.Start < j.End && j.End <= int64(len(raw)) {
		return raw[j.Start:j.End:j.End]
	}
	if inner := journalled(Parse(raw)); inner != nil {
		return inner.Bytes()
	}
	return raw
}

// Present returns the message as a client should see it: our trace fields,
// then the bytes that came. Without trace fields it is raw itself.
func (e *Envelope) Present(raw []byte) []byte {
	if e.Trace == "" {
		return raw
	}
	return slices.Concat([]byte(e.Trace), raw)
}
