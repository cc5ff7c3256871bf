package main

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
	"sijill/internal/db"
	"sijill/internal/imapd"
	"sijill/internal/mailbox"
	"sijill/internal/message"
	"sijill/internal/record"
	"sijill/internal/search"
	"sijill/internal/shelf"
)

// imapDoor lets mail programs in.
type imapDoor struct{ o *office }

// Login implements imapd.Backend.
func (d imapDoor) Login(ctx context.Context, name, password string, from netip.Addr) (imapd.User, error) {
	s, err := d.o.access.Application(ctx, name, password, "imap", from)
	if err != nil {
		return nil, err
	}
	v, err := d.o.visit(ctx, s)
	if err != nil {
		s.Close()
		return nil, err
	}
	classes, err := v.classes(ctx)
	if err == nil {
		// What is opened first is what is looked at first.
		err = waitFilled(ctx, v.shelf)
	}
	if err != nil {
		v.close()
		s.Close()
		return nil, err
	}
	return &imapUser{visit: v, list: classes}, nil
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
	*visit
	list []sijill.Class
}

// Classes implements imapd.User, as do the methods below.
func (u *imapUser) Classes() []sijill.Class { return u.list }

// Folders are those that the program may see, counted without what is cold.
func (u *imapUser) Folders(ctx context.Context) ([]mailbox.Folder, error) {
	if _, err := u.folders(ctx); err != nil { // The standard ones are made.
		return nil, err
	}
	list, err := u.o.mailbox.ProgramFolders(ctx, u.account)
	return slices.DeleteFunc(list, func(f mailbox.Folder) bool { return !slices.Contains(u.list, f.Class) }), err
}

func (u *imapUser) CreateFolder(ctx context.Context, class sijill.Class, name string) (mailbox.Folder, error) {
	return u.o.mailbox.CreateFolder(ctx, u.account, class, name)
}

func (u *imapUser) RenameFolder(ctx context.Context, folder int64, name string) error {
	return errors.Join(u.mine(ctx, folder), u.o.mailbox.RenameFolder(ctx, u.account, folder, name))
}

func (u *imapUser) DeleteFolder(ctx context.Context, folder int64) error {
	if err := u.mine(ctx, folder); err != nil {
		return err
	}
	return u.o.mailbox.DeleteFolder(ctx, u.account, folder)
}

func (u *imapUser) Subscribe(ctx context.Context, folder int64, on bool) error {
	if err := u.mine(ctx, folder); err != nil {
		return err
	}
	return u.o.mailbox.Subscribe(ctx, u.account, folder, on)
}

func (u *imapUser) Places(ctx context.Context, folder, first, last int64) ([]mailbox.Place, error) {
	if err := u.mine(ctx, folder); err != nil {
		return nil, err
	}
	return u.o.mailbox.ProgramPlaces(ctx, u.account, folder, first, last)
}

func (u *imapUser) Snapshot(ctx context.Context, folder int64) (*mailbox.Snapshot, error) {
	if err := u.mine(ctx, folder); err != nil {
		return nil, err
	}
	return u.o.mailbox.ProgramSnapshot(ctx, u.account, folder)
}

func (u *imapUser) Changes(ctx context.Context, folder, since int64) (mailbox.Changes, error) {
	return u.o.mailbox.ProgramChanges(ctx, u.account, folder, since)
}

func (u *imapUser) Watch() (<-chan struct{}, func()) { return u.o.mailbox.Watch(u.account) }

func (u *imapUser) Flag(ctx context.Context, folder int64, uids []int64, op mailbox.Op, flags mailbox.Flags, keywords []string) ([]mailbox.Place, error) {
	if err := u.mine(ctx, folder); err != nil {
		return nil, err
	}
	return u.o.mailbox.Flag(ctx, u.account, folder, uids, op, flags, keywords)
}

func (u *imapUser) Copy(ctx context.Context, folder int64, uids []int64, to int64) ([]mailbox.Copied, error) {
	if err := errors.Join(u.mine(ctx, folder), u.mine(ctx, to)); err != nil {
		return nil, err
	}
	copied, err := u.copy(ctx, folder, uids, to)
	return copied, u.noticeAlone(ctx, folder, uids, copied, err)
}

