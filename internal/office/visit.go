package office

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"sijill"
	"sijill/internal/access"
	"sijill/internal/mailauth"
	"sijill/internal/mailbox"
	"sijill/internal/message"
	"sijill/internal/people"
	"sijill/internal/record"
	"sijill/internal/search"
	"sijill/internal/shelf"
	"sijill/internal/vault"
)

// Visit is somebody who is there: what a session may see, of one's own mail, of
// the classes that it is for, and personal mail while it has the key.
type Visit struct {
	Session *access.Session // Who it is; the visit doesn't close it.
	Account int64
	Scope   people.Scope
	Shelf   *shelf.Shelf // Personal mail; nil while it is closed.

	o *Office
}

// Visit begins a visit; end it with Close.
func (o *Office) Visit(ctx context.Context, s *access.Session) (*Visit, error) {
	v := &Visit{o: o, Session: s, Account: s.Account.ID, Scope: s.Scope}
	if ring := s.Ring(); ring != nil {
		var err error
		if v.Shelf, err = o.Shelves.TakeFor(ctx, ring, lasting(s, ring)); err != nil && !errors.Is(err, vault.ErrClosed) {
			return nil, err
		}
	}
	return v, nil
}

// lasting is for how long a session's ring is good: one that is stepped up until
// that is over, any other without end, as 0.
func lasting(s *access.Session, ring *vault.Ring) time.Duration {
	if !ring.Has(vault.Deep) {
		return 0
	}
	return max(time.Until(s.Deep()), time.Second)
}

// Close may be called twice. What is left to see is the folders.
func (v *Visit) Close() {
	if v.Shelf != nil {
		v.Shelf.Release()
		v.Shelf = nil
	}
}

// Actor is what the register calls who acts.
func (v *Visit) Actor() string { return v.Session.Account.Pseudonym }

// View shows lists of one's mail. It is not bound to the visit's scope: rows of other
// classes are for the caller to leave out.
func (v *Visit) View() *mailbox.View {
	if v.Shelf == nil {
		return v.o.Mailbox.View(v.Account, nil)
	}
	return v.o.Mailbox.View(v.Account, v.Shelf.Facts())
}

// Classes are those that the visit may see, of those that the account has.
func (v *Visit) Classes(ctx context.Context) ([]sijill.Class, error) {
	list, err := v.o.People.Addresses(ctx, v.Account)
	if err != nil {
		return nil, err
	}
	var out []sijill.Class
	for _, c := range []sijill.Class{sijill.Office, sijill.Personal} {
		if v.Scope.Has(c) && slices.ContainsFunc(list, func(a people.Address) bool { return a.Class == c }) {
			out = append(out, c)
		}
	}
	return out, nil
}

// Folders are those that the visit may see. The standard ones are made when they
// are first looked for.
func (v *Visit) Folders(ctx context.Context) ([]mailbox.Folder, error) {
	classes, err := v.Classes(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range classes {
		if _, err := v.o.roles.of(ctx, v.Account, c); err != nil {
			return nil, err
		}
	}
	list, err := v.View().Folders(ctx)
	return slices.DeleteFunc(list, func(f mailbox.Folder) bool { return !slices.Contains(classes, f.Class) }), err
}

// Folder is one of the folders that the visit may see; another is an error that wraps
// fs.ErrNotExist.
func (v *Visit) Folder(ctx context.Context, id int64) (mailbox.Folder, error) {
	list, err := v.View().Folders(ctx)
	if err != nil {
		return mailbox.Folder{}, err
	}
	for _, f := range list {
		if f.ID == id && v.Scope.Has(f.Class) {
			return f, nil
		}
	}
	return mailbox.Folder{}, fmt.Errorf("folder %d: %w", id, fs.ErrNotExist)
}

// Item reads an entry that the visit may see; another is an error that wraps
// fs.ErrNotExist.
func (v *Visit) Item(ctx context.Context, entry int64) (*record.Item, error) {
	it, err := v.o.Register.ItemFor(ctx, entry, v.Session.Ring())
	if err != nil {
		return nil, err
	}
	return it, v.CheckItem(it)
}

// CheckItem tells whether the visit may see an entry that was read otherwise; if not,
// with an error that wraps fs.ErrNotExist.
func (v *Visit) CheckItem(it *record.Item) error {
	if !slices.Contains(it.Holders, v.Account) || !v.Scope.Has(it.Class) {
		return fmt.Errorf("entry %d: %w", it.Index, fs.ErrNotExist)
	}
	return nil
}

// Present is a message as its reader is to see it: our fields, then the bytes
// that came, without results of checks that somebody forged in our name.
func (o *Office) Present(e *message.Envelope, raw []byte) []byte {
	if e.Trace == "" {
		return raw
	}
	return e.Present(mailauth.Clean(raw, o.Config.ServerName()))
}

// Query finds a page of matches in all that the visit may see. Errors: as of
// search.Query.
func (v *Visit) Query(ctx context.Context, q string, opts search.Options) (*search.Result, error) {
	var in []*search.Search
	if v.Scope.Has(sijill.Office) {
		in = append(in, v.o.Search)
	}
	if v.Shelf != nil {
		s, err := v.Shelf.Search(ctx)
		if err != nil {
			return nil, err
		}
		in = append(in, s)
	}
	return search.Both(ctx, v.Account, q, opts, in...)
}

// Entries finds every match in all that the visit may see, in the order of entries.
func (v *Visit) Entries(ctx context.Context, q string) ([]int64, error) {
	var list []int64
	if v.Scope.Has(sijill.Office) {
		found, err := v.o.Search.Entries(ctx, v.Account, q)
		if err != nil {
			return nil, err
		}
		list = append(list, found...)
	}
	if v.Shelf != nil && v.Scope.Has(sijill.Personal) {
		s, err := v.Shelf.Search(ctx)
		if err != nil {
			return nil, err
		}
		found, err := s.Entries(ctx, v.Account, q)
		if err != nil {
			return nil, err
		}
		list = append(list, found...)
	}
	slices.Sort(list)
	return list, nil
}

// CheckFolder tells whether the visit may see a folder; if not, with an error that
// wraps fs.ErrNotExist.
func (v *Visit) CheckFolder(ctx context.Context, folder int64) error {
	_, err := v.Folder(ctx, folder)
	return err
}
