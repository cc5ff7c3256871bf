package imapd

import (
	"cmp"
	"slices"
	"strings"

	"sijill/internal/mailbox"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// uses are the attributes of RFC 6154 for the roles of folders.
var uses = map[string]imap.MailboxAttr{
	mailbox.RoleSent: imap.MailboxAttrSent, mailbox.RoleDrafts: imap.MailboxAttrDrafts, mailbox.RoleJunk: imap.MailboxAttrJunk,
	mailbox.RoleTrash: imap.MailboxAttrTrash, mailbox.RoleArchive: imap.MailboxAttrArchive,
}

// listed is a name in the answer to LIST. Names that are only the parents of
// others have no folder.
type listed struct {
	name     string
	folder   *mailbox.Folder
	children bool
	below    bool // a subscribed folder is under it
}

// listing has every name there is to list, INBOX first, office before personal.
func (n *names) listing() []*listed {
	at := map[string]*listed{}
	var all []*listed
	entry := func(name string) *listed {
		if at[name] == nil {
			at[name] = &listed{name: name}
			all = append(all, at[name])
		}
		return at[name]
	}
	for i := range n.folders {
		f := &n.folders[i]
		name := n.of(*f)
		entry(name).folder = f
		for i := strings.LastIndex(name, delimiter); i > 0; i = strings.LastIndex(name, delimiter) {
			name = name[:i]
			parent := entry(name)
			parent.children = true
			parent.below = parent.below || f.Subscribed
		}
	}
	slices.SortStableFunc(all, func(a, b *listed) int {
		return cmp.Or(sortRank(a.name)-sortRank(b.name), cmp.Compare(a.name, b.name))
	})
	return all
}

func sortRank(name string) int {
	switch {
	case name == inbox:
		return 0
	case name == personalPrefix || strings.HasPrefix(name, personalPrefix+delimiter):
		return 2
	}
	return 1
}

// List answers LIST and LSUB.
func (s *session) List(w *imapserver.ListWriter, ref string, patterns []string, o *imap.ListOptions) error {
	if len(patterns) == 0 { // RFC 9051, section 6.3.9: asks for the delimiter
		return w.WriteList(&imap.ListData{Attrs: []imap.MailboxAttr{imap.MailboxAttrNoSelect}, Delim: '/'})
	}
	n, err := s.names()
	if err != nil {
		return err
	}
	lsub := s.g.current() == "LSUB"
	levels := lsub && strings.Contains(patterns[0], "%")
	for _, l := range n.listing() {
		matched := slices.ContainsFunc(patterns, func(p string) bool { return matches(ref+p, l.name) })
		if !matched || !l.selected(o, lsub, levels) {
			continue
		}
		data := &imap.ListData{Attrs: l.attributes(o, lsub), Delim: '/', Mailbox: l.name}
		if o.SelectRecursiveMatch && l.below {
			data.ChildInfo = &imap.ListDataChildInfo{Subscribed: true}
		}
		if o.ReturnStatus != nil && l.folder != nil {
			if data.Status, err = s.status(l.name, *l.folder, o.ReturnStatus); err != nil {
				return err
			}
		}
		if err := w.WriteList(data); err != nil {
			return err
		}
	}
	return nil
}

func (l *listed) subscribed() bool { return l.folder != nil && l.folder.Subscribed }

// selected tells whether the selection options let a name through. LSUB level by
// level has to name what subscribed folders are under, whether it is subscribed
// or not (RFC 3501, section 6.3.9).
func (l *listed) selected(o *imap.ListOptions, lsub, levels bool) bool {
	switch {
	case lsub:
		return l.subscribed() || l.below && (levels || l.folder == nil)
	case o.SelectSubscribed && !l.subscribed() && !(o.SelectRecursiveMatch && l.below):
		return false
	case o.SelectSpecialUse && (l.folder == nil || uses[l.folder.Role] == ""):
		return false
	}
	return true
}

func (l *listed) attributes(o *imap.ListOptions, lsub bool) []imap.MailboxAttr {
	var a []imap.MailboxAttr
	if l.folder == nil && !lsub {
		a = append(a, imap.MailboxAttrNonExistent)
	}
	if l.folder == nil || lsub && !l.folder.Subscribed {
		a = append(a, imap.MailboxAttrNoSelect) // what clients of rev1 know
	}
	if l.children {
		a = append(a, imap.MailboxAttrHasChildren)
	} else {
		a = append(a, imap.MailboxAttrHasNoChildren)
	}
	if l.folder == nil || lsub {
		return a
	}
	if l.folder.Subscribed && (o.SelectSubscribed || o.ReturnSubscribed) {
		a = append(a, imap.MailboxAttrSubscribed)
	}
	if use := uses[l.folder.Role]; use != "" {
		a = append(a, use)
	}
	return a
}

// matches tells whether a name fits a pattern in which "*" is anything and "%"
// anything but the delimiter. Its time is the product of the lengths, whatever
// the pattern.
func matches(pattern, name string) bool {
	pattern = canonicalPattern(pattern)
	fits := make([]bool, len(name)+1) // whether the pattern so far fits name[:i]
	fits[0] = true
	for k := range len(pattern) {
		c := pattern[k]
		if c == '*' || c == '%' {
			for i := range len(name) {
				fits[i+1] = fits[i+1] || fits[i] && (c == '*' || name[i:i+1] != delimiter)
			}
			continue
		}
		for i := len(name); i > 0; i-- {
			fits[i] = fits[i-1] && name[i-1] == c
		}
		fits[0] = false
	}
	return fits[len(name)]
}

func canonicalPattern(p string) string {
	if len(p) >= len(inbox) && strings.EqualFold(p[:len(inbox)], inbox) {
		return inbox + p[len(inbox):]
	}
	return p
}

// Status answers STATUS.
func (s *session) Status(name string, o *imap.StatusOptions) (*imap.StatusData, error) {
	f, n, err := s.folder(name, imap.ResponseCodeNonExistent)
	if err != nil {
		return nil, err
	}
	return s.status(n.of(f), f, o)
}

func (s *session) status(name string, f mailbox.Folder, o *imap.StatusOptions) (*imap.StatusData, error) {
	total, unseen, none, limit := uint32(f.Total), uint32(f.Unseen), uint32(0), s.AppendLimit()
	d := &imap.StatusData{
		Mailbox: name, NumMessages: &total, NumUnseen: &unseen, NumRecent: &none, AppendLimit: &limit,
		UIDNext: imap.UID(f.UIDNext), UIDValidity: uint32(f.UIDValidity),
		NumDeleted: new(uint32), Size: new(int64), DeletedStorage: new(int64),
	}
	if !o.NumDeleted && !o.Size && !o.DeletedStorage {
		return d, nil
	}
	places, err := s.user.Places(s.ctx, f.ID, 1, maxUID)
	if err != nil {
		return nil, s.refuse("counting a folder", err)
	}
	for part := range slices.Chunk(places, batchSize) {
		if err := s.measure(d, part, o.Size || o.DeletedStorage); err != nil {
			return nil, s.refuse("counting a folder", err)
		}
	}
	return d, nil
}

// measure adds a batch of messages to what STATUS tells of deleted ones and sizes.
func (s *session) measure(d *imap.StatusData, places []mailbox.Place, sizes bool) error {
	var summaries map[int64]*mailbox.Summary
	if sizes {
		var err error
		if summaries, err = s.summaries(places); err != nil {
			return err
		}
	}
	for _, p := range places {
		deleted := p.Flags&mailbox.FlagDeleted != 0
		if deleted {
			*d.NumDeleted++
		}
		if sum := summaries[p.Entry]; sum != nil {
			*d.Size += sum.Size
			if deleted {
				*d.DeletedStorage += sum.Size
			}
		}
	}
	return nil
}

// Namespace answers NAMESPACE (RFC 2342).
func (s *session) Namespace() (*imap.NamespaceData, error) {
	d := &imap.NamespaceData{Personal: []imap.NamespaceDescriptor{{Prefix: "", Delim: '/'}}}
	if len(s.user.Classes()) > 1 {
		d.Personal = append(d.Personal,
			imap.NamespaceDescriptor{Prefix: officePrefix + delimiter, Delim: '/'},
			imap.NamespaceDescriptor{Prefix: personalPrefix + delimiter, Delim: '/'})
	}
	return d, nil
}

// Create makes a folder. One with a use of its own can't be made (RFC 6154, section
// 3, isn't offered): making another instead would deceive the client.
func (s *session) Create(name string, o *imap.CreateOptions) error {
	if len(o.SpecialUse) > 0 {
		return &imap.Error{Type: imap.StatusResponseTypeBad, Code: imap.ResponseCodeClientBug, Text: "CREATE takes a name alone here"}
	}
	n, err := s.names()
	if err != nil {
		return err
	}
	if _, ok := n.find(name); ok {
		return no(imap.ResponseCodeAlreadyExists, "There is such a folder already")
	}
	class, inner, ok := n.place(name)
	if !ok {
		return no(imap.ResponseCodeCannot, "Make folders under Office/ or under Personal/")
	}
	_, err = s.user.CreateFolder(s.ctx, class, inner)
	return s.refuse("making a folder", err)
}

// Delete deletes a folder, if it is empty and nothing special.
func (s *session) Delete(name string) error {
	f, n, err := s.folder(name, imap.ResponseCodeNonExistent)
	if err != nil {
		return err
	}
	if f.Role != "" {
		return no(imap.ResponseCodeCannot, "This folder can't be deleted")
	}
	for _, g := range n.folders {
		if g.Class == f.Class && strings.HasPrefix(g.Name, f.Name+delimiter) {
			return no(imap.ResponseCodeHasChildren, "There are folders in this one; delete them first")
		}
	}
	if f.Total > 0 {
		return no(imap.ResponseCodeCannot, "Only an empty folder can be deleted; move its messages first")
	}
	return s.refuse("deleting a folder", s.user.DeleteFolder(s.ctx, f.ID))
}

// Rename renames a folder and what is below it.
func (s *session) Rename(old, name string, _ *imap.RenameOptions) error {
	f, n, err := s.folder(old, imap.ResponseCodeNonExistent)
	if err != nil {
		return err
	}
	if f.Role != "" {
		return no(imap.ResponseCodeCannot, "This folder can't be renamed")
	}
	if _, ok := n.find(name); ok {
		return no(imap.ResponseCodeAlreadyExists, "There is such a folder already")
	}
	class, inner, ok := n.place(name)
	if !ok || class != f.Class {
		return s.refuse("renaming a folder", mailbox.ErrWall)
	}
	return s.refuse("renaming a folder", s.user.RenameFolder(s.ctx, f.ID, inner))
}

// Subscribe marks a folder to be shown.
func (s *session) Subscribe(name string) error { return s.subscribe(name, true) }

// Unsubscribe takes the mark away.
func (s *session) Unsubscribe(name string) error { return s.subscribe(name, false) }

func (s *session) subscribe(name string, on bool) error {
	f, _, err := s.folder(name, imap.ResponseCodeNonExistent)
	if err != nil {
		return err
	}
	return s.refuse("subscribing to a folder", s.user.Subscribe(s.ctx, f.ID, on))
}
