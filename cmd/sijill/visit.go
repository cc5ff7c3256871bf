package main

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

// visit is somebody who is there: what a session may see, of one's own mail, of
// the classes that it is for, and personal mail while it has the key.
type visit struct {
	o       *office
	session *access.Session
	account int64
	scope   people.Scope
	shelf   *shelf.Shelf // nil while personal mail is closed
}

// visit begins; end it with close.
func (o *office) visit(ctx context.Context, s *access.Session) (*visit, error) {
	v := &visit{o: o, session: s, account: s.Account.ID, scope: s.Scope}
	if ring := s.Ring(); ring != nil {
		var err error
		if v.shelf, err = o.shelves.TakeFor(ctx, ring, lasting(s, ring)); err != nil && !errors.Is(err, vault.ErrClosed) {
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

// close may be called twice. What is left to see is the folders.
func (v *visit) close() {
	if v.shelf != nil {
		v.shelf.Release()
		v.shelf = nil
	}
}

// actor is what the register calls who acts.
func (v *visit) actor() string { return v.session.Account.Pseudonym }

func (v *visit) view() *mailbox.View {
	if v.shelf == nil {
		return v.o.mailbox.View(v.account, nil)
	}
	return v.o.mailbox.View(v.account, v.shelf.Facts())
}

// classes are those that the visit may see, of those that the account has.
func (v *visit) classes(ctx context.Context) ([]sijill.Class, error) {
	list, err := v.o.people.Addresses(ctx, v.account)
	if err != nil {
		return nil, err
	}
	var out []sijill.Class
	for _, c := range []sijill.Class{sijill.Office, sijill.Personal} {
		if v.scope.Has(c) && slices.ContainsFunc(list, func(a people.Address) bool { return a.Class == c }) {
			out = append(out, c)
		}
	}
	return out, nil
}

// folders are those that the visit may see. The standard ones are made when they
// are first looked for.
func (v *visit) folders(ctx context.Context) ([]mailbox.Folder, error) {
	classes, err := v.classes(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range classes {
		if _, err := v.o.roles.of(ctx, v.account, c); err != nil {
			return nil, err
		}
	}
	list, err := v.view().Folders(ctx)
	return slices.DeleteFunc(list, func(f mailbox.Folder) bool { return !slices.Contains(classes, f.Class) }), err
}

// folder is one of the folders that the visit may see.
func (v *visit) folder(ctx context.Context, id int64) (mailbox.Folder, error) {
	list, err := v.view().Folders(ctx)
	if err != nil {
		return mailbox.Folder{}, err
	}
	for _, f := range list {
		if f.ID == id && v.scope.Has(f.Class) {
			return f, nil
		}
	}
	return mailbox.Folder{}, fmt.Errorf("folder %d: %w", id, fs.ErrNotExist)
}

// item reads an entry that the visit may see.
func (v *visit) item(ctx context.Context, entry int64) (*record.Item, error) {
	it, err := v.o.register.ItemFor(ctx, entry, v.session.Ring())
	if err != nil {
		return nil, err
	}
	return it, v.may(it)
}

func (v *visit) may(it *record.Item) error {
	if !slices.Contains(it.Holders, v.account) || !v.scope.Has(it.Class) {
		return fmt.Errorf("entry %d: %w", it.Index, fs.ErrNotExist)
	}
	return nil
}

// present is a message as its reader is to see it: our fields, then the bytes
// that came, without results of checks that somebody forged in our name.
func (o *office) present(e *message.Envelope, raw []byte) []byte {
	if e.Trace == "" {
		return raw
	}
	return e.Present(mailauth.Clean(raw, o.config.ServerName()))
}

// query finds in all that the visit may see.
func (v *visit) query(ctx context.Context, q string, opts search.Options) (*search.Result, error) {
	var in []*search.Search
	if v.scope.Has(sijill.Office) {
		in = append(in, v.o.search)
	}
	if v.shelf != nil {
		s, err := v.shelf.Search(ctx)
		if err != nil {
			return nil, err
		}
		in = append(in, s)
	}
	return search.Both(ctx, v.account, q, opts, in...)
}

// entries finds every match in all that the visit may see.
func (v *visit) entries(ctx context.Context, q string) ([]int64, error) {
	var list []int64
	if v.scope.Has(sijill.Office) {
		found, err := v.o.search.Entries(ctx, v.account, q)
		if err != nil {
			return nil, err
		}
		list = append(list, found...)
	}
	if v.shelf != nil && v.scope.Has(sijill.Personal) {
		s, err := v.shelf.Search(ctx)
		if err != nil {
			return nil, err
		}
		found, err := s.Entries(ctx, v.account, q)
		if err != nil {
			return nil, err
		}
		list = append(list, found...)
	}
	slices.Sort(list)
	return list, nil
}

// mine checks that an entry's changes are of a folder that the visit may see.
func (v *visit) mine(ctx context.Context, folder int64) error {
	_, err := v.folder(ctx, folder)
	return err
}
