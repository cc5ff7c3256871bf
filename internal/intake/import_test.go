package intake

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"sijill/internal/intake/mbox"
)

const fromLine = "From scribe@diwan.example Sat Nov 21 08:30:00 2026\n"

// letter is a message number n, as an mbox with LF holds it.
func letter(n int) string {
	return fmt.Sprintf("From: scribe@diwan.example\nSubject: letter %d\nMessage-ID: <%d@diwan.example>\n\nخاتم %d\n>From the seal\n", n, n, n)
}

// sealed is the message that letter n becomes.
func sealed(n int) string {
	return strings.ReplaceAll(strings.ReplaceAll(letter(n), ">From", "From"), "\n", "\r\n")
}

func letters(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(fromLine + letter(i) + "\n")
	}
	return b.String()
}

func TestMbox(t *testing.T) {
	o := newOffice(t, Options{InFlight: 1})
	content := letters(3)
	p := o.put("Office 2026.mbox", content)
	res := o.run(p)
	if want := (Counts{Seen: 3, Captured: 3, Bytes: int64(3 * len(sealed(0)))}); res.Counts != want || res.Entry != 1000 {
		t.Errorf("result %+v", res)
	}
	if got := o.reg.messages(); !slices.Equal(got, []string{sealed(0), sealed(1), sealed(2)}) {
		t.Errorf("messages %q", got)
	}
	for i, k := range o.reg.kept {
		e := k.Envelope
		at := strings.Index(content, fmt.Sprintf("letter %d", i))
		if want := strings.LastIndex(content[:at], "From scribe"); e.Offset != int64(want) {
			t.Errorf("letter %d: offset %d, want %d", i, e.Offset, want)
		}
		if e.Door != "import" || e.Folder != "Office 2026" || e.Source != "Office 2026.mbox" || len(e.SourceID) != 32 ||
			e.LineEnds != "lf" || !e.Time.Equal(fixed) || e.From != "scribe@diwan.example" || k.Account != 7 ||
			!e.Internal.Equal(time.Date(2026, 11, 21, 8, 30, 0, 0, time.UTC)) {
			t.Errorf("envelope %+v", e)
		}
	}
	var d Detail
	if err := json.Unmarshal(o.reg.concluded[0].Detail, &d); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(content))
	report, _ := os.ReadFile(res.Report)
	reported := sha256.Sum256(report)
	if d.SHA256 != hex.EncodeToString(sum[:]) || d.Report != hex.EncodeToString(reported[:]) || d.Counts != res.Counts ||
		d.Forms != (forms{LF: 3, Unquoted: 3}) || d.Mboxes.Variants["mboxrd or mboxo"] != 1 {
		t.Errorf("detail %+v", d)
	}
	if _, s := o.remarks(res.Report); s.Counts != res.Counts {
		t.Errorf("summary %+v", s)
	}
}

func TestSameSourceTwice(t *testing.T) {
	o := newOffice(t, Options{})
	first := o.run(o.put("a.mbox", letters(5)))
	for _, name := range []string{"a.mbox", "renamed.mbox"} {
		again := o.run(o.put(name, letters(5)))
		if !again.Earlier || again.Entry != first.Entry || len(o.reg.kept) != 5 || len(o.reg.concluded) != 1 {
			t.Errorf("%s: %+v", name, again)
		}
	}
	// Another account has its own.
	j := o.job(filepath.Join(o.dir, "a.mbox"))
	j.Account, j.Report = 8, filepath.Join(o.out, "eight.jsonl")
	if res, err := o.im.Import(context.Background(), j); err != nil || res.Counts.Captured != 5 {
		t.Errorf("another account: %+v %v", res, err)
	}
	// Asked for, it is read once more, and then everything is there.
	j = o.job(filepath.Join(o.dir, "a.mbox"))
	j.Again = true
	if res, err := o.im.Import(context.Background(), j); err != nil || res.Counts.Already != 5 || res.Counts.Captured != 0 {
		t.Errorf("again: %+v %v", res, err)
	}
	// A longer source is another one, of which a part is there.
	if res := o.run(o.put("a.mbox", letters(6))); res.Counts.Already != 5 || res.Counts.Captured != 1 {
		t.Errorf("grown: %+v", res)
	}
}

func TestIdentityIsBytes(t *testing.T) {
	o := newOffice(t, Options{InFlight: 1})
	other := strings.Replace(letter(0), "seal", "bearer", 1)
	res := o.run(o.put("a.mbox", fromLine+letter(0)+"\n"+fromLine+other+"\n"+fromLine+letter(0)+"\n"))
	if want := (Counts{Seen: 3, Captured: 2, Already: 1, Bytes: res.Counts.Bytes}); res.Counts != want {
		t.Errorf("same Message-ID: %+v", res.Counts)
	}
}

