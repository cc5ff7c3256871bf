// Package audit verifies a register from what is on disk: every sealed frame,
// every entry, the tree, every checkpoint and every wrapped key.
//
// It shares no code with what writes the register. It reads segments, rows and
// hashes by itself and computes the tree in its own way, so that a mistake of
// the writer is not repeated by the checker; only the public format and the
// opening of sealed messages are common to both. It changes nothing, and it
// goes on after the first thing that it finds.
package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/vault"
)

// MaxFindings is how many findings a report lists; more are only counted.
const MaxFindings = 200

// Options says what is audited.
type Options struct {
	DB       *db.DB
	Segments string       // Directory of the segments.
	Vault    *vault.Vault // Opens what the server may open.
	Keys     sijill.Keys  // Of the register, as the auditor knows them.
	// Earlier holds checkpoints of the register that the auditor has from
	// elsewhere: the register must continue each of them.
	Earlier [][]byte
	// Progress, if not nil, is called now and then from one goroutine.
	Progress func(done, total int64)
}

// Finding is one thing that is damaged.
type Finding struct {
	What   string `json:"what"`   // "entry 12", "segment 3", "tree hash 4711", "database"…
	Detail string `json:"detail"` // What is wrong with it.
}

// Report is the outcome of an audit.
type Report struct {
	Origin     string        `json:"origin"`
	Entries    int64         `json:"entries"`
	Messages   int64         `json:"messages"`    // Entries that seal a message.
	Opened     int64         `json:"opened"`      // Messages whose content was checked too.
	Closed     int64         `json:"closed"`      // Messages that the server's key does not open: their bytes were checked, not their content.
	Personal   int64         `json:"personal"`    // Messages that are their holder's own; Closed counts them too.
	Destroyed  int64         `json:"destroyed"`   // Personal messages whose keys were destroyed, as entries say; Closed counts them too.
	Unclaimed  int64         `json:"unclaimed"`   // Bytes in segments that no entry refers to: appends that failed.
	Checkpoint int64         `json:"checkpoints"` // Checkpoints that were verified.
	Findings   []Finding     `json:"findings"`
	More       int64         `json:"more_findings"`
	Took       time.Duration `json:"took_ns"`
}

// Sound tells whether nothing was found.
func (r *Report) Sound() bool { return len(r.Findings) == 0 }

func (r *Report) find(what, format string, args ...any) {
	if len(r.Findings) >= MaxFindings {
		r.More++
		return
	}
	r.Findings = append(r.Findings, Finding{what, fmt.Sprintf(format, args...)})
}

// Run audits the register. The error is about the audit itself (ctx was
// cancelled); what is wrong with the register is in the report.
func Run(ctx context.Context, opts Options) (*Report, error) {
	began := time.Now()
	a := &auditor{opts: opts, report: &Report{Findings: []Finding{}}, segments: newSegments(opts.Segments)}
	defer a.segments.close()
	a.database(ctx)
	if h, ok := a.snapshot(ctx); ok {
		a.entries(ctx, h)
		a.destroyed(ctx, h)
		a.checkpoints(h)
		a.ends(h)
		a.unclaimed()
	}
	a.report.Took = time.Since(began)
	return a.report, ctx.Err()
}

type auditor struct {
	opts     Options
	report   *Report
	segments *segments
	tree     tree
	roots    map[int64]sijill.Hash // Roots at the sizes of checkpoints, as entries give them.
	last     map[int64]int64       // Where the last frame that an entry refers to ends, by segment.
	intact   bool                  // Every entry so far could be read: roots and ends can be known.
	keyless  map[int64]bool        // Personal messages without a key.
	own      map[int64]string      // Personal messages, with the pseudonym of their holder.
	gone     map[int64]int64       // What entries say was destroyed, with the last such entry.
}

// database has the engine check its own file.
func (a *auditor) database(ctx context.Context) {
	problems, err := a.opts.DB.Check(ctx)
	if err != nil {
		a.report.find("database", "it can't be checked: %v", err)
	}
	for _, p := range problems {
		a.report.find("database", "%s", p)
	}
}

// checkpoints verifies the head, the checkpoints kept, and those that the
// auditor brought, against the roots that the entries themselves give.
func (a *auditor) checkpoints(h head) {
	for _, n := range a.notes(h) {
		c, _, err := a.opts.Keys.OpenCheckpoint(n.note)
		if err != nil {
			a.report.find(n.what, "%v", err)
			continue
		}
		a.compare(n.what, c, h)
	}
}

// notes are all checkpoints to verify.
func (a *auditor) notes(h head) []noteOf {
	notes := append(slices.Clone(h.kept), noteOf{"head", h.note})
	for i, n := range a.opts.Earlier {
		notes = append(notes, noteOf{fmt.Sprintf("earlier checkpoint %d", i+1), n})
	}
	return notes
}

func (a *auditor) compare(what string, c sijill.Checkpoint, h head) {
	a.report.Checkpoint++
	switch root, ok := a.roots[c.Size]; {
	case c.Origin != a.report.Origin:
		a.report.find(what, "it is of the register %q", c.Origin)
	case c.Size > h.size:
		a.report.find(what, "it has %d entries, the register only %d: the register was set back", c.Size, h.size)
	case what == "head" && c.Size != h.size:
		a.report.find(what, "its checkpoint has %d entries, the register %d", c.Size, h.size)
	case !ok:
		a.report.find(what, "the tree of %d entries could not be computed", c.Size)
	case root != c.Root:
		a.report.find(what, "the entries give another tree of size %d than was signed", c.Size)
	}
}

// wanted tells the sizes whose roots will be asked for.
func (a *auditor) wanted(h head) map[int64]bool {
	sizes := map[int64]bool{}
	for _, n := range a.notes(h) {
		if c, err := unsigned(n.note); err == nil {
			sizes[c.Size] = true
		}
	}
	return sizes
}

// unsigned reads the text of a checkpoint without its signatures.
func unsigned(note []byte) (sijill.Checkpoint, error) {
	for i := range note {
		if i > 0 && note[i] == '\n' && note[i-1] == '\n' {
			return sijill.ParseCheckpoint(string(note[:i]))
		}
	}
	return sijill.Checkpoint{}, errors.New("not a signed note")
}
