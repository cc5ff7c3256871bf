package sijill

import (
	"encoding/json"
	"fmt"
)

// Of what follows everything stands in the register for everyone to read: counts,
// numbers of entries and words of the program's own, never of a person.

// FiledFields are the fields of a filed entry: a message was put into an office
// compartment that it had not come to, as a copy of personal mail about work is.
type FiledFields struct {
	Door string `json:"door"`           // by which it was filed: "web", "import"
	Days int64  `json:"days,omitempty"` // how many days after the message it was filed
}

// MovedFields are the fields of a moved entry. Between which folders is sealed:
// their names are people's words.
type MovedFields struct {
	Entries []int64 `json:"entries"` // numbers of the entries of the messages, ascending
}

// ExpungedFields are the fields of an expunged entry: messages that were taken
// out of a mailbox, and whose record stays.
type ExpungedFields struct {
	Entries []int64 `json:"entries"` // as in MovedFields
}

// DestroyedFields are the fields of a destroyed entry: personal messages whose
// keys their holder has destroyed. Whoever counts the personal entries of an
// account and takes these away knows how many can still be opened.
type DestroyedFields struct {
	Entries []int64 `json:"entries"` // as in MovedFields
}

// SentFields are the fields of a sent entry.
type SentFields struct {
	Door       string `json:"door"`            // "submission", "web", "server"
	Recipients int64  `json:"recipients"`      // how many outside this server
	Class      Class  `json:"class,omitempty"` // Personal; office mail leaves it out
}

// OutcomeFields are the fields of an outcome entry: what became of one recipient
// of a sent message, or of several at once where Count says so. Who that was, and
// what the other server said, is sealed.
type OutcomeFields struct {
	Sent      int64  `json:"sent"`             // number of the sent entry
	Recipient int64  `json:"recipient"`        // which one, in the order of its envelope, from 0; the first of Count
	Count     int64  `json:"count"`            // recipients that it is about: 1, or all of a letter
	Result    string `json:"result"`           // "delivered", "deferred", "bounced", "expired", "held", "dropped", "withdrawn"
	Status    string `json:"status,omitempty"` // RFC 3463, as "5.1.1"
	Attempts  int64  `json:"attempts,omitempty"`
	Doubt     int64  `json:"doubt,omitempty"`  // attempts of which nobody knows how they ended
	Notice    bool   `json:"notice,omitempty"` // the message was itself a notice of the server's
	Class     Class  `json:"class,omitempty"`  // of the sent message; office mail leaves it out
}

// LoginFields are the fields of a login entry. The network and what the program
// called itself are sealed.
type LoginFields struct {
	What     string `json:"what"`               // "signed-in", "burst" of failures, "spray" of one password over many names
	Door     string `json:"door,omitempty"`     // "web", "imap", "submission"
	By       string `json:"by,omitempty"`       // "password", "password+totp", "passkey", "recovery", "app-password"
	Scope    string `json:"scope,omitempty"`    // "office", "personal", "both"
	Failures int64  `json:"failures,omitempty"` // of a burst, so far
	Names    int64  `json:"names,omitempty"`    // of a spray: how many names were tried
	Networks int64  `json:"networks,omitempty"` // of a spray: from how many networks
	Hours    int64  `json:"hours,omitempty"`    // of a spray: within how many hours
}

// KeyFields are the fields of a key entry: something that opens mail, or lets
// somebody in, was made, changed or deleted.
type KeyFields struct {
	// What it is: "account", "sign-in-name", "password", "totp", "passkey",
	// "app-password", "recovery", "session", "roots", "records"
	// (the records office's root, for one officer), "months", "signing-keys"
	// (a domain's, for DKIM).
	What  string `json:"what"`
	Did   string `json:"did,omitempty"`   // "made", "changed", "reset", "removed", "suspended", "restored", "refused"; of months "cooled"
	By    string `json:"by,omitempty"`    // as in LoginFields
	Scope string `json:"scope,omitempty"` // as in LoginFields

	Before string `json:"before,omitempty"` // of months: those before this one, as "2026-05"
	Closed int64  `json:"closed,omitempty"` // of months: how many compartments were closed
	Left   int64  `json:"left,omitempty"`   // of months: how many had to stay open, since nobody could have opened them again
}

