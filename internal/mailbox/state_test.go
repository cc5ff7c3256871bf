package mailbox

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/message"
	"sijill/internal/record"
)

// books stands in for the register: it keeps what it is told.
type books struct {
	db        *db.DB
	mu        sync.Mutex
	drafts    []record.Draft
	destroyed []int64
	fail      error
}

func (b *books) Append(ctx context.Context, d record.Draft) (record.Receipt, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail != nil {
		return record.Receipt{}, b.fail
	}
	b.drafts = append(b.drafts, d)
	return record.Receipt{}, b.db.Write(ctx, func(tx *db.Tx) error { return d.With(tx, int64(len(b.drafts))) })
}

func (b *books) Destroy(_ context.Context, _ int64, _ string, entries []int64) (record.Receipt, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.destroyed = append(b.destroyed, entries...)
	return record.Receipt{}, b.fail
}

// keep gives a world a register.
func (w *world) keep() *books {
	w.t.Helper()
	d, err := db.OpenSQLite(context.Background(), filepath.Join(w.t.TempDir(), "register.db"), db.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { d.Close() })
	if err := MigrateArrivals(context.Background(), d); err != nil {
		w.t.Fatal(err)
	}
	b := &books{db: d}
	w.Attach(d, b)
	return b
}

// arrive notes how the next message is to be placed.
func (w *world) arrive(account int64, a Arrival) {
	w.t.Helper()
	err := w.books.Write(context.Background(), func(tx *db.Tx) error { return Arrive(tx, int64(len(w.items)), account, a) })
	if err != nil {
		w.t.Fatal(err)
	}
}

// as adds an entry of another kind or class and applies it. Personal mail stays
// closed.
func (w *world) as(kind sijill.Kind, class sijill.Class, x mail) *record.Item {
	w.t.Helper()
	index := int64(len(w.items))
	open := w.item(index, x)
	e := &sijill.Entry{Kind: kind, Time: open.Entry.Time, Message: &sijill.Message{}}
	binary.BigEndian.PutUint64(e.Message.ID[:], uint64(index+1)<<32)
	content := open.Content
	if class == sijill.Personal {
		content = nil
	}
	it := record.NewItem(index, e, open.Holders, content)
	it.Class = class
	w.items = append(w.items, it)
	w.apply(w.items[index:])
	return record.NewItem(index, e, open.Holders, open.Content)
}

