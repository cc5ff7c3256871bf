package people

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sijill/internal/db"
)

// office is a directory with a clock that stands still, one domain in two
// scripts, and passwords that cost little.
type office struct {
	*People
	t     testing.TB
	clock time.Time
	path  string
}

const secret = "a correct horse"

func newOffice(t *testing.T) *office { return newFuzzOffice(t) }

func newFuzzOffice(t testing.TB) *office {
	t.Helper()
	o := &office{t: t, clock: time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC), path: filepath.Join(t.TempDir(), "office.db")}
	o.open()
	for _, domain := range []string{"diwan.example", "ديوان.example"} {
		o.must(o.AddDomain(t.Context(), By{}, domain))
	}
	return o
}

// open opens the directory again, as another process or after a restart.
func (o *office) open() {
	o.t.Helper()
	o.People = o.another()
}

func (o *office) another() *People {
	o.t.Helper()
	return o.openWith(Options{Key: [32]byte{8}, Site: Site{ID: "mail.diwan.example", Name: "Diwan", Origins: []string{"https://mail.diwan.example"}}})
}

// without opens the directory without options.
func (o *office) without() *People {
	o.t.Helper()
	return o.openWith(Options{})
}

func (o *office) openWith(opts Options) *People {
	o.t.Helper()
	d, err := db.OpenSQLite(o.t.Context(), o.path, db.Options{Key: [32]byte{7}})
	o.must(err)
	o.t.Cleanup(func() { d.Close() })
	p, err := Open(o.t.Context(), d, opts)
	o.must(err)
	p.now = func() time.Time { return o.clock }
	p.cost = cost{memory: 64, passes: 1, lanes: 1}
	return p
}

