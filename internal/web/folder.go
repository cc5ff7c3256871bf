package web

import (
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"

	"sijill/internal/mailbox"
	"sijill/internal/view"
)

// home goes to the inbox, or to the first folder where there's no inbox.
func (s *site) home(w http.ResponseWriter, r *request) error {
	folders, err := s.Mailbox.Folders(r.Context(), r.account.ID)
	if err != nil {
		return fmt.Errorf("loading the folders: %w", err)
	}
	if len(folders) == 0 {
		http.Redirect(w, r.Request, "/folders", http.StatusSeeOther)
		return nil
	}
	to := folders[0].ID
	for _, d := range folders {
		if d.Role == mailbox.RoleInbox {
			to = d.ID
			break
		}
	}
	http.Redirect(w, r.Request, folderLink(to), http.StatusSeeOther)
	return nil
}

func folderLink(id int64) string { return "/f/" + strconv.FormatInt(id, 10) }

// folders is the list of folders, a page of its own for the phone.
func (s *site) folders(w http.ResponseWriter, r *request) error {
	f, _, err := s.framed(r, "folders", 0)
	if err != nil {
		return err
	}
	if f.Title, err = r.locale.Plain("nav.folders"); err != nil {
		return err
	}
	return s.render(w, http.StatusOK, "folders", f)
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
	l := List{Folder: id, Total: d.Total}
	if l.Name, err = folderName(r.locale, d); err != nil {
		return f, l, err
	}
	l.From = max(0, min(from, l.Total-1))
	l.At = max(0, min(at, l.Total-1))
	if l.Rows, err = s.window(r, id, l.From, window); err != nil {
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

func (s *site) window(r *request, folder, from, n int64) ([]Row, error) {
	rows, err := s.Mailbox.List(r.Context(), r.account.ID, folder, from, n)
	if err != nil {
		return nil, fmt.Errorf("loading a list: %w", err)
	}
	where := url.Values{"f": {strconv.FormatInt(folder, 10)}}
	out := make([]Row, len(rows))
	for i, m := range rows {
		out[i] = s.row(m, from+int64(i), where)
	}
	return out, nil
}

// rows is a window of a list for the script that scrolls it: f, from and n.
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
	folders, err := s.Mailbox.Folders(r.Context(), r.account.ID)
	if err != nil {
		return fmt.Errorf("loading the folders: %w", err)
	}
	f, ok := find(folders, folder)
	if !ok {
		return fmt.Errorf("finding a folder: %w", fs.ErrNotExist)
	}
	d.List.Total = f.Total
	if d.List.Rows, err = s.window(r, folder, from, min(n, scriptWindow)); err != nil {
		return err
	}
	body, err := s.views.Fragment("desk", "rows", d)
	if err != nil {
		return err
	}
	s.html(w, http.StatusOK, body)
	return nil
}
