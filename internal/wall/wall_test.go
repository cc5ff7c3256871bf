package wall

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sijill"
	"sijill/internal/db"
)

// talk is the office mail that account 1 holds.
type talk []string

func (t talk) Holds(_ context.Context, account int64, class sijill.Class, ids []string) (bool, error) {
	return account == 1 && class == sijill.Office && slices.ContainsFunc(ids, func(id string) bool { return slices.Contains(t, id) }), nil
}

func open(t *testing.T, now *time.Time) (*Wall, *db.DB) {
	t.Helper()
	d, err := db.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "register.db"), db.Options{Key: [32]byte{1}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	w, err := Open(t.Context(), d, Options{
		Contacts: []string{"Ministry.example", "envoy@abroad.example", "وزارة.example", "\"two words\"@quoted.example."}, Conversations: talk{"plan@diwan.example"},
		Now: func() time.Time { return *now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return w, d
}

func TestCheck(t *testing.T) {
	now := time.Now()
	w, _ := open(t, &now)
	many := append([]string{"plan@diwan.example"}, make([]string, 2*maxAnswers)...)
	lost := append([]string{"x@y"}, many...)
	for name, c := range map[string]struct {
		Letter
		want Crossing
	}{
		"office to a contact":       {Letter{1, sijill.Office, []string{"a@ministry.example"}, nil, false}, None},
		"personal to a friend":      {Letter{1, sijill.Personal, []string{"a@friends.example"}, []string{"x@y"}, false}, None},
		"personal to a contact":     {Letter{1, sijill.Personal, []string{"b@f.example", "a@Desk.MINISTRY.example"}, nil, false}, Writes},
		"personal to one address":   {Letter{1, sijill.Personal, []string{"Envoy@abroad.example"}, nil, false}, Writes},
		"a neighbour of that":       {Letter{1, sijill.Personal, []string{"other@abroad.example", "a@notministry.example"}, nil, false}, None},
		"personal answer to office": {Letter{1, sijill.Personal, []string{"b@f.example"}, []string{"x@y", "plan@diwan.example"}, false}, Answers},
		"the same by somebody else": {Letter{2, sijill.Personal, []string{"b@f.example"}, []string{"plan@diwan.example"}, false}, None},
		"with a copy to the office": {Letter{1, sijill.Personal, []string{"a@ministry.example"}, []string{"plan@diwan.example"}, true}, None},
		"what began the thread":     {Letter{1, sijill.Personal, []string{"b@f.example"}, many, false}, Answers},
		"the 40th from the end":     {Letter{1, sijill.Personal, []string{"b@f.example"}, lost[:41], false}, Answers},
		"more than anybody asks":    {Letter{1, sijill.Personal, []string{"b@f.example"}, lost, false}, None},
	} {
		if got, err := w.Check(t.Context(), &c.Letter); got != c.want || err != nil {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
	}
}

func TestContactInAnySpelling(t *testing.T) {
	now := time.Now()
	w, _ := open(t, &now)
	for address, want := range map[string]bool{
		"a@ministry.example":             true,
		"a@ministry.example.":            true,
		"a@ministry.example..":           true,
		"\"a@b\"@ministry.example":       true,
		"\"a@b\"@Desk.Ministry.Example.": true,
		"a@mini\u00adstry.example":       true,
		"a@ministry。example":             true,
		"a@b_d.ministry.example":         true,
		"a@-.وزارة.example":              true,
		"a@وزارة.example":                true,
		"a@xn--mgbexc3i.example":         true,
		"a@XN--MGBEXC3I.Example.":        true,
		"a@desk.xn--mgbexc3i.example":    true,
		"\"envoy\"@abroad.example":       true,
		"\"En\\voy\"@Abroad.Example.":    true,
		"\"Two Words\"@quoted.example":   true,
		"a@xministry.example":            false,
		"a@ministry.example.evil":        false,
		"a@example":                      false,
		"a@.example":                     false,
		"\"a@ministry.example\"@f":       false,
		"a@ministry.example@f.example":   false,
		"envoy":                          false,
		"":                               false,
		"a@" + strings.Repeat(".", 5<<20) + "ministry.example": false,
	} {
		if got := w.Contact(address); got != want {
			t.Errorf("%.60q: %v", address, got)
		}
	}
}

func TestBadContacts(t *testing.T) {
	d, err := db.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "register.db"), db.Options{Key: [32]byte{1}})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, bad := range []string{"", " ", ".", "@ministry.example", "*.ministry.example", "a@", "ministry..example", ".example", "https://ministry.example/", "a b.example", "a@b,c@d.example"} {
		if _, err := Open(t.Context(), d, Options{Contacts: []string{"good.example", bad}}); !errors.Is(err, ErrContact) || !strings.Contains(err.Error(), strconv.Quote(bad)) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestDue(t *testing.T) {
	now := time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)
	w, d := open(t, &now)
	do := func(fn func(tx *db.Tx) error) error { return d.Write(t.Context(), fn) }
	for i, account := range []int64{1, 1, 2, 1} {
		now = now.Add(time.Hour)
		if err := do(func(tx *db.Tx) error { return w.Arrived(tx, int64(10+i), account) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := do(func(tx *db.Tx) error { return w.Filed(tx, 2, 11) }); err != nil {
		t.Fatal(err)
	}
	list, err := w.Due(t.Context(), 1)
	if err != nil || len(list) != 3 || list[0].Entry != 10 || list[0].By.Sub(list[0].Arrived) != 480*time.Hour {
		t.Fatalf("due %+v, %v (another account's filing must not count)", list, err)
	}
	if err := errors.Join(do(func(tx *db.Tx) error { return w.Filed(tx, 1, 11) }), do(func(tx *db.Tx) error { return w.Keep(tx, 1, 13) })); err != nil {
		t.Fatal(err)
	}
	if err := do(func(tx *db.Tx) error { return w.Keep(tx, 1, 11) }); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a filed one was called personal: %v", err)
	}
	now = now.Add(Deadline - 2*time.Hour - time.Minute)
	if c, err := w.Count(t.Context()); c != (Counts{2, 1, 1, 1}) || err != nil {
		t.Errorf("counts %+v, %v", c, err)
	}
}
