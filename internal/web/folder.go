package web

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"sijill"
	"sijill/internal/view"
)

// home goes to the inbox, or to the first folder where there's no inbox.
func (s *site) home(w http.ResponseWriter, r *request) error {
	folders, err := s.Mailbox.Folders(r.Context(), r.viewer)
	if err != nil {
		return fmt.Errorf("loading the folders: %w", err)
	}
	return s.goToRole(w, r, folders, roleInbox, "")
}

// goTo goes to the folder with a role, of the class of the folder that one
// comes from (?c=), else of the office's.
func (s *site) goTo(w http.ResponseWriter, r *request) error {
	folders, err := s.Mailbox.Folders(r.Context(), r.viewer)
	if err != nil {
		return fmt.Errorf("loading the folders: %w", err)
	}
	if !slices.Contains(order, r.PathValue("role")) {
		return fs.ErrNotExist
	}
	return s.goToRole(w, r, folders, r.PathValue("role"), sijill.Class(r.URL.Query().Get("c")))
}

func (s *site) goToRole(w http.ResponseWriter, r *request, folders []Folder, name string, class sijill.Class) error {
	to := "/folders"
	if len(folders) > 0 {
		to = folderLink(folders[0].ID)
	}
	for _, c := range []sijill.Class{class, sijill.Office, sijill.Personal} {
		if f, ok := role(folders, c, name); ok {
			to = folderLink(f.ID)
			break
		}
	}
	if did := r.URL.Query().Get("did"); did != "" {
		to = withDeed(to, did)
	}
	http.Redirect(w, r.Request, to, http.StatusSeeOther)
	return nil
}

func folderLink(id int64) string { return "/f/" + strconv.FormatInt(id, 10) }

// foldersPage is the folders, to open and to change.
type foldersPage struct {
	view.Frame
	Error string
	Tried string
}

// folders is the list of folders, a page of its own for the phone.
func (s *site) folders(w http.ResponseWriter, r *request) error {
	return s.showFolders(w, r, http.StatusOK, foldersPage{})
}

func (s *site) showFolders(w http.ResponseWriter, r *request, status int, p foldersPage) error {
	var err error
	if p.Frame, _, err = s.framed(r, "folders", 0); err != nil {
		return err
	}
	if p.Title, err = r.locale.Plain("nav.folders"); err != nil {
		return err
	}
	return s.render(w, status, "folders", p)
}

// maxFolderName is the longest name of a folder in bytes.
const maxFolderName = 200

// createFolder makes a folder of a class.
func (s *site) createFolder(w http.ResponseWriter, r *request) error {
	form, err := r.form()
	if err != nil {
		return err
	}
	name, class := strings.TrimSpace(form.Get("name")), classOf(sijill.Class(form.Get("class")))
	if !r.viewer.sees(class) {
		return fs.ErrNotExist
	}
	if name == "" || len(name) > maxFolderName {
		err = ErrUnsuited
	} else {
		_, err = s.Mailbox.CreateFolder(r.Context(), r.viewer, class, name)
	}
	return s.folderDone(w, r, "folder.made", name, err)
}

// changeFolder renames or deletes a folder.
func (s *site) changeFolder(w http.ResponseWriter, r *request) error {
	form, err := r.form()
	if err != nil {
		return err
	}
	id, err := r.number("folder", 0)
	if err != nil {
		return fs.ErrNotExist
	}
	name := strings.TrimSpace(form.Get("name"))
	switch form.Get("do") {
	case "delete":
		return s.folderDone(w, r, "folder.deleted", name, s.Mailbox.DeleteFolder(r.Context(), r.viewer, id))
	case "rename":
		if name == "" || len(name) > maxFolderName {
			return s.folderDone(w, r, "", name, ErrUnsuited)
		}
		return s.folderDone(w, r, "folder.renamed", name, s.Mailbox.RenameFolder(r.Context(), r.viewer, id, name))
	}
	return errBadRequest
}

// folderDone says what became of a change to a folder.
func (s *site) folderDone(w http.ResponseWriter, r *request, key, name string, err error) error {
	wrong := ""
	switch {
	case err == nil:
		return s.said(w, r, key, "/folders", name)
	case errors.Is(err, ErrTaken):
		wrong = "folder.taken"
	case errors.Is(err, ErrUnsuited) && r.PostForm.Get("do") == "delete":
		wrong = "folder.full"
	case errors.Is(err, ErrUnsuited):
		wrong = "folder.unsuited"
	default:
		return fmt.Errorf("changing a folder: %w", err)
	}
	p := foldersPage{Tried: name}
	if p.Error, err = r.locale.Plain(wrong); err != nil {
		return err
	}
	return s.showFolders(w, r, http.StatusUnprocessableEntity, p)
}

