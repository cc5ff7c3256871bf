package mailbox

import (
	"context"
	"fmt"
	"io/fs"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"sijill"
	"sijill/internal/db"
)

// roleNames are the standard folders of an identity, and what they are called in
// the table.
var roleNames = []struct{ role, name string }{
	{RoleInbox, "Inbox"}, {RoleDrafts, "Drafts"}, {RoleSent, "Sent"},
	{RoleArchive, "Archive"}, {RoleJunk, "Junk"}, {RoleTrash, "Trash"},
}

func roleName(role string) string {
	for _, r := range roleNames {
		if r.role == role {
			return r.name
		}
	}
	return role
}

const (
	maxFolder = 255 // Octets of a folder's whole name.
	maxLevels = 20
)

// checkName returns an error that wraps ErrName for what can't be a folder's
// name.
func checkName(name string) error {
	parts := strings.Split(name, "/")
	bad := len(name) > maxFolder || len(parts) > maxLevels || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl)
	for _, p := range parts {
		bad = bad || p == "" || strings.TrimSpace(p) != p
	}
	if bad {
		return ErrName
	}
	return nil
}

// inboxCase gives the inbox its own spelling (RFC 9051, section 5.1: INBOX has no
// case), also as the first part of a path.
func inboxCase(name string) string {
	first, rest, below := strings.Cut(name, "/")
	if !strings.EqualFold(first, "inbox") {
		return name
	}
	if below {
		return roleName(RoleInbox) + "/" + rest
	}
	return roleName(RoleInbox)
}

func byName(list []*folder, name string) *folder {
	for _, f := range list {
		if f.Name == name {
			return f
		}
	}
	return nil
}

func byRole(list []*folder, role string) *folder {
	for _, f := range list {
		if f.Role == role {
			return f
		}
	}
	return nil
}

// make makes a folder. Its id and its UIDVALIDITY come from the clock, so that
// even those of a database made anew differ from all that there ever were.
func (l *ledger) make(account int64, class sijill.Class, name, role string) (*folder, error) {
	var id, validity int64
	if err := l.tx.One("SELECT folder, validity FROM mail_clock", nil, &id, &validity); err != nil {
		return nil, fmt.Errorf("reading the last folder: %w", err)
	}
	id, validity = max(id+1, l.tx.Now.Unix()-clockStart), max(validity+1, l.tx.Now.Unix())
	if _, err := l.tx.Exec("UPDATE mail_clock SET folder = ?, validity = ?", id, validity); err != nil {
		return nil, fmt.Errorf("noting the last folder: %w", err)
	}
	now := l.tx.Now.UnixMilli()
	f := &folder{fresh: true, forgotten: now, Folder: Folder{ID: id, Account: account, Class: class, Name: name, Role: role,
		Subscribed: true, UIDValidity: validity, UIDNext: 1, ModSeq: now}}
	l.folders[id] = f
	l.dirty(f)
	return f, nil
}

// clockStart keeps ids of folders short. They are in every row.
var clockStart = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC).Unix()

// role gives the folder of an identity with a role. Where there is none, a
// folder of the usual name gets the role, or is made.
func (l *ledger) role(account int64, class sijill.Class, role string) (*folder, error) {
	list, err := l.all(account, class)
	if err != nil {
		return nil, err
	}
	if f := byRole(list, role); f != nil {
		return f, nil
	}
	name := roleName(role)
	for _, f := range list {
		if strings.EqualFold(f.Name, name) && (f.Role == "" || f.Role == RoleImport) {
			f.Role = role
			l.dirty(f)
			return f, nil
		}
	}
	for byName(list, name) != nil { // Another role's, which was renamed so.
		name += "_"
	}
	return l.make(account, class, name, role)
}

// path gives the folder of a name, and makes it and those above it if need be.
func (l *ledger) path(account int64, class sijill.Class, name, role string) (*folder, error) {
	list, err := l.all(account, class)
	if err != nil {
		return nil, err
	}
	if f := byName(list, name); f != nil {
		return f, nil
	}
	if i := strings.LastIndexByte(name, '/'); i > 0 {
		if _, err := l.path(account, class, name[:i], role); err != nil {
			return nil, err
		}
	}
	if name == roleName(RoleInbox) {
		return l.role(account, class, RoleInbox)
	}
	return l.make(account, class, name, role)
}

