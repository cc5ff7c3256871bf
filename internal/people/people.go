// Package people knows who may sign in and which mailboxes there are: accounts,
// addresses, passwords, sessions and roles.
//
// It promises that passwords and session tokens can't be read from what it
// stores; that a stranger learns neither by words nor by time whether an address
// exists by trying to sign in; that guessing slows down, across restarts and
// processes, without locking out people who sign in from where they always do;
// and that a burst of sign-ins never takes more memory than two of them. No error
// text of it contains an address, a name, a password or a token.
package people

import (
	"context"
	"crypto/rand"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"sijill"
	"sijill/internal/db"
)

//go:embed sqlite
var migrations embed.FS

// ErrForeign is returned for an address whose domain isn't one of the office's.
var ErrForeign = errors.New("not a domain of this office")

// ErrInvalid is returned when an account, address, domain or role can't be as it
// was given.
var ErrInvalid = errors.New("not acceptable")

// ErrLastOwner is returned when the only owner would cease to be one.
var ErrLastOwner = errors.New("an office needs an owner")

// Role is a set of roles; add them with |.
type Role uint8

// The roles. Their values are stored. An owner answers for the office, an
// administrator runs the server, a records officer handles requests.
const (
	RoleOwner Role = 1 << iota
	RoleAdministrator
	RoleRecordsOfficer

	allRoles = RoleOwner | RoleAdministrator | RoleRecordsOfficer
)

var roleNames = []string{"owner", "administrator", "records-officer"}

// Has tells whether all the roles in want are in the set.
func (r Role) Has(want Role) bool { return r&want == want }

// String names the roles, separated by commas, as ParseRole reads them.
func (r Role) String() string {
	var names []string
	for i, name := range roleNames {
		if r.Has(1 << i) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// ParseRole reads names of roles separated by commas. The empty string is the
// empty set; an unknown name is ErrInvalid.
func ParseRole(s string) (Role, error) {
	var set Role
	for name := range strings.SplitSeq(s, ",") {
		known := s == ""
		for i := range roleNames {
			if name == roleNames[i] {
				set |= 1 << i
				known = true
			}
		}
		if !known {
			return 0, fmt.Errorf("reading a role: %w", ErrInvalid)
		}
	}
	return set, nil
}

// Class is what kind of mail comes to an address.
type Class = sijill.Class

// The classes. Mail to an office address is on record for all time; mail to a
// personal one belongs to its owner.
const (
	Office   = sijill.Office
	Personal = sijill.Personal
)

// Account is a person who can sign in and has a mailbox.
type Account struct {
	ID        int64
	Name      string // as the person writes it
	Address   string // in lower case, the domain in its own script
	Class     Class  // of Address
	Pseudonym string // 32 hex digits, random, never changed: its name in the register
	Role      Role
	Created   time.Time
	Language  string // a language tag, or "" for the office's own
}

// People is the directory of an office. It is safe for concurrent use.
type People struct {
	db      *db.DB
	now     func() time.Time
	cost    cost
	hashing chan struct{} // a token for each password being hashed
}

// Open migrates the tables and returns the directory in d.
func Open(ctx context.Context, d *db.DB) (*People, error) {
	if err := d.Migrate(ctx, "people", migrations); err != nil {
		return nil, err
	}
	return &People{db: d, now: time.Now, cost: standard, hashing: make(chan struct{}, hashesAtOnce)}, nil
}

// AddDomain makes a domain one of the office's. Adding it again changes nothing.
// A malformed one is ErrInvalid.
func (p *People) AddDomain(ctx context.Context, name string) error {
	domain, err := domainLabels(name)
	if err != nil {
		return fmt.Errorf("adding a domain: %w", err)
	}
	err = p.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec("INSERT INTO domain (name, created) VALUES (?, ?) ON CONFLICT DO NOTHING", domain, p.now().UnixMicro())
		return err
	})
	if err != nil {
		return fmt.Errorf("adding a domain: %w", err)
	}
	return nil
}

// Domains lists the office's domains as A-labels, in order.
func (p *People) Domains(ctx context.Context) ([]string, error) {
	var names []string
	err := p.db.Read(ctx, func(tx *db.Tx) error {
		return tx.Each("SELECT name FROM domain ORDER BY name", nil, func(r db.Row) error {
			names = append(names, "")
			return r.Scan(&names[len(names)-1])
		})
	})
	if err != nil {
		return nil, fmt.Errorf("listing domains: %w", err)
	}
	return names, nil
}

