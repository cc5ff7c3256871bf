package web

import (
	"context"
	"time"

	"sijill"
	"sijill/internal/message"
	"sijill/internal/search"
)

// Roles of folders that the pages know; any other is a folder like any other.
const (
	roleInbox   = "inbox"
	roleDrafts  = "drafts"
	roleSent    = "sent"
	roleArchive = "archive"
	roleJunk    = "junk"
	roleTrash   = "trash"
)

// Folder is a list of messages of one account and one class.
type Folder struct {
	ID            int64
	Class         sijill.Class // Empty counts as office.
	Name, Role    string       // Folders with a role are named by the pages.
	Total, Unseen int64
}

// Line is a line of a message list. Of one that is closed only the numbers, the
// class and the date are known.
type Line struct {
	Row                             int64 // Orders the lists; see Position.
	Entry, Thread, Folder, UID      int64
	Class                           sijill.Class
	Date                            time.Time
	From                            message.Address
	To                              string // For reading only.
	Subject, Snippet                string
	Size                            int64
	Attachments                     int
	Seen, Answered, Flagged, Closed bool
}

// Mark is something said of a message.
type Mark string

// The marks.
const (
	MarkSeen     Mark = "seen"
	MarkFlagged  Mark = "flagged"
	MarkAnswered Mark = "answered"
)

// Mailbox gives the lists and changes them. Whatever isn't the viewer's, or not
// within the scope of the session, is fs.ErrNotExist. UIDs that are gone are
// passed over.
type Mailbox interface {
	Folders(ctx context.Context, v *Viewer) ([]Folder, error)
	List(ctx context.Context, v *Viewer, folder, offset, n int64) ([]Line, error)
	// Position gives the offset of a row in its folder's list.
	Position(ctx context.Context, v *Viewer, folder, row int64) (int64, error)
	Get(ctx context.Context, v *Viewer, entry int64) (Line, error)
	Thread(ctx context.Context, v *Viewer, thread int64) ([]Line, error)
	// UIDs gives all of a folder, for what is done to all that it holds.
	UIDs(ctx context.Context, v *Viewer, folder int64) ([]int64, error)

	// Mark puts a mark on messages of a folder, or takes it off.
	Mark(ctx context.Context, v *Viewer, folder int64, uids []int64, m Mark, on bool) error
	// Move moves messages to another folder and gives their UIDs there. To a
	// folder of the other class it is ErrWall.
	Move(ctx context.Context, v *Viewer, folder int64, uids []int64, to int64) ([]int64, error)
	// Expunge removes messages for good: office mail from sight, personal mail
	// from existence when no other folder holds it.
	Expunge(ctx context.Context, v *Viewer, folder int64, uids []int64) error

	// CreateFolder and RenameFolder return ErrTaken for a name that there is
	// and ErrUnsuited for one that can't be. DeleteFolder wants a folder
	// without a role and without mail; else it is ErrUnsuited.
	CreateFolder(ctx context.Context, v *Viewer, class sijill.Class, name string) (int64, error)
	RenameFolder(ctx context.Context, v *Viewer, folder int64, name string) error
	DeleteFolder(ctx context.Context, v *Viewer, folder int64) error
}

// Finder answers queries. Errors of the query are *search.QueryError.
type Finder interface {
	Query(ctx context.Context, v *Viewer, q string, o search.Options) (*Findings, error)
}

// Findings is a page of what a query found; see search.Result.
type Findings struct {
	Hits         []Hit
	Total        int64
	TotalIsFloor bool
	Next         int64
}

// Hit is a message that matches, with its words in context.
type Hit struct {
	Line
	Spans []search.Span
}

// Watcher tells of news.
type Watcher interface {
	// Watch gives a channel that is signalled after every change to a folder
	// of the viewer's account. stop must be called when it's wanted no more.
	// A viewer that watches is good for Folders and for nothing else any more:
	// a page that is merely open must not keep keys in memory.
	Watch(v *Viewer) (changed <-chan struct{}, stop func())
}
