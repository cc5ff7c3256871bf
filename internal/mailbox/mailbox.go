// Package mailbox is the projection of the register that people read: folders,
// message lists and threads.
//
// It promises that the same entries always give the same rows; that an account
// sees nothing, not even the shape of a thread, of what only others hold; that
// a list is quick at any offset; and that what people did to their messages
// (seen or not) outlives every rebuild.
//
// Four dates are kept apart: the Date header, the newest Received field, the
// date that the mailbox a message was imported from gave it, and the capture.
// Lists are in the order of the sort date, see RowID.
package mailbox

import (
	"embed"
	"io/fs"
	"time"

	"sijill/internal/db"
	"sijill/internal/message"
)

//go:embed sqlite/*.sql
var migrations embed.FS

// Mailbox is the projection named "mailbox" and its reader. It is safe for
// concurrent use.
type Mailbox struct {
	db *db.DB
}

// New makes the mailbox whose tables are in d. Its migrations must have run
// before anything is read or applied.
func New(d *db.DB) *Mailbox { return &Mailbox{db: d} }

// Name is "mailbox".
func (m *Mailbox) Name() string { return "mailbox" }

// Version is raised whenever the same entries give other rows.
func (m *Mailbox) Version() int { return 1 }

// Migrations has the tables.
func (m *Mailbox) Migrations() fs.FS { return migrations }

const (
	numberBits  = 24
	numberMask  = 1<<numberBits - 1
	maxSortDate = 1<<38 - 1 // Row ids stay positive: 38 + 24 bits.
)

// RowID is the id of a message's row: the sort date in unix seconds, clamped
// to [0, 2^38), above 24 bits of the entry's number. Row ids therefore sort by
// date. Entries that would share an id take the next free one, so an id says
// which entry it is only through the table.
func RowID(sortDate time.Time, entry int64) int64 {
	s := min(max(sortDate.Unix(), 0), maxSortDate)
	return s<<numberBits | entry&numberMask
}

func rowDate(row int64) time.Time { return time.Unix(row>>numberBits, 0).UTC() }

// Roles of folders.
const (
	RoleInbox  = "inbox"
	RoleImport = "import"
)

// Folder is a list of messages of one account.
type Folder struct {
	ID, Account   int64
	Name          string // As people see it; Inbox is to be translated by its role.
	Role          string // RoleInbox or RoleImport.
	Total, Unseen int64
	// UIDValidity and UIDNext are those of IMAP (RFC 9051, section 2.3.1.1).
	UIDValidity, UIDNext int64
}

// Row is a line of a message list.
type Row struct {
	ID     int64 // See RowID.
	Entry  int64
	Thread int64 // Names the thread within the account; 0 is a thread like any other.
	Folder int64
	UID    int64
	Date   time.Time // The sort date, whole seconds.
	// From is the author; To is for reading only. Long ones are cut.
	From             message.Address
	To               string
	Subject, Snippet string // Cut to 255 and 168 octets.
	Size             int64  // Octets as captured.
	Attachments      int
	Seen             bool
}

// Dates are the four dates of a message; one that it lacks is zero.
type Dates struct {
	Sent     time.Time // Date header.
	Received time.Time // Newest Received field.
	Internal time.Time // Given by the mailbox it was imported from.
	Captured time.Time // When it arrived at this office.
}

// Placement says in which folder a message lies for an account.
type Placement struct {
	Account, Folder, UID, Thread int64
}