// GrantFields are the fields of a grant entry: roles that an account was given, or
// that were taken from it.
type GrantFields struct {
	What  string   `json:"what"`            // "roles"
	Given []string `json:"given,omitempty"` // "owner", "administrator", "records-officer"
	Taken []string `json:"taken,omitempty"`
}

// ConfigFields are the fields of a config entry about the directory. Which address
// or domain it is is sealed.
type ConfigFields struct {
	What  string `json:"what"`            // "address", "domain", "catch-all" of a domain, "forwarding" of personal mail
	Did   string `json:"did"`             // "added", "changed", "removed"; of forwarding "suspended"
	Alias bool   `json:"alias,omitempty"` // the address takes mail and isn't offered to write from
	Class Class  `json:"class,omitempty"` // of the address: Personal; office addresses leave it out
}

// Marshal returns the fields as canonical JSON. It wraps ErrEntry where a field
// isn't printable ASCII.
func (f FiledFields) Marshal() (json.RawMessage, error) { return MarshalFields(f) }

// Marshal returns the fields as canonical JSON. It wraps ErrEntry unless the
// entries are named in ascending order, each once.
func (f MovedFields) Marshal() (json.RawMessage, error) { return marshalEntries(f.Entries) }

// Marshal is like that of MovedFields.
func (f ExpungedFields) Marshal() (json.RawMessage, error) { return marshalEntries(f.Entries) }

// Marshal is like that of MovedFields.
func (f DestroyedFields) Marshal() (json.RawMessage, error) { return marshalEntries(f.Entries) }

// Marshal returns the fields as canonical JSON. It wraps ErrEntry where a field
// isn't printable ASCII or the class is none.
func (f SentFields) Marshal() (json.RawMessage, error) {
	var err error
	if f.Class, err = named(f.Class); err != nil {
		return nil, fmt.Errorf("encode sent fields: %w", err)
	}
	return MarshalFields(f)
}

// Marshal is like that of SentFields.
func (f OutcomeFields) Marshal() (json.RawMessage, error) {
	var err error
	if f.Class, err = named(f.Class); err != nil {
		return nil, fmt.Errorf("encode outcome fields: %w", err)
	}
	return MarshalFields(f)
}

// Marshal returns the fields as canonical JSON. It wraps ErrEntry where a field
// isn't printable ASCII.
func (f LoginFields) Marshal() (json.RawMessage, error) { return MarshalFields(f) }

// Marshal is like that of LoginFields.
func (f KeyFields) Marshal() (json.RawMessage, error) { return MarshalFields(f) }

// Marshal is like that of LoginFields.
func (f GrantFields) Marshal() (json.RawMessage, error) { return MarshalFields(f) }

// Marshal is like that of SentFields.
func (f ConfigFields) Marshal() (json.RawMessage, error) {
	var err error
	if f.Class, err = named(f.Class); err != nil {
		return nil, fmt.Errorf("encode config fields: %w", err)
	}
	return MarshalFields(f)
}

// named is a class as fields name it: office mail has no name for it.
func named(c Class) (Class, error) {
	switch c {
	case "", Office:
		return "", nil
	case Personal:
		return c, nil
	}
	return "", fmt.Errorf("class: %w", ErrEntry)
}

func marshalEntries(entries []int64) (json.RawMessage, error) {
	last := int64(-1)
	for _, n := range entries {
		if n <= last || n > MaxInteger {
			return nil, fmt.Errorf("encode numbers of entries: %w", ErrEntry)
		}
		last = n
	}
	if len(entries) == 0 {
		return nil, fmt.Errorf("encode numbers of entries: there are none: %w", ErrEntry)
	}
	return MarshalFields(struct {
		Entries []int64 `json:"entries"`
	}{entries})
}
