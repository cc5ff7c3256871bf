// Package people knows who may sign in and which mailboxes there are: accounts,
// addresses, roles, and all that people sign in with: passwords, second factors,
// passkeys, printed codes, passwords of single programs, and sessions.
//
// It promises that no password, token, code or other secret can be read from what
// it stores; that a stranger learns neither by words nor by time whether an
// address exists by trying to sign in; that guessing slows down, across restarts
// and processes, without locking out people who sign in from where they always
// do; that a burst of sign-ins never takes more memory than two of them; that no
// one-time code, and no answer of a passkey, is taken twice; and that what the
// register must tell of all this (see Event) is written down in the very
// transaction in which it happened. No error text of it contains an address, a
// name, a password or a token.
//
// It holds no key to anybody's mail. But whoever shows a credential gets, along
// with the account, a secret derived from it (see Proof) under which others can
// wrap keys; that secret can't be told from anything stored here.
package people

import (
	"context"
	"crypto/rand"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	rand2 "math/rand/v2"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"

	"sijill"
	"sijill/internal/db"
)

//go:embed sqlite
var migrations embed.FS

// ErrForeign is returned for an address whose domain isn't one of the office's.
var ErrForeign = errors.New("not a domain of this office")

// ErrInvalid is returned when an account, address, domain, label or role can't be
// as it was given.
var ErrInvalid = errors.New("not acceptable")

// ErrLastOwner is returned when the only owner would cease to be one.
var ErrLastOwner = errors.New("an office needs an owner")

// Role is a set of roles; add them with |.
type Role uint8

// The roles. Their values are stored. An owner answers for the office, an
// administrator runs the server, a records officer handles requests. One person
// may have several, and none of them opens anybody's personal mail.
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
func (r Role) String() string { return strings.Join(r.names(), ",") }

