package web

import (
	"net/url"
	"strconv"
	"time"

	"sijill/internal/mailbox"
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

// Row is a line of a list.
type Row struct {
	Entry       int64
	At          int64 // Offset in the list; -1 in what a search found.
	Position    int64 // At counted from 1.
	Link        string
	From        string
	Subject     string
	Snippet     string
	Spans       []search.Span // The snippet with the words that were searched for.
	Date        time.Time
	Attachments int
	Seen        bool
}

// window is how many rows a page has; scriptWindow how many a script may ask
// for at once.
const (
	window       = 50
	scriptWindow = 200
)

var deskScripts = []string{"list.js", "message.js", "desk.js"}

// row makes a line for the template. where is added to its link's query, to
// tell which list it was opened from.
func (s *site) row(m mailbox.Row, at int64, where url.Values) Row {
	from := m.From.Name
	if from == "" {
		from = m.From.Addr
	}
	link := "/m/" + strconv.FormatInt(m.Entry, 10)
	if q := where.Encode(); q != "" {
		link += "?" + q
	}
	return Row{
		Entry: m.Entry, At: at, Position: at + 1, Link: link, From: from,
		Subject: m.Subject, Snippet: m.Snippet, Date: m.Date.In(s.Location),
		Attachments: m.Attachments, Seen: m.Seen,
	}
}