func (w *world) places(f Folder) []Place {
	w.t.Helper()
	list, err := w.Places(context.Background(), f.Account, f.ID, 0, math.MaxInt64)
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

func uidsOf(list []Place) (uids []int64) {
	for _, p := range list {
		uids = append(uids, p.UID)
	}
	return uids
}

func (w *world) roles(class sijill.Class) map[string]Folder {
	w.t.Helper()
	list, err := w.EnsureFolders(context.Background(), 1, class)
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[string]Folder{}
	for _, f := range list {
		out[f.Role] = f
	}
	return out
}

func (w *world) sound() {
	w.t.Helper()
	for _, line := range w.dump() {
		if len(line) > 10 && line[:10] == "miscounted" {
			w.t.Error(line)
		}
	}
}

func TestStandardFolders(t *testing.T) {
	w := newWorld(t)
	w.capture(mail{env: message.Envelope{Folder: "Sent"}})
	first := w.roles(sijill.Office)
	again := w.roles(sijill.Office)
	if len(first) != 6 || !maps.Equal(first, again) || first[RoleSent].Total != 1 {
		t.Errorf("folders %+v, then %+v", first, again)
	}
	personal := w.roles(sijill.Personal)
	seen := map[int64]bool{}
	for _, f := range slices.Concat(slices.Collect(maps.Values(first)), slices.Collect(maps.Values(personal))) {
		if seen[f.UIDValidity] {
			t.Errorf("UIDVALIDITY %d was given twice", f.UIDValidity)
		}
		seen[f.UIDValidity] = true
	}
}

func TestFolderChanges(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	roles := w.roles(sijill.Office)
	made, err := w.CreateFolder(ctx, 1, sijill.Office, "A/B/ج")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]error{"A/B": fs.ErrExist, "inbox": fs.ErrExist, "A//B": ErrName, "": ErrName, "a\nb": ErrName, "/x": ErrName} {
		if _, err := w.CreateFolder(ctx, 1, sijill.Office, name); !errors.Is(err, want) {
			t.Errorf("creating %q: %v, want %v", name, err, want)
		}
	}
	if err := w.RenameFolder(ctx, 1, w.folder(1, "A").ID, "X/Y"); err != nil {
		t.Fatal(err)
	}
	if f := w.folder(1, "X/Y/B/ج"); f.ID != made.ID || f.UIDValidity != made.UIDValidity {
		t.Errorf("renamed: %+v", f)
	}
	w.folder(1, "X")
	for _, c := range []struct{ err, want error }{
		{w.RenameFolder(ctx, 1, w.folder(1, "X").ID, "X/Z"), ErrName},
		{w.RenameFolder(ctx, 1, roles[RoleInbox].ID, "Old"), ErrRole},
		{w.RenameFolder(ctx, 1, made.ID, "Sent"), fs.ErrExist},
		{w.RenameFolder(ctx, 2, made.ID, "Mine"), fs.ErrNotExist},
		{w.DeleteFolder(ctx, 1, w.folder(1, "X").ID), ErrNotEmpty},
		{w.DeleteFolder(ctx, 1, roles[RoleTrash].ID), ErrRole},
		{w.DeleteFolder(ctx, 2, made.ID), fs.ErrNotExist},
		{w.Subscribe(ctx, 2, made.ID, false), fs.ErrNotExist},
		{w.Subscribe(ctx, 1, made.ID, false), nil},
		{w.DeleteFolder(ctx, 1, made.ID), nil},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("got %v, want %v", c.err, c.want)
		}
	}
	again, err := w.CreateFolder(ctx, 1, sijill.Office, "X/Y/B/ج")
	if err != nil || again.ID <= made.ID || again.UIDValidity <= made.UIDValidity {
		t.Errorf("made again: %+v after %+v, %v", again, made, err)
	}
}

func TestFlags(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.capture(mail{}, mail{}, mail{})
	inbox := w.folder(1, "Inbox")
	flag := func(op Op, f Flags, words ...string) []Place {
		t.Helper()
		list, err := w.Flag(ctx, 1, inbox.ID, []int64{1, 2, 99}, op, f, words)
		if err != nil || len(list) != 2 {
			t.Fatal(list, err)
		}
		return list
	}
	flag(Add, FlagSeen|FlagFlagged, "$Forwarded", "Work")
	list := flag(Add, FlagAnswered, "WORK", "later")
	if list[0].Flags != FlagSeen|FlagFlagged|FlagAnswered || !slices.Equal(list[0].Keywords, []string{"$Forwarded", "Work", "later"}) {
		t.Errorf("added: %+v", list[0])
	}
	before := w.folder(1, "Inbox")
	if same := flag(Add, FlagSeen, "LATER"); same[0].ModSeq != list[0].ModSeq || w.folder(1, "Inbox").ModSeq != before.ModSeq {
		t.Error("a change that changes nothing has a new ModSeq")
	}
	if list = flag(Remove, FlagSeen, "work"); list[1].Flags != FlagFlagged|FlagAnswered || slices.Contains(list[1].Keywords, "Work") {
		t.Errorf("removed: %+v", list[1])
	}
	if list = flag(Set, FlagDeleted); list[0].Flags != FlagDeleted || len(list[0].Keywords) != 0 {
		t.Errorf("set: %+v", list[0])
	}
	if f := w.folder(1, "Inbox"); f.Unseen != 3 || f.ModSeq <= before.ModSeq {
		t.Errorf("folder %+v", f)
	}
	if _, err := w.Flag(ctx, 1, inbox.ID, []int64{1}, Add, 0, []string{"two words"}); !errors.Is(err, ErrKeyword) {
		t.Errorf("a keyword with a space: %v", err)
	}
	if _, err := w.Flag(ctx, 2, inbox.ID, []int64{1}, Add, FlagSeen, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("another's folder: %v", err)
	}
	w.sound()
}

