package shelf

import (
	"fmt"
	"testing"
	"time"

	"sijill"
	"sijill/internal/mailbox"
	"sijill/internal/vault"
)

// cold closes the months that ended, and has the mailbox know.
func (h *house) cold(t testing.TB) {
	t.Helper()
	ctx := t.Context()
	if c, err := h.Register.Cool(ctx, "keep", time.Now()); err != nil || len(c.Closed) == 0 {
		t.Fatalf("%+v %v", c, err)
	}
	entries, err := h.Vault.ColdOf(ctx, laila, 0, 1<<40)
	if err == nil {
		_, err = h.mail.Cool(ctx, laila, entries)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// With the deep root the shelf has all personal mail and the office mail that is
// cold; with the everyday root it has what is hot, also of what it had before.
func TestCold(t *testing.T) {
	h := build(t)
	h.signOut(t)
	h.Vault.SetClock(func() time.Time { return time.Now().AddDate(0, -3, 0) })
	mine, ours := h.put(t, laila, sijill.Personal, "old letter", "apricots"), h.put(t, laila, sijill.Office, "old budget", "apricots")
	h.Vault.SetClock(time.Now)
	fresh := h.put(t, laila, sijill.Personal, "new letter", "apricots")
	h.put(t, laila, sijill.Office, "new budget", "apricots")
	h.follow(t)
	everyday, deep := h.unlock(t, "password"), h.unlock(t, "recovery")
	low, err := h.shelves.Take(t.Context(), everyday)
	if err != nil {
		t.Fatal(err)
	}
	defer low.Release()
	<-low.Filled()
	if got := find(t, low, laila, "apricots"); fmt.Sprint(got) != fmt.Sprint([]int64{fresh, mine}) {
		t.Fatalf("before: %v", got)
	}
	h.cold(t)
	wait(t, func() bool { return fmt.Sprint(find(t, low, laila, "apricots")) == fmt.Sprint([]int64{fresh}) })
	high, err := h.shelves.TakeFor(t.Context(), deep, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	defer high.Release()
	<-high.Filled()
	if got := find(t, high, laila, "apricots"); len(got) != 3 || high == low {
		t.Errorf("with the deep root: %v", got)
	}
	for _, q := range []string{"in:inbox apricots", "subject:old in:inbox", "in:inbox"} {
		if got := find(t, high, laila, q); len(got) < 2 {
			t.Errorf("%s finds %v", q, got)
		}
	}
	for entry, subject := range map[int64]string{mine: "old letter", ours: "old budget"} {
		row, err := h.mail.View(laila, high.Facts()).Get(t.Context(), entry)
		if err != nil || row.Subject != subject || row.Closed {
			t.Errorf("%s: %+v %v", subject, row, err)
		}
	}
}

// A shelf that was taken for a time is gone when that is over, keys and index,
// even while somebody holds it; who comes then gets another.
func TestTakenForATime(t *testing.T) {
	h := build(t)
	h.put(t, laila, sijill.Personal, "letter", "apricots")
	h.follow(t)
	s, err := h.shelves.TakeFor(t.Context(), h.rings[laila], time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	longer, err := h.shelves.TakeFor(t.Context(), h.rings[laila], 2*time.Hour)
	if err != nil || longer != s {
		t.Fatal("another shelf")
	}
	<-s.Filled()
	s.finish() // As the first hour's timer does, stopped too late.
	if !s.ring.Has(vault.Deep) {
		t.Error("it is over too early")
	}
	h.shelves.mu.Lock()
	s.until = time.Now() // The second is nearly over.
	s.last(time.Millisecond)
	h.shelves.mu.Unlock()
	wait(t, func() bool { return !s.ring.Has(vault.Deep) })
	again := h.take(t, laila)
	defer again.Release()
	if again == s {
		t.Error("the shelf is given again")
	}
	s.Release()
	longer.Release()
	wait(t, func() bool {
		_, err := s.mail.Folders(t.Context(), laila)
		return err != nil
	})
}

// What its owner destroys leaves the shelf.
func TestDestroyedLeaves(t *testing.T) {
	h := build(t)
	h.put(t, laila, sijill.Personal, "letter", "apricots")
	h.follow(t)
	s := h.take(t, laila)
	defer s.Release()
	<-s.Filled()
	folders, err := h.mail.EnsureFolders(t.Context(), laila, sijill.Personal)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range folders {
		if f.Role == mailbox.RoleInbox {
			if err := h.mail.Expunge(t.Context(), laila, f.ID, []int64{1}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if missing, left, err := s.compare(t.Context(), nil); err != nil || len(missing)+len(left) > 0 {
		t.Errorf("%v %v are still on it (%v)", missing, left, err)
	}
}

// signOut makes laila's roots ones that she can come back to.
func (h *house) signOut(t testing.TB) {
	t.Helper()
	for root, holder := range map[vault.Root]string{vault.Everyday: "password", vault.Deep: "recovery"} {
		if err := h.Vault.PutEnvelope(t.Context(), h.rings[laila], root, holder, [32]byte{9}); err != nil {
			t.Fatal(err)
		}
	}
}

func (h *house) unlock(t testing.TB, holder string) *vault.Ring {
	t.Helper()
	r, err := h.Vault.Unlock(t.Context(), laila, holder, [32]byte{9})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}
