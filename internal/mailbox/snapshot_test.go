package mailbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"sijill"
	"sijill/internal/db"
)

// shown is what a snapshot says, in words.
func shown(s *Snapshot) (lines []string) {
	for i := range s.Len() {
		lines = append(lines, fmt.Sprintf("%d %d %d %s", s.UID(i), s.Entry(i), s.Flags(i), strings.Join(s.Keywords(i), " ")))
	}
	return lines
}

// listed is what places say, in the same words.
func listed(list []Place) (lines []string) {
	for _, p := range list {
		lines = append(lines, fmt.Sprintf("%d %d %d %s", p.UID, p.Entry, p.Flags, strings.Join(p.Keywords, " ")))
	}
	return lines
}

// checked compares the snapshot of a folder with what ProgramPlaces reads.
func (w *world) checked(folder int64, when string) *Snapshot {
	w.t.Helper()
	s, err := w.ProgramSnapshot(w.t.Context(), 1, folder)
	if err != nil {
		w.t.Fatal(when, err)
	}
	places := w.program(folder)
	if got, want := shown(s), listed(places); !slices.Equal(got, want) {
		w.t.Fatalf("%s: the snapshot has\n%s\nand the folder\n%s", when, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	var words []string
	for _, p := range places {
		words = append(words, p.Keywords...)
	}
	slices.Sort(words)
	if got := slices.Sorted(slices.Values(s.AllKeywords())); !slices.Equal(got, slices.Compact(words)) {
		w.t.Fatalf("%s: keywords %v, want %v", when, got, words)
	}
	c, err := w.ProgramChanges(w.t.Context(), 1, folder, s.ModSeq)
	if err != nil || c.Whole || len(c.Changed)+len(c.Gone) > 0 {
		w.t.Fatalf("%s: after the snapshot came %+v, %v", when, c, err)
	}
	return s
}

// Whatever happens to a folder, its snapshot says what is in it, whether it was
// brought up to date, read anew, or made by another process that has the same
// database.
func TestSnapshotFollows(t *testing.T) {
	w := newWorld(t)
	w.keep()
	var cold []int64
	w.notify(&cold)
	other := New(w.db) // As another process would be: it hears of nothing.
	other.SetCooling(w.cooling)
	other.Attach(w.books, w.register)
	r := rand.New(rand.NewPCG(7, 9))
	w.capture(mail{subject: "first"})
	if _, err := w.EnsureFolders(t.Context(), 1, sijill.Office); err != nil {
		t.Fatal(err)
	}
	inbox, trash := w.folder(1, "Inbox").ID, w.folder(1, "Trash").ID
	for step := range 600 {
		m := []*Mailbox{w.Mailbox, other}[r.IntN(2)]
		from, to := inbox, trash
		if r.IntN(3) == 0 {
			from, to = to, from
		}
		next := w.folder(1, "Inbox").UIDNext
		uids := []int64{1 + r.Int64N(next), 1 + r.Int64N(next), 1 + r.Int64N(next)}
		var err error
		switch r.IntN(9) {
		case 0, 1:
			w.capture(mail{subject: fmt.Sprint(step)}, mail{subject: fmt.Sprint(step)})
		case 2:
			cold = append(cold, r.Int64N(int64(len(w.items))))
			_, err = m.Cool(t.Context(), 1, cold[len(cold)-1:])
		case 3:
			_, err = m.Move(t.Context(), 1, from, uids, to)
		case 4:
			_, err = m.Copy(t.Context(), 1, from, uids, to)
		case 5, 6:
			_, err = m.Flag(t.Context(), 1, from, uids, Op(r.IntN(3)), Flags(r.IntN(256)), []string{fmt.Sprint("word", r.IntN(4)), "Always"}[:r.IntN(3)])
		case 7:
			err = m.Expunge(t.Context(), 1, from, uids[:1])
		case 8: // Nobody remembers what changed.
			w.write(func(tx *db.Tx) error {
				_, err := tx.Exec("UPDATE mail_folder SET forgotten = mod_seq WHERE id = ?", from)
				return err
			})
		}
		if err != nil {
			t.Fatal(err)
		}
		if r.IntN(2) == 0 {
			w.checked(inbox, fmt.Sprint("step ", step))
			w.checked(trash, fmt.Sprint("step ", step))
		}
	}
	w.counted()
}

// A snapshot is one for all, and another's folder has none.
func TestSnapshotIsShared(t *testing.T) {
	w := newWorld(t)
	w.capture(mail{}, mail{}, mail{})
	inbox := w.folder(1, "Inbox").ID
	first := w.checked(inbox, "at first")
	if again := w.checked(inbox, "again"); again != first {
		t.Error("nothing has changed, and the snapshot is another")
	}
	if _, err := w.ProgramSnapshot(t.Context(), 2, inbox); !errors.Is(err, fs.ErrNotExist) {
		t.Error("another's folder:", err)
	}
	before := shown(first)
	if _, err := w.Flag(t.Context(), 1, inbox, []int64{2}, Add, FlagSeen, []string{"word"}); err != nil {
		t.Fatal(err)
	}
	if w.checked(inbox, "then") == first || !slices.Equal(shown(first), before) {
		t.Error("a snapshot changes")
	}
	made, err := w.CreateFolder(t.Context(), 1, sijill.Office, "Made")
	if err != nil {
		t.Fatal(err)
	}
	w.checked(made.ID, "empty")
	if err := w.DeleteFolder(t.Context(), 1, made.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := w.ProgramSnapshot(t.Context(), 1, made.ID); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a folder that was deleted:", err)
	}
}

// What keywords messages had once doesn't gather without end.
func TestSnapshotForgetsKeywords(t *testing.T) {
	old := NewSnapshot(1, []Place{{UID: 1, Entry: 1}})
	for n := range int64(2 * manySets) {
		if old.worn() {
			return
		}
		old = old.after(&Changes{ModSeq: n, Changed: []Place{{UID: 1, Entry: 1, Keywords: []string{fmt.Sprint(n)}}}})
	}
	t.Errorf("%d sets for one message", len(old.sets))
}

// Snapshots are kept for as many messages as there is room for, the latest used
// first.
func TestSnapshotsAreBounded(t *testing.T) {
	var c snapshots
	for id := range int64(10) {
		c.keep(id+1, c.of(id+1), maxSnapshots/4)
	}
	if len(c.byFolder) != 4 || c.messages != maxSnapshots || c.byFolder[10] == nil {
		t.Errorf("%d are kept, with %d messages", len(c.byFolder), c.messages)
	}
	c.keep(11, c.of(11), 5*maxSnapshots)
	if len(c.byFolder) != 1 || c.messages != 5*maxSnapshots {
		t.Errorf("with a large one, %d are kept, with %d messages", len(c.byFolder), c.messages)
	}
	c.keep(11, &kept{}, 1) // It was forgotten while it was read.
	for _, k := range c.byFolder {
		k.used = k.used.Add(-2 * unused)
	}
	c.sweep()
	if len(c.byFolder) != 0 || c.messages != 0 {
		t.Errorf("%d are kept that nobody uses, with %d messages", len(c.byFolder), c.messages)
	}
}

// Many ask while others change the folder: each gets one that is no older than
// its question.
func TestSnapshotBesideChanges(t *testing.T) {
	w := newWorld(t)
	w.capture(mail{}, mail{}, mail{}, mail{})
	inbox := w.folder(1, "Inbox").ID
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() {
			word := fmt.Sprint("word", n)
			for k := range 40 {
				op := []Op{Add, Remove}[k%2]
				if _, err := w.Flag(context.Background(), 1, inbox, []int64{int64(n + 1)}, op, 0, []string{word}); err != nil {
					t.Error(err)
					return
				}
				s, err := w.ProgramSnapshot(context.Background(), 1, inbox)
				if err != nil || s.Len() != 4 || slices.Contains(s.Keywords(n), word) != (op == Add) {
					t.Errorf("%s at %d: %v %v", word, k, shown(s), err)
					return
				}
			}
		})
	}
	wg.Wait()
	w.checked(inbox, "at the end")
}
