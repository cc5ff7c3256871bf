package intake

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// corpus is the path of a file of real mail, or skips the test.
func corpus(t testing.TB, name string) string {
	dir := os.Getenv("SIJILL_DATA")
	if dir == "" {
		dir = "../../../shared/data"
	}
	p := filepath.Join(dir, name)
	if _, err := os.Stat(p); err != nil {
		t.Skipf("no %s: set SIJILL_DATA to the folder of test mail", name)
	}
	return p
}

// Real mail in mboxrd with LF: the messages are counted right, and putting
// quoting and line ends back gives the file, byte for byte.
func TestCorpora(t *testing.T) {
	for name, want := range map[string]int64{"enron": 19_709, "lists-dkim": 8_777, "phish-nazario": 803, "spamassassin-ham": 2_644, "spamassassin-spam": 1_158} {
		t.Run(name, func(t *testing.T) {
			p := corpus(t, name+".mbox.zst")
			o := newOffice(t, Options{InFlight: 1})
			res := o.run(p)
			if c := res.Counts; c.Seen != want || c.Refused != 0 || c.NotMail != 0 {
				t.Errorf("counts %+v, want %d seen", c, want)
			}
			b, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			z, _ := zstd.NewReader(bytes.NewReader(b))
			raw, err := io.ReadAll(z)
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range o.reg.kept {
				back := string(k.message)
				if k.Envelope.LineEnds == "lf" {
					back = strings.ReplaceAll(back, "\r\n", "\n")
				}
				back = quote(back)
				_, stored, _ := strings.Cut(string(raw[k.Envelope.Offset:min(int64(len(raw)), k.Envelope.Offset+int64(len(back))+1000)]), "\n")
				if !strings.HasPrefix(stored, back) || !strings.HasPrefix(stored[len(back):], "\nFrom ") && len(stored)-len(back) > 1 {
					t.Fatalf("the message at %d is not what the file has", k.Envelope.Offset)
				}
			}
		})
	}
}

// quote does what an mboxrd writer does.
func quote(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		if strings.HasPrefix(strings.TrimLeft(line, ">"), "From ") {
			b.WriteByte('>')
		}
		b.WriteString(line)
	}
	return b.String()
}

// Memory does not grow with the source.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 400 MB")
	}
	o := newOffice(t, Options{})
	o.reg.keep = false
	f, err := os.Create(filepath.Join(o.dir, "a.mbox"))
	if err != nil {
		t.Fatal(err)
	}
	body := []byte(strings.Repeat("A line of a letter, about as long as lines are wont to be.\n", 3000) + "\n")
	for i := range 2300 {
		f.WriteString(fromLine + letter(i))
		f.Write(body)
	}
	f.Close()
	runtime.GC() // what other tests left doesn't count
	stop, most := make(chan struct{}), make(chan uint64)
	go func() {
		peak, m := uint64(0), runtime.MemStats{}
		for {
			select {
			case <-stop:
				most <- peak
				return
			case <-time.After(5 * time.Millisecond):
				runtime.ReadMemStats(&m)
				peak = max(peak, m.HeapInuse+m.StackInuse)
			}
		}
	}()
	start := time.Now()
	res := o.run(f.Name())
	took := time.Since(start)
	close(stop)
	if peak := <-most; peak > 100<<20 {
		t.Errorf("%d MB in use", peak>>20)
	} else {
		t.Logf("%d messages, %d MB in %v, at most %d MB in use", res.Counts.Captured, res.Counts.Bytes>>20, took, peak>>20)
	}
}

// BenchmarkImport is all of an import but appending: digest, unpacking,
// splitting, settling, saving.
func BenchmarkImport(b *testing.B) {
	for _, name := range []string{"enron.mbox.zst", "lists-dkim.mbox.zst"} {
		b.Run(name, func(b *testing.B) {
			p := corpus(b, name)
			for b.Loop() {
				o := newOffice(b, Options{})
				o.reg.keep = false
				res := o.run(p)
				b.SetBytes(res.Counts.Bytes)
			}
		})
	}
}