func TestCopyMoveExpunge(t *testing.T) {
	w := newWorld(t)
	b := w.keep()
	ctx := t.Context()
	w.capture(mail{id: "a@x"}, mail{id: "b@x"}, mail{id: "c@x"})
	roles := w.roles(sijill.Office)
	inbox, trash := roles[RoleInbox], roles[RoleTrash]
	copies, err := w.Copy(ctx, 1, inbox.ID, []int64{2, 1}, inbox.ID)
	if err != nil || !slices.Equal(copies, []Copied{{1, 4}, {2, 5}}) {
		t.Fatal(copies, err)
	}
	moved, err := w.Move(ctx, 1, inbox.ID, []int64{1, 3, 4}, trash.ID)
	if err != nil || !slices.Equal(moved, []Copied{{1, 1}, {3, 2}, {4, 3}}) {
		t.Fatal(moved, err)
	}
	if err := w.Expunge(ctx, 1, trash.ID, []int64{1, 3, 77}); err != nil {
		t.Fatal(err)
	}
	if len(b.drafts) != 2 || b.drafts[0].Kind != sijill.Moved || b.drafts[1].Kind != sijill.Expunged || len(b.destroyed) != 0 {
		t.Fatalf("entries %+v", b.drafts)
	}
	if got := fmt.Sprintf("%s", b.drafts[0].Detail); got != `{"from":"Inbox","to":"Trash","uids":"1,3:4","entries":"0,2"}` {
		t.Errorf("detail %s", got)
	}
	if _, err := w.Get(ctx, 1, 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an expunged message: %v", err)
	}
	if r := w.get(1, 2); r.Folder != trash.ID {
		t.Errorf("moved: %+v", r)
	}
	w.rebuild(2)
	if _, err := w.Get(ctx, 1, 0); !errors.Is(err, fs.ErrNotExist) || w.folder(1, "Inbox").Total != 2 || w.folder(1, "Trash").Total != 1 {
		t.Errorf("after a rebuild: %v, %+v", err, w.folder(1, "Inbox"))
	}
	if r := w.get(1, 2); r.Subject != "" && r.Folder != trash.ID {
		t.Errorf("after a rebuild: %+v", r)
	}
	if _, err := w.Move(ctx, 1, inbox.ID, []int64{2}, w.roles(sijill.Personal)[RoleInbox].ID); !errors.Is(err, ErrWall) {
		t.Errorf("across the wall: %v", err)
	}
	w.sound()
}

