package intake

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// reason says why something was refused, or is no mail. The texts are part of
// the report's format: programs may compare them.
type reason string

const (
	tooLarge    reason = "larger than the limit on one message"
	garbage     reason = "no message: bytes before the first From_ line"
	emptyMail   reason = "a message of no bytes"
	damaged     reason = "reading failed: nothing in the file from here on was read"
	unreadable  reason = "can't be read"
	symlink     reason = "a link: not followed"
	notRegular  reason = "not a regular file"
	unfinished  reason = "in a Maildir's tmp: its delivery was not finished"
	encrypted   reason = "encrypted in the archive"
	nested      reason = "an archive inside another: unpack it first"
	hugeArchive reason = "an archive with too many files: unpack it first"
	notStored   reason = "the register can't hold it"

	emptyFile reason = "empty file"
	noHeader  reason = "no mail header"
	isPST     reason = "an Outlook data file (PST), which is not read"
	isOLE     reason = "an Outlook message or Office file, which is not read"
)

// The types of remarks.
const (
	refused = "refused"
	notMail = "not mail"
)

// Remark is a line of the report about one thing that was not captured.
type Remark struct {
	Type   string `json:"type"`             // "refused" or "not mail"
	File   string `json:"file,omitempty"`   // path within the source; none for the source itself
	Offset int64  `json:"offset"`           // in the file, unpacked
	Length int64  `json:"length,omitempty"` // bytes, where known
	Reason string `json:"reason"`
	Detail string `json:"detail,omitempty"` // what the system or the register said
}

// heading is the report's first line; it ties the report to one import.
type heading struct {
	Type     string    `json:"type"` // "import"
	Source   string    `json:"source"`
	SourceID string    `json:"source_id"`
	SHA256   string    `json:"sha256"`
	Account  int64     `json:"account"`
	Started  time.Time `json:"started"`
}

// report is the file of remarks. It is not safe for concurrent use.
type report struct {
	f       *os.File
	w       *bufio.Writer
	written int64
}

// reportPath is the path of the report that is asked for at name. In a folder each
// import has its own: of one source into two accounts, two.
func reportPath(name string, src *source, id string, account int64) (string, error) {
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		base := component(src.name)
		base = strings.ToValidUTF8(base[:min(len(base), 100)], "") // a name of 255 bytes leaves no room
		own := sha256.Sum256(fmt.Appendf(nil, "sijill/report/v1\n%s %d", id, account))
		name = filepath.Join(name, base+"-"+hex.EncodeToString(own[:4])+".jsonl")
	}
	dir, err := filepath.Abs(filepath.Dir(name))
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return "", fmt.Errorf("opening the report: %w", err)
	}
	if within, err := filepath.Rel(src.root, dir); src.tree && err == nil && filepath.IsLocal(within) {
		return "", fmt.Errorf("opening the report within the source: %w", ErrReport)
	}
	return name, nil
}

// openReport opens the report for going on at byte at, if it is the one that h
// is the heading of and has that many bytes; else it begins it anew. resumed
// says which. A file that is no report of this import is left alone: ErrReport.
func openReport(name string, h heading, at int64) (r *report, resumed bool, err error) {
	old, size, err := readHeading(name)
	if err != nil {
		return nil, false, err
	}
	if size > 0 && (old.SourceID != h.SourceID || old.Account != h.Account) {
		return nil, false, fmt.Errorf("opening the report %s: %w", name, ErrReport)
	}
	resumed = size > 0 && at > 0 && at <= size
	if !resumed {
		at = 0
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, false, fmt.Errorf("opening the report: %w", err)
	}
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		f.Close()
		return nil, false, fmt.Errorf("opening the report, which an import is writing: %w", ErrReport)
	}
	r = &report{f: f, w: bufio.NewWriter(f), written: at}
	if err = errors.Join(f.Truncate(at), seek(f, at), syncDir(filepath.Dir(name))); err == nil && at == 0 {
		err = r.line(h)
	}
	if err != nil {
		f.Close()
		return nil, false, fmt.Errorf("beginning the report: %w", err)
	}
	return r, resumed, nil
}

// readHeading reads the first line of the report at name, if there is one.
func readHeading(name string) (h heading, size int64, err error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return h, 0, nil
	}
	if err != nil {
		return h, 0, fmt.Errorf("opening the report: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return h, 0, err
	}
	line, _ := bufio.NewReader(io.LimitReader(f, 64<<10)).ReadSlice('\n')
	if !bytes.HasSuffix(line, []byte("\n")) || json.Unmarshal(line, &h) != nil || h.Type != "import" {
		return h, 0, fmt.Errorf("opening the report %s: %w", name, ErrReport)
	}
	return h, info.Size(), nil
}

func seek(f *os.File, at int64) error {
	_, err := f.Seek(at, io.SeekStart)
	return err
}

// syncDir makes a new file's name durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// line adds v as one line of JSON.
func (r *report) line(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	n, err := r.w.Write(append(b, '\n'))
	r.written += int64(n)
	return err
}

// flush hands over to the system what was written so far.
func (r *report) flush() error { return r.w.Flush() }

// sum makes the report durable and returns the SHA-256 of all of it.
func (r *report) sum() (sum [32]byte, err error) {
	if err = errors.Join(r.flush(), r.f.Sync(), seek(r.f, 0)); err != nil {
		return sum, err
	}
	h := sha256.New()
	_, err = io.Copy(h, r.f)
	return [32]byte(h.Sum(nil)), err
}

func (r *report) close() error { return errors.Join(r.flush(), r.f.Close()) }

// errText is an error's text without the path, which stands beside it.
func errText(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err.Error()
	}
	return err.Error()
}
