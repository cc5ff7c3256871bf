package web

import (
	"net/url"
	"strconv"
	"time"

	"sijill"
	"sijill/internal/search"
	"sijill/internal/view"
)

// Desk is the page with the folders, a list and a pane. Fields are exported for
// its template.
type Desk struct {
	view.Frame
	List    List
	Search  *Found   // Set when the list is what a search found.
	Message *Message // Set when a message is open.
	Open    int64    // The open entry; -1 for none.
}

// List is a window of a list.
type List struct {
	Folder       int64
	Class        sijill.Class
	Role         string
	Name         string
	Total        int64
	From         int64 // Offset of the first row shown.
	First        int64 // From counted from 1.
	At           int64 // Offset to scroll to.
	Rows         []Row
	Newer, Older string // Links to the windows beside; empty at the ends.
	PageText     string
	Pages        int64
}

// Mixed tells whether rows must say whose they are.
func (d Desk) Mixed() bool { return d.Search != nil }

// Row is a line of a list.
type Row struct {
	Entry       int64
	At          int64  // Offset in the list; -1 in what a search found.
	Position    int64  // At counted from 1.
	Pick        string // Names the message to /act.
	Class       sijill.Class
	Link        string
	Draft       bool // Opens in the composer.
	From        string
	To          bool // From is whom it went to.
	Subject     string
	Snippet     string
	Spans       []search.Span // The snippet with the words that were searched for.
	Date        time.Time
	Attachments int
	Seen        bool
	Answered    bool
	Flagged     bool
	Closed      bool
}

// window is how many rows a page has; scriptWindow how many a script may ask
// for at once.
const (
	window       = 50
	scriptWindow = 200
)

var deskScripts = []string{"list.js", "message.js", "desk.js", "pick.js"}

// row makes a line for the template. where is added to its link's query, to
// tell which list it was opened from; in is the role of the folder it is in.
func (s *site) row(m Line, at int64, where url.Values, in string) Row {
	from := m.From.Name
	if from == "" {
		from = m.From.Addr
	}
	to := (in == roleSent || in == roleDrafts) && !m.Closed
	if to {
		from = m.To
	}
	draft := in == roleDrafts && s.Post != nil
	link := "/m/" + strconv.FormatInt(m.Entry, 10)
	if draft {
		link = draftLink(m.Entry)
	} else if q := where.Encode(); q != "" {
		link += "?" + q
	}
	return Row{
		Entry: m.Entry, At: at, Position: at + 1, Link: link, Draft: draft, From: from, To: to,
		Pick:  strconv.FormatInt(m.Folder, 10) + "-" + strconv.FormatInt(m.UID, 10),
		Class: classOf(m.Class), Subject: m.Subject, Snippet: m.Snippet, Date: m.Date.In(s.Location),
		Attachments: m.Attachments, Seen: m.Seen || in == roleDrafts, Answered: m.Answered, Flagged: m.Flagged, Closed: m.Closed,
	}
}

func draftLink(entry int64) string { return "/compose?draft=" + strconv.FormatInt(entry, 10) }
