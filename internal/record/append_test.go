package record_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"sijill"
	"sijill/internal/record"
	"sijill/internal/record/recordtest"
)

// A draft that can't become an entry is refused alone: those who are sealed at
// the same time are not refused with it.
func TestBadDraftIsRefusedAlone(t *testing.T) {
	h := recordtest.New(t, recordtest.Options{})
	bad := map[string]record.Draft{
		"too long":       {Kind: sijill.Config, Actor: "server", Fields: map[string]string{"x": strings.Repeat("x", sijill.MaxEntry)}},
		"no actor":       {Kind: sijill.Config, Actor: strings.Repeat("a", sijill.MaxEntry)},
		"nobody's":       {Kind: sijill.Captured, Actor: "smtp", Content: captured(0).Content},
		"nobody's, once": {Kind: sijill.Captured, Actor: "smtp", Content: captured(0).Content, Once: true},
		"a stranger's":   captured(0, 100),
	}
	var wg sync.WaitGroup
	for name, d := range bad {
		wg.Go(func() {
			for range 10 {
				if _, err := h.Register.Append(context.Background(), d); err == nil {
					t.Errorf("%s: accepted", name)
				}
			}
		})
	}
	for w := range 4 {
		wg.Go(func() {
			for i := range 25 {
				if _, err := h.Register.Append(context.Background(), captured(w*25+i, 1)); err != nil {
					t.Errorf("a good draft was refused: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if size, _ := h.Register.Head(); size != 100 {
		t.Fatalf("%d entries, want 100", size)
	}
}

// Closing while everybody sends: who got a receipt is in the register, all others
// were refused, and nobody waits for ever.
func TestCloseWhileSending(t *testing.T) {
	h := recordtest.New(t, recordtest.Options{})
	r := h.Register
	var promised atomic.Int64
	var wg sync.WaitGroup
	began := make(chan bool, 1000)
	for w := range 16 {
		wg.Go(func() {
			for i := 0; ; i++ {
				_, err := r.Append(context.Background(), captured(w*1000+i, 1))
				if errors.Is(err, record.ErrClosed) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				promised.Add(1)
				select {
				case began <- true:
				default:
				}
			}
		})
	}
	for range 50 {
		<-began
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if size, _ := r.Head(); size != promised.Load() {
		t.Fatalf("%d entries, %d promised", size, promised.Load())
	}
	h.Close()
	if err := h.Open(t.Context(), recordtest.Options{}); err != nil {
		t.Fatal(err)
	}
}

// A context that ended before the draft was handed over appends nothing.
func TestAppendCancelled(t *testing.T) {
	h := recordtest.New(t, recordtest.Options{})
	mustAppend(t, h.Register, captured(0, 1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for i := range 20 {
		if _, err := h.Register.Append(ctx, captured(i, 1)); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
}

// Two addresses of one account are one holder.
func TestHolderNamedTwice(t *testing.T) {
	h := recordtest.New(t, recordtest.Options{})
	rc := mustAppend(t, h.Register, captured(0, 3, 4, 3))
	it, err := h.Register.Item(t.Context(), rc.Entry)
	if err != nil || len(it.Holders) != 2 || it.Holders[0] != 3 || it.Holders[1] != 4 {
		t.Fatalf("holders %v: %v", it.Holders, err)
	}
}
