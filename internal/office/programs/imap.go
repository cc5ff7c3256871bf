// Package programs lets mail programs in: it fits an office to the interfaces that
// the doors of IMAP and of submission declare. A program signs in with an app password
// and sees the classes that this is for; personal mail is open to it while it is
// signed in.
package programs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sijill"
	"sijill/internal/imapd"
	"sijill/internal/mailbox"
	"sijill/internal/message"
	"sijill/internal/office"
	"sijill/internal/record"
	"sijill/internal/search"
	"sijill/internal/shelf"
)

// imapBackend lets mail programs in.
type imapBackend struct{ o *office.Office }

// IMAP lets mail programs read mail, and move and flag it.
func IMAP(o *office.Office) imapd.Backend { return imapBackend{o} }

// Login implements imapd.Backend.
func (d imapBackend) Login(ctx context.Context, name, password string, from netip.Addr) (imapd.User, error) {
	s, err := d.o.Access.Application(ctx, name, password, "imap", from)
	if err != nil {
		return nil, err
	}
	v, err := d.o.Visit(ctx, s)
	if err != nil {
		s.Close()
		return nil, err
	}
	classes, err := v.Classes(ctx)
	if err == nil {
		// What is opened first is what is looked at first.
		err = waitFilled(ctx, v.Shelf)
	}
	if err != nil {
		v.Close()
		s.Close()
		return nil, err
	}
	return &imapUser{d.o, v, classes}, nil
}

// fillWait is how long a mail program's sign-in waits for personal mail to be
// opened: a program that sees a folder half filled shows it so until the next
// change.
const fillWait = 20 * time.Second

