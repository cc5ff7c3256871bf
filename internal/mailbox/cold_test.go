package mailbox

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"sijill"
	"sijill/internal/db"
)

// notify gives a world notices, which say how many messages are cold.
func (w *world) notify(cold *[]int64) {
	w.SetCooling(Cooling{
		Cold: func(_ context.Context, _, first, last int64) (list []int64, err error) {
			for _, e := range *cold {
				if first <= e && e <= last {
					list = append(list, e)
				}
			}
			return unique(list), nil
		},
		Notice: func(_ context.Context, f Folder, _ time.Time) ([]byte, error) {
			return fmt.Appendf(nil, "Subject: %d are cold\r\n\r\n", f.Cold), nil
		},
	})
}

func (w *world) program(folder int64) []Place {
	w.t.Helper()
	list, err := w.ProgramPlaces(w.t.Context(), 1, folder, 1, math.MaxInt64)
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

// What grows cold leaves what mail programs see; one notice stands for it, with a
// UID of its own, and goes with the last of it. On the web all stays in its place.
func TestCool(t *testing.T) {
	w := newWorld(t)
	w.keep()
	var cold []int64
	w.notify(&cold)
	for n := range 4 {
		w.capture(mail{id: fmt.Sprintf("%d@x", n), subject: "letter"})
	}
	ctx := t.Context()
	if _, err := w.EnsureFolders(ctx, 1, sijill.Office); err != nil {
		t.Fatal(err)
	}
	inbox := w.folder(1, "Inbox")
	since := inbox.ModSeq
	cold = []int64{0, 1}
	if n, err := w.Cool(ctx, 1, cold); err != nil || n != 2 {
		t.Fatal(n, err)
	}
	if n, err := w.Cool(ctx, 1, cold); err != nil || n != 0 {
		t.Fatal("again:", n, err)
	}
	places := w.program(inbox.ID)
	if len(places) != 3 || places[2].Entry != NoticeEntry(inbox.ID) || places[2].UID != inbox.UIDNext || places[2].Flags != FlagSeen {
		t.Fatalf("%+v", places)
	}
	notice := places[2].UID
	if n, err := w.NoticeOf(ctx, 1, NoticeEntry(inbox.ID)); err != nil || !strings.Contains(string(n.Message), "2 are cold") {
		t.Errorf("%+v %v", n, err)
	}
	if _, err := w.NoticeOf(ctx, 2, NoticeEntry(inbox.ID)); err == nil {
		t.Error("another account reads the notice")
	}
	c, err := w.ProgramChanges(ctx, 1, inbox.ID, since)
	if err != nil || fmt.Sprint(c.Gone) != "[1 2]" || len(c.Changed) != 1 || c.Changed[0].UID != notice {
		t.Errorf("what is told: %+v %v", c, err)
	}
	if list, err := w.List(ctx, 1, inbox.ID, 0, 10); err != nil || len(list) != 4 {
		t.Errorf("the web has %d lines, %v", len(list), err)
	}
	if f := w.folder(1, "Inbox"); f.Total != 4 || f.Cold != 2 || f.ColdUnseen != 2 || f.Notice != notice {
		t.Errorf("%+v", f)
	}
	trash := w.folder(1, "Trash")
	if _, err := w.Move(ctx, 1, inbox.ID, []int64{1, 2, notice}, trash.ID); err != nil {
		t.Fatal(err)
	}
	if got := w.program(inbox.ID); len(got) != 2 || len(w.program(trash.ID)) != 1 {
		t.Errorf("after what is cold was moved: %+v %+v", got, w.program(trash.ID))
	}
	if _, err := w.Flag(ctx, 1, trash.ID, []int64{1, 2}, Set, FlagSeen|FlagCold, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Flag(ctx, 1, inbox.ID, []int64{3}, Add, FlagCold, nil); err != nil {
		t.Fatal(err)
	}
	if f := w.folder(1, "Trash"); f.Cold != 2 || f.ColdUnseen != 0 || w.folder(1, "Inbox").Cold != 0 {
		t.Errorf("flags make something cold: %+v", f)
	}
	w.counted()
}

func (w *world) counted() {
	w.t.Helper()
	for _, l := range w.dump() {
		if strings.HasPrefix(l, "miscounted") {
			w.t.Error(l)
		}
	}
}

// A mailbox that is made anew shows mail programs nothing that is cold, from the
// beginning on.
func TestColdAnew(t *testing.T) {
	w := newWorld(t)
	cold := []int64{0, 2}
	w.notify(&cold)
	for range 4 {
		it := w.item(int64(len(w.items)), mail{subject: "letter"})
		it.Entry.Time, it.Entry.Message = time.Now().AddDate(0, -3, 0), &sijill.Message{}
		w.items = append(w.items, it)
	}
	w.write(func(tx *db.Tx) error { return w.Apply(t.Context(), tx, w.items, make([]any, 4)) }) // Nothing opens.
	inbox := w.folder(1, "Inbox")
	if got := w.program(inbox.ID); len(got) != 3 || inbox.Cold != 2 {
		t.Errorf("%+v of %+v", got, inbox)
	}
	w.counted()
}

// For a mail program that follows, what ProgramChanges says adds up to what
// ProgramPlaces says, whatever grows cold and wherever it goes; and no UID that it
// was ever shown means something else later.
func TestProgramsFollow(t *testing.T) {
	w := newWorld(t)
	w.keep()
	var cold []int64
	w.notify(&cold)
	r := rand.New(rand.NewPCG(3, 4))
	w.capture(mail{subject: "first"})
	if _, err := w.EnsureFolders(t.Context(), 1, sijill.Office); err != nil {
		t.Fatal(err)
	}
	inbox, other := w.folder(1, "Inbox"), w.folder(1, "Trash")
	known := map[int64]Place{}
	meant := map[int64]string{}
	cursor := int64(0)
	for step := range 400 {
		uids := []int64{1 + r.Int64N(max(1, w.folder(1, "Inbox").UIDNext)), 1 + r.Int64N(max(1, w.folder(1, "Inbox").UIDNext))}
		var err error
		switch r.IntN(7) {
		case 0, 1:
			w.capture(mail{subject: fmt.Sprint(step)})
		case 2:
			e := r.Int64N(int64(len(w.items)))
			cold = append(cold, e)
			_, err = w.Cool(t.Context(), 1, []int64{e})
		case 3:
			_, err = w.Move(t.Context(), 1, inbox.ID, uids, other.ID)
		case 4:
			_, err = w.Move(t.Context(), 1, other.ID, uids, inbox.ID)
		case 5:
			_, err = w.Flag(t.Context(), 1, inbox.ID, uids, Op(r.IntN(3)), Flags(r.IntN(256)), nil)
		case 6:
			err = w.Expunge(t.Context(), 1, inbox.ID, uids)
		}
		if err != nil {
			t.Fatal(err)
		}
		if r.IntN(3) > 0 {
			continue
		}
		c, err := w.ProgramChanges(t.Context(), 1, inbox.ID, cursor)
		if err != nil {
			t.Fatal(err)
		}
		now := w.program(inbox.ID)
		if c.Whole {
			clear(known)
			c.Changed = now
		}
		for _, uid := range c.Gone {
			delete(known, uid)
		}
		for _, p := range c.Changed {
			known[p.UID] = p
		}
		cursor = c.ModSeq
		if got := slices.SortedFunc(maps.Values(known), func(a, b Place) int { return int(a.UID - b.UID) }); fmt.Sprint(got) != fmt.Sprint(now) {
			t.Fatalf("step %d: the program has\n%v\nand the folder\n%v", step, got, now)
		}
		for _, p := range now {
			what := fmt.Sprint(p.Entry)
			if p.Entry < 0 {
				n, err := w.NoticeOf(t.Context(), 1, p.Entry)
				if err != nil {
					t.Fatal(err)
				}
				what = string(n.Message)
			}
			if meant[p.UID] != "" && meant[p.UID] != what {
				t.Fatalf("step %d: UID %d was %q and is %q", step, p.UID, meant[p.UID], what)
			}
			meant[p.UID] = what
		}
		folders, err := w.ProgramFolders(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range folders {
			if f.ID == inbox.ID && f.Total != int64(len(now)) {
				t.Fatalf("step %d: %d messages are counted of %d", step, f.Total, len(now))
			}
		}
	}
	w.counted()
}
