package office

import (
	"context"
	"slices"
	"time"

	"sijill"
	"sijill/internal/access"
	"sijill/internal/db"
	"sijill/internal/mailbox"
	"sijill/internal/message"
	"sijill/internal/record"
)

// Put seals a message into a folder, as a says; door is through which it came. The
// projections place it afterwards: see mailbox.Placed.
func (v *Visit) Put(ctx context.Context, f mailbox.Folder, raw []byte, a mailbox.Arrival, door string) (int64, error) {
	e := message.Envelope{Door: door, Time: time.Now().UTC().Truncate(time.Millisecond)}
	if !a.Internal.IsZero() {
		e.Internal = &a.Internal
	}
	a.MessageID = message.Parse(raw).MessageID()
	rc, err := v.o.Register.Append(ctx, record.Draft{
		Kind: sijill.Captured, Actor: v.Actor(), Holders: []int64{v.Account}, Class: f.Class,
		Content: &record.Content{Envelope: e, Message: raw},
		With:    func(tx *db.Tx, entry int64) error { return mailbox.Arrive(tx, entry, v.Account, a) },
	})
	return rc.Entry, err
}

// Sync brings what has just come onto the shelf, if personal mail is open.
func (v *Visit) Sync(ctx context.Context) error {
	if v.Shelf == nil {
		return nil
	}
	return v.Shelf.Sync(ctx)
}

// Copy copies messages to another folder of the same class.
func (v *Visit) Copy(ctx context.Context, folder int64, uids []int64, to int64) ([]mailbox.Copied, error) {
	return v.o.Mailbox.Copy(ctx, v.Account, folder, uids, to)
}

// Move moves messages to another folder of the same class; into Junk and out of it, it
// tells the junk filter what its person thinks.
func (v *Visit) Move(ctx context.Context, folder int64, uids []int64, to int64) ([]mailbox.Copied, error) {
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
	moved, err := v.o.Mailbox.Move(ctx, v.Account, folder, uids, to)
	if err == nil && lesson != nil {
		v.teach(ctx, entries, *lesson)
	}
	return moved, err
}

// Expunge takes messages out of a folder. Personal ones are destroyed by that, so
// the session must be able to open them: else the error wraps access.ErrClosed.
// Whoever has an account by a password that was reset can't destroy what he can't read.
func (v *Visit) Expunge(ctx context.Context, folder int64, uids []int64) error {
	f, err := v.Folder(ctx, folder)
	if err != nil {
		return err
	}
	if f.Class == sijill.Personal && !v.Session.Open() {
		return access.ErrClosed
	}
	return v.o.Mailbox.Expunge(ctx, v.Account, folder, uids)
}

// lesson is what a move says: true for junk, false for mail that is wanted, nil
// for neither.
func (v *Visit) lesson(ctx context.Context, from, to int64) (*bool, error) {
	a, err := v.Folder(ctx, from)
	if err != nil {
		return nil, err
	}
	b, err := v.Folder(ctx, to)
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

func (v *Visit) entriesAt(ctx context.Context, folder int64, uids []int64) ([]int64, error) {
	if len(uids) == 0 {
		return nil, nil
	}
	places, err := v.o.Mailbox.Places(ctx, v.Account, folder, slices.Min(uids), slices.Max(uids))
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
func (v *Visit) teach(ctx context.Context, entries []int64, spam bool) {
	items, err := v.o.Register.ItemsFor(ctx, entries[:min(len(entries), maxLessons)], v.Session.Ring())
	for _, it := range items {
		if it.Class == sijill.Personal {
			continue
		}
		var c *record.Content
		if c, err = it.Content(); err == nil {
			err = v.o.bayes.Train(ctx, v.Account, c.Message, spam)
		}
		if err != nil {
			break
		}
	}
	if err != nil && ctx.Err() == nil {
		v.o.Log.Warn("the junk filter could not learn from a move", "error", err)
	}
}
