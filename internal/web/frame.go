package web

import (
	"fmt"

	"sijill/internal/mailbox"
	"sijill/internal/view"
)

// frame is what a page has round it when nothing needs to be loaded.
func (s *site) frame(r *request, nav string) view.Frame {
	f := view.Frame{
		L: r.locale, Locales: s.views.Locales(), Now: s.Now().In(s.Location),
		Office: s.Office, Here: "/", Nav: nav,
	}
	if r.Method == "GET" {
		f.Here = r.URL.RequestURI()
	}
	if r.account != nil {
		f.Person, f.Address = r.account.Name, r.account.Address
		if f.Person == "" {
			f.Person = r.account.Address
		}
	}
	return f
}

// framed is frame with the account's folders, current marked.
func (s *site) framed(r *request, nav string, current int64) (view.Frame, []mailbox.Folder, error) {
	f := s.frame(r, nav)
	if r.account == nil {
		return f, nil, nil
	}
	folders, err := s.Mailbox.Folders(r.Context(), r.account.ID)
	if err != nil {
		return f, nil, fmt.Errorf("loading the folders: %w", err)
	}
	for _, d := range folders {
		name, err := folderName(r.locale, d)
		if err != nil {
			return f, nil, err
		}
		f.Folders = append(f.Folders, view.FolderLink{
			ID: d.ID, Name: name, Role: d.Role, Total: d.Total, Unseen: d.Unseen, Current: d.ID == current,
		})
	}
	return f, folders, nil
}

func folderName(l *view.Locale, d mailbox.Folder) (string, error) {
	if d.Role == mailbox.RoleInbox {
		return l.Plain("inbox")
	}
	return d.Name, nil
}

// find gives the folder of that id.
func find(folders []mailbox.Folder, id int64) (mailbox.Folder, bool) {
	for _, d := range folders {
		if d.ID == id {
			return d, true
		}
	}
	return mailbox.Folder{}, false
}
