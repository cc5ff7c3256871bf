package web

import (
	"context"
	"time"

	"sijill"
	"sijill/internal/message"
)

// Post takes what is written. Letters are plain text.
type Post interface {
	// Identities gives the addresses that the viewer may write from, the main
	// one of each class first.
	Identities(ctx context.Context, v *Viewer) ([]Identity, error)
	// Suggest says as which class one usually writes to these people; "" when
	// nothing speaks for either.
	Suggest(ctx context.Context, v *Viewer, to []message.Address) (sijill.Class, error)
	// Complete gives people of the viewer's own mail whose name or address
	// has a word that begins with prefix, the likeliest first, at most ten.
	Complete(ctx context.Context, v *Viewer, prefix string) ([]message.Address, error)

	// Check says whether a letter would cross the wall. Like Send, it returns
	// ErrStale when the draft that the letter names is gone.
	Check(ctx context.Context, v *Viewer, l *Letter) (Crossing, error)
	// Send seals a letter and delivers it once undo has passed. It removes the
	// draft that the letter names. It returns ErrWall for a letter that
	// crosses the wall without Letter.FileCopy or may not cross it at all, and
	// ErrUnsuited for one without recipients.
	Send(ctx context.Context, v *Viewer, l *Letter, undo time.Duration) (Sent, error)
	// Written reads a letter that was sent, to be written on.
	Written(ctx context.Context, v *Viewer, id string) (*Letter, error)
	// Undo takes a letter back before it is delivered, out of the queue and out
	// of the sent folder. After that it returns ErrLate.
	Undo(ctx context.Context, v *Viewer, id string) error

	// SaveDraft seals a letter as a draft, durably, and then removes the one
	// that it replaces (-1 for none; one that is gone already is no error).
	SaveDraft(ctx context.Context, v *Viewer, replaces int64, l *Letter) (entry int64, err error)
	// Draft reads a draft back. What doesn't lie in Drafts is fs.ErrNotExist,
	// though the viewer holds it: it was sent, or saved again.
	Draft(ctx context.Context, v *Viewer, entry int64) (*Letter, error)
	// DropDraft removes a draft.
	DropDraft(ctx context.Context, v *Viewer, entry int64) error

	// FileCopy files a copy of a personal message in the register and gives
	// its entry.
	FileCopy(ctx context.Context, v *Viewer, entry int64) (int64, error)
	// Reminders gives the arrivals at the viewer's personal addresses that look
	// like office matters and of which no copy was filed, the first due first.
	Reminders(ctx context.Context, v *Viewer) ([]Reminder, error)
	// Dismiss says that a message is no office matter.
	Dismiss(ctx context.Context, v *Viewer, entry int64) error
}

// Identity is an address of the viewer's.
type Identity struct {
	Address   string
	Class     sijill.Class
	Name      string // Shown with the address to those who get mail from it.
	Signature string
}

// Letter is a letter that is being written.
type Letter struct {
	From        message.Address // One of the identities.
	Class       sijill.Class    // Of From.
	To, Cc, Bcc []message.Address
	Subject     string
	Text        string
	Files       []Attached

	// Typed are fields of a draft ("to", "cc", "bcc") as they were typed, where
	// they hold more than addresses. They leave with nothing.
	Typed map[string]string

	Answers  int64  // The entry that it answers or forwards; -1 for none.
	How      string // HowReply, HowAll, HowForward, HowAttach; "" with no Answers.
	Draft    int64  // The draft that it was; -1 for none.
	FileCopy bool   // Crossing the wall was decided: a copy is filed.
}

// How a letter relates to the entry that it answers.
const (
	HowReply   = "reply"
	HowAll     = "all"
	HowForward = "forward" // The text is quoted, attachments go along.
	HowAttach  = "attach"  // The whole message goes along.
)

// Attached is a file of a letter.
type Attached struct {
	Name, Type string
	Data       []byte
}

// Crossing says in which way a letter crosses the wall. The zero value is a
// letter that doesn't.
type Crossing struct {
	Answers  bool              // It answers or forwards office mail from a personal address.
	Contacts []message.Address // Recipients who are the office's contacts.
	Barred   bool              // It may not even be sent with a copy filed: only from the office.
}

// crosses tells whether there is a choice to make.
func (c Crossing) crosses() bool { return c.Answers || c.Barred || len(c.Contacts) > 0 }

// Sent is a letter on its way.
type Sent struct {
	ID    string    // For Undo.
	Until time.Time // Until when it can be undone.
	Entry int64     // The entry as which it is sealed, or -1 until it is.
}

// Reminder is an arrival that looks like an office matter.
type Reminder struct {
	Entry   int64
	Arrived time.Time
	Due     time.Time // 20 days after it arrived (44 U.S.C. 2911).
}
