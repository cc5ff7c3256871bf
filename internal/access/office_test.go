package access

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sijill"
	"sijill/internal/blob/files"
	"sijill/internal/db"
	"sijill/internal/people"
	"sijill/internal/people/peopletest"
	"sijill/internal/record"
	"sijill/internal/vault"
)

// office is the whole thing: a real database, vault and register.
type office struct {
	*Access
	t        testing.TB
	db       *db.DB
	vault    *vault.Vault
	register *record.Register
	log      *bytes.Buffer
	clock    time.Time
	secrets  []string // all that was shown to people; never to be found on disk
}

const (
	layla    = "layla@diwan.example"
	home     = "layla@home.example"
	password = "a correct horse"
	origin   = "https://mail.diwan.example"
	agent    = "Mozilla/5.0 (Example)"
)

var from = netip.MustParseAddr("192.0.2.7")

var serverKey = vault.ServerKey{1, 2, 3}

func newOffice(t testing.TB) *office {
	t.Helper()
	o := &office{t: t, log: &bytes.Buffer{}, clock: time.Now()}
	dir := t.TempDir()
	var err error
	o.db, err = db.OpenSQLite(t.Context(), filepath.Join(dir, "register.db"), db.Options{Key: serverKey.Derive("pages")})
	o.must(err)
	o.vault, err = vault.Open(t.Context(), o.db, serverKey)
	o.must(err)
	p := o.people()
	blobs, err := files.Open(filepath.Join(dir, "segments"), files.Options{SegmentSize: 1 << 20})
	o.must(err)
	opts := record.Options{DB: o.db, Blobs: blobs, Vault: o.vault, Accounts: p, Log: slog.New(slog.DiscardHandler)}
	o.must(record.Create(t.Context(), opts, "diwan.example/register"))
	o.register, err = record.Open(t.Context(), opts)
	o.must(err)
	for _, d := range []string{"diwan.example", "home.example"} {
		o.must(p.AddDomain(t.Context(), people.By{}, d))
	}
	o.Access = Open(t.Context(), Options{People: p, Keys: o.vault, Register: o.register, Issuer: "Diwan",
		Log: slog.New(slog.NewTextHandler(o.log, nil))})
	o.now = func() time.Time { return o.clock }
	t.Cleanup(func() {
		o.Close()
		o.must(errors.Join(o.register.Close(), blobs.Close()))
		o.db.Close()
		if o.log.Len() > 0 {
			t.Errorf("the log says:\n%s", o.log)
		}
	})
	return o
}

func (o *office) people() *people.People {
	o.t.Helper()
	p, err := people.Open(o.t.Context(), o.db, people.Options{Key: serverKey.Derive("people"), HashMemory: 64,
		Site: people.Site{ID: "mail.diwan.example", Name: "Diwan", Origins: []string{origin}}})
	o.must(err)
	return p
}

