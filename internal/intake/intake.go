// Package intake reads years of mail from files: mbox, Maildir, and folders,
// zips and tars of single messages, packed with gzip or zstd or not, one file
// or a whole tree.
//
// Promises:
//   - Nothing is dropped in silence. Every source ends with a reconciliation:
//     seen = captured + already there + refused, each refusal with file, offset
//     and reason in a report; files that are no mail are listed there too.
//   - A message keeps its bytes. Only what an mbox did to it is undone (quoting
//     and line ends, see package mbox), and the envelope says so.
//   - Messages are told apart by their bytes and never by Message-ID.
//   - An import can be stopped at any moment, by kill -9 too, and goes on where
//     it was: what was appended is neither lost nor doubled.
//   - Memory is bounded by the limit on one message, not by the source.
//
// Source, offset and identity: a source is read as one stream, its files in
// order of their paths, unpacked, one after the other. A message's Offset is
// its place in that stream; for a single mbox that is the offset in the
// (unpacked) file. SourceID comes from the SHA-256 of the source, so the same
// bytes under another name are the same source, and SourceID with Offset names
// one message for good.
package intake

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"sijill/internal/intake/mbox"
	"sijill/internal/message"
)

// Mail is one message to append.
type Mail struct {
	Account  int64
	Envelope message.Envelope
	Message  []byte
}

// Receipt is what an Appender did with a message.
type Receipt struct {
	Entry   int64 // the entry that holds the message
	Already bool  // the account had a message of these bytes before
	// SameOrigin is set with Already when that message was captured for the
	// same account from the same Envelope.SourceID at the same Offset: by a
	// run of this import that did not live to note it.
	SameOrigin bool
}

// Appender puts messages on the register.
type Appender interface {
	// Append returns when the message is durable. It is called from many
	// goroutines at once and should group what it gets. Calls start in the
	// order of the source. The Mail and its bytes are the Appender's to keep;
	// what it keeps is no longer bounded by Options.MaxBytes.
	//
	// An error that wraps ErrRefused is about this message alone: it is
	// counted as refused and the import goes on. Any other error stops it.
	Append(ctx context.Context, m *Mail) (Receipt, error)
}

// Ledger remembers imports.
type Ledger interface {
	// Load returns what was last saved under key, or an error that wraps
	// fs.ErrNotExist. Save replaces it, durably; it is at most some KB, and
	// empty when it is of no more use.
	Load(ctx context.Context, key string) ([]byte, error)
	Save(ctx context.Context, key string, state []byte) error
	// Imported returns the newest entry that concluded an import of the source
	// with this SHA-256 into the account.
	Imported(ctx context.Context, digest [32]byte, account int64) (entry int64, ok bool, err error)
	// Conclude appends the entry that says a source was imported, durably.
	// Counts may be open to read; Digest and Detail must be sealed.
	Conclude(ctx context.Context, c Conclusion) (entry int64, err error)
}

// Conclusion is the content of an imported entry.
type Conclusion struct {
	Account int64
	Digest  [32]byte
	Counts  Counts
	Detail  []byte // JSON of Detail
}

// Counts is the reconciliation of a source: Seen = Captured + Already + Refused.
type Counts struct {
	Seen     int64 `json:"seen"`
	Captured int64 `json:"captured"` // by this import, in however many runs
	Already  int64 `json:"already"`  // the account had these bytes before
	Refused  int64 `json:"refused"`  // each with its reason in the report
	NotMail  int64 `json:"not_mail"` // files that hold no mail, not in Seen
	Bytes    int64 `json:"bytes"`    // of the messages captured
}

// AddsUp says whether the reconciliation holds.
func (c Counts) AddsUp() bool { return c.Seen == c.Captured+c.Already+c.Refused }

var (
	// ErrRefused is wrapped by an Appender's error when one message can never
	// be stored, while others can.
	ErrRefused = errors.New("intake: message refused")
	// ErrChanged is returned when a source changed while it was read. What was
	// appended stays; the next import counts it as already there.
	ErrChanged = errors.New("intake: the source changed while it was read")
	// ErrNoMail is returned when nothing in a source is mail. No entry is made.
	ErrNoMail = errors.New("intake: no mail in the source")
	// ErrReport is returned when the report's path holds something else than
	// this import's own report, or is within the source; nothing was appended.
	ErrReport = errors.New("intake: no place for the report")
	// ErrProgress is returned when saved progress does not fit the source. It
	// was forgotten, so the next run starts over and counts right.
	ErrProgress = errors.New("intake: saved progress does not fit the source")
	// ErrCounts is returned, instead of an entry, when a reconciliation does
	// not add up.
	ErrCounts = errors.New("intake: the reconciliation does not add up")
)

// Options set up an Importer; the zero value is useful.
type Options struct {
	MaxMessage int64         // bytes of one message, above which it is refused; mbox.DefaultMaxMessage if 0
	InFlight   int           // appends at once; 256 if 0
	MaxBytes   int64         // bytes of messages being appended at once; 32 MiB if 0; one message may exceed it
	Variant    mbox.Variant  // how mbox files are quoted; found out if Auto
	SaveEvery  time.Duration // between saves of progress; 1 s if 0
	Grace      time.Duration // for appends under way when the context ends; 10 s if 0

	// Progress is called about five times a second, and at the end, from one
	// goroutine at a time. It must return soon.
	Progress func(Progress)
	Log      *slog.Logger     // discarded if nil
	Now      func() time.Time // time.Now if nil
}

// Phase is what an import is busy with.
type Phase string

const (
	Measuring Phase = "measuring" // reading the source once for its SHA-256
	Reading   Phase = "reading"   // splitting and appending
)

// Progress is how far an import has come. Done and Total are bytes of the
// source's files as they are stored (packed); what is Done is on the register.
type Progress struct {
	Source      string // base name
	Phase       Phase
	Done, Total int64
	Resumed     int64 // part of Done that an earlier run did: leave it out of a rate
	Counts      Counts
}

// Importer imports sources. It is safe for use by several goroutines.
type Importer struct {
	appender Appender
	ledger   Ledger
	o        Options
}

// New returns an Importer that appends to a and keeps its progress in l.
func New(a Appender, l Ledger, o Options) *Importer {
	setDefault(&o.MaxMessage, mbox.DefaultMaxMessage)
	setDefault(&o.InFlight, 256)
	setDefault(&o.MaxBytes, 32<<20)
	setDefault(&o.SaveEvery, time.Second)
	setDefault(&o.Grace, 10*time.Second)
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Importer{appender: a, ledger: l, o: o}
}

func setDefault[T int | int64 | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

// Job is one source to import.
type Job struct {
	Account int64
	Path    string // a file or a folder; a symbolic link is followed here and nowhere below
	// Report is where to write the report, JSON lines: a file, or an existing
	// folder in which it is named after the source. It must not be another
	// import's report, nor stand within the source.
	Report string
	Again  bool // read a source even if it was imported before
}

// Result is how an import ended.
type Result struct {
	Source   string // base name of the path
	Report   string // path of the report; empty if Earlier
	Digest   [32]byte
	Counts   Counts
	Entry    int64 // the imported entry; 0 if none was made
	Earlier  bool  // the source was imported before, as Entry; nothing was done
	Resumed  bool  // an earlier run of this import was taken up
	Finished bool  // the whole source was read and concluded
}
