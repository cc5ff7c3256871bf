package mailbox

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/message"
	"sijill/internal/record"
)

// corpus reads the messages of an mbox, which must lie in the data directory.
func corpus(b testing.TB, name string) (mails [][]byte, size int64) {
	b.Helper()
	dir := os.Getenv("SIJILL_DATA")
	if dir == "" {
		dir = "../../../shared/data"
	}
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		b.Skipf("no corpus (set SIJILL_DATA): %v", err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		b.Fatal(err)
	}
	defer z.Close()
	raw, err := io.ReadAll(z)
	if err != nil {
		b.Fatal(err)
	}
	for part := range bytes.SplitSeq(append([]byte("\n"), raw...), []byte("\nFrom ")) {
		if _, m, ok := bytes.Cut(part, []byte("\n")); ok {
			mails = append(mails, m)
			size += int64(len(m))
		}
	}
	return mails, size
}

// BenchmarkEnron imports a real mailbox. Besides the times of each message it
// gives what the projection takes on disk, with nothing else in the database.
func BenchmarkEnron(b *testing.B) {
	mails, size := corpus(b, "enron.mbox.zst")
	var prepare, apply time.Duration
	var disk int64
	for b.Loop() {
		w := newWorld(b)
		prepare, apply = 0, 0
		next := int64(0)
		for part := range slices.Chunk(mails, 1000) {
			items, prepared := make([]*record.Item, len(part)), make([]any, len(part))
			for i, raw := range part {
				items[i] = imported(next, raw)
				next++
			}
			start := time.Now()
			for i, it := range items {
				prepared[i], _ = w.Prepare(it)
			}
			prepare += time.Since(start)
			start = time.Now()
			w.write(func(tx *db.Tx) error { return w.Apply(context.Background(), tx, items, prepared) })
			apply += time.Since(start)
		}
		if err := w.db.Truncate(context.Background()); err != nil {
			b.Fatal(err)
		}
		st, err := os.Stat(w.db.Path())
		if err != nil {
			b.Fatal(err)
		}
		disk = st.Size()
	}
	n := float64(len(mails))
	b.ReportMetric(n, "messages")
	b.ReportMetric(float64(prepare.Nanoseconds())/1e3/n, "µs-prepare/msg")
	b.ReportMetric(float64(apply.Nanoseconds())/1e3/n, "µs-apply/msg")
	b.ReportMetric(float64(disk)/n, "B-disk/msg")
	b.ReportMetric(float64(disk)/float64(size), "disk/raw")
}

// imported is an item that has been parsed, since all projections share that.
func imported(index int64, raw []byte) *record.Item {
	c := &record.Content{Envelope: message.Envelope{Door: "import", Folder: "enron", Time: day0, Seen: true}, Message: raw}
	e := &sijill.Entry{Kind: sijill.Captured, Time: day0}
	it := record.NewItem(index, e, []int64{1}, func() (*record.Content, error) { return c, nil })
	_, _ = it.Parsed()
	return it
}

const huge = 500_000

// hugeFolder fills a folder with synthetic rows over twenty years.
func hugeFolder(b *testing.B) *world {
	b.Helper()
	w := newWorld(b)
	r := rand.New(rand.NewPCG(3, 4))
	const part = huge / 4
	for from := int64(0); from < huge; from += part {
		var lines []*line
		for entry := from; entry < from+part; entry++ {
			d := &draft{captured: day0.Unix(), size: 3600, subject: "Synthetic message about nothing", to: "Reader",
				from: message.Address{Name: "Writer", Addr: "writer@diwan.example"}, snippet: "Some words to read before one opens it.",
				sort: day0.AddDate(-20, 0, 0).Add(time.Duration(r.Int64N(20*365*24)) * time.Hour), envelope: make([]byte, 120)}
			lines = append(lines, &line{draft: d, account: 1, entry: entry, row: RowID(d.sort, entry), thread: entry, class: sijill.Office, at: day0})
		}
		w.write(func(tx *db.Tx) error {
			b := &batch{ledger: w.ledger(tx), lines: lines, targets: map[target]*folder{}}
			if err := b.place(); err != nil {
				return err
			}
			if err := b.flush(); err != nil {
				return err
			}
			return w.facts.apply(tx, slices.Clone(lines))
		})
	}
	return w
}

// BenchmarkHugeFolder reads lists of 50 in a folder of 500,000.
func BenchmarkHugeFolder(b *testing.B) {
	w := hugeFolder(b)
	ctx := context.Background()
	inbox := w.folder(1, "Inbox").ID
	list := func(offset int64) func(*testing.B) {
		return func(b *testing.B) {
			for b.Loop() {
				if rows, err := w.List(ctx, 1, inbox, offset, 50); err != nil || len(rows) != 50 {
					b.Fatal(len(rows), err)
				}
			}
		}
	}
	b.Run("first", list(0))
	b.Run("offset=1000", list(1000))
	b.Run("offset=100000", list(100_000))
	b.Run("middle", list(huge/2))
	b.Run("last", list(huge-50))
	b.Run("position-of-last", func(b *testing.B) {
		rows, err := w.List(ctx, 1, inbox, huge-50, 50)
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := w.Position(ctx, 1, inbox, rows[49].ID); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("get", func(b *testing.B) {
		for i := int64(0); b.Loop(); i++ {
			if _, err := w.Get(ctx, 1, i*7919%huge); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("thread", func(b *testing.B) {
		for i := int64(0); b.Loop(); i++ {
			if rows, err := w.Thread(ctx, 1, i*7919%huge); err != nil || len(rows) != 1 {
				b.Fatal(len(rows), err)
			}
		}
	})
	b.Run("rows", func(b *testing.B) {
		rows, err := w.List(ctx, 1, inbox, 77_777, 50)
		if err != nil {
			b.Fatal(err)
		}
		var ids []int64
		for _, r := range rows {
			ids = append(ids, r.ID)
		}
		for b.Loop() {
			if rows, err = w.Rows(ctx, 1, ids); err != nil || len(rows) != 50 {
				b.Fatal(len(rows), err)
			}
		}
	})
	b.Run("seen", func(b *testing.B) {
		for i := int64(0); b.Loop(); i++ {
			if err := w.MarkSeen(ctx, 1, i*7919%huge, true); err != nil {
				b.Fatal(err)
			}
		}
	})
}
