package record

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/vault"
)

// Errors of destroying.
var (
	// ErrOffice says that somebody wanted to destroy office mail, which is on
	// record for all time.
	ErrOffice = errors.New("office mail can't be destroyed")
	// ErrTraces says that messages were destroyed, and that the disk may still
	// show their keys to whoever searches it: see vault.Scrub.
	ErrTraces = errors.New("destroyed, but traces of the keys may be left on the disk")
)

// destroyedAtOnce is how many messages one entry names, so that it stays well
// under sijill.MaxEntry.
const destroyedAtOnce = 4000

// Destroy destroys personal messages of an account for good: their keys are
// deleted in the transaction that appends who did it, when, and which entries
// they were. When it returns nil the keys are nowhere on this disk, though they
// may be in older backups. The entries stay, as does what was sealed, which
// nobody can open any more. Already says that all of them were destroyed before.
// Receipt is of the last entry that was appended, where they are very many.
//
// Errors: ErrOffice for office mail; fs.ErrNotExist where the account doesn't
// hold an entry, or it has no message; then nothing was destroyed. ErrTraces.
func (r *Register) Destroy(ctx context.Context, account int64, actor string, entries []int64) (Receipt, error) {
	entries = slices.Clone(entries)
	slices.Sort(entries)
	left, err := r.destructible(ctx, account, slices.Compact(entries))
	if err != nil {
		return Receipt{}, fmt.Errorf("destroying: %w", err)
	}
	if len(left) == 0 {
		return Receipt{Already: true}, r.scrub(ctx)
	}
	var drafts []Draft
	for some := range slices.Chunk(left, destroyedAtOnce) {
		drafts = append(drafts, Draft{Kind: sijill.Destroyed, Actor: actor, Holders: []int64{account},
			Fields: sijill.DestroyedFields{Entries: some},
			With:   func(tx *db.Tx, _ int64) error { return destroy(tx, some) }})
	}
	receipts, err := r.AppendAll(ctx, drafts)
	if err != nil {
		return Receipt{}, fmt.Errorf("destroying: %w", err)
	}
	return receipts[len(receipts)-1], r.scrub(ctx)
}

func (r *Register) scrub(ctx context.Context) error {
	if err := r.opts.Vault.Scrub(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrTraces, err)
	}
	return nil
}

// destructible checks that an account may destroy entries, and returns those
// that it hasn't yet.
func (r *Register) destructible(ctx context.Context, account int64, entries []int64) (left []int64, err error) {
	for some := range slices.Chunk(entries, followBatch) {
		var rows []row
		err := r.opts.DB.Read(ctx, func(tx *db.Tx) (err error) {
			rows, err = readSome(tx, some)
			return err
		})
		if err != nil {
			return nil, err
		}
		for i, number := range some {
			if i >= len(rows) || rows[i].number != number {
				return nil, notHeld(number)
			}
			if err := r.mayDestroy(ctx, account, rows[i]); err != nil {
				return nil, err
			}
			if len(rows[i].keys) > 0 {
				left = append(left, number)
			}
		}
	}
	return left, nil
}

func notHeld(number int64) error {
	return fmt.Errorf("entry %d is no message of this account: %w", number, fs.ErrNotExist)
}

func (r *Register) mayDestroy(ctx context.Context, account int64, e row) error {
	it, err := r.item(ctx, e, nil)
	switch {
	case err != nil:
		return err
	case e.entry.Message == nil || !slices.Contains(it.Holders, account):
		return notHeld(e.number)
	case it.Class != sijill.Personal:
		return fmt.Errorf("entry %d: %w", e.number, ErrOffice)
	}
	return nil
}

// destroy deletes all that could open messages, or tell that a guess at their
// content is right.
func destroy(tx *db.Tx, entries []int64) error {
	if err := vault.Destroy(tx, entries); err != nil {
		return err
	}
	for _, n := range entries {
		if _, err := tx.Exec("DELETE FROM content WHERE entry = ?", n); err != nil {
			return fmt.Errorf("forgetting the digest of a message: %w", err)
		}
	}
	return nil
}

// Owe notes, in the transaction that deletes what may not be left on the disk, that
// the log must be emptied of it. If nothing else does that before, it is done when
// keys are next deleted, or the register is next opened.
func Owe(tx *db.Tx) error { return vault.Owe(tx) }

// Cool closes the months that ended before a moment, as vault.Cool says, and
// appends that it did; when there is nothing to close, it appends nothing. From
// then on the content of their office mail is closed to the server, in every
// process. ErrTraces as in Destroy.
func (r *Register) Cool(ctx context.Context, actor string, before time.Time) (c vault.Cooled, err error) {
	if c, err = r.opts.Vault.Coolable(ctx, before); err != nil {
		return c, fmt.Errorf("cooling: %w", err)
	}
	if len(c.Closed) == 0 {
		return c, r.scrub(ctx)
	}
	_, err = r.Append(ctx, Draft{Kind: sijill.Key, Actor: actor,
		Fields: sijill.KeyFields{What: "months", Did: "cooled", Before: before.UTC().Format("2006-01"), Closed: int64(len(c.Closed)), Left: int64(len(c.Left))},
		With:   func(tx *db.Tx, _ int64) error { return r.opts.Vault.CoolIn(tx, c.Closed) }})
	r.opts.Vault.Forget()
	if err != nil {
		return vault.Cooled{}, fmt.Errorf("cooling: %w", err)
	}
	return c, r.scrub(ctx)
}