func waitFilled(ctx context.Context, s *shelf.Shelf) error {
	if s == nil {
		return nil
	}
	select {
	case <-s.Filled():
	case <-time.After(fillWait):
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// imapUser is a mail program that is signed in.
type imapUser struct {
	o    *office.Office
	v    *office.Visit
	list []sijill.Class
}

// Classes implements imapd.User, as do the methods below.
func (u *imapUser) Classes() []sijill.Class { return u.list }

// Folders are those that the program may see, counted without what is cold.
func (u *imapUser) Folders(ctx context.Context) ([]mailbox.Folder, error) {
	if _, err := u.v.Folders(ctx); err != nil { // The standard ones are made.
		return nil, err
	}
	list, err := u.o.Mailbox.ProgramFolders(ctx, u.v.Account)
	return slices.DeleteFunc(list, func(f mailbox.Folder) bool { return !slices.Contains(u.list, f.Class) }), err
}

func (u *imapUser) CreateFolder(ctx context.Context, class sijill.Class, name string) (mailbox.Folder, error) {
	return u.o.Mailbox.CreateFolder(ctx, u.v.Account, class, name)
}

func (u *imapUser) RenameFolder(ctx context.Context, folder int64, name string) error {
	if err := u.v.CheckFolder(ctx, folder); err != nil {
		return err
	}
	return u.o.Mailbox.RenameFolder(ctx, u.v.Account, folder, name)
}

func (u *imapUser) DeleteFolder(ctx context.Context, folder int64) error {
	if err := u.v.CheckFolder(ctx, folder); err != nil {
		return err
	}
	return u.o.Mailbox.DeleteFolder(ctx, u.v.Account, folder)
}

func (u *imapUser) Subscribe(ctx context.Context, folder int64, on bool) error {
	if err := u.v.CheckFolder(ctx, folder); err != nil {
		return err
	}
	return u.o.Mailbox.Subscribe(ctx, u.v.Account, folder, on)
}

func (u *imapUser) Places(ctx context.Context, folder, first, last int64) ([]mailbox.Place, error) {
	if err := u.v.CheckFolder(ctx, folder); err != nil {
		return nil, err
	}
	return u.o.Mailbox.ProgramPlaces(ctx, u.v.Account, folder, first, last)
}

func (u *imapUser) Snapshot(ctx context.Context, folder int64) (*mailbox.Snapshot, error) {
	if err := u.v.CheckFolder(ctx, folder); err != nil {
		return nil, err
	}
	return u.o.Mailbox.ProgramSnapshot(ctx, u.v.Account, folder)
}

func (u *imapUser) Changes(ctx context.Context, folder, since int64) (mailbox.Changes, error) {
	return u.o.Mailbox.ProgramChanges(ctx, u.v.Account, folder, since)
}

func (u *imapUser) Watch() (<-chan struct{}, func()) { return u.o.Mailbox.Watch(u.v.Account) }

func (u *imapUser) Flag(ctx context.Context, folder int64, uids []int64, op mailbox.Op, flags mailbox.Flags, keywords []string) ([]mailbox.Place, error) {
	if err := u.v.CheckFolder(ctx, folder); err != nil {
		return nil, err
	}
	return u.o.Mailbox.Flag(ctx, u.v.Account, folder, uids, op, flags, keywords)
}

func (u *imapUser) Copy(ctx context.Context, folder int64, uids []int64, to int64) ([]mailbox.Copied, error) {
	if err := errors.Join(u.v.CheckFolder(ctx, folder), u.v.CheckFolder(ctx, to)); err != nil {
		return nil, err
	}
	copied, err := u.v.Copy(ctx, folder, uids, to)
	return copied, u.noticeAlone(ctx, folder, uids, copied, err)
}

func (u *imapUser) Move(ctx context.Context, folder int64, uids []int64, to int64) ([]mailbox.Copied, error) {
	if err := errors.Join(u.v.CheckFolder(ctx, folder), u.v.CheckFolder(ctx, to)); err != nil {
		return nil, err
	}
	moved, err := u.v.Move(ctx, folder, uids, to)
	return moved, u.noticeAlone(ctx, folder, uids, moved, err)
}

// noticeAlone refuses to move or copy the notice of older mail. Among others it is
// passed over: it stays where it is.
func (u *imapUser) noticeAlone(ctx context.Context, folder int64, uids []int64, went []mailbox.Copied, err error) error {
	if err != nil || len(went) > 0 || len(uids) != 1 {
		return err
	}
	f, err := u.v.Folder(ctx, folder)
	if err == nil && f.Notice == uids[0] {
		err = mailbox.ErrNotice
	}
	return err
}

func (u *imapUser) Expunge(ctx context.Context, folder int64, uids []int64) error {
	return u.v.Expunge(ctx, folder, uids)
}

// Append seals a message that a mail program brings.
func (u *imapUser) Append(ctx context.Context, folder int64, m *imapd.Mail) (mailbox.Place, error) {
	f, err := u.v.Folder(ctx, folder)
	if err == nil {
		err = u.strays(ctx, f, m.Message)
	}
	if err != nil {
		return mailbox.Place{}, err
	}
	entry, err := u.v.Put(ctx, f, m.Message, mailbox.Arrival{Folder: f.ID, Flags: m.Flags, Keywords: m.Keywords, Internal: m.Internal}, "imap")
	if err != nil {
		return mailbox.Place{}, err
	}
	return u.o.Mailbox.Placed(ctx, u.v.Account, entry)
}

// strays refuses what the person writes from a personal address in the office's Sent
// and Drafts. A program that knows one such folder for both identities brings it
// there unasked, and nobody could take it off the record again.
func (u *imapUser) strays(ctx context.Context, f mailbox.Folder, raw []byte) error {
	if f.Class != sijill.Office || f.Role != mailbox.RoleSent && f.Role != mailbox.RoleDrafts {
		return nil
	}
	from := message.Parse(raw).From()
	own, err := u.o.People.Addresses(ctx, u.v.Account)
	if err != nil {
		return err
	}
	for _, a := range own {
		if a.Class == sijill.Personal && slices.ContainsFunc(from, func(m message.Address) bool { return strings.EqualFold(m.Addr, a.Address) }) {
			return mailbox.ErrWall
		}
	}
	return nil
}

func (u *imapUser) Summaries(ctx context.Context, entries []int64) ([]mailbox.Summary, error) {
	if err := u.v.Sync(ctx); err != nil {
		return nil, err
	}
	list, err := u.v.View().Summaries(ctx, entries)
	if err != nil {
		return nil, err
	}
	return u.noticed(ctx, entries, list)
}

func (u *imapUser) Sizes(ctx context.Context, entries []int64) (map[int64]int64, error) {
	return u.v.View().Sizes(ctx, entries)
}

// Ready reads in one go what opening messages needs.
func (u *imapUser) Ready(ctx context.Context, entries []int64) (func(i int) ([]byte, error), error) {
	items, err := u.o.Register.ItemsFor(ctx, entries, u.v.Session.Ring())
	if err != nil {
		return nil, err
	}
	byNumber := make(map[int64]*record.Item, len(items))
	for _, it := range items {
		byNumber[it.Index] = it
	}
	return func(i int) ([]byte, error) {
		if entries[i] < 0 { // The notice of what is cold.
			n, err := u.o.Mailbox.NoticeOf(ctx, u.v.Account, entries[i])
			return n.Message, err
		}
		it := byNumber[entries[i]]
		if it == nil {
			return nil, fmt.Errorf("entry %d: %w", entries[i], fs.ErrNotExist)
		}
		if err := u.v.CheckItem(it); err != nil {
			return nil, err
		}
		c, err := it.Content()
		if err != nil {
			return nil, err
		}
		return u.o.Present(&c.Envelope, c.Message), nil
	}, nil
}

// Search finds the words of text, one after the other.
func (u *imapUser) Search(ctx context.Context, text string) ([]int64, error) {
	q := search.Quote(text)
	if q == "" {
		return nil, nil
	}
	return u.v.Entries(ctx, q)
}

// Done is closed when the app password is revoked or the account suspended.
func (u *imapUser) Done() <-chan struct{} { return u.v.Session.Done() }

// Close implements imapd.User.
func (u *imapUser) Close() {
	u.v.Close()
	u.v.Session.Close()
}

// noticed puts the summaries of notices, which have numbers below 0, beside those
// of messages, in the order of entries.
func (u *imapUser) noticed(ctx context.Context, entries []int64, list []mailbox.Summary) ([]mailbox.Summary, error) {
	for _, e := range entries {
		if e >= 0 {
			continue
		}
		n, err := u.o.Mailbox.NoticeOf(ctx, u.v.Account, e)
		if err != nil {
			continue // Another has just taken its place.
		}
		list = append(list, summaryOfNotice(e, n))
	}
	return list, nil
}

func summaryOfNotice(entry int64, n mailbox.Notice) mailbox.Summary {
	m := message.Parse(n.Message)
	field := func(name string) string {
		var all []string
		for _, f := range m.Header.All(name) {
			all = append(all, strings.Join(strings.Fields(f.Raw()), " "))
		}
		return strings.Join(all, ", ")
	}
	return mailbox.Summary{Entry: entry, Size: int64(len(n.Message)), Internal: n.At, Date: field("Date"), Subject: field("Subject"),
		From: field("From"), To: field("To"), MessageID: field("Message-ID")}
}

var _ imapd.User = (*imapUser)(nil)
