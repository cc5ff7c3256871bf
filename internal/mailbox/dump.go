package mailbox

import (
	"context"
	"fmt"
	"strings"

	"sijill/internal/db"
)

// dumps are the facts and which account has which entry, in the order of their
// keys. Folders, UIDs and flags are people's doing and no entry gives them; of
// the counters, those that are wrong are named.
var dumps = []struct {
	name, query string
	columns     int
}{
	{"message", `SELECT row, entry, size, sent, received, internal, captured, from_name, from_addr, to_text,
		subject, snippet, attachments, hex(envelope) FROM mail_message ORDER BY row`, 14},
	{"holding", `SELECT row, account, thread FROM mail_holding ORDER BY row, account`, 3},
	{"covered", `SELECT account, entry FROM mail_place UNION SELECT account, entry FROM mail_left ORDER BY account, entry`, 2},
	{"miscounted", `SELECT f.id, f.total, f.unseen FROM mail_folder AS f
		WHERE f.total <> (SELECT count(*) FROM mail_place AS p WHERE p.folder = f.id)
		OR f.unseen <> (SELECT count(*) FROM mail_place AS p WHERE p.folder = f.id AND p.flags & 1 = 0) ORDER BY f.id`, 3},
	{"reference", `SELECT account, hash, thread FROM mail_reference ORDER BY account, hash`, 3},
	{"subject", `SELECT account, hash, thread, oldest, newest, begun FROM mail_subject ORDER BY account, hash`, 6},
	{"merged", `SELECT account, thread, target FROM mail_merged ORDER BY account, thread`, 3},
}

// Dump emits everything that is derived from entries, one line a row, in an
// order that depends on nothing else. Lines hold people's words: they are for
// comparing, not for showing.
func (m *Mailbox) Dump(_ context.Context, tx *db.Tx, emit func(line string) error) error {
	for _, d := range dumps {
		values := make([]any, d.columns)
		into := make([]any, d.columns)
		for i := range values {
			into[i] = &values[i]
		}
		err := tx.Each(d.query, nil, func(r db.Row) error {
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
