package junk

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sijill/internal/db"
	"sijill/internal/text"

	"github.com/klauspost/compress/zstd"
)

func open(t testing.TB, o Options) (*Bayes, *db.DB) {
	t.Helper()
	ctx := context.Background()
	d, err := db.OpenSQLite(ctx, filepath.Join(t.TempDir(), "junk.db"), db.Options{Relaxed: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	o.Key = [32]byte{1}
	b, err := Open(ctx, d, o)
	if err != nil {
		t.Fatal(err)
	}
	return b, d
}

func letter(subject string, body ...string) []byte {
	return []byte("From: x@" + subject + ".example\r\nSubject: " + subject + "\r\n\r\n" + strings.Join(body, " ") + "\r\n")
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (b *Bayes) check(t testing.TB, account int64, raw []byte) Result {
	t.Helper()
	r, err := b.Score(context.Background(), &Mail{Account: account, Message: raw})
	must(t, err)
	return r
}

// train teaches an account n messages of each kind.
func (b *Bayes) train(t testing.TB, account int64, n int) {
	t.Helper()
	for i := range n {
		must(t, b.Train(context.Background(), account, letter("prize", "lottery winner casino ربح جائزة", fmt.Sprint("p", i)), true))
		must(t, b.Train(context.Background(), account, letter("treaty", "minutes meeting council اجتماع محضر", fmt.Sprint("q", i)), false))
	}
}

var (
	wanted   = letter("treaty", "minutes of the council")
	unwanted = letter("prize", "a casino winner: جائزة")
)

func TestBayesSpeaksOnceItKnows(t *testing.T) {
	b, _ := open(t, Options{Least: 10})
	b.train(t, 1, 9)
	if r := b.check(t, 1, unwanted); r != (Result{Mark: "untrained"}) {
		t.Errorf("it says %+v of nine messages", r)
	}
	b.train(t, 1, 10) // the nine again do not count twice
	if spam, ham, err := b.Learned(context.Background(), 1); spam != 10 || ham != 10 || err != nil {
		t.Errorf("learned %d and %d, %v", spam, ham, err)
	}
	if r := b.check(t, 1, unwanted); !r.Known || !r.Junk || r.Score < sure || r.Mark != "junk" {
		t.Errorf("junk: %+v", r)
	}
	if r := b.check(t, 1, wanted); !r.Known || r.Junk || r.Score > 0.05 || r.Mark != "ham" {
		t.Errorf("wanted: %+v", r)
	}
	if r := b.check(t, 1, letter("zzz", "words nobody has seen")); !r.Known || r.Junk || math.Abs(r.Score-0.5) > 0.4 {
		t.Errorf("unknown words: %+v", r)
	}
	if r := b.check(t, 2, unwanted); r.Known {
		t.Errorf("another account's filter says %+v", r)
	}
}

// What is moved back counts as moved back, and what is untrained is as if it
// had never been learned.
func TestBayesRetrains(t *testing.T) {
	b, d := open(t, Options{Least: 1})
	ctx := context.Background()
	b.train(t, 1, 3)
	before := dump(t, d)
	must(t, b.Train(ctx, 1, unwanted, true))
	must(t, b.Train(ctx, 1, unwanted, false))
	if spam, ham, _ := b.Learned(ctx, 1); spam != 3 || ham != 4 {
		t.Errorf("learned %d and %d", spam, ham)
	}
	must(t, b.Untrain(ctx, 1, unwanted))
	must(t, b.Untrain(ctx, 1, unwanted))
	must(t, b.Untrain(ctx, 1, []byte("never seen")))
	if after := dump(t, d); after != before {
		t.Errorf("counts were\n%s\nand are\n%s", before, after)
	}
	must(t, b.Forget(ctx, 1))
	if left := dump(t, d); left != "" {
		t.Errorf("left: %s", left)
	}
}

// dump writes all counts of words and messages.
func dump(t testing.TB, d *db.DB) string {
	t.Helper()
	var s strings.Builder
	must(t, d.Read(context.Background(), func(tx *db.Tx) error {
		err := tx.Each("SELECT account, spam, ham FROM junk_account", nil, func(r db.Row) error {
			var a, spam, ham int64
			err := r.Scan(&a, &spam, &ham)
			fmt.Fprintln(&s, "account", a, spam, ham)
			return err
		})
		if err != nil {
			return err
		}
		return tx.Each("SELECT account, word, spam, ham FROM junk_word ORDER BY account, word", nil, func(r db.Row) error {
			var a, w, spam, ham int64
			err := r.Scan(&a, &w, &spam, &ham)
			fmt.Fprintln(&s, a, w, spam, ham)
			return err
		})
	}))
	return s.String()
}

// The tables stay near their bound whatever is learned, and what is learned of
// late outlives the bound.
func TestBayesIsBounded(t *testing.T) {
	b, d := open(t, Options{Least: 5, Words: 300})
	ctx := context.Background()
	for i := range 200 {
		body := ""
		for j := range 30 {
			body += fmt.Sprintf(" rare%dx%d", i, j)
		}
		must(t, b.Train(ctx, 1, letter("prize", "casino winner", body), true))
		must(t, b.Train(ctx, 1, letter("treaty", "council minutes", body), false))
	}
	if n := strings.Count(dump(t, d), "\n"); n > 300+tidyEvery*40 {
		t.Errorf("%d rows are kept", n)
	}
	if r := b.check(t, 1, unwanted); !r.Junk {
		t.Errorf("it has forgotten too much: %+v", r)
	}
	must(t, b.Untrain(ctx, 1, letter("prize", "casino winner", ""))) // never learned
}

// The database tells no words.
func TestBayesKeepsHashes(t *testing.T) {
	b, _ := open(t, Options{})
	other, _ := open(t, Options{})
	other.opt.Key[0] = 2
	w := b.hashes(1, unwanted)
	same := func(list []int64) (n int) {
		for _, a := range w {
			for _, c := range list {
				if a == c {
					n++
				}
			}
		}
		return n
	}
	if same(b.hashes(1, unwanted)) != len(w) || same(b.hashes(2, unwanted)) != 0 || same(other.hashes(1, unwanted)) != 0 {
		t.Error("hashes do not go by account and key")
	}
}

func TestCombine(t *testing.T) {
	total := counts{100, 100}
	many := func(n int, c counts) (list []counts) {
		for range n {
			list = append(list, c)
		}
		return list
	}
	for _, c := range []struct {
		name     string
		known    []counts
		low, top float64
	}{
		{"nothing", nil, 0.5, 0.5}, {"neutral", many(100, counts{50, 50}), 0.5, 0.5}, {"one bad word", many(1, counts{1, 0}), 0.6, 0.9},
		{"bad", many(20, counts{50, 1}), 0.999, 1}, {"good", many(20, counts{1, 50}), 0, 0.001},
		{"both", append(many(20, counts{50, 1}), many(20, counts{1, 50})...), 0.4, 0.6}, {"thousands", many(5000, counts{50, 0}), 0.999, 1},
	} {
		if p := combine(c.known, total); p < c.low || p > c.top || math.IsNaN(p) {
			t.Errorf("%s: %v, want %v to %v", c.name, p, c.low, c.top)
		}
	}
	if got := chance(7.815, 1); math.Abs(got-math.Exp(-7.815/2)) > 1e-12 {
		t.Errorf("chance %v", got)
	}
	if got := chance(18.307, 5); math.Abs(got-0.05) > 0.0001 { // the table's value for 10 degrees
		t.Errorf("chance %v", got)
	}
}

func FuzzWords(f *testing.F) {
	a := text.New()
	f.Add([]byte("Subject: x\r\nContent-Type: text/html\r\n\r\n<a href=\"http://u@1.2.3.4:80/x\">"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got := words(a, raw)
		if len(got) > maxWords {
			t.Errorf("%d words", len(got))
		}
		for w := range got {
			if len(w) > 600 {
				t.Errorf("a word of %d bytes", len(w))
			}
		}
	})
}

// mbox returns the messages of a file of the shared test data.
func mbox(t testing.TB, name string) (list [][]byte) {
	t.Helper()
	dir := os.Getenv("SIJILL_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		t.Skipf("no test data: set SIJILL_DATA to a folder with %s", name)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	must(t, err)
	defer z.Close()
	var m []byte
	r := bufio.NewReader(z)
	for {
		line, err := r.ReadBytes('\n')
		if bytes.HasPrefix(line, []byte("From ")) || err != nil && len(line) == 0 {
			if len(m) > 0 {
				list = append(list, m)
			}
			m = nil
		} else {
			m = append(m, line...)
		}
		if err != nil {
			return list
		}
	}
}

// On real mail of 2002: some of it learned, the odd half of it judged.
func TestBayesOnCorpus(t *testing.T) {
	ham, spam := mbox(t, "spamassassin-ham.mbox.zst"), mbox(t, "spamassassin-spam.mbox.zst")
	for _, c := range []struct {
		name                   string
		ham, spam              int // messages learned
		falsePositives, caught float64
	}{
		{"little", 50, 50, 0.005, 0.3},
		{"half", len(ham) / 2, len(spam) / 2, 0.005, 0.85},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, d := open(t, Options{})
			began := time.Now()
			b.learnSome(t, ham, c.ham, false)
			b.learnSome(t, spam, c.spam, true)
			perTraining := time.Since(began) / time.Duration(c.ham+c.spam)
			before := cpu()
			wrong, hams := b.judgeOdd(t, ham)
			caught, spams := b.judgeOdd(t, spam)
			perMessage := (cpu() - before) / time.Duration(hams+spams)
			t.Logf("learned %d wanted and %d junk (%v each), %d words kept; of %d wanted %d taken for junk (%.2f %%); of %d junk %d caught (%.1f %%); %v of CPU each",
				c.ham, c.spam, perTraining, strings.Count(dump(t, d), "\n"), hams, wrong, 100*float64(wrong)/float64(hams),
				spams, caught, 100*float64(caught)/float64(spams), perMessage)
			if float64(wrong) > c.falsePositives*float64(hams) || float64(caught) < c.caught*float64(spams) {
				t.Errorf("too many are misjudged")
			}
		})
	}
}

// learnSome learns n of the even half of a list, spread over it.
func (b *Bayes) learnSome(t testing.TB, list [][]byte, n int, spam bool) {
	t.Helper()
	for i := range n {
		must(t, b.Train(context.Background(), 1, list[i*(len(list)/2)/n*2], spam))
	}
}

// judgeOdd judges the odd half of a list.
func (b *Bayes) judgeOdd(t testing.TB, list [][]byte) (junk, n int) {
	t.Helper()
	for i := 1; i < len(list); i += 2 {
		n++
		if b.check(t, 1, list[i]).Junk {
			junk++
		}
	}
	return junk, n
}

func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
