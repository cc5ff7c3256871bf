package office

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"sijill"
	"sijill/internal/access"
	"sijill/internal/message"
	"sijill/internal/people"
	"sijill/internal/post"
)

// Sender is an account as its identity of a class.
func (o *Office) Sender(ctx context.Context, account int64, class sijill.Class) (post.Sender, error) {
	a, err := o.People.Get(ctx, account)
	if err != nil {
		return post.Sender{}, err
	}
	list, err := o.People.Addresses(ctx, account)
	if err != nil {
		return post.Sender{}, err
	}
	s := post.Sender{Account: account, Actor: a.Pseudonym, Class: class, Language: a.Language, Own: map[string]sijill.Class{}}
	if s.Language == "" {
		s.Language = "en"
	}
	for _, x := range list {
		s.Own[message.CanonicalAddress(x.Address)] = x.Class
	}
	return s, nil
}

// MayWrite gives the address that a session writes from; an error that wraps
// fs.ErrPermission when it is not the account's, or of a class that the session is
// not for, and access.ErrClosed, too, when it is personal and the session's personal
// mail is closed: who can't read as somebody doesn't write as them.
func (o *Office) MayWrite(ctx context.Context, s *access.Session, from string) (people.Address, error) {
	a, err := o.People.Sender(ctx, s.Account.ID, from)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !s.Scope.Has(a.Class) {
		return a, fmt.Errorf("this credential does not write from there: %w", fs.ErrPermission)
	}
	if err == nil && a.Class == sijill.Personal && !s.Open() {
		return a, fmt.Errorf("%w: %w", access.ErrClosed, fs.ErrPermission)
	}
	return a, err
}
