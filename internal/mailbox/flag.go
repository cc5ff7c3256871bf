package mailbox

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// Op says how Flag combines what it is given with what is there.
type Op int

// The ways.
const (
	Set    Op = iota // Instead of all flags and keywords that are there.
	Add              // Besides them.
	Remove           // Those are taken away.
)

// Flag changes the flags and keywords of messages, and gives all that are there
// of uids as they are now, by UID. Those that change nothing keep their ModSeq.
// Errors wrap ErrKeyword, or fs.ErrNotExist for a folder that isn't the
// account's.
func (m *Mailbox) Flag(ctx context.Context, account, folder int64, uids []int64, op Op, flags Flags, keywords []string) (list []Place, err error) {
	err = m.change(ctx, "flagging", func(l *ledger) error {
		list = nil
		f, err := l.folder(account, folder)
		if err != nil {
			return err
		}
		if keywords, err = spell(l.tx, account, keywords); err != nil {
			return err
		}
		places, err := placesOf(l.tx, folder, uids)
		if err != nil {
			return err
		}
		if err := l.flag(f, places, op, flags, keywords); err != nil {
			return err
		}
		for _, p := range places {
			list = append(list, p.Place)
		}
		return nil
	})
	return list, err
}

// flag changes places of one folder. Those that come out alike are written
// together.
func (l *ledger) flag(f *folder, places []*place, op Op, flags Flags, keywords []string) error {
	type outcome struct {
		flags    Flags
		keywords string
	}
	alike := map[outcome][]int64{}
	for _, p := range places {
		now := outcome{combine(p.Flags, op, flags)&^FlagCold | p.Flags&FlagCold, combineWords(p.Keywords, op, keywords)}
		if now == (outcome{p.Flags, p.keywords}) {
			continue
		}
		f.count(p.Flags, -1)
		f.count(now.flags, 1)
		p.Flags, p.keywords, p.Keywords = now.flags, now.keywords, splitKeywords(now.keywords)
		if len(p.Keywords) > maxKeywords {
			return ErrKeyword
		}
		p.ModSeq = l.changed(f, p.UID)
		alike[now] = append(alike[now], p.UID)
	}
	for now, uids := range alike {
		const q = "UPDATE mail_place SET flags = ?, keywords = ?, mod_seq = ? WHERE folder = ? AND uid IN (?)"
		before := []any{int64(now.flags), now.keywords, f.ModSeq, f.ID}
		if err := execOf(l.tx, q, before, uids); err != nil {
			return fmt.Errorf("writing flags: %w", err)
		}
	}
	return nil
}

func combine(old Flags, op Op, given Flags) Flags {
	switch op {
	case Add:
		return old | given
	case Remove:
		return old &^ given
	}
	return given
}

func combineWords(old []string, op Op, given []string) string {
	out := given
	switch op {
	case Add:
		out = slices.Clone(old)
		for _, k := range given {
			if !slices.Contains(out, k) {
				out = append(out, k)
			}
		}
	case Remove:
		out = slices.DeleteFunc(slices.Clone(old), func(k string) bool { return slices.Contains(given, k) })
	}
	return strings.Join(out, " ")
}

// MarkSeen says that the account's person has read a message, or not, wherever
// it lies. An entry that lies nowhere for the account is an error that wraps
// fs.ErrNotExist.
func (m *Mailbox) MarkSeen(ctx context.Context, account, entry int64, seen bool) error {
	op := Remove
	if seen {
		op = Add
	}
	return m.change(ctx, fmt.Sprintf("marking entry %d", entry), func(l *ledger) error {
		places, err := placesOfEntry(l.tx, account, entry)
		if err == nil && len(places) == 0 {
			err = fs.ErrNotExist
		}
		if err != nil {
			return err
		}
		for _, p := range places {
			f, err := l.folder(account, p.Folder)
			if err == nil {
				err = l.flag(f, []*place{p}, op, FlagSeen, nil)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}
