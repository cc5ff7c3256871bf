package intake

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
)

// Import reads one source to its end and concludes it with an imported entry.
// On an error, or when ctx ends, what was appended is durable and noted, and
// the same call goes on from there; the Result says how far it came.
//
// Two imports of the same source into the same account must not run at once;
// where they share a report, the second fails with ErrReport.
func (im *Importer) Import(ctx context.Context, j Job) (*Result, error) {
	if j.Report == "" {
		return nil, fmt.Errorf("importing without a report: %w", ErrReport)
	}
	src, err := im.measure(ctx, j.Path)
	if err != nil {
		return nil, err
	}
	res := &Result{Source: src.name, Digest: src.digest}
	earlier, done, err := im.ledger.Imported(ctx, src.digest, j.Account)
	if err != nil {
		return nil, fmt.Errorf("asking for earlier imports: %w", err)
	}
	if done && !j.Again {
		res.Entry, res.Earlier = earlier, true
		return res, nil
	}
	im.o.Log.Info("import begins", slog.Int64("account", j.Account), slog.Int64("bytes", src.size), slog.Int64("files", src.files))
	if j.Report, err = reportPath(j.Report, src, src.id(earlier), j.Account); err != nil {
		return nil, err
	}
	res.Report = j.Report
	r := &run{im: im, job: j, src: src, id: src.id(earlier), res: res}
	r.key = "import/" + strconv.FormatInt(j.Account, 10) + "/" + r.id
	err = r.all(ctx)
	im.o.Log.Info("import ends", slog.Bool("finished", res.Finished), slog.Int64("entry", res.Entry),
		slog.Int64("captured", res.Counts.Captured), slog.Int64("already", res.Counts.Already), slog.Int64("refused", res.Counts.Refused))
	return res, err
}

// run is one call of Import that has something to do.
type run struct {
	im  *Importer
	job Job
	src *source
	id  string
	key string
	res *Result
}

func (r *run) all(ctx context.Context) error {
	s, err := r.im.load(ctx, r.key)
	if err != nil {
		return err
	}
	rep, resumed, err := openReport(r.job.Report, r.heading(s), s.Report)
	if err != nil {
		return err
	}
	defer rep.close()
	if !resumed {
		s = r.im.newState()
	}
	r.res.Resumed = resumed
	s, err = r.read(ctx, s, rep)
	r.res.Counts = s.Counts
	if errors.Is(err, ErrChanged) || errors.Is(err, ErrProgress) || errors.Is(err, ErrCounts) {
		return errors.Join(err, r.forget(ctx))
	}
	if err != nil {
		return err
	}
	return r.conclude(ctx, s, rep)
}

func (r *run) heading(s state) heading {
	return heading{Type: "import", Source: r.src.name, SourceID: r.id, SHA256: hex.EncodeToString(r.src.digest[:]), Account: r.job.Account, Started: s.Started}
}

// read goes through the source from where s is, and returns how far it came.
func (r *run) read(ctx context.Context, s state, rep *report) (state, error) {
	p := Progress{Source: r.src.name, Phase: Reading, Total: r.src.size, Resumed: s.Position.Stored}
	pl, stop := r.im.newPipeline(ctx, r.key, s, rep, p)
	rd := &reader{im: r.im, ctx: pl.ctx, job: r.job, src: r.src, id: r.id, submit: pl.submit, from: s.Position, seen: s.Counts.Seen, stamp: newStamp()}
	w := walker{root: r.src.root, visit: rd.visit}
	err := w.walk(pl.ctx, component(r.src.name))
	if stopped := stop(); stopped != nil {
		err = stopped
	}
	switch c := pl.state.Counts; {
	case err != nil:
	case rd.changed || rd.stamp.sum() != r.src.stamp:
		err = ErrChanged
	case rd.seen != c.Seen || !c.AddsUp():
		err = ErrCounts
	}
	return pl.state, err
}

// forget makes the next run start over.
func (r *run) forget(ctx context.Context) error {
	if err := r.im.ledger.Save(context.WithoutCancel(ctx), r.key, nil); err != nil {
		return fmt.Errorf("forgetting progress: %w", err)
	}
	return nil
}

// conclude ends the report and appends the imported entry. If it does not get
// that far, the next run finds nothing left to read and concludes.
func (r *run) conclude(ctx context.Context, s state, rep *report) error {
	if s.Counts.Seen == 0 {
		return errors.Join(fmt.Errorf("importing %s: %w", r.src.name, ErrNoMail), r.forget(ctx))
	}
	now := r.im.o.Now().UTC()
	err := rep.line(summary{Type: "summary", Finished: now, Files: r.src.files, Size: r.src.size, Counts: s.Counts,
		Reasons: s.Reasons, Forms: s.Forms, Mboxes: s.Mboxes, Limit: s.Limit})
	if err != nil {
		return fmt.Errorf("ending the report: %w", err)
	}
	sum, err := rep.sum()
	if err != nil {
		return fmt.Errorf("ending the report: %w", err)
	}
	detail, err := json.Marshal(Detail{Version: 1, Source: r.src.name, SourceID: r.id, SHA256: hex.EncodeToString(r.src.digest[:]),
		Tree: r.src.tree, Files: r.src.files, Size: r.src.size, Started: s.Started, Finished: now,
		Counts: s.Counts, Reasons: s.Reasons, Forms: s.Forms, Mboxes: s.Mboxes, Report: hex.EncodeToString(sum[:])})
	if err != nil {
		return fmt.Errorf("describing the import: %w", err)
	}
	r.res.Entry, err = r.im.ledger.Conclude(ctx, Conclusion{Account: r.job.Account, Digest: r.src.digest, Counts: s.Counts, Detail: detail})
	if err != nil {
		return fmt.Errorf("concluding the import: %w", err)
	}
	r.res.Finished = true
	return r.forget(ctx)
}