// A register that doesn't answer owes nothing: what happened is told later, once.
func TestNotesAreSettled(t *testing.T) {
	w := newWorld(t)
	b := w.keep()
	ctx := t.Context()
	w.capture(mail{}, mail{})
	roles := w.roles(sijill.Office)
	b.fail = errors.New("full")
	moved, err := w.Move(ctx, 1, roles[RoleInbox].ID, []int64{1}, roles[RoleTrash].ID)
	if !errors.Is(err, b.fail) || len(moved) != 1 {
		t.Fatal(moved, err)
	}
	if err := w.Settle(ctx); !errors.Is(err, b.fail) {
		t.Error(err)
	}
	b.fail = nil
	for range 2 {
		if err := w.Settle(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if len(b.drafts) != 1 || b.drafts[0].Holders[0] != 1 {
		t.Errorf("entries %+v", b.drafts)
	}
}

// Numbers that are given again, since the end of the register was lost, must not
// show one person's message to another, nor lose it.
func TestNumbersGivenAgain(t *testing.T) {
	w := newWorld(t)
	w.as(sijill.Captured, sijill.Office, mail{subject: "kept"})
	w.as(sijill.Captured, sijill.Office, mail{subject: "lost"})
	w.write(func(tx *db.Tx) error { return w.Reset(t.Context(), tx) })
	kept := w.items[0]
	other := newWorld(t)
	other.as(sijill.Captured, sijill.Office, mail{})
	other.as(sijill.Captured, sijill.Office, mail{subject: "another", holders: []int64{2}})
	other.items[1].Entry.Message.ID[0] = 9
	w.items = []*record.Item{kept, other.items[1]}
	w.apply(w.items)
	if _, err := w.Get(t.Context(), 1, 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("account 1 has another's message: %v", err)
	}
	if w.get(2, 1).Subject != "another" || w.get(1, 0).Subject != "kept" || w.folder(1, "Inbox").Total != 1 {
		t.Error("a message is lost")
	}
	w.sound()
}

func TestPlacedAndWatch(t *testing.T) {
	w := newWorld(t)
	changed, stop := w.Watch(1)
	done := make(chan error, 1)
	go func() {
		p, err := w.Placed(context.Background(), 1, 0)
		if err == nil && p.UID != 1 {
			err = fmt.Errorf("UID %d", p.UID)
		}
		done <- err
	}()
	w.capture(mail{}, mail{holders: []int64{2}})
	select {
	case <-changed:
	case <-time.After(30 * time.Second):
		t.Error("nobody was told")
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	stop()
	stop()
	if _, err := w.Placed(t.Context(), 1, 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("another's entry: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := w.Placed(ctx, 1, 9); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an entry that hasn't come: %v", err)
	}
}

func TestTombstonesAreForgotten(t *testing.T) {
	w := newWorld(t)
	w.keep()
	w.capture(mail{}, mail{}, mail{})
	inbox := w.folder(1, "Inbox")
	since := inbox.ModSeq
	if err := w.Expunge(t.Context(), 1, inbox.ID, []int64{2}); err != nil {
		t.Fatal(err)
	}
	c, err := w.Changes(t.Context(), 1, inbox.ID, since)
	if err != nil || c.Whole || !slices.Equal(c.Gone, []int64{2}) || len(c.Changed) != 0 {
		t.Fatal(c, err)
	}
	w.write(func(tx *db.Tx) error {
		_, err := tx.Exec("UPDATE mail_change SET at = at - ?", keepGone+10)
		return err
	})
	if _, err := w.Flag(t.Context(), 1, inbox.ID, []int64{1}, Add, FlagSeen, nil); err != nil {
		t.Fatal(err)
	}
	if c, err = w.Changes(t.Context(), 1, inbox.ID, since); err != nil || !c.Whole || len(c.Gone) != 0 {
		t.Error("what is forgotten is not said to be", c, err)
	}
	latest, err := w.Changes(t.Context(), 1, inbox.ID, c.ModSeq)
	if err != nil || latest.Whole || len(latest.Changed) != 0 {
		t.Error(latest, err)
	}
	if c, err = w.Changes(t.Context(), 1, inbox.ID, c.ModSeq+1); err != nil || !c.Whole {
		t.Error("a ModSeq that never was", c, err)
	}
}

func TestRanges(t *testing.T) {
	for _, list := range [][]int64{nil, {5}, {1, 2, 3, 7, 9, 10}, {0, 1 << 40}} {
		got, err := numbers(ranges(list))
		if err != nil || !slices.Equal(got, list) {
			t.Errorf("%v became %q and %v, %v", list, ranges(list), got, err)
		}
		if list != nil && !slices.Equal(unpackUIDs(packUIDs(list), nil), list) {
			t.Errorf("%v was not unpacked", list)
		}
	}
	for _, bad := range []string{"x", "3:1", "1:99999999999", "1:2:3"} {
		if list, err := numbers(bad); err == nil {
			t.Errorf("%q gave %v", bad, list)
		}
	}
}
