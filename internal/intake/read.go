package intake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"sijill/internal/intake/mbox"
	"sijill/internal/message"
)

// reader goes through a source and submits what it meets, from the place that
// an earlier run had settled.
type reader struct {
	im     *Importer
	ctx    context.Context
	job    Job
	src    *source
	id     string
	submit func(*item) error

	from    position // where the earlier run stopped
	at      position // where this one is
	seen    int64    // messages and refusals, the earlier run's included
	stamp   *stamp
	changed bool         // a file changed while it was read
	stored  func() int64 // bytes taken from the file that is open
}

// visit reads a file of the source, or passes over one that is settled.
func (r *reader) visit(f *file) error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	r.stamp.add(f)
	after := r.at.Stored + f.storedSize()
	if r.at.File < r.from.File {
		r.at.File++
		r.at.Stored = after
		return nil
	}
	if r.at.File == r.from.File {
		r.at.Base = r.from.Base - r.from.Offset
	}
	end, err := r.topFile(f)
	if err != nil {
		return err
	}
	r.stored = nil
	r.at = position{File: r.at.File + 1, Base: r.at.Base, Stored: after}
	return r.put(&item{file: end, remark: end.remark})
}

// topFile reads a file that is no member of an archive.
func (r *reader) topFile(f *file) (*fileEnd, error) {
	if f.problem != "" {
		return r.refuse(f, f.problem, f.detail), nil
	}
	in, err := f.open()
	if err != nil {
		return r.refuse(f, unreadable, errText(err)), nil
	}
	defer in.Close()
	a := allow(f.size)
	u, err := unpack(in, a)
	if err != nil {
		return r.refuse(f, damaged, errText(err)), nil
	}
	defer u.close()
	base := r.at.Stored
	r.stored = func() int64 { return base + min(u.stored.n, f.size) }
	end, err := r.content(f, u, a, in)
	r.changed = r.changed || differs(in, f)
	return end, err
}

// differs says whether a file that was read is no longer as it was before.
func differs(in io.ReadCloser, f *file) bool {
	open, ok := in.(*os.File)
	if !ok {
		return false
	}
	info, err := open.Stat()
	return err != nil || info.Size() != f.size || !info.ModTime().Equal(f.modTime)
}

// content reads what a file holds, once it is unpacked. archive is the stored
// file where an archive in it may be read, else nil.
func (r *reader) content(f *file, u *unpacked, a *allowance, archive io.ReadCloser) (*fileEnd, error) {
	head, err := u.Peek(headSize)
	if err != nil && err != io.EOF {
		return r.refuse(f, damaged, errText(err)), nil
	}
	what, why := sniff(r.nameOf(f), f.maildir, head)
	switch {
	case (what == zipFile || what == tarFile) && archive == nil, what == zipFile && u.packed:
		return r.refuse(f, nested, ""), nil
	case what == zipFile:
		return r.zip(f, archive, a)
	case what == tarFile:
		return r.tar(f, u)
	case what == mboxFile:
		return r.mbox(f, u)
	case what == oneMessage:
		return r.message(f, u)
	}
	return &fileEnd{remark: remark(f, notMail, why)}, nil
}

// nameOf is the file's name, which for the source itself is the source's.
func (r *reader) nameOf(f *file) string {
	if f.path == "" {
		return r.src.name
	}
	return path.Base(f.path)
}

// mbox splits an mbox. Up to where the earlier run stopped it only looks for
// the ends of messages.
func (r *reader) mbox(f *file, u *unpacked) (*fileEnd, error) {
	m := mbox.NewReader(u, mbox.Options{Variant: r.im.o.Variant, MaxMessage: r.im.o.MaxMessage})
	skip := r.settledOffset()
	cut := int64(0) // length of a message that reading failed in
	for {
		s, err := m.Next()
		if err != nil && r.at.Offset < skip {
			return nil, ErrProgress
		}
		if err != nil {
			end := &fileEnd{format: mboxFile, variant: r.variantOf(m), stats: m.Stats()}
			if err != io.EOF {
				end.remark = r.refuse(f, damaged, errText(err)).remark
				end.remark.Length = cut
			}
			return end, nil
		}
		next := s.Offset + s.Length
		switch {
		case s.Offset < skip && next > skip:
			return nil, ErrProgress
		case s.Kind == mbox.Cut:
			cut = s.Length
		case next <= skip:
			r.move(next)
		default:
			err = r.span(f, s, next)
		}
		if err != nil {
			return nil, err
		}
	}
}

// variantOf names an mbox's variant as far as it is known.
func (r *reader) variantOf(m *mbox.Reader) string {
	if m.Variant() == mbox.RD && r.im.o.Variant == mbox.Auto {
		return "mboxrd or mboxo"
	}
	return m.Variant().String()
}

// settledOffset is how far into the file or member that is next the earlier run
// had come.
func (r *reader) settledOffset() int64 {
	if r.at.File == r.from.File && r.at.Member == r.from.Member {
		return r.from.Offset
	}
	return 0
}