func (o *office) must(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

func wants(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) || want == nil && err != nil {
		t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}

// secret notes what was shown to a person.
func (o *office) secret(s string) string {
	o.t.Helper()
	if s == "" {
		o.t.Fatal("no secret")
	}
	o.secrets = append(o.secrets, s)
	return s
}

// person is one who has chosen a password and signed in: session, recovery code.
func (o *office) person() (*Session, string) {
	o.t.Helper()
	a, err := o.People.Add(o.t.Context(), people.Account{Name: "ليلى حداد", Address: layla, Role: people.RoleOwner}, o.secret(password))
	o.must(err)
	o.must(o.People.AddAddress(o.t.Context(), people.By{}, a.ID, people.Address{Address: home, Class: people.Personal}))
	s := o.in(password)
	code := o.secret(s.Recovery)
	s.Close()
	o.clock = o.clock.Add(DeepFor)
	o.sweep()
	return o.resume(s.Token), code
}

func (o *office) in(password string) *Session {
	o.t.Helper()
	s, err := o.SignIn(o.t.Context(), layla, password, "", from, agent)
	o.must(err)
	o.secret(s.Token)
	return s
}

func (o *office) resume(token string) *Session {
	o.t.Helper()
	s, err := o.Resume(o.t.Context(), token)
	o.must(err)
	o.t.Cleanup(s.Close)
	return s
}

func by(s *Session) people.By { return people.By{Account: s.Account.ID, From: from, Agent: agent} }

// letter seals a personal message for an account and returns its entry.
func (o *office) letter(account int64) int64 {
	o.t.Helper()
	r, err := o.register.Append(o.t.Context(), record.Draft{Kind: sijill.Captured, Actor: "smtp", Holders: []int64{account},
		Class: sijill.Personal, Content: &record.Content{Message: []byte("Subject: dinner\r\n\r\nAt eight.\r\n")}})
	o.must(err)
	return r.Entry
}

// reads tells whether a session opens an entry.
func (o *office) reads(s *Session, entry int64) bool {
	o.t.Helper()
	ring := s.Ring()
	if ring == nil {
		return false
	}
	item, err := o.register.ItemFor(o.t.Context(), entry, ring)
	if errors.Is(err, vault.ErrClosed) || errors.Is(err, os.ErrNotExist) {
		return false
	}
	o.must(err)
	c, err := item.Content()
	if errors.Is(err, vault.ErrClosed) {
		return false
	}
	o.must(err)
	return strings.Contains(string(c.Message), "At eight.")
}

// opens checks what a session reads of entries.
func (o *office) check(what string, s *Session, entry int64, want bool) {
	o.t.Helper()
	if got := o.reads(s, entry); got != want {
		o.t.Errorf("%s: entry %d opens: %v, want %v", what, entry, got, want)
	}
}

// entries counts the entries by kind and what they tell.
func (o *office) entries() map[string]int {
	o.t.Helper()
	counts := map[string]int{}
	size, _ := o.register.Head()
	for n := range size {
		item, err := o.register.ItemFor(o.t.Context(), n, nil)
		o.must(err)
		var f people.Fields
		o.must(item.Entry.DecodeFields(&f))
		if item.Entry.Kind == sijill.Login || item.Entry.Kind == sijill.Key {
			name := fmt.Sprintf("%s %s", item.Entry.Kind, f.What)
			for _, more := range []string{f.Did, f.Door, f.By, f.See} {
				if more != "" {
					name += " " + more
				}
			}
			counts[name]++
		}
	}
	return counts
}

func (o *office) told(want ...string) {
	o.t.Helper()
	got := o.entries()
	for _, w := range want {
		if got[w] == 0 {
			o.t.Errorf("the register doesn't tell %q: it has %v", w, got)
		}
	}
}

// step steps a session up by passkey.
func (o *office) step(s *Session, a *peopletest.Authenticator) error {
	o.t.Helper()
	c, err := o.BeginStepUp(o.t.Context(), s)
	o.must(err)
	return o.FinishStepUp(o.t.Context(), s, c.State, a.Get(o.t, c.Options), by(s))
}

// enrol registers a passkey in a session, with the second ceremony if one comes.
func (o *office) enrol(s *Session, a *peopletest.Authenticator) Passkey {
	o.t.Helper()
	c, err := o.BeginRegister(o.t.Context(), s)
	o.must(err)
	k, next, err := o.FinishRegister(o.t.Context(), s, c.State, a.Create(o.t, c.Options), "phone", by(s))
	o.must(err)
	if next != nil {
		k, err = o.FinishOpening(o.t.Context(), s, next.State, a.Get(o.t, next.Options), by(s))
		o.must(err)
	}
	return k
}

func (o *office) byPasskey(a *peopletest.Authenticator) (*Session, error) {
	o.t.Helper()
	c, err := o.BeginPasskey(o.t.Context())
	o.must(err)
	s, err := o.FinishPasskey(o.t.Context(), c.State, a.Get(o.t, c.Options), from, agent)
	if err == nil {
		o.secret(s.Token)
		o.t.Cleanup(s.Close)
	}
	return s, err
}

// dump is every row of every table, as text.
func (o *office) dump(ctx context.Context) string {
	o.t.Helper()
	var all strings.Builder
	o.must(o.db.Read(ctx, func(tx *db.Tx) error {
		var tables []string
		err := tx.Each("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'", nil, func(r db.Row) error {
			tables = append(tables, "")
			return r.Scan(&tables[len(tables)-1])
		})
		if err != nil {
			return err
		}
		for _, table := range tables {
			if err := dumpTable(tx, &all, table); err != nil {
				return err
			}
		}
		return nil
	}))
	return all.String()
}

func dumpTable(tx *db.Tx, all *strings.Builder, table string) error {
	var columns []string
	err := tx.Each("SELECT name FROM pragma_table_info(?)", []any{table}, func(r db.Row) error {
		columns = append(columns, "")
		return r.Scan(&columns[len(columns)-1])
	})
	if err != nil {
		return err
	}
	return tx.Each("SELECT "+strings.Join(columns, ", ")+" FROM "+table, nil, func(r db.Row) error {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new([]byte)
		}
		err := r.Scan(values...)
		for _, v := range values {
			fmt.Fprintf(all, "%s\n%x\n", *v.(*[]byte), *v.(*[]byte))
		}
		return err
	})
}
