package web

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"sijill"
	"sijill/internal/message"
	"sijill/internal/search"
	"sijill/internal/view"
)

// Message is an open message.
type Message struct {
	Entry             int64
	Class             sijill.Class
	Pick              string // Names it to /act.
	Own               string // The address of ours that it came to or went from; may be empty.
	Flagged           bool
	Folder            int64  // In whose list it is shown; see listOf.
	Role              string // Of the folder it is in.
	Targets           []view.FolderLink
	Due               time.Time // By when a copy is to be filed, if it looks like an office matter.
	Back, BackName    string
	Subject           []search.Span
	Parties           []Party
	Date              time.Time
	Seal              Seal
	Thread            []ThreadRow
	ThreadLen         int
	Notices           []string
	Blocked           int    // Remote images that were left out.
	ImagesLink        string // Shows them.
	Frame             string // Address of the HTML text; empty when Blocks is shown.
	Switch            string // Link to the other form of the text; empty when there's none.
	Blocks            []Block
	Cut               bool // The text goes on beyond what is shown.
	Attachments       []File
	AttachmentCount   int
	Dates             []NamedTime
	Envelope, Headers []NamedText
	HeadersMore       int
}

// Dir is the direction of the subject.
func (m *Message) Dir() string {
	var b strings.Builder
	for _, s := range m.Subject {
		b.WriteString(s.Text)
	}
	return view.Direction(b.String())
}

// Party is a field of people.
type Party struct {
	Key    string // Of the catalog.
	People []message.Address
	More   int // How many more there are than are shown.
}

// Seal is what the register says of the message.
type Seal struct {
	SealInfo
	Bytes []byte // Of the commitment, for the rosette.
}

// ThreadRow is one message of the conversation.
type ThreadRow struct {
	Row
	Current bool
}

// File is an attachment.
type File struct {
	Link, Name, Kind string
	Size             int64
}

// NamedTime and NamedText are lines of a table; Key is of the catalog.
type (
	NamedTime struct {
		Key  string
		Time time.Time
	}
	NamedText struct{ Key, Name, Value string }
)

// maxParty is how many people of a field are shown.
const maxParty = 25

// message is the page of a message. It names the list it was opened from: f for
// a folder, q for a search.
func (s *site) message(w http.ResponseWriter, r *request) error {
	entry, err := r.entry()
	if err != nil {
		return err
	}
	row, err := s.Mailbox.Get(r.Context(), r.viewer, entry)
	if err != nil {
		return fmt.Errorf("finding a message: %w", err)
	}
	d := Desk{Frame: s.frame(r, "mail"), Open: entry}
	folder, at, err := s.listOf(r, row)
	if err != nil {
		return err
	}
	if d.Message, err = s.load(r, row, folder); err != nil {
		return err
	}
	if err := s.place(r, d.Message, row); err != nil {
		return err
	}
	if !row.Seen {
		if err := s.Mailbox.Mark(r.Context(), r.viewer, row.Folder, []int64{row.UID}, MarkSeen, true); err != nil {
			return fmt.Errorf("marking a message as read: %w", err)
		}
	}
	if r.partial() {
		return s.messagePart(w, r, d, row)
	}
	if err := s.beside(r, &d, at); err != nil {
		return err
	}
	if d.Title, err = titleOf(r, row); err != nil {
		return err
	}
	d.Scripts = deskScripts
	return s.render(w, http.StatusOK, "desk", d)
}

func (s *site) messagePart(w http.ResponseWriter, r *request, d Desk, row Line) error {
	var err error
	if d.Title, err = titleOf(r, row); err != nil {
		return err
	}
	return s.render(w, http.StatusOK, "message", d)
}

func titleOf(r *request, row Line) (string, error) {
	if row.Subject == "" {
		return r.locale.Plain("nosubject")
	}
	return "\u2068" + row.Subject + "\u2069", nil
}

// listOf gives the folder in whose list a message is shown, and its offset there:
// the one it was opened from (?f=), or the one it lies in when it was moved since,
// so that the way back through a browser's history leads to it. The offset is 0
// where no such list is shown: for a script, and beside a search.
func (s *site) listOf(r *request, row Line) (folder, at int64, err error) {
	folder, err = r.number("f", row.Folder)
	if err != nil || r.partial() || r.URL.Query().Get("q") != "" {
		return folder, 0, err
	}
	at, err = s.Mailbox.Position(r.Context(), r.viewer, folder, row.Row)
	if errors.Is(err, fs.ErrNotExist) && folder != row.Folder {
		folder = row.Folder
		at, err = s.Mailbox.Position(r.Context(), r.viewer, folder, row.Row)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("finding a message in its list: %w", err)
	}
	return folder, at, nil
}

// beside loads the list that the message was opened from. at is the message's
// offset in its folder.
func (s *site) beside(r *request, d *Desk, at int64) error {
	var err error
	if r.URL.Query().Get("q") != "" {
		if d.Frame, _, err = s.framed(r, "search", 0); err != nil {
			return err
		}
		return s.find(r, d)
	}
	d.Frame, d.List, err = s.list(r, d.Message.Folder, max(0, at-window/4), at)
	return err
}

