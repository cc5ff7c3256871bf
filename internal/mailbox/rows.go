package mailbox

import (
	"fmt"
	"slices"
	"strings"

	"sijill/internal/db"
)

// chunk is how many rows or keys one statement takes: a statement costs
// several microseconds whatever it carries.
const chunk = 64

// RowOf gives the row ids of entries. Entries that have no row are left out.
func RowOf(tx *db.Tx, entries []int64) (map[int64]int64, error) {
	out := make(map[int64]int64, len(entries))
	err := eachOf(tx, "SELECT entry, row FROM mail_message WHERE entry IN (?)", nil, entries, func(r db.Row) error {
		var entry, row int64
		if err := r.Scan(&entry, &row); err != nil {
			return err
		}
		out[entry] = row
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking up rows of entries: %w", err)
	}
	return out, nil
}

// HoldersOf gives the accounts that hold rows, ascending, by row id. Rows that
// don't exist are left out.
func HoldersOf(tx *db.Tx, rows []int64) (map[int64][]int64, error) {
	out := make(map[int64][]int64, len(rows))
	const q = "SELECT row, account FROM mail_holding WHERE row IN (?) ORDER BY row, account"
	err := eachOf(tx, q, nil, unique(slices.Clone(rows)), func(r db.Row) error {
		var row, account int64
		if err := r.Scan(&row, &account); err != nil {
			return err
		}
		out[row] = append(out[row], account)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking up holders: %w", err)
	}
	return out, nil
}

// inChunks calls fn for queries that each take some of the keys: "(?)" in query
// stands for the list of them. before are the arguments of placeholders ahead of
// that list.
func inChunks(query string, before []any, keys []int64, fn func(query string, args []any) error) error {
	for part := range slices.Chunk(keys, chunk) {
		// Repeated keys fill the last list up, so that two statements
		// serve lists of every length.
		n := 1
		if len(part) > 1 {
			n = chunk
		}
		args := slices.Grow(slices.Clone(before), n)
		for i := range n {
			args = append(args, part[min(i, len(part)-1)])
		}
		if err := fn(strings.Replace(query, "(?)", "("+marks(n)+")", 1), args); err != nil {
			return err
		}
	}
	return nil
}

// eachOf runs a query for keys, some at a time; see inChunks.
func eachOf(tx *db.Tx, query string, before []any, keys []int64, fn func(db.Row) error) error {
	return inChunks(query, before, keys, func(q string, args []any) error { return tx.Each(q, args, fn) })
}

// execOf runs a statement for keys, some at a time; see inChunks.
func execOf(tx *db.Tx, query string, before []any, keys []int64) error {
	return inChunks(query, before, keys, func(q string, args []any) error {
		_, err := tx.Exec(q, args...)
		return err
	})
}

func marks(n int) string { return strings.Repeat("?,", n-1) + "?" }

// insert writes rows of the given number of columns, many with a statement;
// into names the table and its columns, args are the values of row after row.
func insert(tx *db.Tx, into string, columns int, args []any) error {
	row := "(" + marks(columns) + ")"
	for n := chunk; len(args) > 0; {
		if len(args) < n*columns {
			n /= 8 // 64, 8, 1: few statements serve every number of rows.
			continue
		}
		query := tx.InsertAll() + into + " VALUES " + strings.Repeat(row+",", n-1) + row
		if _, err := tx.Exec(query, args[:n*columns]...); err != nil {
			table, _, _ := strings.Cut(into, " ")
			return fmt.Errorf("inserting into %s: %w", table, err)
		}
		args = args[n*columns:]
	}
	return nil
}