func (o *office) must(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

func (o *office) add(address string, role Role) Account {
	o.t.Helper()
	a, err := o.Add(o.t.Context(), Account{Name: "ليلى حداد", Address: address, Role: role, Language: "ar"}, secret)
	o.must(err)
	return a
}

func wants(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) || want == nil && err != nil {
		t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}

func TestAddAndFind(t *testing.T) {
	o := newOffice(t)
	a := o.add("Layla.Haddad@Diwan.Example", RoleOwner|RoleRecordsOfficer)
	if a.Address != "layla.haddad@diwan.example" || a.Class != Office || len(a.Pseudonym) != 32 || !a.Created.Equal(o.clock) {
		t.Errorf("added %+v", a)
	}
	b := o.add("omar@diwan.example", 0)
	if a.ID == b.ID || a.Pseudonym == b.Pseudonym {
		t.Errorf("%+v and %+v are one", a, b)
	}
	got, err := o.Get(t.Context(), a.ID)
	o.must(err)
	if got != a {
		t.Errorf("got %+v, want %+v", got, a)
	}
	list, err := o.List(t.Context())
	o.must(err)
	if len(list) != 2 || list[0] != a || list[1] != b {
		t.Errorf("listed %+v", list)
	}
	pseudonym, err := o.Pseudonym(t.Context(), b.ID)
	o.must(err)
	id, err := o.ByPseudonym(t.Context(), pseudonym)
	o.must(err)
	if id != b.ID {
		t.Errorf("pseudonym of %d leads to %d", b.ID, id)
	}
	_, err = o.Get(t.Context(), 99)
	wants(t, "no such id", err, fs.ErrNotExist)
	_, err = o.Pseudonym(t.Context(), 99)
	wants(t, "pseudonym of no such id", err, fs.ErrNotExist)
	_, err = o.ByPseudonym(t.Context(), strings.Repeat("0", 32))
	wants(t, "no such pseudonym", err, fs.ErrNotExist)
}

func TestAddRefuses(t *testing.T) {
	o := newOffice(t)
	o.add("omar@diwan.example", 0)
	good := Account{Name: "Omar", Address: "o@diwan.example"}
	tests := []struct {
		what     string
		change   func(*Account)
		password string
		want     error
	}{
		{"taken", func(a *Account) { a.Address = "OMAR@diwan.example" }, secret, fs.ErrExist},
		{"foreign", func(a *Account) { a.Address = "o@elsewhere.example" }, secret, ErrForeign},
		{"no domain", func(a *Account) { a.Address = "omar" }, secret, ErrInvalid},
		{"no local part", func(a *Account) { a.Address = "@diwan.example" }, secret, ErrInvalid},
		{"long local part", func(a *Account) { a.Address = strings.Repeat("o", 65) + "@diwan.example" }, secret, ErrInvalid},
		{"subaddress", func(a *Account) { a.Address = "o+x@diwan.example" }, secret, ErrInvalid},
		{"two addresses", func(a *Account) { a.Address = "a@b@diwan.example" }, secret, ErrInvalid},
		{"space", func(a *Account) { a.Address = "a b@diwan.example" }, secret, ErrInvalid},
		{"invisible", func(a *Account) { a.Address = "a\u200bb@diwan.example" }, secret, ErrInvalid},
		{"line", func(a *Account) { a.Address = "a\r\nb@diwan.example" }, secret, ErrInvalid},
		{"no name", func(a *Account) { a.Name = "" }, secret, ErrInvalid},
		{"line in name", func(a *Account) { a.Name = "Omar\r\nBcc: x" }, secret, ErrInvalid},
		{"class", func(a *Account) { a.Class = "public" }, secret, ErrInvalid},
		{"role", func(a *Account) { a.Role = 128 }, secret, ErrInvalid},
		{"language", func(a *Account) { a.Language = "../ar" }, secret, ErrInvalid},
		{"short password", func(*Account) {}, "elevenchars", ErrPassword},
		{"short password of wide letters", func(*Account) {}, "كلمةكلمةكلم", ErrPassword},
		{"long password", func(*Account) {}, strings.Repeat("x", 1025), ErrPassword},
		{"control in password", func(*Account) {}, "a correct\x00horse", ErrPassword},
	}
	for _, test := range tests {
		a := good
		test.change(&a)
		_, err := o.Add(t.Context(), a, test.password)
		wants(t, test.what, err, test.want)
		if err != nil && a.Address != "" && strings.Contains(err.Error(), a.Address) || strings.Contains(err.Error(), test.password) {
			t.Errorf("%s: the error tells too much: %v", test.what, err)
		}
	}
	if list, err := o.List(t.Context()); err != nil || len(list) != 1 {
		t.Errorf("%d accounts, %v", len(list), err)
	}
}

func TestLookup(t *testing.T) {
	o := newOffice(t)
	layla := o.add("layla@diwan.example", 0)
	noura := o.add("نورة@ديوان.example", 0)
	composed := o.add("ren\u00e9@diwan.example", 0)
	tests := []struct {
		address string
		account int64
		want    error
	}{
		{"layla@diwan.example", layla.ID, nil},
		{"LAYLA@DIWAN.EXAMPLE", layla.ID, nil},
		{"layla@diwan.example.", layla.ID, nil},
		{"layla@diwan。example", layla.ID, nil},
		{"layla+list@diwan.example", layla.ID, nil},
		{"layla+a+b@diwan.example", layla.ID, nil},
		{"layla+" + strings.Repeat("x", 200) + "@diwan.example", layla.ID, nil},
		{"نورة@ديوان.example", noura.ID, nil},
		{"نورة@xn--mgbrj6i6a.example", 0, ErrForeign},
		{"نورة@XN--" + strings.TrimPrefix(o.label(1), "xn--"), noura.ID, nil},
		{"RENE\u0301@diwan.example", composed.ID, nil},
		{"nobody@diwan.example", 0, fs.ErrNotExist},
		{"layla@ديوان.example", 0, fs.ErrNotExist},
		{"+layla@diwan.example", 0, fs.ErrNotExist},
		{"@diwan.example", 0, fs.ErrNotExist},
		{"\xff@diwan.example", 0, fs.ErrNotExist},
		{strings.Repeat("x", 5000) + "@diwan.example", 0, fs.ErrNotExist},
		{"layla@sub.diwan.example", 0, ErrForeign},
		{"layla@elsewhere.example", 0, ErrForeign},
		{"layla@[192.0.2.1]", 0, ErrForeign},
		{"layla@" + strings.Repeat("x.", 500), 0, ErrForeign},
		{"layla@\xff", 0, ErrForeign},
		{"layla@", 0, ErrForeign},
		{"layla", 0, ErrForeign},
		{"", 0, ErrForeign},
	}
	for _, test := range tests {
		a, err := o.Lookup(t.Context(), test.address)
		wants(t, test.address, err, test.want)
		if a.ID != test.account {
			t.Errorf("%s: account %d, want %d", test.address, a.ID, test.account)
		}
	}
}

// label returns the A-labels of the nth domain.
func (o *office) label(n int) string {
	o.t.Helper()
	names, err := o.Domains(o.t.Context())
	o.must(err)
	if len(names) != 2 || !strings.HasPrefix(names[1], "xn--") {
		o.t.Fatalf("domains %v", names)
	}
	return names[n]
}

// RFC 5321 section 4.5.1: mail to postmaster is accepted, always; RFC 2142 wants
// the same of abuse.
func TestPostmaster(t *testing.T) {
	o := newOffice(t)
	_, err := o.Lookup(t.Context(), "postmaster@diwan.example")
	wants(t, "without an owner", err, fs.ErrNotExist)
	o.add("omar@diwan.example", RoleAdministrator)
	owner := o.add("layla@diwan.example", RoleOwner)
	o.add("noura@diwan.example", RoleOwner)
	for _, address := range []string{"postmaster@diwan.example", "Postmaster@ديوان.example", "POSTMASTER", "abuse@diwan.example", "Abuse@ديوان.example"} {
		a, err := o.Lookup(t.Context(), address)
		if err != nil || a.ID != owner.ID {
			t.Errorf("%s: account %d, %v", address, a.ID, err)
		}
	}
	_, err = o.Lookup(t.Context(), "postmaster@elsewhere.example")
	wants(t, "another's postmaster", err, ErrForeign)
	own := o.add("postmaster@diwan.example", 0)
	if a, err := o.Lookup(t.Context(), "postmaster@diwan.example"); err != nil || a.ID != own.ID {
		t.Errorf("postmaster's own account: %d, %v", a.ID, err)
	}
}

func TestDomains(t *testing.T) {
	o := newOffice(t)
	o.must(o.AddDomain(t.Context(), By{}, "DIWAN.example."))
	o.label(0) // still two
	for _, bad := range []string{"", ".", "a b", "a..b", "a..", "-x.example", "x_y.example", "[::1]", strings.Repeat("x", 300)} {
		wants(t, bad, o.AddDomain(t.Context(), By{}, bad), ErrInvalid)
	}
}

func TestRoles(t *testing.T) {
	o := newOffice(t)
	a := o.add("layla@diwan.example", RoleOwner)
	b := o.add("omar@diwan.example", 0)
	wants(t, "last owner", o.SetRole(t.Context(), By{}, a.ID, RoleAdministrator), ErrLastOwner)
	wants(t, "unknown role", o.SetRole(t.Context(), By{}, a.ID, 128), ErrInvalid)
	wants(t, "no such account", o.SetRole(t.Context(), By{}, 99, RoleOwner), fs.ErrNotExist)
	o.must(o.SetRole(t.Context(), By{}, b.ID, RoleOwner|RoleRecordsOfficer))
	o.must(o.SetRole(t.Context(), By{}, a.ID, 0))
	a, err := o.Get(t.Context(), a.ID)
	o.must(err)
	b, err = o.Get(t.Context(), b.ID)
	o.must(err)
	if a.Role != 0 || !b.Role.Has(RoleOwner) || b.Role.Has(RoleOwner|RoleAdministrator) {
		t.Errorf("roles %q and %q", a.Role, b.Role)
	}
	for role := range allRoles + 1 {
		if got, err := ParseRole(role.String()); got != role || err != nil {
			t.Errorf("%q became %q, %v", role, got, err)
		}
	}
	_, err = ParseRole("owner,king")
	wants(t, "king", err, ErrInvalid)
}

func TestLanguage(t *testing.T) {
	o := newOffice(t)
	a := o.add("layla@diwan.example", 0)
	o.must(o.SetLanguage(t.Context(), a.ID, "en-GB"))
	if a, err := o.Get(t.Context(), a.ID); err != nil || a.Language != "en-GB" {
		t.Errorf("%q, %v", a.Language, err)
	}
	wants(t, "no such account", o.SetLanguage(t.Context(), 99, "en"), fs.ErrNotExist)
	wants(t, "no language", o.SetLanguage(t.Context(), a.ID, "\"><"), ErrInvalid)
}

func FuzzLookup(f *testing.F) {
	for _, s := range []string{"layla@diwan.example", "\xff@\xff", "0@0\xff", "0@0..", "0@0。", "a@xn--", "a@xn--a-ecp.ru", "İ@diwan.example", "+@", "a@ديوان.example"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		local, domain, err := normalise(s)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		again, same, err := normalise(local + "@" + domain)
		if err != nil || same != domain || again != local {
			t.Fatalf("%q became %q@%q and then %q@%q, %v", s, local, domain, again, same, err)
		}
	})
}
