package mailbox

import (
	"context"
	"fmt"
	"strings"

	"sijill/internal/db"
)

// dumps are the tables that entries give, in the order of their keys. Of the
// unseen counter, which also depends on what people did, only the amount by
// which it is wrong is derived: 0.
var dumps = []struct {
	name, query string
	columns     int
}{
	{"message", `SELECT row, entry, size, sent, received, internal, captured, from_name, from_addr, to_text,
		subject, snippet, attachments FROM mail_message ORDER BY row`, 13},
	{"folder", `SELECT id, account, name, role, uid_validity, uid_next, total FROM mail_folder ORDER BY id`, 7},
	{"unseen", `SELECT f.id, f.unseen - (SELECT count(*) FROM mail_placement AS p
		JOIN mail_message AS m ON m.row = p.row
		LEFT JOIN mail_state AS s ON s.account = p.account AND s.entry = m.entry
		WHERE p.folder = f.id AND (coalesce(s.flags, 0) & 1) = 0) FROM mail_folder AS f ORDER BY f.id`, 2},
	{"placement", `SELECT row, account, folder, uid, thread FROM mail_placement ORDER BY row, account, folder`, 5},
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
