package web

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"sijill/internal/message"
	"sijill/internal/web/webtest"
)

// long is a mailbox of half a million messages that are made up when asked for.
type long struct{ Mailbox }

const longTotal = 500_000

func (long) row(at int64) Line {
	return Line{Row: longTotal - at, Entry: longTotal - 1 - at, Folder: 1, Date: now.Add(-time.Duration(at) * 37 * time.Minute), Seen: at%3 != 0,
		From: message.Address{Name: "هدى الكعبي"}, Subject: fmt.Sprintf("Row %d", at), Snippet: "تم تسليم المجلد بحالة جيدة وأعيد إلى مكانه"}
}

func (l long) List(_ context.Context, _ *Viewer, _, offset, n int64) (rows []Line, err error) {
	for at := offset; at < min(offset+n, longTotal); at++ {
		rows = append(rows, l.row(at))
	}
	return rows, nil
}

func (long) Folders(context.Context, *Viewer) ([]Folder, error) {
	return []Folder{{ID: 1, Role: roleInbox, Total: longTotal, Unseen: longTotal / 3}}, nil
}

// anyone is let in.
type anyone struct{ Access }

func (anyone) SignIn(context.Context, string, string, string, Caller) (*Viewer, error) {
	return &Viewer{Account: 1, Address: records, Token: "token", Office: true}, nil
}
func (a anyone) Resume(ctx context.Context, _ string) (*Viewer, error) {
	return a.SignIn(ctx, "", "", "", Caller{})
}
func (anyone) SignOut(context.Context, string) error { return nil }

type noFinder struct{ Finder }
type noRecords struct{ Records }

// TestLongList drags the scroller of half a million rows about: wherever it is
// put, the rows of that place are shown, soon.
func TestLongList(t *testing.T) {
	t.Parallel()
	h, err := New(Config{Access: anyone{}, Mailbox: long{}, Search: noFinder{}, Records: noRecords{}, Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return now }, Location: time.UTC})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	defer server.Close()
	b := webtest.Open(t, server.URL)
	b.Device(1280, 800, false)
	b.Enter(records, password, "ar")
	b.Until(`document.querySelector("#scroll").classList.contains("scroll-live")`)

	// inSight tells which rows can be seen, by their offset.
	const inSight = `(() => { const s = document.querySelector("#scroll").getBoundingClientRect();
		return [...document.querySelectorAll("#rows li")].filter(li => { const r = li.getBoundingClientRect(); return r.bottom > s.top && r.top < s.bottom; }).map(li => +li.dataset.at); })()`
	took := webtest.Ask[[]float64](b, `(async () => {
		const s = document.querySelector("#scroll"), took = [];
		const wait = () => new Promise(done => requestAnimationFrame(done));
		let seed = 1;
		for (let i = 0; i < 60; i++) {
			seed = seed * 16807 % 2147483647;
			const part = seed / 2147483647, start = performance.now();
			s.scrollTop = part * (s.scrollHeight - s.clientHeight);
			const want = part * 500000;
			for (;;) {
				await wait();
				const rows = `+inSight+`;
				if (rows.length >= 7 && rows.every((at, n) => n === 0 || at === rows[n-1] + 1) && Math.abs(rows[0] - want) < 40) break;
				if (performance.now() - start > 5000) throw new Error("row " + want + " never came; in sight: " + rows);
			}
			took.push(performance.now() - start);
		}
		return took;
	})()`)
	var sum, worst float64
	for _, ms := range took {
		sum, worst = sum+ms, max(worst, ms)
	}
	t.Logf("%d jumps in 500,000 rows: mean %.0f ms, worst %.0f ms", len(took), sum/float64(len(took)), worst)
	if n := webtest.Ask[int](b, `document.querySelectorAll("#rows li").length`); n > 100 {
		t.Errorf("%d rows in the page", n)
	}

	// Both ends can be reached, and small steps go row by row.
	b.Press(kb.End)
	b.Until(`(` + inSight + `).at(-1) === 499999 && document.activeElement.closest("li").dataset.at === "499999"`)
	b.Press("k")
	b.Until(`document.activeElement.closest("li").dataset.at === "499998"`)
	webtest.Ask[bool](b, `(document.querySelector("#scroll").scrollTop -= 300, true)`)
	b.Until(`(() => { const at = (` + inSight + `).at(-1); return at < 499999 && at > 499990; })()`)
	webtest.Ask[bool](b, `(document.querySelector("#scroll").scrollTop = 1e9, true)`)
	b.Until(`(` + inSight + `).at(-1) === 499999`)
	b.Press(kb.Home)
	b.Until(`(` + inSight + `)[0] === 0`)

	// A page that begins in the middle shows the middle.
	b.Do(chromedp.Navigate(server.URL + "/f/1?page=" + "٥٠٠٠"))
	b.Until(`(` + inSight + `).includes(249950)`)
	b.Quiet()
}