func pack(t testing.TB, how, s string) string {
	var b bytes.Buffer
	switch how {
	case ".gz":
		z := gzip.NewWriter(&b)
		z.Write([]byte(s))
		z.Close()
	case ".zst":
		z, err := zstd.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		z.Write([]byte(s))
		z.Close()
	default:
		return s
	}
	return b.String()
}

func TestPacked(t *testing.T) {
	for _, how := range []string{"", ".gz", ".zst"} {
		o := newOffice(t, Options{InFlight: 1})
		res := o.run(o.put("a.mbox"+how, pack(t, how, letters(300))))
		if res.Counts.Captured != 300 || o.reg.kept[299].message == nil || string(o.reg.kept[299].message) != sealed(299) {
			t.Errorf("%q: %+v", how, res.Counts)
		}
		if e := o.reg.kept[299].Envelope; e.Folder != "a" || e.Offset != int64(len(letters(299))) {
			t.Errorf("%q: %+v", how, e)
		}
		// Two packed files in one are read as one.
		if how != "" {
			o.run(o.put("b.mbox"+how, pack(t, how, letters(301))+pack(t, how, fromLine+letter(301))))
			if got := o.reg.messages(); len(got) != 302 || got[301] != sealed(301) {
				t.Errorf("%q: %d messages", how, len(got))
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	big := fromLine + "Subject: big\n\n" + strings.Repeat("long line\n", 1000) + "\n"
	empty := fromLine + "\n"
	content := "what is this\n" + letters(1) + big + empty + letters(2)[len(letters(1)):]
	o := newOffice(t, Options{MaxMessage: 5000})
	o.reg.before = func(_ context.Context, m *Mail) error {
		if bytes.Contains(m.Message, []byte("letter 1")) {
			return fmt.Errorf("too odd: %w", ErrRefused)
		}
		return nil
	}
	res := o.run(o.put("a.mbox", content))
	if want := (Counts{Seen: 5, Captured: 1, Refused: 4, Bytes: int64(len(sealed(0)))}); res.Counts != want {
		t.Errorf("counts %+v", res.Counts)
	}
	got, sum := o.remarks(res.Report)
	at := func(s string) int64 { return int64(strings.Index(content, s)) }
	want := []Remark{
		{Type: refused, Length: 13, Reason: string(garbage)},
		{Type: refused, Offset: at(big), Length: int64(len(big)), Reason: string(tooLarge)},
		{Type: refused, Offset: at(big) + int64(len(big)), Length: int64(len(empty)), Reason: string(emptyMail)},
		{Type: refused, Offset: int64(strings.LastIndex(content, fromLine)), Length: int64(len(sealed(1))), Reason: string(notStored), Detail: "too odd: intake: message refused"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("remarks\n%+v, want\n%+v", got, want)
	}
	if sum.Reasons[string(tooLarge)] != 1 || len(sum.Reasons) != 4 {
		t.Errorf("reasons %v", sum.Reasons)
	}
}

func TestDamagedPacking(t *testing.T) {
	for _, how := range []string{".gz", ".zst"} {
		o := newOffice(t, Options{})
		whole := pack(t, how, letters(20_000))
		res := o.run(o.put("a.mbox"+how, whole[:len(whole)/2]))
		got, _ := o.remarks(res.Report)
		if len(got) != 1 || got[0].Reason != string(damaged) || res.Counts.Refused != 1 || res.Counts.Captured < 1000 {
			t.Errorf("%s: %+v %+v", how, res.Counts, got)
		}
		if at := len(letters(int(res.Counts.Captured))); len(got) > 0 && got[0].Offset != int64(at) {
			t.Errorf("%s: refused at %d, captured up to %d", how, got[0].Offset, at)
		}
	}
}

// A bomb is given up at the allowance, with a reason; what came before is kept.
func TestBomb(t *testing.T) {
	o := newOffice(t, Options{MaxMessage: 1 << 20})
	var b bytes.Buffer
	z, _ := zstd.NewWriter(&b)
	z.Write([]byte(letters(2) + fromLine + "Subject: bomb\n\n"))
	for zeros := make([]byte, 1<<20); z != nil; {
		for range 4096 {
			z.Write(zeros)
		}
		z.Close()
		z = nil
	}
	res := o.run(o.put("a.mbox.zst", b.String()))
	got, _ := o.remarks(res.Report)
	if res.Counts.Captured != 2 || len(got) != 1 || got[0].Detail != errBomb.Error() {
		t.Errorf("%+v %+v", res.Counts, got)
	}
}

func TestAppenderFails(t *testing.T) {
	o := newOffice(t, Options{InFlight: 8})
	full := errors.New("disk full")
	var n atomic.Int64
	o.reg.before = func(context.Context, *Mail) error {
		if n.Add(1) == 50 {
			return full
		}
		return nil
	}
	p := o.put("a.mbox", letters(200))
	res, err := o.im.Import(context.Background(), o.job(p))
	if !errors.Is(err, full) || res.Finished || res.Counts.Captured > 50 || len(o.reg.concluded) != 0 {
		t.Fatalf("%+v %v", res, err)
	}
	if res = o.run(p); !res.Resumed || res.Counts.Captured != 200 || len(o.reg.kept) != 200 {
		t.Errorf("then %+v, %d kept", res, len(o.reg.kept))
	}
}

func TestReportPath(t *testing.T) {
	o := newOffice(t, Options{})
	p := o.put("in/a.mbox", letters(1))
	taken := o.put("taken", "something else\n")
	for name, report := range map[string]string{"none": "", "taken": taken, "within": filepath.Join(o.dir, "in"), "no folder": filepath.Join(o.dir, "no/where")} {
		j := o.job(filepath.Dir(p))
		j.Report = report
		if _, err := o.im.Import(context.Background(), j); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if b, _ := os.ReadFile(taken); string(b) != "something else\n" || len(o.reg.kept) != 0 {
		t.Error("the other file was touched, or mail captured")
	}
}

// The same files are imported for one person after the other, with a report each.
func TestReportOfEachAccount(t *testing.T) {
	o := newOffice(t, Options{})
	j := o.job(o.put("a.mbox", letters(2)))
	j.Report = t.TempDir()
	reports := map[string]bool{}
	for _, account := range []int64{7, 8} {
		j.Account = account
		res, err := o.im.Import(context.Background(), j)
		if err != nil || res.Counts.Captured != 2 {
			t.Fatalf("into account %d: %+v, %v", account, res, err)
		}
		reports[res.Report] = true
	}
	if len(reports) != 2 {
		t.Errorf("the reports: %v", reports)
	}
}

func TestLongName(t *testing.T) {
	o := newOffice(t, Options{})
	o.run(o.put(strings.Repeat("س", 127), letters(1)))
}

func TestNothingToImport(t *testing.T) {
	o := newOffice(t, Options{})
	for _, p := range []string{o.put("a.pst", "!BDN\x00\x01"), o.put("b.txt", "hello\n"), o.put("c.mbox", "")} {
		if _, err := o.im.Import(context.Background(), o.job(p)); !errors.Is(err, ErrNoMail) {
			t.Errorf("%s: %v", p, err)
		}
	}
	if _, err := o.im.Import(context.Background(), o.job(filepath.Join(o.dir, "absent"))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
	if len(o.reg.concluded) != 0 {
		t.Error("an entry was made for nothing")
	}
}

func TestProgress(t *testing.T) {
	var last Progress
	o := newOffice(t, Options{Progress: func(p Progress) {
		if p.Phase == last.Phase && p.Done < last.Done || p.Total > 0 && p.Done > p.Total {
			t.Errorf("%+v after %+v", p, last)
		}
		last = p
	}})
	p := o.put("a.mbox.gz", pack(t, ".gz", letters(2000)))
	o.run(p)
	info, _ := os.Stat(p)
	if last.Phase != Reading || last.Done != info.Size() || last.Total != info.Size() || last.Counts.Captured != 2000 || last.Source != "a.mbox.gz" {
		t.Errorf("at the end %+v", last)
	}
}

// At no time are more bytes being appended than allowed, nor more messages.
func TestInFlight(t *testing.T) {
	o := newOffice(t, Options{InFlight: 20, MaxBytes: int64(10 * len(sealed(100)))})
	var n, most atomic.Int64
	full := make(chan struct{}) // Closed when there are as many as there may be.
	var once sync.Once
	o.reg.before = func(context.Context, *Mail) error {
		now := n.Add(1)
		for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
		}
		if now == 10 {
			once.Do(func() { close(full) })
		}
		select {
		case <-full:
		case <-time.After(30 * time.Second):
		}
		time.Sleep(time.Millisecond)
		n.Add(-1)
		return nil
	}
	o.run(o.put("a.mbox", letters(300)))
	if m := most.Load(); m != 10 {
		t.Errorf("%d at once", m)
	}
}

func TestToldVariant(t *testing.T) {
	o := newOffice(t, Options{Variant: mbox.O})
	o.run(o.put("a.mbox", fromLine+"Subject: x\n\n>From a\n>>From b\n"))
	if got := o.reg.messages()[0]; got != "Subject: x\r\n\r\nFrom a\r\n>>From b\r\n" {
		t.Errorf("%q", got)
	}
}
