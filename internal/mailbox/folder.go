package mailbox

import (
	"errors"
	"fmt"
	"io/fs"

	"sijill/internal/db"
)

// inboxName is what the inbox is called in the table.
const inboxName = "Inbox"

const folderColumns = "id, account, name, role, uid_validity, uid_next, total, unseen"

// folder is a folder that a batch touches.
type folder struct {
	Folder
	fresh, changed bool
}

// folders are those of the accounts of a batch, by account and name ("" for
// the inbox).
type folders struct {
	byName  map[int64]map[string]*folder
	changed []*folder
	last    int64 // Highest id in use.
}

// file puts every line into its folder: it makes folders that lack, gives
// UIDs, counts, and marks what was imported as read.
func file(tx *db.Tx, lines []*line) error {
	fl, err := readFolders(tx, accounts(lines))
	if err != nil {
		return fmt.Errorf("reading folders: %w", err)
	}
	seen, err := seenStates(tx, lines)
	if err != nil {
		return fmt.Errorf("reading what was seen: %w", err)
	}
	var states []any
	for _, l := range lines {
		l.folder = fl.get(l)
		l.uid = l.folder.take(l.entry)
		was, known := seen[key{l.account, l.entry}]
		if !known && l.seen {
			states = append(states, l.account, l.entry, flagSeen)
		}
		l.folder.Total++
		if known && !was || !known && !l.seen {
			l.folder.Unseen++
		}
	}
	if err := insert(tx, "mail_state (account, entry, flags)", 3, states); err != nil {
		return err
	}
	return fl.flush(tx)
}

func readFolders(tx *db.Tx, accounts []int64) (*folders, error) {
	fl := &folders{byName: map[int64]map[string]*folder{}}
	for _, a := range accounts {
		fl.byName[a] = map[string]*folder{}
	}
	q := "SELECT " + folderColumns + " FROM mail_folder WHERE account IN (?)"
	err := eachOf(tx, q, nil, accounts, func(r db.Row) error {
		f := &folder{}
		if err := f.scan(r); err != nil {
			return err
		}
		name := f.Name
		if f.Role == RoleInbox {
			name = ""
		}
		fl.byName[f.Account][name] = f
		return nil
	})
	if err != nil {
		return nil, err
	}
	return fl, tx.One("SELECT coalesce(max(id), 0) FROM mail_folder", nil, &fl.last)
}

func (f *Folder) scan(r db.Row) error {
	return r.Scan(&f.ID, &f.Account, &f.Name, &f.Role, &f.UIDValidity, &f.UIDNext, &f.Total, &f.Unseen)
}

// get is the folder of a line. The first message of an account makes its
// inbox, wherever it goes itself.
func (fl *folders) get(l *line) *folder {
	of := fl.byName[l.account]
	if of[""] == nil {
		of[""] = fl.make(l, inboxName, RoleInbox)
	}
	f := of[l.draft.folder]
	if f == nil {
		f = fl.make(l, l.draft.folder, RoleImport)
		of[l.draft.folder] = f
	}
	if !f.changed {
		f.changed = true
		fl.changed = append(fl.changed, f)
	}
	return f
}

// make makes a folder. Its UIDVALIDITY is the time of the entry that made it,
// so that one of the same name made later has a higher one.
func (fl *folders) make(l *line, name, role string) *folder {
	fl.last++
	f := &folder{fresh: true, changed: true, Folder: Folder{
		ID: fl.last, Account: l.account, Name: name, Role: role, UIDValidity: l.captured, UIDNext: 1}}
	fl.changed = append(fl.changed, f)
	return f
}

// take gives the UID of an entry's message: ascending, and the same after a
// rebuild that lacks other messages, since it follows the entry's number.
func (f *folder) take(entry int64) int64 {
	uid := max(f.UIDNext, entry+1)
	f.UIDNext = uid + 1
	return uid
}

func (fl *folders) flush(tx *db.Tx) error {
	for _, f := range fl.changed {
		var err error
		if f.fresh {
			_, err = tx.Exec("INSERT INTO mail_folder ("+folderColumns+") VALUES ("+marks(8)+")",
				f.ID, f.Account, f.Name, f.Role, f.UIDValidity, f.UIDNext, f.Total, f.Unseen)
		} else {
			_, err = tx.Exec("UPDATE mail_folder SET uid_next = ?, total = ?, unseen = ? WHERE id = ?",
				f.UIDNext, f.Total, f.Unseen, f.ID)
		}
		if err != nil {
			return fmt.Errorf("writing a folder: %w", err)
		}
	}
	return nil
}

// owned gives a folder if it is the account's.
func owned(tx *db.Tx, account, id int64) (f Folder, err error) {
	q := "SELECT " + folderColumns + " FROM mail_folder WHERE id = ? AND account = ?"
	err = tx.One(q, []any{id, account}, &f.ID, &f.Account, &f.Name, &f.Role, &f.UIDValidity, &f.UIDNext, &f.Total, &f.Unseen)
	if errors.Is(err, fs.ErrNotExist) {
		return f, fmt.Errorf("folder %d: %w", id, err)
	}
	return f, err
}
