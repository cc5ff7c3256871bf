package record_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"sijill"
	"sijill/internal/message"
	"sijill/internal/record"
	"sijill/internal/record/recordtest"
)

func letter(i int) []byte {
	return fmt.Appendf(nil, "From: laila@diwan.example\r\nTo: sami@diwan.example\r\nSubject: letter %d\r\n\r\nThe text of letter %d.\r\n", i, i)
}

func captured(i int, holders ...int64) record.Draft {
	return record.Draft{Kind: sijill.Captured, Actor: "smtp", Holders: holders,
		Content: &record.Content{Envelope: message.Envelope{Door: "smtp", Time: time.Unix(1, 0)}, Message: letter(i)}}
}

func mustAppend(t testing.TB, r *record.Register, d record.Draft) record.Receipt {
	t.Helper()
	rc, err := r.Append(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return rc
}

func TestAppendAndOpen(t *testing.T) {
	h := recordtest.New(t, recordtest.Options{})
	for i := range 5 {
		if rc := mustAppend(t, h.Register, captured(i, 1, 2)); rc.Entry != int64(i) {
			t.Fatalf("entry %d, want %d", rc.Entry, i)
		}
	}
	it, err := h.Register.Item(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	c, err := it.Content()
	if err != nil || !bytes.Equal(c.Message, letter(3)) || c.Envelope.Door != "smtp" {
		t.Fatalf("content %v %v", c, err)
	}
	if fmt.Sprint(it.Holders) != "[1 2]" {
		t.Fatalf("holders %v", it.Holders)
	}
	if _, err := h.Register.Item(t.Context(), 5); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("entry beyond the end: %v", err)
	}
}

func TestManyAppendersShareBatches(t *testing.T) {
	h := recordtest.New(t, recordtest.Options{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := map[int64]int{}
	for w := range 20 {
		wg.Go(func() {
			for k := range 25 {
				i := w*25 + k
				rc, err := h.Register.Append(context.Background(), captured(i, 1))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				seen[rc.Entry] = i
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seen) != 500 {
		t.Fatalf("%d entries, want 500", len(seen))
	}
	for entry, i := range seen {
		it, err := h.Register.Item(t.Context(), entry)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := it.Content(); err != nil || !bytes.Equal(c.Message, letter(i)) {
			t.Fatalf("entry %d is not letter %d: %v", entry, i, err)
		}
	}
}

func TestOnce(t *testing.T) {
	h := recordtest.New(t, recordtest.Options{})
	d := captured(1, 1)
	d.Once = true
	first := mustAppend(t, h.Register, d)
	again := mustAppend(t, h.Register, d)
	if first.Already || !again.Already || again.Entry != first.Entry {
		t.Fatalf("first %+v again %+v", first, again)
	}
	other := captured(1, 2)
	other.Once = true
	if rc := mustAppend(t, h.Register, other); rc.Already {
		t.Fatal("another account's copy was taken for the same record")
	}
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			d := captured(7, 1)
			d.Once = true
			if _, err := h.Register.Append(context.Background(), d); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if size, _ := h.Register.Head(); size != 3 {
		t.Fatalf("%d entries, want 3", size)
	}
}

// Two registers on one directory stand for two processes.
func TestTwoProcesses(t *testing.T) {
	a := recordtest.New(t, recordtest.Options{})
	b := &recordtest.Home{Dir: a.Dir}
	if err := b.Open(t.Context(), recordtest.Options{}); err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var wg sync.WaitGroup
	for w, h := range []*recordtest.Home{a, b, a, b} {
		wg.Go(func() {
			for k := range 30 {
				if _, err := h.Register.Append(context.Background(), captured(w*30+k, 1)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := a.Register.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if size, _ := a.Register.Head(); size != 120 {
		t.Fatalf("%d entries, want 120", size)
	}
}

func TestReopen(t *testing.T) {
	h := recordtest.New(t, recordtest.Options{})
	for i := range 300 {
		mustAppend(t, h.Register, captured(i, 1))
		if i%97 == 0 {
			if err := h.Close(); err != nil {
				t.Fatal(err)
			}
			if err := h.Open(t.Context(), recordtest.Options{}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestProof(t *testing.T) {
	h := recordtest.New(t, recordtest.Options{})
	for i := range 9 {
		mustAppend(t, h.Register, captured(i, 1))
	}
	keys, err := sijill.ParseKeys(h.Register.Key())
	if err != nil {
		t.Fatal(err)
	}
	p, err := h.Register.Proof(t.Context(), 4, true)
	if err != nil {
		t.Fatal(err)
	}
	file, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if p, err = sijill.ParseProof(file); err != nil {
		t.Fatal(err)
	}
	v, err := sijill.Verify(p, letter(4), keys)
	if err != nil || !v.Whole || v.Index != 4 {
		t.Fatalf("%+v %v", v, err)
	}
	if _, err := sijill.Verify(p, letter(5), keys); !errors.Is(err, sijill.ErrMessageDiffers) {
		t.Fatalf("another letter: %v", err)
	}
	if _, err := h.Register.Proof(t.Context(), 9, false); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("proof of an entry to come: %v", err)
	}
}

func TestDetailIsSealed(t *testing.T) {
	h := recordtest.New(t, recordtest.Options{})
	rc := mustAppend(t, h.Register, record.Draft{Kind: sijill.Imported, Actor: "import", Holders: []int64{1},
		Detail: map[string]string{"sha256": "a digest that only the office may see"},
		Fields: sijill.ImportedFields{Seen: 3, Captured: 2, Already: 1}})
	body, err := h.Register.Body(t.Context(), rc.Entry)
	if err != nil || bytes.Contains(body, []byte("digest")) {
		t.Fatalf("entry %s: %v", body, err)
	}
	p, err := h.Register.Proof(t.Context(), rc.Entry, true)
	if err != nil || !bytes.Contains(p.Envelope, []byte("digest")) {
		t.Fatalf("detail %s: %v", p.Envelope, err)
	}
	it, err := h.Register.Item(t.Context(), rc.Entry)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := it.Content(); err != nil || !bytes.Equal(c.Detail, p.Envelope) {
		t.Fatalf("the detail can't be read again: %v", err)
	}
}

func TestOldCopyIsNoticed(t *testing.T) {
	anchor := filepath.Join(t.TempDir(), "checkpoint")
	o := recordtest.Options{Anchors: []string{anchor}}
	h := recordtest.New(t, o)
	for i := range 5 {
		mustAppend(t, h.Register, captured(i, 1))
	}
	h.Close()
	old := copyDir(t, h.Dir)
	if err := h.Open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, h.Register, captured(5, 1))
	h.Close()

	back := &recordtest.Home{Dir: old}
	if err := back.Open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if _, err := back.Register.Append(t.Context(), captured(6, 1)); !errors.Is(err, record.ErrBehind) {
		t.Fatalf("an old copy appended: %v", err)
	}
	checkRetirement(t, back, o)
	if err := h.Open(t.Context(), recordtest.Options{}); err != nil {
		t.Fatal(err)
	}
}

// checkRetirement retires a register that is behind and goes on with its
// successor.
func checkRetirement(t *testing.T, h *recordtest.Home, o recordtest.Options) {
	t.Helper()
	was := h.Register.Key()
	origin, err := h.Register.Retire(t.Context())
	if err != nil || origin != "diwan.example/register.2" {
		t.Fatalf("%q %v", origin, err)
	}
	h.Close()
	if err := h.Open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if h.Register.Key() == was {
		t.Fatal("the successor signs with the old keys")
	}
	if rc := mustAppend(t, h.Register, captured(7, 1)); rc.Entry != 6 {
		t.Fatalf("entry %d, want 6", rc.Entry)
	}
	it, err := h.Register.Item(t.Context(), 5)
	if err != nil || !bytes.Contains(it.Entry.Fields, []byte(`"claimed":6`)) {
		t.Fatalf("the successor's first entry: %s %v", it.Entry.Fields, err)
	}
	h.MustAudit(t)
}

func copyDir(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestClosedRegisterRefuses(t *testing.T) {
	h := recordtest.New(t, recordtest.Options{})
	r := h.Register
	mustAppend(t, r, captured(0, 1))
	h.Close()
	if _, err := r.Append(t.Context(), captured(1, 1)); err == nil {
		t.Fatal("appended to a closed register")
	}
}
