package mailbox

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sijill/internal/db"
)

// Summary is what IMAP shows of a message without opening it. Values of fields
// are on one line, with encoded words (RFC 2047) as they came; bytes that aren't
// ASCII were decoded to UTF-8. Where a field that stands once came several times,
// the first counts; several To, Cc or Bcc fields are one list. Fields of many
// kilobytes are cut: To at 24, Cc at 16, Bcc at 8, others at 4 or less.
type Summary struct {
	Entry    int64
	Size     int64     // Octets as message.Envelope presents them.
	Internal time.Time // The date that the client or the older mailbox gave it, else that of the capture.

	Date, Subject, From, Sender, ReplyTo, To, Cc, Bcc, InReplyTo, MessageID string
}

// Summaries gives summaries of entries, in their order. Those that the account
// doesn't hold or that can't be opened now are left out.
func (v *View) Summaries(ctx context.Context, entries []int64) ([]Summary, error) {
	found := make(map[int64]*Summary, len(entries))
	read := func(f *Facts, entries []int64) error {
		return f.db.Read(ctx, func(tx *db.Tx) error { return summaries(tx, v.account, entries, found) })
	}
	err := read(v.m.facts, entries)
	if rest := slices.DeleteFunc(slices.Clone(entries), func(e int64) bool { return found[e] != nil }); err == nil && v.private != nil && len(rest) > 0 {
		err = read(v.private, rest)
		if err == nil {
			err = v.givenDates(ctx, rest, found)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("reading summaries: %w", err)
	}
	list := make([]Summary, 0, len(found))
	for _, e := range entries {
		if s := found[e]; s != nil {
			list = append(list, *s)
		}
	}
	return list, nil
}

// Sizes gives about how many octets messages have, to reckon with before they are
// opened; of others than were asked for too. Some may be missing.
func (v *View) Sizes(ctx context.Context, entries []int64) (map[int64]int64, error) {
	sizes := make(map[int64]int64, len(entries))
	read := func(tx *db.Tx) error {
		return eachEntry(tx, "SELECT entry, size FROM mail_message WHERE entry", entries, func(r db.Row) error {
			var entry, size int64
			err := r.Scan(&entry, &size)
			sizes[entry] = size
			return err
		})
	}
	err := v.m.facts.db.Read(ctx, read)
	if err == nil && v.private != nil && len(sizes) < len(entries) {
		err = v.private.db.Read(ctx, read)
	}
	if err != nil {
		return nil, fmt.Errorf("reading sizes: %w", err)
	}
	return sizes, nil
}

// givenDates takes internal dates of personal mail from where it lies: the date
// that the client gave it is not sealed with the message.
func (v *View) givenDates(ctx context.Context, entries []int64, found map[int64]*Summary) error {
	return v.m.db.Read(ctx, func(tx *db.Tx) error {
		const q = "SELECT entry, row FROM mail_place WHERE account = ? AND entry IN (?)"
		return eachOf(tx, q, []any{v.account}, unique(slices.Clone(entries)), func(r db.Row) error {
			var entry, row int64
			err := r.Scan(&entry, &row)
			if s := found[entry]; s != nil {
				s.Internal = rowDate(row)
			}
			return err
		})
	})
}

// dense is how many numbers a chunk of entries may span for each entry, to be
// read as a range.
const dense = 4

// summaries reads what one database has: first where the entries are, then, in
// the order in which they lie there, what they are.
func summaries(tx *db.Tx, account int64, entries []int64, into map[int64]*Summary) error {
	var rows []int64
	wanted := make(map[int64]bool, len(entries))
	for _, e := range entries {
		wanted[e] = true
	}
	take := func(r db.Row) error {
		var entry, row int64
		err := r.Scan(&entry, &row)
		if wanted[entry] {
			rows = append(rows, row)
		}
		return err
	}
	if err := eachEntry(tx, "SELECT entry, row FROM mail_message WHERE entry", entries, take); err != nil {
		return err
	}
	const q = `SELECT m.row, m.entry, m.size, coalesce(m.sent, 0), coalesce(m.internal, m.captured),
		m.from_name, m.from_addr, m.to_text, m.subject, m.envelope
		FROM mail_message AS m JOIN mail_holding AS h ON h.row = m.row AND h.account = ? WHERE m.row IN (?)`
	return eachOf(tx, q, []any{account}, unique(rows), func(r db.Row) error {
		s, err := scanSummary(r)
		if err == nil {
			into[s.Entry] = s
		}
		return err
	})
}

// eachEntry runs a query, which ends in the column of the entry, for entries: by
// ranges where these lie close. It may come upon others too.
func eachEntry(tx *db.Tx, query string, entries []int64, take func(db.Row) error) error {
	for part := range slices.Chunk(unique(slices.Clone(entries)), 512) {
		first, last := part[0], part[len(part)-1]
		var err error
		if last-first < int64(dense*len(part)) {
			err = tx.Each(query+" BETWEEN ? AND ?", []any{first, last}, take)
		} else {
			err = eachOf(tx, query+" IN (?)", nil, part, take)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func scanSummary(r db.Row) (*Summary, error) {
	var w Row
	var sent, internal int64
	var packed []byte
	err := r.Scan(&w.ID, &w.Entry, &w.Size, &sent, &internal, &w.From.Name, &w.From.Addr, &w.To, &w.Subject, &packed)
	if err != nil {
		return nil, err
	}
	e, ok := unpackEnvelope(packed, &w, sent)
	if !ok {
		return nil, fmt.Errorf("the envelope of entry %d is damaged: rebuild the mailbox", w.Entry)
	}
	f := &e.fields
	return &Summary{
		Entry: w.Entry, Size: w.Size + e.besides, Internal: time.Unix(internal, 0).UTC(),
		Date: f[fieldDate], Subject: f[fieldSubject], From: f[fieldFrom], Sender: f[fieldSender], ReplyTo: f[fieldReplyTo],
		To: f[fieldTo], Cc: f[fieldCc], Bcc: f[fieldBcc], InReplyTo: f[fieldInReplyTo], MessageID: f[fieldMessageID],
	}, nil
}
