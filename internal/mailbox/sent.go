package mailbox

import (
	"errors"
	"fmt"
	"io/fs"

	"sijill"
	"sijill/internal/db"
)

// Clients that send through us put a copy into Sent themselves as well, a moment
// later. What was sent lies there already: so that it isn't shown twice, the
// place that it got of itself is given up for the client's copy. The record of
// both stays.

// matchFor is how long in seconds a copy may come after what was sent.
const matchFor = 24 * 60 * 60

// match notes what is placed in Sent of itself, and when a client puts a copy
// there, takes the other out: from places, which aren't written yet, or from the
// table.
func (b *batch) match(f *folder, p *place, l *line, places []*place) error {
	if f.Role != RoleSent {
		return nil
	}
	match := l.match()
	if match == 0 {
		return nil
	}
	at := l.at.Unix()
	if l.kind == sijill.Sent {
		if l.arrival != nil && l.arrival.folder != 0 {
			return nil // It was put there, and stays.
		}
		if _, err := b.tx.Exec("DELETE FROM mail_sent WHERE at < ?", at-matchFor); err != nil {
			return fmt.Errorf("forgetting what was sent: %w", err)
		}
		const q = `INSERT INTO mail_sent (account, match, folder, uid, at) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (account, match) DO UPDATE SET folder = excluded.folder, uid = excluded.uid, at = excluded.at`
		_, err := b.tx.Exec(q, l.account, match, f.ID, p.UID, at)
		return err
	}
	if l.arrival == nil || l.arrival.folder != f.ID {
		return nil
	}
	var folder, uid, sent int64
	err := b.tx.One("SELECT folder, uid, at FROM mail_sent WHERE account = ? AND match = ?", []any{l.account, match}, &folder, &uid, &sent)
	if errors.Is(err, fs.ErrNotExist) || err == nil && (folder != f.ID || sent < at-matchFor) {
		return nil
	}
	if err != nil {
		return err
	}
	return b.giveUp(f, l, uid, match, places)
}

// match is what the line's Message-ID is known by, within its class; 0 if none.
func (l *line) match() (match int64) {
	if l.arrival != nil {
		match = l.arrival.match
	}
	if match == 0 && l.draft != nil {
		match = matchOf(l.account, l.draft.id)
	}
	if match != 0 && l.class == sijill.Personal {
		return -match
	}
	return match
}

// giveUp takes the message with a UID out of Sent, if it is there still, for the
// copy l.
func (b *batch) giveUp(f *folder, l *line, uid, match int64, waiting []*place) error {
	if _, err := b.tx.Exec("DELETE FROM mail_sent WHERE account = ? AND match = ?", f.Account, match); err != nil {
		return err
	}
	places, err := placesOf(b.tx, f.ID, []int64{uid})
	if err != nil {
		return err
	}
	for _, p := range waiting {
		if p.Folder == f.ID && p.UID == uid {
			c := *p
			places = append(places, &c)
			p.UID = 0 // It is not written.
		}
	}
	if len(places) == 0 {
		return nil
	}
	return b.supersede(f, l, places)
}

// supersede is expunge, but destroys nothing: the record of what was sent stays.
// Where it is personal, its owner destroys it with the copy.
func (b *batch) supersede(f *folder, l *line, places []*place) error {
	if err := b.remove(f, places); err != nil {
		return err
	}
	left, err := b.leave(f.Account, places)
	if err != nil {
		return err
	}
	if f.Class == sijill.Office {
		b.oweLater()
		return b.owe(f.Account, sijill.Expunged, places, detail{From: f.Name, Reason: "a copy took its place"})
	}
	for _, twin := range left {
		const q = "INSERT INTO mail_twin (account, entry, twin) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
		if _, err := b.tx.Exec(q, f.Account, l.entry, twin); err != nil {
			return fmt.Errorf("noting what a copy replaced: %w", err)
		}
	}
	return nil
}

// twins gives entries with those whose places they took, which are forgotten as
// such.
func (l *ledger) twins(account int64, entries []int64) ([]int64, error) {
	out := entries
	err := eachOf(l.tx, "SELECT twin FROM mail_twin WHERE account = ? AND entry IN (?)", []any{account}, entries, func(r db.Row) error {
		var twin int64
		err := r.Scan(&twin)
		out = append(out, twin)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("looking for what copies replaced: %w", err)
	}
	return unique(out), execOf(l.tx, "DELETE FROM mail_twin WHERE account = ? AND entry IN (?)", []any{account}, entries)
}
