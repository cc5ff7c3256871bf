package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"sijill"
	"sijill/internal/view"
)

// picked are messages of one folder that something is to be done to.
type picked struct {
	folder Folder
	uids   []int64
}

// errNothing is returned when nothing was picked.
var errNothing = errors.New("nothing is picked")

// act does something to messages: do says what, at which ones ("FOLDER-UID",
// repeated), or all a whole folder; to is the folder of a move.
func (s *site) act(w http.ResponseWriter, r *request) error {
	form, err := r.form()
	if err != nil {
		return err
	}
	// The star of a row names its own message, whatever is picked beside it.
	if do, at, ok := strings.Cut(form.Get("one"), " "); ok {
		form.Set("do", do)
		form["at"], form["all"] = []string{at}, nil
	}
	folders, err := s.Mailbox.Folders(r.Context(), r.viewer)
	if err != nil {
		return fmt.Errorf("loading the folders: %w", err)
	}
	list, err := s.picked(r, form, folders)
	if errors.Is(err, errNothing) {
		return s.said(w, r, "act.nothing", r.back("/"))
	}
	if err != nil {
		return err
	}
	if m, on, ok := markOf(form.Get("do")); ok {
		return s.mark(w, r, list, m, on)
	}
	if form.Get("do") == "delete" {
		// What lies in the trash is removed for good only by itself: together
		// with other messages it stays where it is.
		inTrash := func(p picked) bool { return p.folder.Role == roleTrash }
		if !slices.ContainsFunc(list, func(p picked) bool { return !inTrash(p) }) {
			return s.expunge(w, r, form, list)
		}
		list = slices.DeleteFunc(list, inTrash)
	}
	return s.move(w, r, form, folders, list)
}

// picked reads which messages a form names, by folder.
func (s *site) picked(r *request, form url.Values, folders []Folder) ([]picked, error) {
	if all := form.Get("all"); all != "" {
		id, err := strconv.ParseInt(all, 10, 64)
		f, ok := find(folders, id)
		if err != nil || !ok {
			return nil, errBadRequest
		}
		uids, err := s.Mailbox.UIDs(r.Context(), r.viewer, id)
		if err == nil && len(uids) == 0 {
			err = errNothing
		}
		return []picked{{f, uids}}, err
	}
	var list []picked
	for _, at := range form["at"] {
		folder, uid, ok := place(at)
		f, known := find(folders, folder)
		if !ok || !known {
			return nil, errBadRequest
		}
		i := slices.IndexFunc(list, func(p picked) bool { return p.folder.ID == folder })
		if i < 0 {
			list = append(list, picked{folder: f})
			i = len(list) - 1
		}
		list[i].uids = append(list[i].uids, uid)
	}
	if len(list) == 0 {
		return nil, errNothing
	}
	return list, nil
}

// place reads "FOLDER-UID".
func place(s string) (folder, uid int64, ok bool) {
	a, b, ok := strings.Cut(s, "-")
	folder, err := strconv.ParseInt(a, 10, 64)
	uid, err2 := strconv.ParseInt(b, 10, 64)
	return folder, uid, ok && err == nil && err2 == nil
}

func count(list []picked) (n int) {
	for _, p := range list {
		n += len(p.uids)
	}
	return n
}

// markOf reads what is to be done as a mark.
func markOf(do string) (m Mark, on, ok bool) {
	switch do {
	case "read":
		return MarkSeen, true, true
	case "unread":
		return MarkSeen, false, true
	case "flag":
		return MarkFlagged, true, true
	case "unflag":
		return MarkFlagged, false, true
	}
	return "", false, false
}

func (s *site) mark(w http.ResponseWriter, r *request, list []picked, m Mark, on bool) error {
	for _, p := range list {
		if err := s.Mailbox.Mark(r.Context(), r.viewer, p.folder.ID, p.uids, m, on); err != nil {
			return fmt.Errorf("marking messages: %w", err)
		}
	}
	return s.said(w, r, "act."+r.PostForm.Get("do"), r.back("/"), count(list))
}

