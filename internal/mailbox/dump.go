package mailbox

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"sijill/internal/db"
)

// dumps are the facts and which account has which entry, in the order of their
// keys. Folders, UIDs and flags are people's doing and no entry gives them; of
// the counters, those that are wrong are named. COOL stands for the accounts with
// cold mail: their threads began in messages that nobody here can read again.
var dumps = []struct {
	name, query string
	columns     int
}{
	{"message", `SELECT row, entry, size, sent, received, internal, captured, from_name, from_addr, to_text,
		subject, snippet, attachments, hex(envelope) FROM mail_message ORDER BY row`, 14},
	{"holding", `SELECT row, account, CASE WHEN account IN (COOL) THEN NULL ELSE thread END FROM mail_holding ORDER BY row, account`, 3},
	{"covered", `SELECT account, entry FROM mail_place UNION SELECT account, entry FROM mail_left ORDER BY account, entry`, 2},
	{"miscounted", `SELECT f.id, f.total, f.cold FROM mail_folder AS f
		WHERE f.total <> (SELECT count(*) FROM mail_place AS p WHERE p.folder = f.id)
		OR f.unseen <> (SELECT count(*) FROM mail_place AS p WHERE p.folder = f.id AND p.flags & 1 = 0)
		OR f.cold <> (SELECT count(*) FROM mail_place AS p WHERE p.folder = f.id AND p.flags & 128 <> 0)
		OR f.cold_unseen <> (SELECT count(*) FROM mail_place AS p WHERE p.folder = f.id AND p.flags & 129 = 128) ORDER BY f.id`, 3},
	{"reference", `SELECT account, hash, thread FROM mail_reference WHERE account NOT IN (COOL) ORDER BY account, hash`, 3},
	{"subject", `SELECT account, hash, thread, oldest, newest, begun FROM mail_subject WHERE account NOT IN (COOL) ORDER BY account, hash`, 6},
	{"merged", `SELECT account, thread, target FROM mail_merged WHERE account NOT IN (COOL) ORDER BY account, thread`, 3},
}

// Changed tells when somebody last changed a folder of this mailbox, or a message
// was placed in one; zero for a mailbox that is empty.
func (m *Mailbox) Changed(ctx context.Context) (at time.Time, err error) {
	var latest int64
	err = m.db.Read(ctx, func(tx *db.Tx) error {
		return tx.One("SELECT coalesce(max(mod_seq), 0) FROM mail_folder", nil, &latest)
	})
	if err != nil {
		return at, fmt.Errorf("looking for the last change: %w", err)
	}
	if latest > 0 {
		at = time.UnixMilli(latest).UTC()
	}
	return at, nil
}

// Dump emits everything that is derived from entries, one line a row, in an
// order that depends on nothing else. Lines hold people's words: they are for
// comparing, not for showing.
func (m *Mailbox) Dump(ctx context.Context, tx *db.Tx, emit func(line string) error) error {
	cool, err := m.cool(ctx, tx)
	if err != nil {
		return fmt.Errorf("looking for cold mail: %w", err)
	}
	for _, d := range dumps {
		values := make([]any, d.columns)
		into := make([]any, d.columns)
		for i := range values {
			into[i] = &values[i]
		}
		err := tx.Each(strings.ReplaceAll(d.query, "COOL", cool), nil, func(r db.Row) error {
			if err := r.Scan(into...); err != nil {
				return err
			}
			return emit(dumpLine(d.name, values))
		})
		if err != nil {
			return fmt.Errorf("dumping %s: %w", d.name, err)
		}
	}
	return nil
}

// cool lists the accounts that have cold mail.
func (m *Mailbox) cool(ctx context.Context, tx *db.Tx) (string, error) {
	if m.cooling.Cold == nil {
		return "", nil
	}
	var accounts []int64
	err := tx.Each("SELECT DISTINCT account FROM mail_folder ORDER BY account", nil, func(r db.Row) error {
		var a int64
		err := r.Scan(&a)
		accounts = append(accounts, a)
		return err
	})
	var list []string
	for _, a := range accounts {
		cold, failed := m.cooling.Cold(ctx, a, 0, math.MaxInt64)
		if err = errors.Join(err, failed); len(cold) > 0 {
			list = append(list, strconv.FormatInt(a, 10))
		}
	}
	return strings.Join(list, ", "), err
}

func dumpLine(name string, values []any) string {
	var b strings.Builder
	b.WriteString(name)
	for _, v := range values {
		switch v := v.(type) {
		case nil:
			b.WriteString(" -")
		case string:
			fmt.Fprintf(&b, " %q", v)
		default:
			fmt.Fprintf(&b, " %v", v)
		}
	}
	return b.String()
}
