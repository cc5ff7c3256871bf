package imapd

import (
	"slices"
	"strings"

	"sijill"
	"sijill/internal/mailbox"

	"github.com/emersion/go-imap/v2"
)

// The prefixes of the two classes where both are to be seen.
const (
	officePrefix   = "Office"
	personalPrefix = "Personal"
	delimiter      = "/"
	inbox          = "INBOX"
)

// names is how the folders of one sign-in are called. One class alone has its
// inbox as INBOX and the rest beside it. Of two, INBOX is the office's, other
// office folders are under Office, and all personal ones under Personal.
type names struct {
	classes []sijill.Class
	folders []mailbox.Folder
}

func (n *names) both() bool { return len(n.classes) > 1 }

// prefix is what stands before the names of a class.
func (n *names) prefix(c sijill.Class) string {
	switch {
	case !n.both():
		return ""
	case c == sijill.Personal:
		return personalPrefix + delimiter
	}
	return officePrefix + delimiter
}

// main tells whether the inbox of a class is INBOX.
func (n *names) main(c sijill.Class) bool { return !n.both() || c != sijill.Personal }

// inboxName is what the inbox of a class is called by the mailbox.
func (n *names) inboxName(c sijill.Class) string {
	for _, f := range n.folders {
		if f.Class == c && f.Role == mailbox.RoleInbox {
			return f.Name
		}
	}
	return "Inbox"
}

// of is the name of a folder for the client.
func (n *names) of(f mailbox.Folder) string {
	if n.main(f.Class) {
		in := n.inboxName(f.Class)
		if f.Name == in {
			return inbox
		}
		if rest, ok := strings.CutPrefix(f.Name, in+delimiter); ok {
			return inbox + delimiter + rest
		}
	}
	return n.prefix(f.Class) + f.Name
}

// find returns the folder that a client calls so.
func (n *names) find(name string) (mailbox.Folder, bool) {
	name = canonical(name)
	for _, f := range n.folders {
		if n.of(f) == name {
			return f, true
		}
	}
	return mailbox.Folder{}, false
}

// canonical writes INBOX, alone or as a parent, in capitals (RFC 9051, section
// 5.1), and drops the delimiter with which some ask for a folder to come.
func canonical(name string) string {
	name = strings.TrimSuffix(name, delimiter)
	if len(name) >= len(inbox) && strings.EqualFold(name[:len(inbox)], inbox) &&
		(len(name) == len(inbox) || name[len(inbox):len(inbox)+1] == delimiter) {
		return inbox + name[len(inbox):]
	}
	return name
}

// place says which class and which name in it a client's name means; false
// where a folder can't be made.
func (n *names) place(name string) (class sijill.Class, inner string, ok bool) {
	name = canonical(name)
	if rest, under := strings.CutPrefix(name, inbox+delimiter); under {
		return n.classes[0], n.inboxName(n.classes[0]) + delimiter + rest, rest != ""
	}
	if name == inbox {
		return n.classes[0], n.inboxName(n.classes[0]), true
	}
	for _, c := range n.classes {
		if rest, under := strings.CutPrefix(name, n.prefix(c)); under && rest != "" {
			return c, rest, true
		}
	}
	return "", "", false
}

// names asks the backend for the folders.
func (s *session) names() (*names, error) {
	folders, err := s.user.Folders(s.ctx)
	if err != nil {
		return nil, s.refuse("listing folders", err)
	}
	classes := slices.Clone(s.user.Classes())
	slices.SortFunc(classes, func(a, b sijill.Class) int { return rank(a) - rank(b) })
	return &names{classes: classes, folders: folders}, nil
}

// rank puts the office first.
func rank(c sijill.Class) int {
	if c == sijill.Office {
		return 0
	}
	return 1
}

// folder finds a folder for a command, and refuses with code if there is none.
func (s *session) folder(name string, code imap.ResponseCode) (mailbox.Folder, *names, error) {
	n, err := s.names()
	if err != nil {
		return mailbox.Folder{}, nil, err
	}
	f, ok := n.find(name)
	if !ok {
		return mailbox.Folder{}, n, no(code, "There is no such folder")
	}
	return f, n, nil
}