// change runs a change of an account's folders that is on disk when it returns.
func (m *Mailbox) change(ctx context.Context, what string, fn func(*ledger) error) error {
	err := m.db.WriteSynced(ctx, func(tx *db.Tx) error {
		l := m.ledger(tx)
		if err := fn(l); err != nil {
			return err
		}
		return l.flush()
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// EnsureFolders gives the folders of an identity and makes the standard ones
// that lack.
func (m *Mailbox) EnsureFolders(ctx context.Context, account int64, class sijill.Class) (list []Folder, err error) {
	err = m.change(ctx, "making the standard folders", func(l *ledger) error {
		for _, r := range roleNames {
			if _, err := l.role(account, class, r.role); err != nil {
				return err
			}
		}
		all, err := l.all(account, class)
		for _, f := range all {
			list = append(list, f.Folder)
		}
		return err
	})
	sortFolders(list)
	return list, err
}

// CreateFolder makes a folder, with those above it that lack. Errors wrap
// ErrName or fs.ErrExist.
func (m *Mailbox) CreateFolder(ctx context.Context, account int64, class sijill.Class, name string) (made Folder, err error) {
	err = m.change(ctx, "making a folder", func(l *ledger) error {
		name := inboxCase(name)
		if err := checkName(name); err != nil {
			return err
		}
		list, err := l.all(account, class)
		if err != nil {
			return err
		}
		if byName(list, name) != nil {
			return fs.ErrExist
		}
		f, err := l.path(account, class, name, "")
		if err == nil {
			made = f.Folder
		}
		return err
	})
	return made, err
}

// RenameFolder renames a folder and those below it. Errors wrap ErrName, ErrRole
// for the inbox, fs.ErrExist where a name is taken, or fs.ErrNotExist.
func (m *Mailbox) RenameFolder(ctx context.Context, account, id int64, name string) error {
	return m.change(ctx, "renaming a folder", func(l *ledger) error {
		f, err := l.folder(account, id)
		if err != nil {
			return err
		}
		name := inboxCase(name)
		if err := checkName(name); err != nil {
			return err
		}
		if f.Role == RoleInbox {
			return ErrRole
		}
		if strings.HasPrefix(name, f.Name+"/") {
			return fmt.Errorf("a folder can't be put below itself: %w", ErrName)
		}
		return l.rename(f, name)
	})
}

func (l *ledger) rename(f *folder, name string) error {
	list, err := l.all(f.Account, f.Class)
	if err != nil {
		return err
	}
	if byName(list, name) != nil {
		return fs.ErrExist
	}
	old := f.Name
	for _, g := range list {
		below, ok := strings.CutPrefix(g.Name, old+"/")
		switch {
		case g == f:
			g.Name = name
		case ok && len(name)+1+len(below) > maxFolder:
			return ErrName
		case ok && byName(list, name+"/"+below) != nil:
			return fs.ErrExist
		case ok:
			g.Name = name + "/" + below
		default:
			continue
		}
		l.dirty(g)
	}
	if i := strings.LastIndexByte(name, '/'); i > 0 {
		_, err = l.path(f.Account, f.Class, name[:i], "")
	}
	return err
}

// DeleteFolder deletes a folder that is empty, has none below it and no role but
// RoleImport. Errors wrap ErrNotEmpty, ErrRole or fs.ErrNotExist.
func (m *Mailbox) DeleteFolder(ctx context.Context, account, id int64) error {
	return m.change(ctx, "deleting a folder", func(l *ledger) error {
		f, err := l.folder(account, id)
		if err != nil {
			return err
		}
		list, err := l.all(account, f.Class)
		if err != nil {
			return err
		}
		if f.Role != "" && f.Role != RoleImport {
			return ErrRole
		}
		for _, g := range list {
			if f.Total > 0 || strings.HasPrefix(g.Name, f.Name+"/") {
				return ErrNotEmpty
			}
		}
		if _, err := l.tx.Exec("DELETE FROM mail_change WHERE folder = ?", id); err != nil {
			return err
		}
		if _, err := l.tx.Exec("DELETE FROM mail_notice WHERE folder = ?", id); err != nil {
			return err
		}
		l.tx.After(func() { l.m.watchers.tell(account) })
		_, err = l.tx.Exec("DELETE FROM mail_folder WHERE id = ?", id)
		return err
	})
}

// Subscribe says whether clients are to show a folder (RFC 9051, section 6.3.7).
func (m *Mailbox) Subscribe(ctx context.Context, account, id int64, on bool) error {
	return m.change(ctx, "subscribing to a folder", func(l *ledger) error {
		f, err := l.folder(account, id)
		if err == nil {
			f.Subscribed = on
			l.dirty(f)
		}
		return err
	})
}
