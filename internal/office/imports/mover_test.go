package imports_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"sijill"
	"sijill/internal/config"
	"sijill/internal/intake/remote"
	"sijill/internal/office"
	"sijill/internal/office/imports"
	"sijill/internal/people"
	"sijill/internal/vault"
)

// home is an office with one account.
type home struct {
	*office.Office
	account int64
}

func open(t *testing.T) home {
	t.Helper()
	opts := office.Options{Dir: t.TempDir(), Config: config.Default("Office", "town.example"), Key: vault.NewServerKey(), Log: slog.New(slog.DiscardHandler)}
	if err := office.Create(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	o, err := office.Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := o.People.AddDomain(t.Context(), people.By{}, "town.example"); err != nil {
		t.Fatal(err)
	}
	a := people.Account{Name: "Laila", SignIn: "laila", Address: "laila@town.example", Class: sijill.Office, Role: people.RoleAdministrator}
	if a, err = o.People.Add(t.Context(), a, "correct horse battery staple 77"); err != nil {
		t.Fatal(err)
	}
	return home{o, a.ID}
}

// source is the other server.
var source = remote.Source{Address: "mail.elsewhere.example:993", User: "laila"}

func (h home) mover(account int64) *imports.Mover {
	return imports.NewMover(h.Office, account, sijill.Office, source)
}

// following runs fn while the projections follow.
func (h home) following(t *testing.T, fn func(context.Context) error) {
	t.Helper()
	if err := imports.Following(t.Context(), h.Office, fn); err != nil {
		t.Fatal(err)
	}
}

// copyIn is a message as it lies in a folder of the other server: everywhere the same.
func copyIn(folder string) *remote.Mail {
	return &remote.Mail{Folder: remote.Folder{Name: folder, Validity: 1}, UID: 1,
		Message: []byte("From: noura@elsewhere.example\r\nSubject: The bridge\r\nMessage-ID: <1@elsewhere.example>\r\n\r\nIt is open.\r\n")}
}

// places tells in which folders an entry lies.
func (h home) places(t *testing.T, entry int64) map[string]int {
	t.Helper()
	list, err := h.Mailbox.PlacesOf(t.Context(), h.account, entry)
	if err != nil {
		t.Fatal(err)
	}
	folders, err := h.Mailbox.Folders(t.Context(), h.account)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]int{}
	for _, p := range list {
		for _, f := range folders {
			if f.ID == p.Folder {
				names[f.Name]++
			}
		}
	}
	return names
}

// A message of two folders is one entry that lies in both. It may come again.
func TestOneMessageOfTwoFolders(t *testing.T) {
	h := open(t)
	h.following(t, func(ctx context.Context) error {
		m := h.mover(h.account)
		first, err := m.Append(ctx, copyIn("Bridges"))
		if err != nil || first.Already {
			return fmt.Errorf("%+v: %w", first, err)
		}
		for range 2 {
			again, err := m.Append(ctx, copyIn("Roads"))
			if err != nil || !again.Already || again.Entry != first.Entry {
				t.Errorf("from another folder: %+v, %v", again, err)
			}
		}
		if got := h.places(t, first.Entry); len(got) != 2 || got["Bridges"] != 1 || got["Roads"] != 1 {
			t.Errorf("it lies in %v", got)
		}
		return nil
	})
}

// What its owner has taken out here doesn't stop the move when it comes from another
// folder: it is on the register, and stays out.
func TestTakenOutHere(t *testing.T) {
	h := open(t)
	h.following(t, func(ctx context.Context) error {
		m := h.mover(h.account)
		first, err := m.Append(ctx, copyIn("Bridges"))
		if err != nil {
			return err
		}
		p, err := h.Mailbox.Placed(ctx, h.account, first.Entry)
		if err != nil {
			return err
		}
		if err := h.Mailbox.Expunge(ctx, h.account, p.Folder, []int64{p.UID}); err != nil {
			return err
		}
		again, err := m.Append(ctx, copyIn("Roads"))
		if err != nil || !again.Already || again.Entry != first.Entry {
			t.Errorf("it comes from another folder: %+v, %v", again, err)
		}
		if got := h.places(t, first.Entry); len(got) != 0 {
			t.Errorf("it lies in %v again", got)
		}
		return nil
	})
}

// reckoned gives the counts of the last entry.
func (h home) reckoned(t *testing.T) (f sijill.ImportedFields) {
	t.Helper()
	size, _ := h.Register.Head()
	it, err := h.Register.Item(t.Context(), size-1)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(it.Entry.Fields, &f); err != nil || it.Entry.Kind != sijill.Imported {
		t.Fatalf("the last entry is of kind %s: %v", it.Entry.Kind, err)
	}
	return f
}

// A reckoning that could not be sealed is sealed by the next move, and one that was
// is not told twice.
func TestReckoningIsToldOnce(t *testing.T) {
	h := open(t)
	m := h.mover(h.account)
	five := &remote.Result{Counts: remote.Counts{Seen: 5, Captured: 4, Refused: 1}}

	// Nobody can be its holder who isn't there: the entry fails, and nothing else does.
	nobody := h.mover(h.account + 1000)
	if err := nobody.Conclude(t.Context(), source, five); err == nil {
		t.Fatal("the reckoning of nobody was sealed")
	}
	if told, err := h.Register.Progress(t.Context(), nobody.ProgressKey()+" told"); err == nil {
		t.Errorf("nothing was sealed, and %s counts as told", told)
	}

	if err := m.Conclude(t.Context(), source, five); err != nil {
		t.Fatal(err)
	}
	if f := h.reckoned(t); f.Seen != 5 || f.Captured != 4 || f.Refused != 1 {
		t.Errorf("%+v", f)
	}
	size, _ := h.Register.Head()
	if err := h.Register.Save(t.Context(), m.ProgressKey()+"/left", []byte("1")); err != nil {
		t.Fatal(err)
	}
	if err := m.Conclude(t.Context(), source, five); err != nil {
		t.Fatal(err)
	}
	if now, _ := h.Register.Head(); now != size {
		t.Error("what was told is told again")
	}
	if _, err := h.Register.Progress(t.Context(), m.ProgressKey()+"/left"); err == nil {
		t.Error("a mark that was left stays for ever")
	}
	seven := &remote.Result{Counts: remote.Counts{Seen: 7, Captured: 6, Refused: 1}}
	if err := m.Conclude(t.Context(), source, seven); err != nil {
		t.Fatal(err)
	}
	if f := h.reckoned(t); f.Seen != 2 || f.Captured != 2 || f.Refused != 0 {
		t.Errorf("of what came since: %+v", f)
	}
}

// What a move has begun when it is interrupted it finishes: the projections follow
// until then.
func TestInterrupted(t *testing.T) {
	h := open(t)
	m := h.mover(h.account)
	ctx, interrupt := context.WithCancel(t.Context())
	err := imports.Following(ctx, h.Office, func(ctx context.Context) error {
		interrupt()
		<-ctx.Done()
		begun := context.WithoutCancel(ctx)
		if _, err := m.Append(begun, copyIn("Bridges")); err != nil {
			return err
		}
		r, err := m.Append(begun, copyIn("Roads")) // Waits until the first has its place.
		if err != nil || !r.Already {
			t.Errorf("%+v, %v", r, err)
		}
		return ctx.Err()
	})
	if err == nil {
		t.Error("the interruption isn't told")
	}
}