func (u *imapUser) Move(ctx context.Context, folder int64, uids []int64, to int64) ([]mailbox.Copied, error) {
	if err := errors.Join(u.mine(ctx, folder), u.mine(ctx, to)); err != nil {
		return nil, err
	}
	moved, err := u.move(ctx, folder, uids, to)
	return moved, u.noticeAlone(ctx, folder, uids, moved, err)
}

// noticeAlone refuses to move or copy the notice of older mail. Among others it is
// passed over: it stays where it is.
func (u *imapUser) noticeAlone(ctx context.Context, folder int64, uids []int64, went []mailbox.Copied, err error) error {
	if err != nil || len(went) > 0 || len(uids) != 1 {
		return err
	}
	f, err := u.folder(ctx, folder)
	if err == nil && f.Notice == uids[0] {
		err = mailbox.ErrNotice
	}
	return err
}

func (u *imapUser) Expunge(ctx context.Context, folder int64, uids []int64) error {
	if err := u.mine(ctx, folder); err != nil {
		return err
	}
	return u.o.mailbox.Expunge(ctx, u.account, folder, uids)
}

// Append seals a message that a mail program brings.
func (u *imapUser) Append(ctx context.Context, folder int64, m *imapd.Mail) (mailbox.Place, error) {
	f, err := u.folder(ctx, folder)
	if err == nil {
		err = u.strays(ctx, f, m.Message)
	}
	if err != nil {
		return mailbox.Place{}, err
	}
	entry, err := u.put(ctx, f, m.Message, mailbox.Arrival{Folder: f.ID, Flags: m.Flags, Keywords: m.Keywords, Internal: m.Internal}, "imap")
	if err != nil {
		return mailbox.Place{}, err
	}
	return u.o.mailbox.Placed(ctx, u.account, entry)
}

