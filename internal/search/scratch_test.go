package search

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"sijill/internal/db"
	"sijill/internal/mailbox"
	"sijill/internal/record"
)

func scratchOffice(t *testing.T) *office {
	path := "/tmp/searchbench/mail.db"
	_, err := os.Stat(path)
	os.MkdirAll("/tmp/searchbench", 0o755)
	d, e := db.OpenSQLite(t.Context(), path, db.Options{Key: [32]byte{1}, Relaxed: true})
	if e != nil {
		t.Fatal(e)
	}
	o := &office{tb: t, db: d, items: map[int64]*record.Item{}}
	m := mailbox.New(d)
	o.Search = New(d, m, nil)
	o.clock = func() time.Time { return now }
	for _, p := range []record.Projection{m, o.Search} {
		d.Migrate(t.Context(), p.Name(), p.Migrations())
	}
	if err != nil {
		for _, name := range collections {
			o.index(messages(t, name))
		}
	}
	return o
}

func TestScratch(t *testing.T) {
	o := scratchOffice(t)
	rare, common := o.vocabulary()
	all := kinds(rare, common)
	for _, k := range []string{"rare", "common", "and", "or", "not", "phrase", "from+word", "dates", "dates+word", "has:attachment", "larger", "prefix", "negative"} {
		var a, b, c, e, tot []float64
		for i := range 60 {
			q, err := Parse(all[k](i))
			if err != nil {
				t.Fatal(err)
			}
			t0 := cpu()
			p, err := o.plan(context.Background(), 1, q, now, 0)
			if err != nil {
				t.Fatal(err)
			}
			t1 := cpu()
			var list []found
			o.db.Read(context.Background(), func(tx *db.Tx) error { list, _ = p.newest(tx, Options{Limit: 50}); return nil })
			t2 := cpu()
			r := &Result{}
			o.db.Read(context.Background(), func(tx *db.Tx) error { p.count(tx, r, 2000); return nil })
			t3 := cpu()
			o.fill(context.Background(), 1, r, list)
			t4 := cpu()
			o.db.Read(context.Background(), func(tx *db.Tx) error { list, _ = p.best(tx, Options{Limit: 50}); return nil })
			t5 := cpu()
			e = append(e, float64(t5-t4)/1e6)
			a = append(a, float64(t2-t1)/1e6)
			b = append(b, float64(t3-t2)/1e6)
			c = append(c, float64(t4-t3)/1e6)
			tot = append(tot, float64(t4-t0)/1e6)
		}
		for _, l := range [][]float64{a, b, c, e, tot} {
			slices.Sort(l)
		}
		fmt.Printf("%-15s newest %.2f/%.2f count %.2f/%.2f fill %.2f/%.2f all %.2f/%.2f  best %.2f/%.2f\n", k, a[30], a[57], b[30], b[57], c[30], c[57], tot[30], tot[57], e[30], e[57])
	}
}