// move moves messages to the folder that the form names or means.
func (s *site) move(w http.ResponseWriter, r *request, form url.Values, folders []Folder, list []picked) error {
	it := deed{}
	var name string
	for _, p := range list {
		to, err := target(form, folders, p.folder)
		if err != nil {
			return err
		}
		if to.ID == p.folder.ID {
			continue
		}
		uids, err := s.Mailbox.Move(r.Context(), r.viewer, p.folder.ID, p.uids, to.ID)
		if errors.Is(err, ErrWall) {
			return s.said(w, r, "act.wall", r.back("/"))
		}
		if err != nil {
			return fmt.Errorf("moving messages: %w", err)
		}
		it.moves = append(it.moves, transfer{from: to.ID, to: p.folder.ID, uids: uids})
		if name, err = folderName(r.locale, to); err != nil {
			return err
		}
	}
	if len(it.moves) == 0 {
		return s.said(w, r, "act.there", r.back("/"))
	}
	n := 0
	for _, m := range it.moves {
		n += len(m.uids)
	}
	var err error
	if it.text, err = r.locale.Plain("act.moved", n, name); err != nil {
		return err
	}
	return s.done(w, r, it, r.back("/"))
}

// target is the folder that messages of another go to. Each class has its own
// archive, junk and trash.
func target(form url.Values, folders []Folder, from Folder) (Folder, error) {
	want := ""
	switch form.Get("do") {
	case "archive":
		want = roleArchive
	case "junk":
		want = roleJunk
	case "notjunk":
		want = roleInbox
	case "delete":
		want = roleTrash
	case "move":
		id, err := strconv.ParseInt(form.Get("to"), 10, 64)
		f, ok := find(folders, id)
		if err != nil || !ok || !takes(f) {
			return Folder{}, errBadRequest
		}
		return f, nil
	default:
		return Folder{}, errBadRequest
	}
	f, ok := role(folders, from.Class, want)
	if !ok {
		return Folder{}, fmt.Errorf("finding the folder to move to: %w", errBadRequest)
	}
	return f, nil
}

// Confirm asks before something that can't be undone.
type Confirm struct {
	view.Frame
	Heading, Text, Button string
	Action                string
	Fields                []NamedText // Name and Value, to post again.
}

// expunge removes for good what is in the trash, after asking.
func (s *site) expunge(w http.ResponseWriter, r *request, form url.Values, list []picked) error {
	if form.Get("sure") == "" {
		return s.askExpunge(w, r, form, list)
	}
	for _, p := range list {
		if err := s.Mailbox.Expunge(r.Context(), r.viewer, p.folder.ID, p.uids); err != nil {
			return fmt.Errorf("removing messages: %w", err)
		}
	}
	return s.said(w, r, "act.gone", r.back("/"), count(list))
}

func (s *site) askExpunge(w http.ResponseWriter, r *request, form url.Values, list []picked) error {
	key := "expunge.office"
	if classOf(list[0].folder.Class) == sijill.Personal {
		key = "expunge.personal"
	}
	c := Confirm{Action: "/act", Fields: []NamedText{{Name: "sure", Value: "1"}}}
	for _, name := range []string{"do", "at", "all", "back"} {
		for _, v := range form[name] {
			c.Fields = append(c.Fields, NamedText{Name: name, Value: v})
		}
	}
	var err, err2, err3 error
	c.Heading, err = r.locale.Plain("expunge.title", count(list))
	c.Text, err2 = r.locale.Plain(key, count(list))
	c.Button, err3 = r.locale.Plain("expunge")
	if err := errors.Join(err, err2, err3); err != nil {
		return err
	}
	return s.confirm(w, r, c, r.back("/"))
}

// confirm shows a question. back is where cancelling leads.
func (s *site) confirm(w http.ResponseWriter, r *request, c Confirm, back string) error {
	f, _, err := s.framed(r, "mail", 0)
	if err != nil {
		return err
	}
	c.Frame, c.Title = f, c.Heading
	c.Here = back
	return s.render(w, http.StatusOK, "confirm", c)
}
