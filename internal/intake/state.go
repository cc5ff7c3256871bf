package intake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"sijill/internal/intake/mbox"
)

// position is a place in a source between two things that are counted: what is
// before it is settled for good.
type position struct {
	File   int64 `json:"file"`   // files visited and settled
	Member int64 `json:"member"` // files settled within the archive that File is
	Offset int64 `json:"offset"` // in the file or member, unpacked
	Base   int64 `json:"base"`   // in the source's stream
	Stored int64 `json:"stored"` // bytes of the source's files, for the progress bar
}

// forms counts what was undone to messages of mbox files.
type forms struct {
	LF       int64 `json:"line_ends_lf,omitempty"`    // messages whose LF became CRLF
	CRLF     int64 `json:"line_ends_crlf,omitempty"`  // messages that had CRLF
	Mixed    int64 `json:"line_ends_mixed,omitempty"` // messages with both, kept as they were
	Unquoted int64 `json:"unquoted_lines,omitempty"`  // lines that lost a ">"
	AsIs     int64 `json:"quoting_kept,omitempty"`    // messages with an unquoted "From " line: nothing was taken off
}

// mboxes counts what was found about mbox files.
type mboxes struct {
	Variants   map[string]int64 `json:"variants,omitempty"`         // files by variant
	ByLength   int64            `json:"by_length,omitempty"`        // messages ended by Content-Length
	BadLengths int64            `json:"bad_lengths,omitempty"`      // Content-Length not believed
	Loose      int64            `json:"inner_from_lines,omitempty"` // "From " lines that were no separators
	Formats    map[string]int64 `json:"files_by_format,omitempty"`  // files by what they hold
}

// state is what is saved of an import while it runs.
type state struct {
	Version  int              `json:"v"`
	Limit    int64            `json:"limit"`   // Options.MaxMessage and Variant it was made under:
	Variant  mbox.Variant     `json:"variant"` // under others, what is settled might differ
	Started  time.Time        `json:"started"`
	Position position         `json:"position"`
	Counts   Counts           `json:"counts"`
	Reasons  map[string]int64 `json:"reasons,omitempty"`
	Forms    forms            `json:"forms"`
	Mboxes   mboxes           `json:"mboxes"`
	Report   int64            `json:"report"` // bytes of the report up to Position
}

const stateVersion = 1

func (im *Importer) newState() state {
	return state{Version: stateVersion, Limit: im.o.MaxMessage, Variant: im.o.Variant, Started: im.o.Now().UTC()}
}

// load returns the saved state, or a new one where there is none that can be
// gone on from. Starting over is always right: what this import captured before
// comes back with Receipt.SameOrigin.
func (im *Importer) load(ctx context.Context, key string) (state, error) {
	fresh := im.newState()
	saved, err := im.ledger.Load(ctx, key)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fresh, fmt.Errorf("loading progress: %w", err)
	}
	var s state
	if len(saved) == 0 || json.Unmarshal(saved, &s) != nil {
		return fresh, nil
	}
	if s.Version != fresh.Version || s.Limit != fresh.Limit || s.Variant != fresh.Variant {
		return fresh, nil
	}
	return s, nil
}

// count settles an item.
func (s *state) count(it *item, r *report) error {
	s.Position = it.after
	c := &s.Counts
	switch m := it.remark; {
	case m != nil && m.Type == refused:
		c.Seen++
		c.Refused++
	case m != nil:
		c.NotMail++
	case it.file != nil:
	case it.receipt.Already && !it.receipt.SameOrigin:
		c.Seen++
		c.Already++
	default:
		c.Seen++
		c.Captured++
		c.Bytes += it.size
	}
	if it.form != nil {
		s.Forms.add(it.form)
	}
	if it.file != nil && it.file.format != noMail {
		s.Mboxes.add(it.file)
	}
	if it.remark == nil {
		return nil
	}
	increment(&s.Reasons, it.remark.Reason)
	return r.line(it.remark)
}

func increment(m *map[string]int64, key string) {
	if *m == nil {
		*m = map[string]int64{}
	}
	(*m)[key]++
}

func (f *forms) add(m *mbox.Form) {
	switch m.Ends {
	case mbox.LF:
		f.LF++
	case mbox.Mixed:
		f.Mixed++
	default:
		f.CRLF++
	}
	f.Unquoted += int64(m.Unquoted)
	if m.AsIs {
		f.AsIs++
	}
}

func (m *mboxes) add(e *fileEnd) {
	increment(&m.Formats, e.format.String())
	if e.format == mboxFile {
		increment(&m.Variants, e.variant)
	}
	m.ByLength += e.stats.ByLength
	m.BadLengths += e.stats.BadLengths
	m.Loose += e.stats.Loose
}

// Detail is the sealed part of an imported entry: what the counts alone don't
// say, and what ties them to the file and to the report.
type Detail struct {
	Version  int              `json:"v"`
	Source   string           `json:"source"` // base name
	SourceID string           `json:"source_id"`
	SHA256   string           `json:"sha256"` // of the file; of a tree, see docs/import.md
	Tree     bool             `json:"tree,omitempty"`
	Files    int64            `json:"files"`
	Size     int64            `json:"size"` // bytes of the files as stored
	Started  time.Time        `json:"started"`
	Finished time.Time        `json:"finished"`
	Counts   Counts           `json:"counts"`
	Reasons  map[string]int64 `json:"reasons,omitempty"` // refusals and files that are no mail, by reason
	Forms    forms            `json:"forms"`
	Mboxes   mboxes           `json:"mboxes"`
	Report   string           `json:"report_sha256"`
}

// summary is the report's last line.
type summary struct {
	Type     string           `json:"type"` // "summary"
	Finished time.Time        `json:"finished"`
	Files    int64            `json:"files"`
	Size     int64            `json:"size"`
	Counts   Counts           `json:"counts"`
	Reasons  map[string]int64 `json:"reasons,omitempty"`
	Forms    forms            `json:"forms"`
	Mboxes   mboxes           `json:"mboxes"`
	Limit    int64            `json:"limit"`
}