// folder is a window of a folder's list: ?at= an offset, or ?page= from 1.
func (s *site) folder(w http.ResponseWriter, r *request) error {
	id, err := r.number("folder", 0)
	if err != nil {
		return fs.ErrNotExist
	}
	at, err := r.number("at", 0)
	if err != nil {
		return err
	}
	page, err := r.number("page", 0)
	if err != nil {
		return err
	}
	if page > 0 {
		at = (min(page, 1<<40) - 1) * window
	}
	d := Desk{Open: -1}
	if d.Frame, d.List, err = s.list(r, id, at, at); err != nil {
		return err
	}
	d.Title, d.Scripts = d.List.Name, deskScripts
	return s.render(w, http.StatusOK, "desk", d)
}

// list loads a window of a folder that starts at an offset, moved to where rows
// are. at is the offset to scroll to.
func (s *site) list(r *request, id, from, at int64) (view.Frame, List, error) {
	f, folders, err := s.framed(r, "mail", id)
	if err != nil {
		return f, List{}, err
	}
	d, ok := find(folders, id)
	if !ok {
		return f, List{}, fmt.Errorf("finding a folder: %w", fs.ErrNotExist)
	}
	l := List{Folder: id, Class: classOf(d.Class), Role: d.Role, Total: d.Total}
	if l.Name, err = folderName(r.locale, d); err != nil {
		return f, l, err
	}
	if l.Class == sijill.Personal && d.Role == roleInbox {
		if f.Reminders, err = s.reminded(r); err != nil {
			return f, l, err
		}
	}
	l.From = max(0, min(from, l.Total-1))
	l.At = max(0, min(at, l.Total-1))
	if l.Rows, err = s.window(r, d, l.From, window); err != nil {
		return f, l, err
	}
	l.page()
	return f, l, nil
}

// page works out what the pager shows.
func (l *List) page() {
	l.First = l.From + 1
	l.Pages = max(1, (l.Total+window-1)/window)
	l.PageText = strconv.FormatInt((l.From+window-1)/window+1, 10)
	link := func(at int64) string { return folderLink(l.Folder) + "?at=" + strconv.FormatInt(max(0, at), 10) }
	if l.From > 0 {
		l.Newer = link(l.From - window)
	}
	if next := l.From + int64(len(l.Rows)); next < l.Total {
		l.Older = link(next)
	}
}

func (s *site) window(r *request, folder Folder, from, n int64) ([]Row, error) {
	rows, err := s.Mailbox.List(r.Context(), r.viewer, folder.ID, from, n)
	if err != nil {
		return nil, fmt.Errorf("loading a list: %w", err)
	}
	where := url.Values{"f": {strconv.FormatInt(folder.ID, 10)}}
	out := make([]Row, len(rows))
	for i, m := range rows {
		m.Folder = folder.ID
		out[i] = s.row(m, from+int64(i), where, folder.Role)
	}
	return out, nil
}

// rows is a window of a list for the script that scrolls it: f, from and n. The
// header Sijill-Total says how many there are in all.
func (s *site) rows(w http.ResponseWriter, r *request) error {
	folder, err := r.number("f", 0)
	if err != nil {
		return err
	}
	from, err := r.number("from", 0)
	if err != nil {
		return err
	}
	n, err := r.number("n", window)
	if err != nil {
		return err
	}
	d := Desk{Frame: s.frame(r, "mail"), Open: -1}
	folders, err := s.Mailbox.Folders(r.Context(), r.viewer)
	if err != nil {
		return fmt.Errorf("loading the folders: %w", err)
	}
	f, ok := find(folders, folder)
	if !ok {
		return fmt.Errorf("finding a folder: %w", fs.ErrNotExist)
	}
	d.List = List{Folder: f.ID, Class: classOf(f.Class), Role: f.Role, Total: f.Total}
	if d.List.Rows, err = s.window(r, f, from, min(n, scriptWindow)); err != nil {
		return err
	}
	body, err := s.views.Fragment("desk", "rows", d)
	if err != nil {
		return err
	}
	w.Header().Set("Sijill-Total", strconv.FormatInt(f.Total, 10))
	s.html(w, http.StatusOK, body)
	return nil
}
