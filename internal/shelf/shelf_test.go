package shelf

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/mailbox"
	"sijill/internal/message"
	"sijill/internal/record"
	"sijill/internal/record/recordtest"
	"sijill/internal/search"
	"sijill/internal/vault"
)

const laila, sami = 1, 2

// house is an office in which Laila and Sami have personal mail.
type house struct {
	*recordtest.Home
	mail     *mailbox.Mailbox
	search   *search.Search
	follower *record.Follower
	rings    map[int64]*vault.Ring
	shelves  *Shelves
}

func build(t testing.TB) *house {
	t.Helper()
	ctx := t.Context()
	h := &house{Home: recordtest.New(t, recordtest.Options{}), rings: map[int64]*vault.Ring{}}
	d, err := db.OpenSQLite(ctx, filepath.Join(t.TempDir(), "mail.db"), db.Options{Key: [32]byte{3}, Relaxed: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	if err := mailbox.MigrateArrivals(ctx, h.DB); err != nil {
		t.Fatal(err)
	}
	h.mail = mailbox.New(d)
	h.mail.Attach(h.DB, h.Register)
	h.search = search.New(d, h.mail, h.Register.Item)
	if h.follower, err = h.Register.Follow(ctx, d, "", h.mail, h.search); err != nil {
		t.Fatal(err)
	}
	for _, a := range []int64{laila, sami} {
		if h.rings[a], err = h.Vault.MakeRoots(ctx, a); err != nil {
			t.Fatal(err)
		}
	}
	h.shelves = New(Options{Register: h.Register, Mail: h.mail, Log: slog.New(slog.DiscardHandler),
		Rewrap: func(ctx context.Context, r *vault.Ring) error {
			_, err := h.Vault.Rewrap(ctx, r)
			return err
		}})
	t.Cleanup(h.shelves.Close)
	return h
}

func (h *house) put(t testing.TB, account int64, class sijill.Class, subject, body string) int64 {
	t.Helper()
	raw := "From: Nora <nora@friends.example>\r\nTo: me@home.example\r\nSubject: " + subject + "\r\n\r\n" + body + "\r\n"
	rc, err := h.Register.Append(t.Context(), record.Draft{Kind: sijill.Captured, Actor: "smtp", Holders: []int64{account}, Class: class,
		Content: &record.Content{Message: []byte(raw), Envelope: message.Envelope{Time: time.Now()}}, Patient: true})
	if err != nil {
		t.Fatal(err)
	}
	return rc.Entry
}

func (h *house) follow(t testing.TB) {
	t.Helper()
	if err := h.follower.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (h *house) take(t testing.TB, account int64) *Shelf {
	t.Helper()
	s, err := h.shelves.Take(t.Context(), h.rings[account])
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func find(t testing.TB, s *Shelf, account int64, q string) []int64 {
	t.Helper()
	found, err := s.Search(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, err := found.Query(t.Context(), account, q, search.Options{Limit: 50, Snippets: true})
	if err != nil {
		t.Fatal(err)
	}
	var list []int64
	for _, hit := range r.Hits {
		list = append(list, hit.Entry)
	}
	return list
}

func TestShelf(t *testing.T) {
	h := build(t)
	letter := h.put(t, laila, sijill.Personal, "=?utf-8?B?2LnYtNin2KE=?=", "نلتقي مساء الخميس. Bring the photographs.")
	h.put(t, sami, sijill.Personal, "secret", "photographs of somebody else")
	h.put(t, laila, sijill.Office, "budget", "office photographs")
	h.follow(t)
	before, err := h.mail.View(laila, nil).Get(t.Context(), letter)
	if err != nil || before.Subject != "" || before.From.Addr != "" {
		t.Fatalf("without the owner: %+v, %v", before, err)
	}
	s := h.take(t, laila)
	defer s.Release()
	<-s.Filled()
	if done, total := s.Progress(); done != 1 || total != 1 {
		t.Errorf("%d of %d are on the shelf", done, total)
	}
	row, err := h.mail.View(laila, s.Facts()).Get(t.Context(), letter)
	if err != nil || row.Subject != "عشاء" || row.From.Addr != "nora@friends.example" {
		t.Errorf("with the owner: %+v, %v", row, err)
	}
	for _, q := range []string{"photographs", "الخميس", "subject:عشاء", "from:nora", "in:inbox photographs"} {
		if got := find(t, s, laila, q); len(got) != 1 || got[0] != letter {
			t.Errorf("%s finds %v", q, got)
		}
	}
	if got := find(t, s, sami, "photographs"); len(got) != 0 {
		t.Errorf("another account finds %v on it", got)
	}
}

// What comes, goes and is marked while the shelf is there shows on it.
func TestFollows(t *testing.T) {
	h := build(t)
	ctx := t.Context()
	first := h.put(t, laila, sijill.Personal, "one", "apricots")
	h.follow(t)
	s := h.take(t, laila)
	defer s.Release()
	<-s.Filled()
	second := h.put(t, laila, sijill.Personal, "two", "apricots")
	h.follow(t)
	wait(t, func() bool { return len(find(t, s, laila, "apricots")) == 2 })
	p, err := h.mail.Placed(ctx, laila, first)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.mail.Flag(ctx, laila, p.Folder, []int64{p.UID}, mailbox.Add, mailbox.FlagSeen, nil); err != nil {
		t.Fatal(err)
	}
	if got := find(t, s, laila, "is:unread apricots"); len(got) != 1 || got[0] != second {
		t.Errorf("unread are %v", got)
	}
	if err := h.mail.Expunge(ctx, laila, p.Folder, []int64{p.UID}); err != nil {
		t.Fatal(err)
	}
	if got := find(t, s, laila, "apricots"); len(got) != 1 || got[0] != second {
		t.Errorf("after one was destroyed there are %v", got)
	}
	if _, err := h.Register.ItemFor(ctx, first, h.rings[laila]); err != nil {
		t.Fatal(err)
	} else if it, _ := h.Register.ItemFor(ctx, first, h.rings[laila]); it != nil {
		if _, err := it.Content(); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a destroyed message opens: %v", err)
		}
	}
}

func wait(t testing.TB, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatal("it never came")
}

func TestGone(t *testing.T) {
	h := build(t)
	h.shelves.o.Grace = 30 * time.Millisecond
	h.put(t, laila, sijill.Personal, "one", "apricots")
	h.follow(t)
	s := h.take(t, laila)
	again := h.take(t, laila)
	if s != again {
		t.Error("one account has two shelves")
	}
	<-s.Filled()
	s.Release()
	h.shelves.Forget(laila)
	time.Sleep(60 * time.Millisecond)
	if len(find(t, again, laila, "apricots")) != 1 {
		t.Error("it went while somebody held it")
	}
	again.Release()
	wait(t, func() bool { return again.ctx.Err() != nil })
	<-again.ended
	wait(t, func() bool {
		_, err := again.search.Query(t.Context(), laila, "apricots", search.Options{})
		return err != nil
	})
	h.shelves.o.Grace = time.Hour
	third := h.take(t, laila)
	third.Release()
	h.shelves.Forget(laila)
	if third.ctx.Err() == nil {
		t.Error("it is still there after the last sign-out")
	}
	h.shelves.Close()
	if _, err := h.shelves.Take(t.Context(), h.rings[laila]); !errors.Is(err, ErrClosed) {
		t.Errorf("taken after the end: %v", err)
	}
}

// BenchmarkFill fills a shelf with 20,000 messages: as they came in, sealed to a
// public key, and once they have been rewrapped.
func BenchmarkFill(b *testing.B) {
	h := build(b)
	body := strings.Repeat("The committee meets on Thursday to discuss the apricot harvest. نجتمع يوم الخميس لمناقشة موسم المشمش.\r\n", 12)
	const n = 20000
	var wg sync.WaitGroup
	for w := range 64 {
		wg.Go(func() {
			for i := w; i < n; i += 64 {
				h.put(b, laila, sijill.Personal, fmt.Sprintf("number %d", i), fmt.Sprintf("%d %s", i*7919, body))
			}
		})
	}
	wg.Wait()
	h.follow(b)
	for _, name := range []string{"fresh", "rewrapped"} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				began := time.Now()
				s := h.take(b, laila)
				wait(b, func() bool { done, _ := s.Progress(); return done > 0 })
				b.ReportMetric(time.Since(began).Seconds()*1000, "ms/newest")
				<-s.Filled()
				b.ReportMetric(time.Since(began).Seconds(), "s/all")
				if name == "fresh" {
					if _, err := h.Vault.Rewrap(b.Context(), h.rings[laila]); err != nil {
						b.Fatal(err)
					}
				}
				s.Release()
				h.shelves.Forget(laila)
			}
		})
	}
}
