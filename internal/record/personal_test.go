package record_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/record"
	"sijill/internal/record/recordtest"
	"sijill/internal/vault"
)

func personal(i int, holder int64) record.Draft {
	d := captured(i, holder)
	d.Class = sijill.Personal
	d.Fields = sijill.CapturedFields{Door: "smtp", Class: sijill.Personal}
	return d
}

// wants opens an entry with a ring and wants letter i, or that it is closed when
// i is negative.
func wants(t *testing.T, r *record.Register, ring *vault.Ring, entry int64, i int) {
	t.Helper()
	it, err := r.ItemFor(t.Context(), entry, ring)
	if err != nil {
		t.Fatal(err)
	}
	c, err := it.Content()
	if i < 0 {
		if !errors.Is(err, fs.ErrNotExist) || c != nil {
			t.Fatalf("entry %d opens: %v", entry, err)
		}
		return
	}
	if err != nil || !bytes.Equal(c.Message, letter(i)) {
		t.Fatalf("entry %d is not letter %d: %v", entry, i, err)
	}
}

func TestPersonalMail(t *testing.T) {
	h := recordtest.New(t, recordtest.Options{})
	if _, err := h.Register.Append(t.Context(), personal(0, 1)); !errors.Is(err, vault.ErrNoRoots) {
		t.Fatalf("without roots: %v", err)
	}
	ring, admin := h.Owner(t, 1), h.Owner(t, 2)
	mustAppend(t, h.Register, personal(0, 1))
	wants(t, h.Register, nil, 0, -1) // At once: the newest mail is remembered, personal mail is not.
	wants(t, h.Register, ring, 0, 0)
	if _, err := h.Register.ItemFor(t.Context(), 0, admin); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("another's ring: %v", err)
	}
	it, err := h.Register.Item(t.Context(), 0)
	if err != nil || it.Class != sijill.Personal {
		t.Fatalf("class %q: %v", it.Class, err)
	}
	mustAppend(t, h.Register, captured(1, 1, 2))
	if it, err := h.Register.Item(t.Context(), 1); err != nil || it.Class != sijill.Office {
		t.Fatalf("class %q: %v", it.Class, err)
	}
	wants(t, h.Register, admin, 1, 1) // Office mail opens for whoever holds it.
	if n, err := h.Vault.Rewrap(t.Context(), ring); err != nil || n != 1 {
		t.Fatalf("%d rewrapped: %v", n, err)
	}
	wants(t, h.Register, nil, 0, -1)
	wants(t, h.Register, ring, 0, 0)
	items, err := h.Register.ItemsFor(t.Context(), []int64{1, 0, 9}, ring)
	if err != nil || len(items) != 2 || items[0].Index != 0 {
		t.Fatalf("%d items: %v", len(items), err)
	}
	if items, err = h.Register.ItemsFor(t.Context(), []int64{0, 1}, admin); err != nil || len(items) != 1 {
		t.Fatalf("%d items of the administrator: %v", len(items), err)
	}
}

