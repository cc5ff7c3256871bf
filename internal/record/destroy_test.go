package record_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/record"
	"sijill/internal/record/recordtest"
	"sijill/internal/vault"
)

// newPersonalMachine gives machines with personal letters 0 to 5 of account 1,
// as entries of the same numbers.
func newPersonalMachine(t *testing.T) func(t *testing.T, seed uint64) *recordtest.Machine {
	home := &recordtest.Home{Dir: t.TempDir()}
	if err := errors.Join(home.Create(t.Context(), recordtest.Options{}), home.Open(t.Context(), recordtest.Options{}),
		home.MakeOwner(t.Context(), 1), home.Close()); err != nil {
		t.Fatal(err)
	}
	return func(t *testing.T, seed uint64) *recordtest.Machine {
		m := recordtest.NewMachine(t, seed)
		if err := os.CopyFS(m.Dir, os.DirFS(home.Dir)); err != nil {
			t.Fatal(err)
		}
		_ = os.RemoveAll(filepath.Join(m.Dir, "segments")) // They are on the other disk.
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		var drafts []record.Draft
		for i := range 6 {
			drafts = append(drafts, personal(i, 1))
		}
		if _, err := m.Register.AppendAll(t.Context(), drafts); err != nil {
			t.Fatal(err)
		}
		return m
	}
}

// readable tells whether a letter opens with all that its owner has. It is an
// error that it opens as another, or is damaged.
func readable(t *testing.T, m *recordtest.Machine, ring *vault.Ring, i int) bool {
	t.Helper()
	it, err := m.Register.ItemFor(t.Context(), int64(i), ring)
	if err != nil {
		t.Fatal(err)
	}
	c, err := it.Content()
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if err != nil || !bytes.Equal(c.Message, letter(i)) {
		t.Errorf("letter %d: %v", i, err)
	}
	return err == nil
}

// owed tells whether the log still has to be emptied after a deletion.
func owed(t *testing.T, m *recordtest.Machine) bool {
	t.Helper()
	var n int
	err := m.DB.Read(t.Context(), func(tx *db.Tx) error { return tx.One("SELECT deleted - scrubbed FROM vault_state", nil, &n) })
	if err != nil {
		t.Fatal(err)
	}
	return n != 0
}

// told looks for the entry that says that letters 1 and 4 were destroyed.
func told(t *testing.T, m *recordtest.Machine) bool {
	t.Helper()
	size, _ := m.Register.Head()
	for n := range size {
		it, err := m.Register.Item(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		if it.Entry.Kind == sijill.Destroyed {
			return true
		}
	}
	return false
}

// A fault at every second operation of a destruction: what was acknowledged as destroyed
// opens with nothing any more; what was not is either whole or gone with an
// entry that says so; no other mail is lost; and it can be tried again.
func TestFaultsOfDestroying(t *testing.T) {
	every := 2 // Not three, which is how many ways take turns at pages.
	if testing.Short() {
		every = 11
	}
	recordtest.EachFault(t, every, newPersonalMachine(t), func(t *testing.T, m *recordtest.Machine) {
		ctx := t.Context()
		defer func() { m.Close() }()
		_, office := m.Register.Append(ctx, captured(7, 1))
		_, err := m.Register.Destroy(ctx, 1, "web", []int64{1, 4})
		_, later := m.Register.Append(ctx, captured(8, 1))
		if !m.Armed && errors.Join(office, err, later) != nil {
			t.Fatal(office, err, later)
		}
		o := newOffice(t, m)
		o.heal(ctx)
		checkDestruction(t, m, err)
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		if err := m.Start(ctx); err != nil {
			t.Fatalf("opening again: %v", err)
		}
		checkDestruction(t, m, err)
		if _, err := m.Register.Destroy(ctx, 1, "web", []int64{1, 4}); err != nil {
			t.Errorf("destroying again: %v", err)
		}
		checkDestruction(t, m, nil)
		o.send(ctx, 50)
		o.audit(ctx)
	})
}

func checkDestruction(t *testing.T, m *recordtest.Machine, said error) {
	t.Helper()
	ring := m.SignIn(t, 1, "recovery")
	for _, i := range []int{0, 2, 3, 5} {
		if !readable(t, m, ring, i) {
			t.Errorf("letter %d is lost", i)
		}
	}
	one, four, entry := readable(t, m, ring, 1), readable(t, m, ring, 4), told(t, m)
	switch {
	case said == nil && (one || four || !entry):
		t.Errorf("acknowledged as destroyed; open: %v %v; an entry says so: %v", one, four, entry)
	case one != four || one == entry:
		t.Errorf("neither whole nor destroyed: open: %v %v; an entry says so: %v", one, four, entry)
	case said == nil && owed(t, m):
		t.Error("acknowledged as destroyed while the log may hold the keys")
	}
}

// The process is killed, or the machine stops, the moment a destruction was
// acknowledged: it stays destroyed.
func TestDestroyedStaysDestroyed(t *testing.T) {
	newMachine := newPersonalMachine(t)
	for name, stop := range map[string]func(*recordtest.Machine){
		"crash": (*recordtest.Machine).Crash, "kill": (*recordtest.Machine).Kill,
	} {
		for seed := range uint64(10) {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				m := newMachine(t, seed)
				defer func() { m.Close() }()
				if _, err := m.Register.Destroy(t.Context(), 1, "web", []int64{1, 4}); err != nil {
					t.Fatal(err)
				}
				stop(m)
				newOffice(t, m).heal(t.Context())
				checkDestruction(t, m, nil)
			})
		}
	}
}

// The register's own files, with all encryption of pages taken away, show nothing
// of a key that was destroyed through it.
func TestDestroyLeavesNothingOnDisk(t *testing.T) {
	h := recordtest.New(t, recordtest.Options{VFS: "os"})
	ring := h.Owner(t, 1)
	for i := range 20 {
		mustAppend(t, h.Register, personal(i, 1))
		if i == 10 {
			if _, err := h.Vault.Rewrap(t.Context(), ring); err != nil {
				t.Fatal(err)
			}
		}
	}
	masks := map[int64][]byte{}
	err := h.DB.Read(t.Context(), func(tx *db.Tx) error {
		return tx.Each("SELECT entry, mask FROM personal_mask", nil, func(r db.Row) error {
			var n int64
			var b []byte
			err := r.Scan(&n, &b)
			masks[n] = bytes.Clone(b)
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	for n := range int64(20) {
		if !inFiles(t, h.Dir, masks[n]) {
			t.Fatal("the search finds nothing")
		}
		if n%2 == 1 {
			continue
		}
		if _, err := h.Register.Destroy(context.Background(), 1, "web", []int64{n}); err != nil {
			t.Fatal(err)
		}
		if inFiles(t, h.Dir, masks[n][:16]) || inFiles(t, h.Dir, masks[n][16:]) {
			t.Errorf("half of the key of entry %d is on the disk", n)
		}
	}
}

func inFiles(t *testing.T, dir string, b []byte) (found bool) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		found = found || bytes.Contains(content, b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