// load reads a message and makes what its page shows, in the list of a folder.
func (s *site) load(r *request, row Line, folder int64) (*Message, error) {
	raw, env, err := s.Records.Original(r.Context(), r.viewer, row.Entry)
	if err != nil {
		return nil, fmt.Errorf("opening a message: %w", err)
	}
	info, err := s.Records.Seal(r.Context(), r.viewer, row.Entry)
	if err != nil {
		return nil, fmt.Errorf("reading the seal of a message: %w", err)
	}
	parsed := message.Parse(env.Inner(raw))
	mark := s.highlighter(r.Context(), r.URL.Query().Get("q"))
	m := &Message{Entry: row.Entry, Folder: folder, Class: classOf(row.Class), Flagged: row.Flagged, Parties: parties(parsed), Seal: Seal{SealInfo: info},
		Pick: strconv.FormatInt(row.Folder, 10) + "-" + strconv.FormatInt(row.UID, 10)}
	if subject := parsed.Subject(); subject != "" {
		m.Subject = mark(subject)
	}
	if m.Seal.Bytes, err = base64.StdEncoding.DecodeString(info.Commitment); err != nil {
		return nil, fmt.Errorf("reading a commitment: %w", err)
	}
	if t, ok := parsed.Date(); ok {
		m.Date = t.In(s.Location)
	}
	m.back(r)
	if m.Own, err = s.ownAddress(r, parsed, m.Class); err != nil {
		return nil, err
	}
	if err := s.notices(r, m, &env, parsed); err != nil {
		return nil, err
	}
	m.files(parsed)
	m.headers(parsed, &env, info)
	s.letter(r, m, parsed, mark)
	return m, s.thread(r, m, row)
}

// place says where a message lies, where else it may go, and what is known of
// it besides.
func (s *site) place(r *request, m *Message, row Line) error {
	folders, err := s.Mailbox.Folders(r.Context(), r.viewer)
	if err != nil {
		return fmt.Errorf("loading the folders: %w", err)
	}
	if d, ok := find(folders, row.Folder); ok {
		m.Role = d.Role
	}
	if err := m.nameBack(r, folders); err != nil {
		return err
	}
	all, err := groups(r, folders, row.Folder)
	if err != nil {
		return err
	}
	for _, g := range all {
		if g.Class != m.Class {
			continue
		}
		for _, f := range g.Folders {
			if f.Target {
				m.Targets = append(m.Targets, f)
			}
		}
	}
	return s.dueOf(r, m)
}

// back is the list that the message was opened from.
func (m *Message) back(r *request) {
	v := r.URL.Query()
	if q := v.Get("q"); q != "" {
		m.Back = searchLink(q, v.Get("rank") != "", 0)
		if b := v.Get("before"); b != "" {
			m.Back += "&before=" + url.QueryEscape(b)
		}
		return
	}
	m.Back = folderLink(m.Folder)
}

// nameBack says what is behind the way back.
func (m *Message) nameBack(r *request, folders []Folder) (err error) {
	if d, ok := find(folders, m.Folder); ok && r.URL.Query().Get("q") == "" {
		m.BackName, err = folderName(r.locale, d)
		return err
	}
	m.BackName, err = r.locale.Plain("search.title")
	return err
}

// here is the message's own address in its list, with one more thing said.
func (m *Message) here(r *request, name, value string) string {
	v := r.URL.Query()
	v.Del("images")
	v.Del("view")
	if value != "" {
		v.Set(name, value)
	}
	link := m.link("")
	if q := v.Encode(); q != "" {
		link += "?" + q
	}
	return link
}

func (m *Message) link(rest string) string { return "/m/" + strconv.FormatInt(m.Entry, 10) + rest }

func (s *site) thread(r *request, m *Message, row Line) error {
	rows, err := s.Mailbox.Thread(r.Context(), r.viewer, row.Thread)
	if err != nil {
		return fmt.Errorf("loading a conversation: %w", err)
	}
	if len(rows) < 2 {
		return nil
	}
	for _, t := range rows {
		m.Thread = append(m.Thread, ThreadRow{Row: s.row(t, -1, nil, ""), Current: t.Entry == row.Entry})
	}
	m.ThreadLen = len(rows)
	return nil
}

// notices are what a reader should know before reading.
func (s *site) notices(r *request, m *Message, env *message.Envelope, parsed *message.Message) error {
	add := func(key string, args ...any) error {
		t, err := r.locale.Plain(key, args...)
		m.Notices = append(m.Notices, t)
		return err
	}
	if env.Journal != nil {
		if err := add("notice.journal"); err != nil {
			return err
		}
	}
	if len(parsed.Warnings) > 0 {
		return add("notice.broken")
	}
	return nil
}

// parties are the people of a message, each field with what it says.
func parties(m *message.Message) []Party {
	var out []Party
	from := m.From()
	add := func(key string, list []message.Address) {
		if len(list) == 0 {
			return
		}
		p := Party{Key: key, People: list}
		if len(list) > maxParty {
			p.People, p.More = list[:maxParty], len(list)-maxParty
		}
		out = append(out, p)
	}
	add("from", from)
	if sender := m.Sender(); len(sender) > 0 && (len(from) == 0 || !strings.EqualFold(sender[0].Addr, from[0].Addr)) {
		add("sender", sender)
	}
	if reply := m.ReplyTo(); len(reply) > 0 && (len(from) == 0 || !strings.EqualFold(reply[0].Addr, from[0].Addr)) {
		add("replyto", reply)
	}
	add("to", m.To())
	add("cc", m.Cc())
	add("bcc", m.Bcc())
	return out
}
