package mailbox

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/binary"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"sijill"
	"sijill/internal/db"
)

//go:embed arrival/sqlite/*.sql
var arrivalFiles embed.FS

// MigrateArrivals makes the tables that Arrive and Settle use, in the register's
// database.
func MigrateArrivals(ctx context.Context, books *db.DB) error {
	sub, err := fs.Sub(arrivalFiles, "arrival")
	if err != nil {
		return err
	}
	return books.Migrate(ctx, "arrival", sub)
}

// Arrival says where a message is to go when it is placed, and how.
type Arrival struct {
	Folder   int64 // 0 for where it would go by itself.
	Flags    Flags
	Keywords []string
	Internal time.Time // The date that the client gave it (RFC 9051, section 6.3.12); zero for none.
	// MessageID, if given, lets a copy in Sent take the place of the one that
	// was put there of itself. Of office mail it need not be given. Only 32
	// bits of a hash are kept.
	MessageID string
}

// Arrive notes how a message is to be placed for an account. It is called in the
// transaction of the message's entry, from record.Draft.With. An error wraps
// ErrKeyword for what can't be a keyword: check those before.
func Arrive(tx *db.Tx, entry, account int64, a Arrival) error {
	for _, k := range a.Keywords {
		if !isKeyword(k) || len(a.Keywords) > maxKeywords {
			return ErrKeyword
		}
	}
	var internal any
	if !a.Internal.IsZero() {
		internal = a.Internal.Unix()
	}
	_, err := tx.Exec(`INSERT INTO mail_arrival (entry, account, folder, flags, keywords, internal, match)
		VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (entry, account) DO NOTHING`,
		entry, account, a.Folder, int64(a.Flags&^FlagCold), strings.Join(a.Keywords, " "), internal, matchOf(account, a.MessageID))
	if err != nil {
		return fmt.Errorf("noting an arrival: %w", err)
	}
	return nil
}

// matchOf tells Message-IDs of an account apart, well enough for those of a day.
// An empty one is 0.
func matchOf(account int64, id string) int64 {
	if id = strings.Trim(id, "<> \t"); id == "" {
		return 0
	}
	sum := sha256.Sum256([]byte(strconv.FormatInt(account, 10) + " " + id))
	return int64(binary.BigEndian.Uint32(sum[:])) + 1
}

// arrival is a row of mail_arrival.
type arrival struct {
	folder   int64
	flags    Flags
	keywords []string
	internal *int64
	match    int64
}

// arrivals reads those of entries from first to last, by account and entry.
func (m *Mailbox) arrivals(ctx context.Context, first, last int64) (map[key]*arrival, error) {
	if m.books == nil {
		return nil, nil
	}
	out := map[key]*arrival{}
	err := m.books.Read(ctx, func(tx *db.Tx) error {
		const q = "SELECT entry, account, folder, flags, keywords, internal, match FROM mail_arrival WHERE entry BETWEEN ? AND ?"
		return tx.Each(q, []any{first, last}, func(r db.Row) error {
			var entry, account int64
			var keywords string
			a := &arrival{}
			if err := r.Scan(&entry, &account, &a.folder, &a.flags, &keywords, &a.internal, &a.match); err != nil {
				return err
			}
			a.keywords = splitKeywords(keywords)
			out[key{account, entry}] = a
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("reading arrivals: %w", err)
	}
	return out, nil
}

// classOf is the class of an item or draft that may leave it unsaid.
func classOf(c sijill.Class) sijill.Class {
	if c == "" {
		return sijill.Office
	}
	return c
}
