package web

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"sijill"
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
	v := r.viewer
	if v == nil || v.Fresh { // Who has to choose a password has nowhere else to go.
		return f
	}
	f.Person, f.Address = v.Name, v.Address
	if f.Person == "" {
		f.Person = v.Address
	}
	f.Writes, f.Settings, f.Live = s.Post != nil, s.Settings != nil, s.Watcher != nil
	f.Retry = int64(math.Ceil(s.StreamRetry.Seconds()))
	f.Admin = s.Admin != nil && v.Admin
	f.Locked = v.Personal && !v.Open
	if !v.Deep.IsZero() {
		f.Deep = v.Deep.In(s.Location)
	}
	f.Toast = s.toast(r)
	return f
}

// framed is frame with the account's folders, current marked.
func (s *site) framed(r *request, nav string, current int64) (view.Frame, []Folder, error) {
	f := s.frame(r, nav)
	if r.viewer == nil {
		return f, nil, nil
	}
	folders, err := s.Mailbox.Folders(r.Context(), r.viewer)
	if err != nil {
		return f, nil, fmt.Errorf("loading the folders: %w", err)
	}
	f.Groups, err = groups(r, folders, current)
	for _, d := range folders {
		if d.Role == roleInbox {
			f.Unseen += d.Unseen
		}
	}
	return f, folders, err
}

// order is how folders with a role stand before those without.
var order = []string{roleInbox, roleDrafts, roleSent, roleArchive, roleJunk, roleTrash}

func rank(role string) int {
	if i := slices.Index(order, role); i >= 0 {
		return i
	}
	return len(order)
}

// groups puts the folders under the identity whose mail they hold.
func groups(r *request, folders []Folder, current int64) ([]view.FolderGroup, error) {
	var out []view.FolderGroup
	for _, class := range []sijill.Class{sijill.Office, sijill.Personal} {
		g := view.FolderGroup{Class: class, Closed: class == sijill.Personal && !r.viewer.Open}
		for _, d := range folders {
			if classOf(d.Class) != class {
				continue
			}
			name, err := folderName(r.locale, d)
			if err != nil {
				return nil, err
			}
			g.Folders = append(g.Folders, view.FolderLink{
				ID: d.ID, Class: class, Name: name, Plain: d.Name, Role: d.Role, Total: d.Total, Unseen: d.Unseen, Current: d.ID == current,
				Target: d.ID != current && takes(d),
			})
		}
		slices.SortStableFunc(g.Folders, func(a, b view.FolderLink) int {
			return cmp.Or(cmp.Compare(rank(a.Role), rank(b.Role)), cmp.Compare(a.Name, b.Name))
		})
		if len(g.Folders) > 0 {
			out = append(out, g)
		}
	}
	return out, nil
}

// takes tells whether mail can be moved to a folder by hand. What lies in Drafts
// opens as a letter to write, and what lies in Sent was sent.
func takes(d Folder) bool { return d.Role != roleDrafts && d.Role != roleSent }

// classOf is the class with its name: mail on record from before there were two
// has none, and is the office's.
func classOf(c sijill.Class) sijill.Class {
	if c == sijill.Personal {
		return c
	}
	return sijill.Office
}

func folderName(l *view.Locale, d Folder) (string, error) {
	if d.Role == roleInbox {
		return l.Plain("inbox")
	}
	if slices.Contains(order, d.Role) {
		return l.Plain("folder." + d.Role)
	}
	return d.Name, nil
}

// find gives the folder of that id.
func find(folders []Folder, id int64) (Folder, bool) {
	for _, d := range folders {
		if d.ID == id {
			return d, true
		}
	}
	return Folder{}, false
}

// role gives the folder of a class with a role.
func role(folders []Folder, class sijill.Class, name string) (Folder, bool) {
	for _, d := range folders {
		if d.Role == name && classOf(d.Class) == classOf(class) {
			return d, true
		}
	}
	return Folder{}, false
}
