package junk

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"sijill/internal/db"
)

const (
	// maxMessages is how many messages an account remembers to have learned
	// from; older ones can't be unlearned.
	maxMessages = 10_000
	// tidyEvery is after how many messages an account's words are counted.
	tidyEvery = 32
	// rareFor is for how many days a word met once is kept at the least.
	rareFor = 30
)

// Train has an account's filter learn a message as junk or not. One that it has
// learned already counts once, as what it was last said to be.
func (b *Bayes) Train(ctx context.Context, account int64, raw []byte, spam bool) error {
	digest, list := b.digest(account, raw), b.hashes(account, raw)
	err := b.db.Write(ctx, func(tx *db.Tx) error {
		was, ok, err := trainedAs(tx, account, digest)
		if err != nil || ok && was == spam {
			return err
		}
		if ok {
			if err := count(tx, account, list, was, -1); err != nil {
				return err
			}
		}
		tx.After(func() { b.silent.Delete(account) })
		return b.learn(tx, account, digest, list, spam)
	})
	if err != nil {
		return fmt.Errorf("training a junk filter: %w", err)
	}
	return nil
}

// Untrain takes back what an account's filter has learned from a message, if it
// did.
func (b *Bayes) Untrain(ctx context.Context, account int64, raw []byte) error {
	digest := b.digest(account, raw)
	err := b.db.Write(ctx, func(tx *db.Tx) error {
		was, ok, err := trainedAs(tx, account, digest)
		if err != nil || !ok {
			return err
		}
		if _, err := tx.Exec("DELETE FROM junk_message WHERE account = ? AND message = ?", account, digest); err != nil {
			return err
		}
		return count(tx, account, b.hashes(account, raw), was, -1)
	})
	if err != nil {
		return fmt.Errorf("untraining a junk filter: %w", err)
	}
	return nil
}

// Forget removes all that an account's filter has learned.
func (b *Bayes) Forget(ctx context.Context, account int64) error {
	err := b.db.Write(ctx, func(tx *db.Tx) error {
		for _, table := range []string{"junk_account", "junk_word", "junk_message"} {
			if _, err := tx.Exec("DELETE FROM "+table+" WHERE account = ?", account); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("clearing a junk filter: %w", err)
	}
	return nil
}

func (b *Bayes) digest(account int64, raw []byte) []byte {
	h := sha256.New()
	h.Write(b.opt.Key[:])
	h.Write(binary.LittleEndian.AppendUint64(nil, uint64(account)))
	h.Write([]byte("message\x00"))
	h.Write(raw)
	return h.Sum(nil)[:16]
}

// trainedAs tells whether a message was learned, and as what.
func trainedAs(tx *db.Tx, account int64, digest []byte) (spam, ok bool, err error) {
	err = tx.One("SELECT spam FROM junk_message WHERE account = ? AND message = ?", []any{account, digest}, &spam)
	if errors.Is(err, fs.ErrNotExist) {
		return false, false, nil
	}
	return spam, err == nil, err
}

// learn counts a message and remembers it.
func (b *Bayes) learn(tx *db.Tx, account int64, digest []byte, list []int64, spam bool) error {
	if err := count(tx, account, list, spam, 1); err != nil {
		return err
	}
	var number int64
	if err := tx.One("SELECT trained FROM junk_account WHERE account = ?", []any{account}, &number); err != nil {
		return err
	}
	_, err := tx.Exec(`INSERT INTO junk_message (account, message, spam, number) VALUES (?, ?, ?, ?)
		ON CONFLICT (account, message) DO UPDATE SET spam = excluded.spam, number = excluded.number`, account, digest, spam, number)
	if err != nil {
		return err
	}
	if _, err := tx.Exec("DELETE FROM junk_message WHERE account = ? AND number <= ?", account, number-maxMessages); err != nil {
		return err
	}
	if number%tidyEvery != 0 {
		return nil
	}
	return b.tidy(tx, account)
}

// count adds by, 1 or -1, to the counts of a message and its words.
func count(tx *db.Tx, account int64, list []int64, spam bool, by int64) error {
	var s, h int64
	if s = by; !spam {
		s, h = 0, by
	}
	if by < 0 {
		return uncount(tx, account, list, s, h)
	}
	_, err := tx.Exec(`INSERT INTO junk_account (account, spam, ham, trained) VALUES (?, ?, ?, 1)
		ON CONFLICT (account) DO UPDATE SET spam = junk_account.spam + excluded.spam,
		ham = junk_account.ham + excluded.ham, trained = junk_account.trained + 1`, account, s, h)
	if err != nil {
		return err
	}
	today := tx.Now.Unix() / int64(24*time.Hour/time.Second)
	for _, w := range list {
		_, err := tx.Exec(`INSERT INTO junk_word (account, word, spam, ham, used) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (account, word) DO UPDATE SET spam = junk_word.spam + excluded.spam,
			ham = junk_word.ham + excluded.ham, used = excluded.used`, account, w, s, h, today)
		if err != nil {
			return err
		}
	}
	return nil
}

// uncount takes one message off. Counts that were halved since may be 0 by now.
func uncount(tx *db.Tx, account int64, list []int64, s, h int64) error {
	const less = "SET spam = CASE WHEN spam + ? < 0 THEN 0 ELSE spam + ? END, ham = CASE WHEN ham + ? < 0 THEN 0 ELSE ham + ? END WHERE account = ?"
	if _, err := tx.Exec("UPDATE junk_account "+less, s, s, h, h, account); err != nil {
		return err
	}
	for _, w := range list {
		if _, err := tx.Exec("UPDATE junk_word "+less+" AND word = ?", s, s, h, h, account, w); err != nil {
			return err
		}
		if _, err := tx.Exec("DELETE FROM junk_word WHERE account = ? AND word = ? AND spam = 0 AND ham = 0", account, w); err != nil {
			return err
		}
	}
	return nil
}

// tidy keeps an account's words near their number: words met once and long ago
// go first, then all counts are halved, so that what was learned of late weighs
// more, until enough of them have come to nothing.
func (b *Bayes) tidy(tx *db.Tx, account int64) error {
	over := func() (bool, error) {
		var n int64
		err := tx.One("SELECT count(*) FROM junk_word WHERE account = ?", []any{account}, &n)
		return n > b.opt.Words, err
	}
	if too, err := over(); err != nil || !too {
		return err
	}
	old := tx.Now.Unix()/int64(24*time.Hour/time.Second) - rareFor
	if _, err := tx.Exec("DELETE FROM junk_word WHERE account = ? AND spam + ham = 1 AND used < ?", account, old); err != nil {
		return err
	}
	for range 64 {
		if too, err := over(); err != nil || !too {
			return err
		}
		if err := halve(tx, account); err != nil {
			return err
		}
	}
	return nil
}

// halve halves all counts; words met once are forgotten.
func halve(tx *db.Tx, account int64) error {
	if _, err := tx.Exec("UPDATE junk_account SET spam = spam / 2, ham = ham / 2 WHERE account = ?", account); err != nil {
		return err
	}
	if _, err := tx.Exec("UPDATE junk_word SET spam = spam / 2, ham = ham / 2 WHERE account = ?", account); err != nil {
		return err
	}
	_, err := tx.Exec("DELETE FROM junk_word WHERE account = ? AND spam = 0 AND ham = 0", account)
	return err
}