func (r Role) names() (names []string) {
	for i, name := range roleNames {
		if r.Has(1 << i) {
			names = append(names, name)
		}
	}
	return names
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

// Scope is a set of classes: what a credential lets its bearer see.
type Scope uint8

// The scopes. Their values are stored.
const (
	ScopeOffice Scope = 1 << iota
	ScopePersonal

	ScopeBoth = ScopeOffice | ScopePersonal
)

// ScopeOf is the scope of one class, and 0 for what isn't one.
func ScopeOf(c Class) Scope {
	switch c {
	case Office:
		return ScopeOffice
	case Personal:
		return ScopePersonal
	}
	return 0
}

// Has tells whether mail of a class may be seen.
func (s Scope) Has(c Class) bool { return s&ScopeOf(c) != 0 }

// String is "office", "personal" or "both", and "" for what is none of them.
func (s Scope) String() string {
	return map[Scope]string{ScopeOffice: "office", ScopePersonal: "personal", ScopeBoth: "both"}[s]
}

// ParseScope reads what String wrote; anything else is ErrInvalid.
func ParseScope(text string) (Scope, error) {
	for s := ScopeOffice; s <= ScopeBoth; s++ {
		if s.String() == text {
			return s, nil
		}
	}
	return 0, fmt.Errorf("reading a scope: %w", ErrInvalid)
}

// State says what has become of an account.
type State uint8

// The states. Their values are stored. Nobody signs in to an account that isn't
// active. Mail still comes to a suspended one; one that was removed has no
// address. What was sealed for either stays where it is.
const (
	Active State = iota
	Suspended
	Removed
)

// Account is a person who can sign in and has a mailbox.
type Account struct {
	ID        int64
	Name      string // as the person writes it
	SignIn    string // the name to sign in with, without an "@"; "" at Add stands for the local part of Address
	Address   string // in lower case, the domain in its own script
	Class     Class  // of Address
	Pseudonym string // 32 hex digits, random, never changed: its name in the register
	Role      Role
	State     State
	Fresh     bool // the password was chosen by somebody else, and must be changed first
	Seen      bool // the recovery code was seen by whoever made the account
	Created   time.Time
	Language  string // a language tag, or "" for the office's own
	Digits    string // which digits pages show, or "" for those of the language
}

// Options says what more a directory can do.
type Options struct {
	// Key is a key of the office, the same at every opening. It seals second
	// factors and keys the hashes of app passwords; without it (all zero) there
	// are neither, nor passkeys.
	Key [32]byte
	// Site is where people sign in by passkey; without one nobody can.
	Site Site
	// HashMemory is how much memory hashing a password takes, in KiB; 0 means
	// 64 MiB. Less is for tests alone: it makes stolen hashes cheap to guess from.
	HashMemory uint32
}

// Site is a web site in the words of WebAuthn.
type Site struct {
	ID      string   // the relying party: the host, or a domain above it, that passkeys are bound to for ever
	Name    string   // for people to read
	Origins []string // such as "https://mail.diwan.example"
}

// ErrNoKey is returned for what needs Options that weren't given to Open.
var ErrNoKey = errors.New("the directory was opened without what that needs")

// People is the directory of an office. It is safe for concurrent use.
type People struct {
	db      *db.DB
	now     func() time.Time
	cost    cost
	hashing chan struct{} // a token for each password being hashed
	process int64         // names this process among those that tell events
	keys    keys
	site    *webauthn.WebAuthn // nil without Options.Site
	stale   *guesses
}

// Open migrates the tables and returns the directory in d, with the first of the
// options, if any.
func Open(ctx context.Context, d *db.DB, options ...Options) (*People, error) {
	if err := d.Migrate(ctx, "people", migrations); err != nil {
		return nil, err
	}
	p := &People{db: d, now: time.Now, cost: standard, hashing: make(chan struct{}, hashesAtOnce),
		process: rand2.Int64N(1 << 62), stale: newGuesses()}
	var o Options
	if len(options) > 0 {
		o = options[0]
	}
	p.keys = newKeys(o.Key)
	if o.HashMemory != 0 {
		p.cost.memory = max(o.HashMemory, minMemory)
	}
	var err error
	if o.Site.ID != "" && p.keys.given {
		p.site, err = newSite(o.Site)
	}
	return p, err
}

// newPseudonym gives 32 random hex digits.
func newPseudonym() string {
	return hex.EncodeToString(random(16))
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return b
}

// Add makes an account of a's Name, SignIn, Address, Class ("" is Office), Role
// and Language, and returns it complete. It returns ErrInvalid or ErrPassword for
// what can't be, ErrForeign when the domain isn't the office's, and fs.ErrExist
// when the address is taken, or the SignIn that was asked for.
func (p *People) Add(ctx context.Context, a Account, password string) (Account, error) {
	n, err := p.NewPassword(ctx, password)
	if err != nil {
		return Account{}, fmt.Errorf("adding an account: %w", err)
	}
	return p.AddWith(ctx, By{}, a, n)
}

// AddWith is Add with a password that was made before, and which somebody other
// than its owner may have seen (a.Fresh says so), and with further addresses: either
// all is made or nothing. What is wrong with one of those is an *AddressError.
func (p *People) AddWith(ctx context.Context, by By, a Account, n *NewPassword, more ...Address) (Account, error) {
	local, domain, err := normalise(a.Address)
	if err == nil {
		err = check(&a, local)
	}
	if err != nil {
		return Account{}, fmt.Errorf("adding an account: %w", err)
	}
	others := make([]formed, len(more))
	for i := range more {
		if others[i], err = formOf(more[i]); err != nil {
			return Account{}, fmt.Errorf("adding an account: %w", &AddressError{i, err})
		}
	}
	a.Address, a.Pseudonym, a.State = shown(local, domain), newPseudonym(), Active
	a.Created = p.now().UTC().Truncate(time.Microsecond)
	err = p.db.Write(ctx, func(tx *db.Tx) error {
		if err := p.insert(tx, &a, local, domain, n.hash); err != nil {
			return err
		}
		if err := p.made(tx, by, &a); err != nil {
			return err
		}
		for i, f := range others {
			if err := p.addAddress(tx, by, a.ID, f); err != nil {
				return &AddressError{i, err}
			}
		}
		return nil
	})
	if err != nil {
		return Account{}, fmt.Errorf("adding an account: %w", err)
	}
	return a, nil
}

// AddressError says which of the further addresses of a new account can't be
// added. The address itself isn't in its text.
type AddressError struct {
	N   int // its place among those given, from 0
	Err error
}

// Error implements error.
func (e *AddressError) Error() string { return fmt.Sprintf("further address %d: %v", e.N+1, e.Err) }

// Unwrap gives what is wrong, one of the errors of AddAddress.
func (e *AddressError) Unwrap() error { return e.Err }

// made owes what the register is told of a new account; of its roles where it has
// others than everybody.
func (p *People) made(tx *db.Tx, by By, a *Account) error {
	e := Event{Kind: sijill.Key, Account: a.ID, Actor: by.Account, Fields: Fields{What: "account", Did: "made"}, Detail: by.detail("")}
	if a.Class != Personal { // The entry is the office's.
		e.Detail.Address = a.Address
	}
	err := p.owe(tx, e)
	if err != nil || a.Role&^RoleOwner == 0 {
		return err
	}
	return p.owe(tx, ofRoles(by, a.ID, a.Role, 0))
}

func (p *People) insert(tx *db.Tx, a *Account, local, domain, hash string) error {
	if err := ours(tx, domain); err != nil {
		return err
	}
	err := free(tx, local, domain)
	if err == nil {
		err = p.unclaimed(tx, local, domain, 0)
	}
	if err != nil {
		return err
	}
	if a.SignIn, err = signInName(tx, a.SignIn, local); err != nil {
		return err
	}
	a.ID, err = tx.Insert(`INSERT INTO account (name, sign_in, pseudonym, handle, role, language, digits, password, fresh, seen, state, former, rooted, created)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, '', 0, ?)`,
		a.Name, a.SignIn, a.Pseudonym, random(16), a.Role, a.Language, a.Digits, hash, a.Fresh, a.Seen, a.Created.UnixMicro())
	if err != nil {
		return err
	}
	_, err = tx.Exec("INSERT INTO address (domain, local, account, class, name, signature, alias, sends, place) VALUES (?, ?, ?, ?, '', '', 0, 1, 1)",
		domain, local, a.ID, a.Class)
	return err
}

// free returns fs.ErrExist when somebody has an address.
func free(tx *db.Tx, local, domain string) error {
	_, err := find(tx, local, domain)
	if err == nil {
		return fs.ErrExist
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// change runs an update that must find its row.
func change(tx *db.Tx, query string, args ...any) error {
	n, err := tx.Exec(query, args...)
	if err == nil && n == 0 {
		return fs.ErrNotExist
	}
	return err
}