// move sets the place in the file that is being read.
func (r *reader) move(offset int64) {
	r.at.Base += offset - r.at.Offset
	r.at.Offset = offset
	if r.stored != nil {
		r.at.Stored = r.stored()
	}
}

func (r *reader) span(f *file, s *mbox.Span, next int64) error {
	switch {
	case s.Kind == mbox.Blank:
		r.move(next)
		return nil
	case s.Kind == mbox.Garbage:
		return r.refuseSpan(f, s, next, garbage)
	case s.Kind == mbox.TooLarge:
		return r.refuseSpan(f, s, next, tooLarge)
	case len(s.Raw) == 0:
		return r.refuseSpan(f, s, next, emptyMail)
	}
	msg, form := s.Message()
	e := r.envelope(f)
	e.Folder = r.mboxFolder(f)
	e.Internal = internalDate(s.From.Date)
	e.Seen = readStatus(msg)
	if strings.Contains(s.From.Sender, "@") && !strings.Contains(s.From.Sender, " ") {
		e.From = printable(s.From.Sender)
	}
	if form.Ends != mbox.CRLF {
		e.LineEnds = form.Ends.String()
	}
	r.move(next)
	return r.capture(f, s.Offset, e, msg, &form)
}

func (r *reader) refuseSpan(f *file, s *mbox.Span, next int64, why reason) error {
	r.move(next)
	m := r.refuse(f, why, "").remark
	m.Offset, m.Length = s.Offset, s.Length
	return r.put(&item{remark: m})
}

// mboxFolder is the folder for an mbox's mail: one of its own in a tree.
func (r *reader) mboxFolder(f *file) string {
	if f.path == "" {
		return folderName(r.src.name)
	}
	return path.Join(f.folder, folderName(path.Base(f.path)))
}

// internalDate leaves out a date that stands for "not known": writers that have
// none put the start of 1970.
func internalDate(t time.Time) *time.Time {
	if t.Unix() <= 86400 {
		return nil
	}
	t = t.UTC()
	return &t
}

// message reads a file that is one message, as it is.
func (r *reader) message(f *file, u *unpacked) (*fileEnd, error) {
	end := &fileEnd{format: oneMessage}
	if r.settledOffset() > 0 {
		r.move(r.settledOffset())
		return end, nil
	}
	msg, err := readMessage(u, f.size, r.im.o.MaxMessage)
	switch {
	case errors.Is(err, errTooLarge):
		end = r.refuse(f, tooLarge, "")
		if !u.packed {
			end.remark.Length = f.size
		}
		return end, nil
	case err != nil:
		return r.refuse(f, damaged, errText(err)), nil
	}
	e := r.envelope(f)
	if e.Folder = f.folder; f.path == "" {
		e.Folder = folderName(r.src.name)
	}
	if f.maildir != outside {
		e.Internal = internalDate(f.modTime)
		e.Seen = f.maildir == inCur && isSeen(path.Base(f.path))
	}
	r.move(int64(len(msg)))
	if err := r.capture(f, 0, e, msg, nil); err != nil {
		return nil, err
	}
	return end, nil
}

var errTooLarge = errors.New("too large")

// readMessage reads all of src into a slice of the right size, if hint is right.
func readMessage(src io.Reader, hint, limit int64) ([]byte, error) {
	msg := make([]byte, 0, min(max(hint, 0), limit, 64<<20)+1)
	for {
		if len(msg) == cap(msg) {
			msg = append(msg, 0)[:len(msg)]
		}
		n, err := src.Read(msg[len(msg):cap(msg)])
		msg = msg[:len(msg)+n]
		if int64(len(msg)) > limit {
			return nil, errTooLarge
		}
		if err == io.EOF {
			return msg, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// envelope is the part of an envelope that all messages of a file share.
func (r *reader) envelope(f *file) message.Envelope {
	return message.Envelope{
		Door:     "import",
		Time:     r.im.o.Now().UTC(),
		Source:   printable(path.Join(r.src.name, f.path)),
		SourceID: r.id,
		Offset:   r.at.Base,
	}
}

// capture submits a message that began at offset in the file; the place in the
// file has moved past it already.
func (r *reader) capture(f *file, offset int64, e message.Envelope, msg []byte, form *mbox.Form) error {
	r.seen++
	return r.put(&item{
		mail:   &Mail{Account: r.job.Account, Envelope: e, Message: msg},
		size:   int64(len(msg)),
		remark: &Remark{File: printable(f.path), Offset: offset, Length: int64(len(msg))},
		form:   form,
	})
}

// refuse is the end of a file, at the place where it stands, for a reason.
func (r *reader) refuse(f *file, why reason, detail string) *fileEnd {
	r.seen++
	m := remark(f, refused, why)
	m.Offset, m.Detail = r.at.Offset, detail
	return &fileEnd{remark: m}
}

func remark(f *file, kind string, why reason) *Remark {
	return &Remark{Type: kind, File: printable(f.path), Reason: string(why)}
}

func (r *reader) put(it *item) error {
	it.after = r.at
	if err := r.submit(it); err != nil {
		return fmt.Errorf("importing %s: %w", r.src.name, err)
	}
	return nil
}
