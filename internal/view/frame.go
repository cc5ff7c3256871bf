package view

import (
	"time"

	"sijill"
)

// Frame is what every page has round its content. Pages embed it.
type Frame struct {
	L       *Locale
	Locales []*Locale
	Now     time.Time
	Title   string // Of the window; plain text.
	Office  string
	Here    string // Path of this page, to come back to after changing the language.
	Nav     string // Which place of the navigation this is: mail, folders, search, register, verify, help, settings, admin.

	Person, Address string // Who is signed in; empty for nobody.
	Groups          []FolderGroup
	Unseen          int64    // Unread messages of all inboxes, for the window's title.
	Query           string   // What was searched for.
	Scripts         []string // Names of the page's own scripts.

	Writes    bool      // Letters can be written here.
	Settings  bool      // There are settings.
	Admin     bool      // The person runs the server.
	Live      bool      // News come by server-sent events.
	Retry     int64     // Seconds between questions where they are refused.
	Locked    bool      // The person has personal mail, and it is closed.
	Deep      time.Time // Until when older mail is open; zero when it isn't.
	Toast     *Toast
	Reminders *Reminders
}

// FolderGroup is the folders of one identity.
type FolderGroup struct {
	Class   sijill.Class
	Closed  bool // Its mail can't be opened now.
	Folders []FolderLink
}

// FolderLink is one folder in the navigation.
type FolderLink struct {
	ID            int64
	Class         sijill.Class
	Name, Role    string
	Plain         string // Its own name, to rename it by.
	Total, Unseen int64
	Current       bool
	Target        bool // Messages of the page's folder can be moved here by hand.
}

// Toast says what was just done, and undoes it.
type Toast struct {
	Text  string
	Did   string // Names it in the address of a page that is to say it too.
	Token string // What to post to Undo; empty when it can't be undone.
	Undo  string // Path.
}

// Reminders counts arrivals at a personal address that look like office
// matters, and says by when a copy of the first is due.
type Reminders struct {
	Count int
	Due   time.Time
}

// Tag is a mark of an identity: its icon, colour and word.
type Tag struct {
	L     *Locale
	Class sijill.Class
	Text  string // Beside the word; may be empty.
}

// Tag gives the mark of a class. text, if any, stands beside the word.
func (f Frame) Tag(class sijill.Class, text string) Tag { return Tag{f.L, class, text} }

// Soon tells whether older mail is open now.
func (f Frame) Soon() bool { return f.Deep.After(f.Now) }

// Count is the number beside a folder.
type Count struct {
	L     *Locale
	N     int64
	Title string
}

// Count is what stands beside a folder: drafts count whole, in the trash and
// the sent folder nothing does, elsewhere what is unread.
func (f Frame) Count(d FolderLink) (Count, error) {
	c := Count{L: f.L, N: d.Unseen}
	key := "unseen"
	switch d.Role {
	case "drafts":
		c.N, key = d.Total, "messages"
	case "sent", "trash":
		c.N = 0
	}
	var err error
	c.Title, err = f.L.Plain(key, c.N)
	return c, err
}
