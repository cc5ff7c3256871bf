package intake

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sijill/internal/message"
)

// register is an Appender and a Ledger. It keeps what it is given in a file, one
// line a message, so that a process that is killed leaves what it acknowledged
// to the next one.
type register struct {
	mu        sync.Mutex // guards what follows
	dir       string     // "" keeps nothing
	out       *os.File
	kept      []kept
	byHash    map[string]int // account and hash → index in kept
	states    map[string]string
	concluded []Conclusion

	keep   bool                                     // hold message bytes
	before func(ctx context.Context, m *Mail) error // called before appending
}

type kept struct {
	Account  int64
	Hash     string
	Size     int
	Envelope message.Envelope
	message  []byte
}

func newRegister() *register {
	return &register{byHash: map[string]int{}, states: map[string]string{}, keep: true}
}

// openRegister reads what is in dir, leaving out a line that was not finished.
func openRegister(t testing.TB, dir string) *register {
	r := newRegister()
	r.dir, r.keep = dir, false
	var err error
	if r.out, err = os.OpenFile(filepath.Join(dir, "kept"), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		t.Fatal(err)
	}
	in, at := bufio.NewReader(r.out), int64(0)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			break
		}
		at += int64(len(line))
		var k kept
		if err := json.Unmarshal(line, &k); err != nil {
			t.Fatal(err)
		}
		r.add(k)
	}
	if err := r.out.Truncate(at); err != nil {
		t.Fatal(err)
	}
	r.out.Seek(at, 0)
	return r
}

func (r *register) add(k kept) {
	r.byHash[fmt.Sprint(k.Account, k.Hash)] = len(r.kept)
	r.kept = append(r.kept, k)
}

func (r *register) Append(ctx context.Context, m *Mail) (Receipt, error) {
	if r.before != nil {
		if err := r.before(ctx, m); err != nil {
			return Receipt{}, err
		}
	}
	sum := sha256.Sum256(m.Message)
	k := kept{Account: m.Account, Hash: hex.EncodeToString(sum[:]), Size: len(m.Message), Envelope: m.Envelope}
	r.mu.Lock()
	defer r.mu.Unlock()
	if i, ok := r.byHash[fmt.Sprint(k.Account, k.Hash)]; ok {
		e := r.kept[i].Envelope
		return Receipt{Entry: int64(i), Already: true, SameOrigin: e.SourceID == m.Envelope.SourceID && e.Offset == m.Envelope.Offset}, nil
	}
	if r.keep {
		k.message = m.Message
	}
	if r.dir != "" {
		line, _ := json.Marshal(k)
		if _, err := r.out.Write(append(line, '\n')); err != nil {
			return Receipt{}, err
		}
	}
	r.add(k)
	return Receipt{Entry: int64(len(r.kept) - 1)}, nil
}

func (r *register) Load(_ context.Context, key string) ([]byte, error) {
	if r.dir != "" {
		return os.ReadFile(filepath.Join(r.dir, strings.ReplaceAll(key, "/", "_")))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.states[key]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return []byte(s), nil
}

func (r *register) Save(_ context.Context, key string, state []byte) error {
	if r.dir != "" {
		name := filepath.Join(r.dir, strings.ReplaceAll(key, "/", "_"))
		if err := os.WriteFile(name+".new", state, 0o600); err != nil {
			return err
		}
		return os.Rename(name+".new", name)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.states[key] = string(state)
	return nil
}

func (r *register) conclusions() (list []Conclusion) {
	if r.dir == "" {
		return r.concluded
	}
	b, _ := os.ReadFile(filepath.Join(r.dir, "concluded"))
	for line := range strings.Lines(string(b)) {
		var c Conclusion
		if json.Unmarshal([]byte(line), &c) == nil {
			list = append(list, c)
		}
	}
	return list
}

func (r *register) Imported(_ context.Context, digest [32]byte, account int64) (int64, bool, error) {
	entry, ok := int64(0), false
	for i, c := range r.conclusions() {
		if c.Digest == digest && c.Account == account {
			entry, ok = int64(1000+i), true
		}
	}
	return entry, ok, nil
}

func (r *register) Conclude(_ context.Context, c Conclusion) (int64, error) {
	if r.dir == "" {
		r.concluded = append(r.concluded, c)
		return int64(999 + len(r.concluded)), nil
	}
	line, _ := json.Marshal(c)
	f, err := os.OpenFile(filepath.Join(r.dir, "concluded"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	_, err = f.Write(append(line, '\n'))
	return int64(999 + len(r.conclusions())), err
}

// messages are what is kept, by source and offset, in order of capture.
func (r *register) messages() (list []string) {
	for _, k := range r.kept {
		list = append(list, string(k.message))
	}
	return list
}

// fixed is the time of all tests.
var fixed = time.Date(2026, 11, 21, 22, 11, 49, 0, time.UTC)

// office is an Importer with its register and a place for files.
type office struct {
	t   testing.TB
	reg *register
	im  *Importer
	dir string // source files
	out string // reports
}

func newOffice(t testing.TB, o Options) *office {
	if o.Now == nil {
		o.Now = func() time.Time { return fixed }
	}
	reg := newRegister()
	return &office{t: t, reg: reg, im: New(reg, reg, o), dir: t.TempDir(), out: t.TempDir()}
}

// put writes a file of the source tree.
func (o *office) put(name, content string) string {
	o.t.Helper()
	p := filepath.Join(o.dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
		o.t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
		o.t.Fatal(err)
	}
	return p
}

func (o *office) job(p string) Job { return Job{Account: 7, Path: p, Report: o.out} }

// run imports and wants it finished and added up.
func (o *office) run(p string) *Result {
	o.t.Helper()
	res, err := o.im.Import(context.Background(), o.job(p))
	if err != nil {
		o.t.Fatal(err)
	}
	if !res.Finished && !res.Earlier || !res.Counts.AddsUp() {
		o.t.Fatalf("ended as %+v", res)
	}
	return res
}

// places are file and offset of all that is kept.
func (o *office) places() (list []string) {
	for _, k := range o.reg.kept {
		list = append(list, fmt.Sprint(k.Envelope.Source, " ", k.Envelope.Offset))
	}
	return list
}

// remarks reads a report: its lines between heading and summary, and the
// summary's counts.
func (o *office) remarks(name string) (list []Remark, sum summary) {
	o.t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		o.t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		var m Remark
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			o.t.Fatal(err)
		}
		switch m.Type {
		case "import":
		case "summary":
			json.Unmarshal([]byte(line), &sum)
		default:
			list = append(list, m)
		}
	}
	return list, sum
}