// Add makes an account of a's Name, Address, Class ("" is Office), Role and
// Language, and returns it complete. It returns ErrInvalid or ErrPassword for
// what can't be, ErrForeign when the domain isn't the office's, and fs.ErrExist
// when the address is taken.
func (p *People) Add(ctx context.Context, a Account, password string) (Account, error) {
	local, domain, err := normalise(a.Address)
	if err == nil {
		err = check(&a, local)
	}
	if err != nil {
		return Account{}, fmt.Errorf("adding an account: %w", err)
	}
	hash, err := p.newHash(ctx, password)
	if err != nil {
		return Account{}, fmt.Errorf("adding an account: %w", err)
	}
	a.Address, a.Pseudonym = shown(local, domain), newPseudonym()
	a.Created = p.now().UTC().Truncate(time.Microsecond)
	err = p.db.Write(ctx, func(tx *db.Tx) error { return insert(tx, &a, local, domain, hash) })
	if err != nil {
		return Account{}, fmt.Errorf("adding an account: %w", err)
	}
	return a, nil
}

func check(a *Account, local string) error {
	if a.Class == "" {
		a.Class = Office
	}
	switch {
	case a.Name == "" || len(a.Name) > 200 || !utf8.ValidString(a.Name) || strings.ContainsFunc(a.Name, unicode.IsControl):
		return fmt.Errorf("name: %w", ErrInvalid)
	case len(local) > maxLocal || strings.ContainsFunc(local, refusedInLocal):
		return fmt.Errorf("local part: %w", ErrInvalid)
	case a.Class != Office && a.Class != Personal:
		return fmt.Errorf("class: %w", ErrInvalid)
	case a.Role&^allRoles != 0:
		return fmt.Errorf("role: %w", ErrInvalid)
	}
	return checkLanguage(a.Language)
}

// checkLanguage looks at the form of a tag only: which languages there are is
// known where pages are made.
func checkLanguage(tag string) error {
	strange := func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}
	if len(tag) > 35 || strings.ContainsFunc(tag, strange) {
		return fmt.Errorf("language: %w", ErrInvalid)
	}
	return nil
}

func newPseudonym() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func insert(tx *db.Tx, a *Account, local, domain, hash string) error {
	if err := ours(tx, domain); err != nil {
		return err
	}
	_, err := find(tx, local, domain)
	if err == nil {
		return fs.ErrExist
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	a.ID, err = tx.Insert(`INSERT INTO account (name, pseudonym, role, language, password, created) VALUES (?, ?, ?, ?, ?, ?)`,
		a.Name, a.Pseudonym, a.Role, a.Language, hash, a.Created.UnixMicro())
	if err != nil {
		return err
	}
	_, err = tx.Exec("INSERT INTO address (domain, local, account, class, place) VALUES (?, ?, ?, ?, 1)", domain, local, a.ID, a.Class)
	return err
}

// ours returns ErrForeign unless the domain is one of the office's.
func ours(tx *db.Tx, domain string) error {
	var one int
	err := tx.One("SELECT 1 FROM domain WHERE name = ?", []any{domain}, &one)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrForeign
	}
	return err
}

// SetLanguage sets the language of an account's pages. It returns fs.ErrNotExist
// when there is no such account, ErrInvalid when it isn't a language tag.
func (p *People) SetLanguage(ctx context.Context, account int64, tag string) error {
	if err := checkLanguage(tag); err != nil {
		return fmt.Errorf("setting a language: %w", err)
	}
	err := p.db.Write(ctx, func(tx *db.Tx) error {
		return change(tx, "UPDATE account SET language = ? WHERE id = ?", tag, account)
	})
	if err != nil {
		return fmt.Errorf("setting a language: %w", err)
	}
	return nil
}

// SetRole replaces the roles of an account. It returns fs.ErrNotExist when there
// is no such account, and ErrLastOwner rather than leave none.
func (p *People) SetRole(ctx context.Context, account int64, role Role) error {
	if role&^allRoles != 0 {
		return fmt.Errorf("setting roles: %w", ErrInvalid)
	}
	err := p.db.Write(ctx, func(tx *db.Tx) error {
		owners := "SELECT count(*) FROM account WHERE role & 1 <> 0"
		var before, after int
		if err := tx.One(owners, nil, &before); err != nil {
			return err
		}
		if err := change(tx, "UPDATE account SET role = ? WHERE id = ?", role, account); err != nil {
			return err
		}
		if err := tx.One(owners, nil, &after); err != nil {
			return err
		}
		if before > 0 && after == 0 {
			return ErrLastOwner
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("setting roles: %w", err)
	}
	return nil
}

// change runs an update that must find its row.
func change(tx *db.Tx, query string, args ...any) error {
	n, err := tx.Exec(query, args...)
	if err == nil && n == 0 {
		return fs.ErrNotExist
	}
	return err
}