// What a draft seals is of its class, also a detail; and the entry says so for
// ever, whatever its fields were.
func TestClassOfDrafts(t *testing.T) {
	h := recordtest.New(t, recordtest.Options{})
	ring := h.Owner(t, 1)
	bare := personal(0, 1)
	bare.Fields = nil
	for i, d := range []record.Draft{bare,
		{Kind: sijill.Outcome, Actor: "outbox", Holders: []int64{1}, Class: sijill.Personal, Detail: map[string]string{"folder": "x"},
			Fields: map[string]any{"sent": 0, "list": []int{1}}},
		{Kind: sijill.Outcome, Actor: "outbox", Holders: []int64{1}, Class: sijill.Personal, Detail: map[string]string{"folder": "x"},
			Fields: sijill.OutcomeFields{Result: "delivered", Class: sijill.Personal}},
	} {
		mustAppend(t, h.Register, d)
		it, err := h.Register.ItemFor(t.Context(), int64(i), ring)
		if err != nil || it.Class != sijill.Personal || !strings.Contains(string(it.Entry.Fields), `"class":"personal"`) {
			t.Fatalf("draft %d: %s %v", i, it.Entry.Fields, err)
		}
		if _, err := it.Content(); err != nil {
			t.Fatal(err)
		}
		wants(t, h.Register, nil, int64(i), -1)
	}
	liar := captured(1, 1)
	liar.Fields = sijill.CapturedFields{Door: "smtp", Class: sijill.Personal}
	other := personal(1, 1)
	other.Fields = map[string]string{"class": "office"}
	two := personal(1, 1)
	two.Holders = []int64{1, 2}
	for name, d := range map[string]record.Draft{"office that says personal": liar, "personal that says office": other, "two holders": two} {
		if _, err := h.Register.Append(t.Context(), d); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	// Words that only look like a class make nothing personal.
	like := captured(1, 1)
	like.Fields = map[string]any{"said": `"class":"personal"`, "in": map[string]string{"class": "personal"}}
	rc := mustAppend(t, h.Register, like)
	wants(t, h.Register, nil, rc.Entry, 1)
}

func TestAppendAll(t *testing.T) {
	h := recordtest.New(t, recordtest.Options{})
	ring := h.Owner(t, 1)
	var with [2]int64
	office, own := captured(0, 1, 2), personal(0, 1)
	office.With = func(_ *db.Tx, entry int64) error { with[0] = entry; return nil }
	own.With = func(_ *db.Tx, entry int64) error { with[1] = entry; return nil }
	mustAppend(t, h.Register, captured(9, 1))
	list, err := h.Register.AppendAll(t.Context(), []record.Draft{office, own})
	if err != nil || list[0].Entry != 1 || list[1].Entry != 2 || with != [2]int64{1, 2} {
		t.Fatalf("%+v, with %v: %v", list, with, err)
	}
	wants(t, h.Register, nil, 1, 0)
	wants(t, h.Register, ring, 2, 0)
	// One that can't be: none is.
	if _, err := h.Register.AppendAll(t.Context(), []record.Draft{captured(1, 1), personal(1, 3)}); !errors.Is(err, vault.ErrNoRoots) {
		t.Fatalf("%v", err)
	}
	refusing := captured(2, 1)
	broken := errors.New("broken")
	refusing.With = func(*db.Tx, int64) error { return broken }
	if _, err := h.Register.AppendAll(t.Context(), []record.Draft{captured(1, 1), refusing}); !errors.Is(err, broken) {
		t.Fatalf("%v", err)
	}
	if _, err := h.Register.AppendAll(t.Context(), nil); err == nil {
		t.Fatal("appended nothing")
	}
	if size, _ := h.Register.Head(); size != 3 {
		t.Fatalf("%d entries, want 3", size)
	}
	// Many at once stay together, each answered with its own.
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for range 10 {
				known := captured(7, 1)
				known.Once = true
				list, err := h.Register.AppendAll(context.Background(), []record.Draft{captured(w, 1), known, personal(w, 1)})
				if err != nil || list[0].Entry+1 != list[2].Entry && list[0].Entry+2 != list[2].Entry || list[1].Already != (list[0].Entry+1 == list[2].Entry) {
					t.Errorf("%+v %v", list, err)
					return
				}
				wants(t, h.Register, ring, list[2].Entry, w)
			}
		})
	}
	wg.Wait()
}

// Mail that was sealed just before its holder made new roots is sealed again.
func TestStaleRoots(t *testing.T) {
	h := recordtest.New(t, recordtest.Options{})
	h.Owner(t, 1)
	var rings []*vault.Ring
	var wg sync.WaitGroup
	entries := make([]int64, 40)
	wg.Go(func() {
		for range 6 {
			r, err := h.Vault.MakeRoots(context.Background(), 1)
			if err != nil {
				t.Error(err)
				return
			}
			rings = append(rings, r)
		}
	})
	for w := range 4 {
		wg.Go(func() {
			for i := w; i < len(entries); i += 4 {
				rc, err := h.Register.Append(context.Background(), personal(i, 1))
				if err != nil {
					t.Error(err)
				}
				entries[i] = rc.Entry
			}
		})
	}
	wg.Wait()
	ring := h.SignIn(t, 1, "recovery")
	for _, r := range rings {
		if err := ring.Join(r); err != nil {
			t.Fatal(err)
		}
	}
	for i, n := range entries {
		wants(t, h.Register, ring, n, i)
	}
}

func TestProofFor(t *testing.T) {
	h := recordtest.New(t, recordtest.Options{})
	ring, other := h.Owner(t, 1), h.Owner(t, 2)
	mustAppend(t, h.Register, personal(0, 1))
	keys, err := sijill.ParseKeys(h.Register.Key())
	if err != nil {
		t.Fatal(err)
	}
	closed, err := h.Register.Proof(t.Context(), 0, true)
	if err != nil || closed.Seed != nil || closed.Envelope != nil {
		t.Fatalf("the server alone proves more than that it is there: %v", err)
	}
	p, err := h.Register.ProofFor(t.Context(), 0, true, ring)
	if err != nil || p.Seed == nil || p.Envelope == nil {
		t.Fatalf("the owner's proof: %v", err)
	}
	if _, err := sijill.Verify(p, letter(0), keys); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Register.ProofFor(t.Context(), 0, true, other); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("another's ring: %v", err)
	}
}

