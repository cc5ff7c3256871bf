package mailbox

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"testing"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/record"
)

func TestPersonalMail(t *testing.T) {
	w := newWorld(t)
	b := w.keep()
	ctx := t.Context()
	roles := w.roles(sijill.Personal)
	given := day0.AddDate(-1, 0, 0)
	w.capture(mail{subject: "office"})
	open := w.as(sijill.Captured, sijill.Personal, mail{id: "p@x", subject: "private"})
	w.arrive(1, Arrival{Folder: roles[RoleArchive].ID, Flags: FlagFlagged, Keywords: []string{"Dear"}, Internal: given})
	w.as(sijill.Captured, sijill.Personal, mail{id: "q@x", subject: "old"})
	for _, line := range w.dump() {
		if line[:7] == "message" && line != w.dump()[0] {
			t.Errorf("a fact of personal mail is on disk: %s", line)
		}
	}
	inbox := roles[RoleInbox]
	rows, err := w.List(ctx, 1, inbox.ID, 0, 10)
	if err != nil || len(rows) != 1 || !rows[0].Closed || rows[0].Subject != "" || rows[0].Class != sijill.Personal {
		t.Fatal(rows, err)
	}
	p := w.places(roles[RoleArchive])
	if len(p) != 1 || p[0].Flags != FlagFlagged || p[0].Keywords[0] != "Dear" || p[0].Row != RowID(given, 2) {
		t.Fatalf("placed %+v", p)
	}
	w.checkUnlocked(open, inbox)
	if err := w.Expunge(ctx, 1, inbox.ID, []int64{w.places(inbox)[0].UID}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(b.destroyed, []int64{1}) || len(b.drafts) != 0 {
		t.Errorf("destroyed %v, entries %v", b.destroyed, b.drafts)
	}
	w.rebuild(1)
	if n := len(w.places(inbox)); n != 0 {
		t.Errorf("a destroyed message came back")
	}
	w.sound()
}

// checkUnlocked opens a message into memory and reads it there.
func (w *world) checkUnlocked(open *record.Item, inbox Folder) {
	t, ctx := w.t, context.Background()
	t.Helper()
	d, err := db.OpenMemory(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	m := New(d)
	if err := d.Migrate(ctx, m.Name(), m.Migrations()); err != nil {
		t.Fatal(err)
	}
	held, err := w.Held(ctx, 1, sijill.Personal)
	if err != nil || len(held) != 2 || held[0].Entry != open.Index {
		t.Fatal(held, err)
	}
	draft, err := m.Facts().Prepare(open)
	if err != nil {
		t.Fatal(err)
	}
	err = d.Write(ctx, func(tx *db.Tx) error {
		return m.Facts().Apply(ctx, tx, []Fact{{Entry: open.Index, Account: 1, Row: held[0].Row, Draft: draft}})
	})
	if err != nil {
		t.Fatal(err)
	}
	v := w.View(1, m.Facts())
	rows, err := v.List(ctx, inbox.ID, 0, 10)
	if err != nil || len(rows) != 1 || rows[0].Subject != "private" || rows[0].Closed {
		t.Fatal(rows, err)
	}
	s, err := v.Summaries(ctx, []int64{0, open.Index, 77})
	if err != nil || len(s) != 2 || s[1].MessageID != "<p@x>" || s[0].Subject != "office" {
		t.Fatal(s, err)
	}
	if rows, err = v.Thread(ctx, open.Index); err != nil || len(rows) != 1 {
		t.Error(rows, err)
	}
	if s, err = w.View(2, m.Facts()).Summaries(ctx, []int64{0, open.Index}); err != nil || len(s) != 0 {
		t.Error("another account reads them", s, err)
	}
	for range 2 {
		if err := m.Mirror(ctx, w.Mailbox, 1, sijill.Personal); err != nil {
			t.Fatal(err)
		}
		if got, err := m.Get(ctx, 1, open.Index); err != nil || got.Subject != "private" || got.Folder != inbox.ID {
			t.Error(got, err)
		}
		if _, err := w.Flag(ctx, 1, inbox.ID, uidsOf(w.places(inbox)), Add, FlagSeen, nil); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := m.Get(ctx, 1, open.Index); err != nil || !got.Seen {
		t.Error("the mirror is behind", got, err)
	}
}

func TestSentMail(t *testing.T) {
	for _, class := range []sijill.Class{sijill.Office, sijill.Personal} {
		w := newWorld(t)
		b := w.keep()
		sent := w.roles(class)[RoleSent]
		id := ""
		if class == sijill.Personal {
			id = "s@x"
		}
		if id != "" {
			w.arrive(1, Arrival{MessageID: id, Flags: FlagSeen})
		}
		w.as(sijill.Sent, class, mail{id: "s@x"})
		if p := w.places(sent); len(p) != 1 || p[0].Flags != FlagSeen {
			t.Fatalf("%s: sent mail is placed %+v", class, p)
		}
		w.arrive(1, Arrival{Folder: sent.ID, Flags: FlagSeen, MessageID: id})
		w.as(sijill.Captured, class, mail{id: "s@x"})
		if p := w.places(sent); len(p) != 1 || p[0].Entry != 1 {
			t.Fatalf("%s: Sent has %+v", class, p)
		}
		w.arrive(1, Arrival{Folder: sent.ID, MessageID: id})
		w.as(sijill.Captured, class, mail{id: "s@x"})
		if p := w.places(sent); len(p) != 2 {
			t.Fatalf("%s: a second copy is a message of its own: %+v", class, p)
		}
		if err := w.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		if class == sijill.Office && (len(b.drafts) != 1 || b.drafts[0].Kind != sijill.Expunged) {
			t.Errorf("entries %+v", b.drafts)
		}
		if class == sijill.Personal {
			if err := w.Expunge(t.Context(), 1, sent.ID, uidsOf(w.places(sent))[:1]); err != nil || !slices.Equal(b.destroyed, []int64{0, 1}) {
				t.Errorf("destroyed %v, %v", b.destroyed, err)
			}
		}
		w.sound()
	}
}

func TestDestroyedEntry(t *testing.T) {
	w := newWorld(t)
	w.as(sijill.Captured, sijill.Personal, mail{})
	w.as(sijill.Captured, sijill.Personal, mail{})
	w.capture(mail{})
	e := &sijill.Entry{Kind: sijill.Destroyed, Time: day0, Fields: []byte(`{"entries":[0,2]}`)}
	it := record.NewItem(3, e, []int64{1}, nil)
	w.items = append(w.items, it)
	w.apply(w.items[3:])
	if _, err := w.Get(t.Context(), 1, 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a destroyed message: %v", err)
	}
	w.get(1, 1)
	w.get(1, 2) // Office mail can't be destroyed.
	w.rebuild(1)
	if _, err := w.Get(t.Context(), 1, 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a destroyed message after a rebuild: %v", err)
	}
	w.sound()
}
