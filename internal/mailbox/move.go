package mailbox

import (
	"context"
	"errors"
	"fmt"

	"sijill"
)

// Copied is a message that came to another folder: its UID where it was, and
// its new one.
type Copied struct{ From, To int64 }

// errNoRegister says that a change can't be told to the register.
var errNoRegister = errors.New("the mailbox has no register to tell")

// Copy puts messages into another folder too, or once more into the same one,
// with their flags and keywords, and gives those of uids that are there, by UID.
// Errors wrap ErrWall, or fs.ErrNotExist for a folder that isn't the account's.
func (m *Mailbox) Copy(ctx context.Context, account, folder int64, uids []int64, to int64) (list []Copied, err error) {
	err = m.change(ctx, "copying messages", func(l *ledger) error {
		_, target, places, err := l.transfer(account, folder, uids, to)
		if err != nil {
			return err
		}
		list, err = l.copy(places, target)
		return err
	})
	return list, err
}

// transfer reads what is to go from a folder to another.
func (l *ledger) transfer(account, folder int64, uids []int64, to int64) (from, target *folder, places []*place, err error) {
	if from, err = l.folder(account, folder); err != nil {
		return nil, nil, nil, err
	}
	if target, err = l.folder(account, to); err != nil {
		return nil, nil, nil, err
	}
	if from.Class != target.Class {
		return nil, nil, nil, ErrWall
	}
	places, err = placesOf(l.tx, folder, uids)
	return from, target, places, err
}

func (l *ledger) copy(places []*place, to *folder) (list []Copied, err error) {
	fresh := make([]*place, len(places))
	for i, p := range places {
		c := *p
		fresh[i] = &c
		l.add(to, &c, 0)
		list = append(list, Copied{From: p.UID, To: c.UID})
	}
	return list, l.insert(fresh)
}

// Move is Copy that takes the messages out of where they were, both at once. A
// move of office mail to another folder is an entry of the register, which is
// there when Move returns nil. Where only that has failed, the messages have
// moved, the list is complete besides the error, and the entry follows later.
func (m *Mailbox) Move(ctx context.Context, account, folder int64, uids []int64, to int64) (list []Copied, err error) {
	return list, m.changeOnRecord(ctx, "moving messages", func(l *ledger) error {
		from, target, places, err := l.transfer(account, folder, uids, to)
		if err != nil {
			return err
		}
		if list, err = l.copy(places, target); err != nil {
			return err
		}
		if err := l.remove(from, places); err != nil {
			return err
		}
		if from.Class != sijill.Office || from == target || len(places) == 0 {
			return nil
		}
		return l.owe(account, sijill.Moved, places, detail{From: from.Name, To: target.Name})
	})
}

// Expunge takes messages out of a folder. Of office mail that is an entry of the
// register, and the record stays. Personal mail that then lies nowhere any more
// is destroyed: nobody can ever read it again. Where only the entry or the
// destruction has failed, the messages are gone from the folder, and it follows
// later.
func (m *Mailbox) Expunge(ctx context.Context, account, folder int64, uids []int64) error {
	return m.changeOnRecord(ctx, "expunging messages", func(l *ledger) error {
		f, err := l.folder(account, folder)
		if err != nil {
			return err
		}
		places, err := placesOf(l.tx, folder, uids)
		if err != nil || len(places) == 0 {
			return err
		}
		return l.expunge(f, places, "")
	})
}

func (l *ledger) expunge(f *folder, places []*place, reason string) error {
	if err := l.remove(f, places); err != nil {
		return err
	}
	left, err := l.leave(f.Account, places)
	if err != nil {
		return err
	}
	if f.Class == sijill.Office {
		return l.owe(f.Account, sijill.Expunged, places, detail{From: f.Name, Reason: reason})
	}
	if len(left) == 0 {
		return nil
	}
	if left, err = l.twins(f.Account, left); err != nil {
		return err
	}
	return l.oweEntries(f.Account, sijill.Destroyed, left, detail{})
}

// changeOnRecord is change for what the register must be told: what fn owes it
// is written in the same transaction, and appended right after.
func (m *Mailbox) changeOnRecord(ctx context.Context, what string, fn func(*ledger) error) error {
	if m.register == nil {
		return fmt.Errorf("%s: %w", what, errNoRegister)
	}
	var notes []int64
	err := m.change(ctx, what, func(l *ledger) error {
		err := fn(l)
		notes = l.notes
		m.claim(notes)
		return err
	})
	defer m.unclaim(notes)
	if err != nil {
		return err
	}
	// What is done must be told, even if the caller has lost patience.
	if err := m.tell(context.WithoutCancel(ctx), notes); err != nil {
		return fmt.Errorf("%s: telling the register: %w", what, err)
	}
	return nil
}
