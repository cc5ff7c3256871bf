package mailbox

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"sijill/internal/db"
)

// Flags are the system flags of a message in a folder (RFC 9051, section 2.3.2).
type Flags uint8

// The flags. The numbers are in the tables.
const (
	FlagSeen Flags = 1 << iota
	FlagAnswered
	FlagFlagged
	FlagDeleted
	FlagDraft
	// FlagCold is no flag that anybody gives or takes: the message is cold, and
	// mail programs don't see it. See cold.go.
	FlagCold Flags = 1 << 7
)

// Place is a message in a folder.
type Place struct {
	Folder, UID, Entry int64
	Row                int64 // See RowID.
	Flags              Flags
	Keywords           []string // In the spelling in which the account first gave them.
	ModSeq             int64    // Of the last change.
}

// place is a Place with what nobody else needs to know.
type place struct {
	Place
	account, tag int64
	keywords     string
}

const placeColumns = "folder, uid, account, entry, row, tag, flags, keywords, mod_seq"

func (p *place) scan(r db.Row) error {
	err := r.Scan(&p.Folder, &p.UID, &p.account, &p.Entry, &p.Row, &p.tag, &p.Flags, &p.keywords, &p.ModSeq)
	p.Keywords = splitKeywords(p.keywords)
	return err
}

func (p *place) values() []any {
	return []any{p.Folder, p.UID, p.account, p.Entry, p.Row, p.tag, int64(p.Flags), p.keywords, p.ModSeq}
}

func splitKeywords(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, " ")
}

// Places gives the messages of a folder with UIDs from first to last, by UID. A
// folder that isn't the account's is an error that wraps fs.ErrNotExist.
func (m *Mailbox) Places(ctx context.Context, account, folder, first, last int64) (list []Place, err error) {
	err = m.db.Read(ctx, func(tx *db.Tx) error {
		if _, err := owned(tx, account, folder); err != nil {
			return err
		}
		list, err = placesBetween(tx, folder, first, last, 0)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the messages of a folder: %w", err)
	}
	return list, nil
}

// placesBetween reads the places of a folder that changed after since.
func placesBetween(tx *db.Tx, folder, first, last, since int64) (list []Place, err error) {
	const q = `SELECT uid, entry, row, flags, keywords, mod_seq FROM mail_place
		WHERE folder = ? AND uid BETWEEN ? AND ? AND mod_seq > ? ORDER BY uid`
	err = tx.Each(q, []any{folder, first, last, since}, func(r db.Row) error {
		p := Place{Folder: folder}
		var keywords string
		err := r.Scan(&p.UID, &p.Entry, &p.Row, &p.Flags, &keywords, &p.ModSeq)
		p.Keywords = splitKeywords(keywords)
		list = append(list, p)
		return err
	})
	return list, err
}

// placesOf reads places by their UIDs; those that aren't there are left out.
func placesOf(tx *db.Tx, folder int64, uids []int64) (list []*place, err error) {
	const q = "SELECT " + placeColumns + " FROM mail_place WHERE folder = ? AND uid IN (?)"
	err = eachOf(tx, q, []any{folder}, unique(slices.Clone(uids)), func(r db.Row) error {
		p := &place{}
		list = append(list, p)
		return p.scan(r)
	})
	slices.SortFunc(list, func(a, b *place) int { return int(min(max(a.UID-b.UID, -1), 1)) })
	return list, err
}

// placesOfEntry reads the places of an entry that the account has.
func placesOfEntry(tx *db.Tx, account, entry int64) (list []*place, err error) {
	const q = "SELECT " + placeColumns + " FROM mail_place WHERE entry = ? AND account = ? ORDER BY folder, uid"
	err = tx.Each(q, []any{entry, account}, func(r db.Row) error {
		p := &place{}
		list = append(list, p)
		return p.scan(r)
	})
	return list, err
}

const (
	maxKeyword  = 100
	maxKeywords = 100  // on a message
	allKeywords = 1000 // in an account
)

// Keywords gives all keywords that an account ever gave, by their names.
func (m *Mailbox) Keywords(ctx context.Context, account int64) (list []string, err error) {
	err = m.db.Read(ctx, func(tx *db.Tx) error {
		return tx.Each("SELECT name FROM mail_keyword WHERE account = ? ORDER BY folded", []any{account}, func(r db.Row) error {
			var name string
			err := r.Scan(&name)
			list = append(list, name)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("listing keywords: %w", err)
	}
	return list, nil
}

func isKeyword(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return len(s) > 0 && len(s) <= maxKeyword
}

// spell gives keywords in the spelling in which the account first gave them,
// each once, and notes those that are new.
func spell(tx *db.Tx, account int64, keywords []string) ([]string, error) {
	var out []string
	for _, k := range keywords {
		if !isKeyword(k) {
			return nil, ErrKeyword
		}
		const add = `INSERT INTO mail_keyword (account, folded, name) SELECT ?, ?, ?
			WHERE (SELECT count(*) FROM mail_keyword WHERE account = ?) < ? ON CONFLICT (account, folded) DO NOTHING`
		folded := strings.ToLower(k)
		if _, err := tx.Exec(add, account, folded, k, account, allKeywords); err != nil {
			return nil, fmt.Errorf("noting a keyword: %w", err)
		}
		var name string
		err := tx.One("SELECT name FROM mail_keyword WHERE account = ? AND folded = ?", []any{account, folded}, &name)
		if err != nil {
			return nil, fmt.Errorf("there are too many keywords: %w", ErrKeyword)
		}
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	if len(out) > maxKeywords {
		return nil, ErrKeyword
	}
	return out, nil
}