func TestDestroy(t *testing.T) {
	h := recordtest.New(t, recordtest.Options{})
	ring := h.Owner(t, 1)
	h.Owner(t, 2)
	for i := range 4 {
		d := personal(i, 1)
		d.Once = i == 0
		mustAppend(t, h.Register, d)
	}
	mustAppend(t, h.Register, personal(4, 2))
	mustAppend(t, h.Register, captured(5, 1))
	for name, c := range map[string]struct {
		entries []int64
		want    error
	}{
		"office mail":     {[]int64{0, 5}, record.ErrOffice},
		"another's":       {[]int64{0, 4}, fs.ErrNotExist},
		"not there":       {[]int64{0, 77}, fs.ErrNotExist},
		"before any":      {[]int64{-1, 0}, fs.ErrNotExist},
		"nothing at once": {nil, nil},
	} {
		if rc, err := h.Register.Destroy(t.Context(), 1, "web", c.entries); !errors.Is(err, c.want) || err == nil && !rc.Already {
			t.Errorf("%s: %+v %v", name, rc, err)
		}
	}
	wants(t, h.Register, ring, 0, 0)
	rc, err := h.Register.Destroy(t.Context(), 1, "web", []int64{2, 0, 2})
	if err != nil || rc.Entry != 6 || rc.Already {
		t.Fatalf("%+v %v", rc, err)
	}
	it, err := h.Register.Item(t.Context(), 6)
	if err != nil || it.Entry.Kind != sijill.Destroyed || string(it.Entry.Fields) != `{"entries":[0,2]}` || fmt.Sprint(it.Holders) != "[1]" {
		t.Fatalf("%s %v", it.Entry.Fields, err)
	}
	for _, r := range []*vault.Ring{ring, h.SignIn(t, 1, "recovery")} {
		wants(t, h.Register, r, 0, -1)
		wants(t, h.Register, r, 1, 1)
		wants(t, h.Register, r, 2, -1)
	}
	if it, err := h.Register.Item(t.Context(), 0); err != nil || it.Class != sijill.Personal || it.Entry.Message == nil {
		t.Fatalf("the entry of a destroyed message: %v", err)
	}
	if rc, err := h.Register.Destroy(t.Context(), 1, "web", []int64{0, 2}); err != nil || !rc.Already {
		t.Fatalf("again: %+v %v", rc, err)
	}
	again := personal(0, 1) // It may come back: nothing remembers what it said.
	again.Once = true
	if rc := mustAppend(t, h.Register, again); rc.Already {
		t.Fatal("what was destroyed is remembered")
	}
}

// A month that was closed is closed at once, in every process that has it open.
func TestCool(t *testing.T) {
	at := time.Now().UTC()
	at = time.Date(at.Year(), at.Month()-2, 1, 0, 0, 0, 0, time.UTC)
	o := recordtest.Options{Now: func() time.Time { return at }}
	h := recordtest.New(t, o)
	h.Owner(t, 1)
	mustAppend(t, h.Register, captured(0, 1))
	mustAppend(t, h.Register, personal(1, 1))
	b := &recordtest.Home{Dir: h.Dir}
	if err := b.Open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	everyday, deep := h.SignIn(t, 1, "password"), h.SignIn(t, 1, "recovery")
	for _, r := range []*record.Register{h.Register, b.Register} {
		wants(t, r, nil, 0, 0)
		wants(t, r, everyday, 1, 1)
	}
	at = time.Now()
	c, err := h.Register.Cool(t.Context(), "server", time.Now())
	if err != nil || len(c.Closed) != 2 || len(c.Left) != 0 {
		t.Fatalf("%+v %v", c, err)
	}
	for _, r := range []*record.Register{h.Register, b.Register} {
		wants(t, r, nil, 0, -1)
		wants(t, r, everyday, 0, -1)
		wants(t, r, everyday, 1, -1)
		wants(t, r, deep, 0, 0)
		wants(t, r, deep, 1, 1)
	}
	it, err := h.Register.Item(t.Context(), 2)
	if err != nil || it.Entry.Kind != sijill.Key || !strings.Contains(string(it.Entry.Fields), `"closed":2,"did":"cooled"`) {
		t.Fatalf("%s %v", it.Entry.Fields, err)
	}
	if c, err := h.Register.Cool(t.Context(), "server", time.Now()); err != nil || len(c.Closed) != 0 {
		t.Fatalf("%+v %v", c, err)
	}
	if size, _ := h.Register.Head(); size != 3 {
		t.Fatal("cooling nothing was recorded")
	}
}

// Nothing of a personal message stands in any file, with all encryption of pages
// taken away: neither while it arrives nor after its owner has read it.
func TestFilesShowNoPersonalMail(t *testing.T) {
	o := recordtest.Options{VFS: "os"}
	h := recordtest.New(t, o)
	ring := h.Owner(t, 1)
	mustAppend(t, h.Register, personal(3, 1))
	mustAppend(t, h.Register, captured(4, 1))
	wants(t, h.Register, ring, 0, 3)
	secret, found := recordtest.Secret(1, "password"), 0
	err := filepath.WalkDir(h.Dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		for _, s := range [][]byte{[]byte("letter 3"), []byte("The text of"), secret[:], recordtest.Key[:8]} {
			if bytes.Contains(b, s) {
				t.Errorf("%s shows %q", e.Name(), s)
			}
		}
		if bytes.Contains(b, []byte("captured")) {
			found++
		}
		return err
	})
	if err != nil || found == 0 {
		t.Fatalf("the search finds nothing: %v", err)
	}
}
