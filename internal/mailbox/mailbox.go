// Package mailbox is what people read: folders, message lists and threads.
//
// It keeps two things apart. State is what people did: in which folders a
// message lies, with which flags. It outlives every rebuild, and a change that a
// person waits for is on disk when the call returns. Facts are what is derived
// from a message: its line in a list, its thread, what IMAP shows of it. They
// are made again at will, and those of mail that the server can't open are not
// here at all: they live in a database in memory while the owner is there.
//
// It promises that the same entries always give the same facts; that an account
// sees nothing, not even the shape of a thread, of what only others hold; that a
// message which was placed once is never placed again; that a UID never names
// another message; that what a folder's Changes say always adds up to what
// Places says; that no office message leaves a folder without an entry in the
// register, even if the machine stops in between; and that a list is quick at
// any offset.
//
// Four dates are kept apart: the Date header, the newest Received field, the
// date that the mailbox a message was imported from gave it, and the capture.
// Lists are in the order of the sort date, see RowID.
package mailbox

import (
	"context"
	"embed"
	"errors"
	"io/fs"
	"sync"
	"time"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/message"
	"sijill/internal/record"
)

//go:embed sqlite/*.sql
var migrations embed.FS

// Errors of changes to folders. Something that the account doesn't have is
// fs.ErrNotExist, and a name that is taken fs.ErrExist.
var (
	// ErrWall says that a message would cross from office to personal mail or back.
	ErrWall = errors.New("office and personal mail do not mix")
	// ErrName says that a folder can't have such a name.
	ErrName = errors.New("no folder can have this name")
	// ErrRole says that a folder with this role can't be changed so.
	ErrRole = errors.New("the folder's role forbids this")
	// ErrNotEmpty says that a folder has messages, or folders below it.
	ErrNotEmpty = errors.New("the folder is not empty")
	// ErrKeyword says that something can't be a keyword: they are 1 to 100
	// printable ASCII characters without spaces, up to 100 on a message and
	// 1,000 in an account.
	ErrKeyword = errors.New("not a keyword")
)

// Register takes the entries that changes of people make. *record.Register is
// one.
type Register interface {
	// Append appends a draft; see record.Register.
	Append(ctx context.Context, d record.Draft) (record.Receipt, error)
	// Destroy deletes the keys of personal messages and says so in an entry.
	Destroy(ctx context.Context, account int64, actor string, entries []int64) (record.Receipt, error)
}

// Mailbox is the projection named "mailbox", its reader, and what changes it.
// It is safe for concurrent use.
type Mailbox struct {
	db       *db.DB
	facts    *Facts
	books    *db.DB // The register's database, for arrivals; may be nil.
	register Register
	cooling  Cooling

	watchers  watchers
	snapshots snapshots
	mu        sync.Mutex     // Guards claimed.
	claimed   map[int64]bool // Notes that somebody is appending.
	owed      chan struct{}
}

// New makes the mailbox whose tables are in d. Its migrations must have run
// before anything is read or applied. Without Attach it knows no arrivals and
// can't move or expunge office mail, or expunge personal mail.
func New(d *db.DB) *Mailbox {
	return &Mailbox{db: d, facts: NewFacts(d), claimed: map[int64]bool{}, owed: make(chan struct{}, 1)}
}

// Attach gives the mailbox the register's database, in which MigrateArrivals
// must have run, and the register; r may be nil where nothing is to be changed.
// It is called before anything else.
func (m *Mailbox) Attach(books *db.DB, r Register) { m.books, m.register = books, r }

// Name is "mailbox".
func (m *Mailbox) Name() string { return "mailbox" }

// Version is raised whenever the same entries give other facts.
func (m *Mailbox) Version() int { return 2 }

// Migrations has the tables.
func (m *Mailbox) Migrations() fs.FS { return migrations }

// Facts are the facts of mail that the server can open.
func (m *Mailbox) Facts() *Facts { return m.facts }

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

// Roles of folders. An account has at most one of each in a class, but for
// RoleImport.
const (
	RoleInbox   = "inbox"
	RoleSent    = "sent"
	RoleDrafts  = "drafts"
	RoleJunk    = "junk"
	RoleTrash   = "trash"
	RoleArchive = "archive"
	RoleImport  = "import" // Made by an import; otherwise a folder like one without a role.
)

// Folder is a list of messages of one account and class.
type Folder struct {
	ID, Account   int64
	Class         sijill.Class
	Name          string // A path with "/"; those of folders with a role are to be translated by it.
	Role          string // One of the roles; "" for a folder that somebody made.
	Subscribed    bool
	Total, Unseen int64
	// Cold and ColdUnseen are how many of those are cold: mail programs don't see
	// them, but a message that says so, with the UID Notice; 0 for none.
	Cold, ColdUnseen, Notice int64
	// UIDValidity and UIDNext are those of IMAP (RFC 9051, section 2.3.1.1).
	UIDValidity, UIDNext int64
	// ModSeq grows with every change (RFC 7162). It is never given twice, even
	// if the last changes were lost.
	ModSeq int64
}

// Row is a line of a message list. Of a message without facts it has ID, Entry,
// Class, Folder, UID, Date, Flags and Seen.
type Row struct {
	ID     int64 // See RowID.
	Entry  int64
	Thread int64 // Names the thread within the account; 0 is a thread like any other.
	Class  sijill.Class
	Folder int64
	UID    int64
	Date   time.Time // The sort date, whole seconds.
	// From is the author; To is for reading only. Long ones are cut.
	From             message.Address
	To               string
	Subject, Snippet string // Cut to 255 and 168 octets.
	Size             int64  // Octets as captured.
	Attachments      int
	Flags            Flags
	Seen             bool // Flags has FlagSeen.
	Closed           bool // There are no facts: the message can't be opened now.
}

// Dates are the four dates of a message; one that it lacks is zero.
type Dates struct {
	Sent     time.Time // Date header.
	Received time.Time // Newest Received field.
	Internal time.Time // Given by the mailbox it was imported from.
	Captured time.Time // When it arrived at this office.
}
