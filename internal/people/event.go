package people

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"sijill"
	"sijill/internal/db"
)

// By is who makes a change, and from where: what is told of it.
type By struct {
	Account int64 // 0 for the program's own command line
	From    netip.Addr
	Agent   string // what the browser calls itself
}

func (b By) detail(label string) Detail {
	d := Detail{Agent: agentForm(b.Agent), Label: label}
	if b.From.IsValid() {
		d.Network = networkOf(b.From)
	}
	return d
}

// maxAgent bounds what browsers call themselves, in bytes.
const maxAgent = 256

// agentForm makes what a stranger's program calls itself fit to be kept.
func agentForm(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return -1
		}
		return r
	}, s)
	for len(s) > maxAgent {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}

// Event is something that the register must tell: a sign-in at the web, the
// first use of an app password in a day from a network, a burst of failures, a
// change of a credential, of roles, of an address or a domain.
type Event struct {
	ID      int64
	Time    time.Time
	Kind    sijill.Kind // sijill.Login, sijill.Key, sijill.Grant or sijill.Config
	Account int64       // whom it is about; 0 for nobody in particular
	Actor   int64       // the account that did it; 0 for nobody who is signed in
	Fields  Fields      // for everyone who reads the register
	Detail  Detail      // to be sealed
}

// Fields is what everyone may know of an event: kinds and counts.
type Fields struct {
	// What happened, or what was changed: "signed-in", "stepped-up", "burst", "spray",
	// "account", "sign-in-name", "password", "totp", "passkey", "app-password",
	// "recovery", "session", "roots", "signing-keys"; "roles"; "address", "domain",
	// "catch-all", "forwarding".
	What string `json:"what"`
	Did  string `json:"did,omitempty"`   // "made", "added", "changed", "reset", "removed", "suspended", "restored", "refused"
	Door string `json:"door,omitempty"`  // "web", "imap", "submission"
	By   string `json:"by,omitempty"`    // "password", "password+totp", "passkey", "recovery", "app-password"
	See  string `json:"scope,omitempty"` // "office", "personal", "both"

	Given []string `json:"given,omitempty"` // roles, as Role.String names them
	Taken []string `json:"taken,omitempty"`
	Class Class    `json:"class,omitempty"` // of an address: Personal; office addresses leave it out
	Alias bool     `json:"alias,omitempty"` // the address takes mail and isn't offered to write from

	Failures int64 `json:"failures,omitempty"` // of a burst: so far
	Names    int64 `json:"names,omitempty"`    // of a spray: how many were tried
	Networks int64 `json:"networks,omitempty"` // of a spray: from how many
	Hours    int64 `json:"hours,omitempty"`    // of a spray: within
}

// Detail is what only the person concerned and those who may open their office
// mail can read of an event; of one about a personal address, the person alone.
type Detail struct {
	Network string `json:"network,omitempty"` // a /24 or /64
	Agent   string `json:"agent,omitempty"`
	Label   string `json:"label,omitempty"` // of the credential
	Address string `json:"address,omitempty"`
	Domain  string `json:"domain,omitempty"`
}

// owe writes an event down in the transaction of what happened.
func (p *People) owe(tx *db.Tx, e Event) error {
	fields, err := json.Marshal(e.Fields)
	if err != nil {
		return fmt.Errorf("encoding an event: %w", err)
	}
	detail, err := json.Marshal(e.Detail)
	if err != nil {
		return fmt.Errorf("encoding an event: %w", err)
	}
	now := p.now().UnixMicro()
	_, err = tx.Exec("INSERT INTO event (at, kind, account, actor, fields, detail, process, claimed) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		now, string(e.Kind), e.Account, e.Actor, string(fields), string(detail), p.process, now)
	return err
}

// Owe writes down, in the transaction in which it happened, an event that others
// know of, with where it was done from.
func (p *People) Owe(tx *db.Tx, by By, e Event) error {
	e.Actor, e.Detail = by.Account, by.detail(e.Detail.Label)
	return p.owe(tx, e)
}

// OweKeys writes down, in the transaction of the change, that a domain's signing
// keys were made, changed or removed.
func (p *People) OweKeys(tx *db.Tx, by By, domain, did string) error {
	e := ofDomain(by, "signing-keys", did, domain)
	e.Kind = sijill.Key
	return p.owe(tx, e)
}

// Note writes down an event that happened elsewhere, with where it was done from.
func (p *People) Note(ctx context.Context, by By, e Event) error {
	e.Detail = by.detail(e.Detail.Label)
	if err := p.db.Write(ctx, func(tx *db.Tx) error { return p.owe(tx, e) }); err != nil {
		return fmt.Errorf("noting an event: %w", err)
	}
	return nil
}

// abandonedAfter is how long another process's event waits before we tell it.
const abandonedAfter = time.Minute

// Owed lists the oldest events that this process has to tell, a hundred at most.
// With adopt it takes over those that other processes have left untold for a
// minute.
func (p *People) Owed(ctx context.Context, adopt bool) (list []Event, err error) {
	if adopt {
		err = p.db.Write(ctx, func(tx *db.Tx) error {
			now := p.now()
			_, err := tx.Exec("UPDATE event SET process = ?, claimed = ? WHERE process <> ? AND claimed < ?",
				p.process, now.UnixMicro(), p.process, now.Add(-abandonedAfter).UnixMicro())
			return err
		})
	}
	if err == nil {
		err = p.db.Read(ctx, func(tx *db.Tx) error {
			return tx.Each("SELECT id, at, kind, account, actor, fields, detail FROM event WHERE process = ? ORDER BY id LIMIT 100",
				[]any{p.process}, func(r db.Row) error {
					e, err := scanEvent(r)
					list = append(list, e)
					return err
				})
		})
	}
	if err != nil {
		return nil, fmt.Errorf("listing events: %w", err)
	}
	return list, nil
}

func scanEvent(r db.Row) (e Event, err error) {
	var at int64
	var kind, fields, detail string
	if err := r.Scan(&e.ID, &at, &kind, &e.Account, &e.Actor, &fields, &detail); err != nil {
		return e, err
	}
	e.Time, e.Kind = time.UnixMicro(at).UTC(), sijill.Kind(kind)
	if err := json.Unmarshal([]byte(fields), &e.Fields); err != nil {
		return e, fmt.Errorf("reading an event: %w", err)
	}
	if err := json.Unmarshal([]byte(detail), &e.Detail); err != nil {
		return e, fmt.Errorf("reading an event: %w", err)
	}
	return e, nil
}

// Told deletes an event, in the transaction of the entry that tells it. That it
// is gone already is no error.
func Told(tx *db.Tx, event int64) error {
	_, err := tx.Exec("DELETE FROM event WHERE id = ?", event)
	return err
}