// strays refuses what the person writes from a personal address in the office's Sent
// and Drafts. A program that knows one such folder for both identities brings it
// there unasked, and nobody could take it off the record again.
func (u *imapUser) strays(ctx context.Context, f mailbox.Folder, raw []byte) error {
	if f.Class != sijill.Office || f.Role != mailbox.RoleSent && f.Role != mailbox.RoleDrafts {
		return nil
	}
	from := message.Parse(raw).From()
	own, err := u.o.people.Addresses(ctx, u.account)
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

// put seals a message into a folder.
func (v *visit) put(ctx context.Context, f mailbox.Folder, raw []byte, a mailbox.Arrival, door string) (int64, error) {
	e := message.Envelope{Door: door, Time: time.Now().UTC().Truncate(time.Millisecond)}
	if !a.Internal.IsZero() {
		e.Internal = &a.Internal
	}
	a.MessageID = message.Parse(raw).MessageID()
	rc, err := v.o.register.Append(ctx, record.Draft{
		Kind: sijill.Captured, Actor: v.actor(), Holders: []int64{v.account}, Class: f.Class,
		Content: &record.Content{Envelope: e, Message: raw},
		With:    func(tx *db.Tx, entry int64) error { return mailbox.Arrive(tx, entry, v.account, a) },
	})
	return rc.Entry, err
}

func (u *imapUser) Summaries(ctx context.Context, entries []int64) ([]mailbox.Summary, error) {
	if err := u.sync(ctx); err != nil {
		return nil, err
	}
	list, err := u.view().Summaries(ctx, entries)
	if err != nil {
		return nil, err
	}
	return u.noticed(ctx, entries, list)
}

// sync brings what has just come onto the shelf.
func (v *visit) sync(ctx context.Context) error {
	if v.shelf == nil {
		return nil
	}
	return v.shelf.Sync(ctx)
}

func (u *imapUser) Sizes(ctx context.Context, entries []int64) (map[int64]int64, error) {
	return u.view().Sizes(ctx, entries)
}

// Ready reads in one go what opening messages needs.
func (u *imapUser) Ready(ctx context.Context, entries []int64) (func(i int) ([]byte, error), error) {
	items, err := u.o.register.ItemsFor(ctx, entries, u.session.Ring())
	if err != nil {
		return nil, err
	}
	byNumber := make(map[int64]*record.Item, len(items))
	for _, it := range items {
		byNumber[it.Index] = it
	}
	return func(i int) ([]byte, error) {
		if entries[i] < 0 { // The notice of what is cold.
			n, err := u.o.mailbox.NoticeOf(ctx, u.account, entries[i])
			return n.Message, err
		}
		it := byNumber[entries[i]]
		if it == nil {
			return nil, fmt.Errorf("entry %d: %w", entries[i], fs.ErrNotExist)
		}
		if err := u.may(it); err != nil {
			return nil, err
		}
		c, err := it.Content()
		if err != nil {
			return nil, err
		}
		return u.o.present(&c.Envelope, c.Message), nil
	}, nil
}

// Search finds the words of text, one after the other.
func (u *imapUser) Search(ctx context.Context, text string) ([]int64, error) {
	q := search.Quote(text)
	if q == "" {
		return nil, nil
	}
	return u.entries(ctx, q)
}

// Done is closed when the app password is revoked or the account suspended.
func (u *imapUser) Done() <-chan struct{} { return u.session.Done() }

// Close implements imapd.User.
func (u *imapUser) Close() {
	u.visit.close()
	u.session.Close()
}

// copy and move tell the junk filter what their person thinks.
func (v *visit) copy(ctx context.Context, folder int64, uids []int64, to int64) ([]mailbox.Copied, error) {
	return v.o.mailbox.Copy(ctx, v.account, folder, uids, to)
}

func (v *visit) move(ctx context.Context, folder int64, uids []int64, to int64) ([]mailbox.Copied, error) {
	lesson, err := v.lesson(ctx, folder, to)
	if err != nil {
		return nil, err
	}
	var entries []int64
	if lesson != nil {
		if entries, err = v.entriesAt(ctx, folder, uids); err != nil {
			return nil, err
		}
	}
	moved, err := v.o.mailbox.Move(ctx, v.account, folder, uids, to)
	if err == nil && lesson != nil {
		v.teach(ctx, entries, *lesson)
	}
	return moved, err
}

// lesson is what a move says: true for junk, false for mail that is wanted, nil
// for neither.
func (v *visit) lesson(ctx context.Context, from, to int64) (*bool, error) {
	a, err := v.folder(ctx, from)
	if err != nil {
		return nil, err
	}
	b, err := v.folder(ctx, to)
	if err != nil {
		return nil, err
	}
	spam := b.Role == mailbox.RoleJunk
	switch {
	case spam && a.Role != mailbox.RoleJunk, a.Role == mailbox.RoleJunk && b.Role != mailbox.RoleTrash, b.Role == mailbox.RoleArchive:
		return &spam, nil
	}
	return nil, nil
}

func (v *visit) entriesAt(ctx context.Context, folder int64, uids []int64) ([]int64, error) {
	if len(uids) == 0 {
		return nil, nil
	}
	places, err := v.o.mailbox.Places(ctx, v.account, folder, slices.Min(uids), slices.Max(uids))
	if err != nil {
		return nil, err
	}
	var list []int64
	for _, p := range places {
		if slices.Contains(uids, p.UID) {
			list = append(list, p.Entry)
		}
	}
	return list, nil
}

// maxLessons is how many messages one move teaches.
const maxLessons = 200

// teach trains the person's filter, with office mail alone: what it keeps of a
// message, hashes of words, is open to whoever has the server's key. What goes
// wrong is no matter of theirs.
func (v *visit) teach(ctx context.Context, entries []int64, spam bool) {
	items, err := v.o.register.ItemsFor(ctx, entries[:min(len(entries), maxLessons)], v.session.Ring())
	for _, it := range items {
		if it.Class == sijill.Personal {
			continue
		}
		var c *record.Content
		if c, err = it.Content(); err == nil {
			err = v.o.bayes.Train(ctx, v.account, c.Message, spam)
		}
		if err != nil {
			break
		}
	}
	if err != nil && ctx.Err() == nil {
		v.o.log.Warn("the junk filter could not learn from a move", "error", err)
	}
}

var _ imapd.User = (*imapUser)(nil)
