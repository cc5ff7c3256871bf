package junk

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"sijill/internal/db"
	"sijill/internal/text"
)

//go:embed sqlite
var migrations embed.FS

// Options are the settings of a Bayes. Zero values mean the defaults given.
type Options struct {
	// Key makes the hashes of words; what was learned under another is lost.
	Key [32]byte
	// Least is how many messages of each kind an account's filter must have
	// learned before it has an opinion; 25.
	Least int64
	// Words is about how many words one account keeps; 100,000, some 3 MB.
	Words int64
	// Threshold is from which probability on a message is junk, once 500 of each
	// kind are learned; 0.8. Until then it is 0.99 at the least.
	Threshold float64
}

// Bayes is a Scorer that learns, for each account by itself. Opinions are
// combined by Fisher's method, which a message of many neutral words and a few
// borrowed good ones does not easily sway.
type Bayes struct {
	db       *db.DB
	opt      Options
	analyzer *text.Analyzer
	silent   sync.Map // int64 → time.Time: when an account's filter last had no opinion
}

// believed is for how long a filter that had no opinion is taken to have none,
// whatever another process teaches it. What this one does counts at once.
const believed = time.Second

// Open migrates the tables in d and returns the filters kept there.
func Open(ctx context.Context, d *db.DB, o Options) (*Bayes, error) {
	if o.Least == 0 {
		o.Least = 25
	}
	if o.Words == 0 {
		o.Words = 100_000
	}
	if o.Threshold == 0 {
		o.Threshold = 0.8
	}
	if err := d.Migrate(ctx, "junk", migrations); err != nil {
		return nil, err
	}
	return &Bayes{db: d, opt: o, analyzer: text.New()}, nil
}

// Learned returns how many messages of each kind count in an account's filter.
func (b *Bayes) Learned(ctx context.Context, account int64) (spam, ham int64, err error) {
	err = b.db.Read(ctx, func(tx *db.Tx) error {
		var c counts
		c, err = learned(tx, account)
		spam, ham = c.spam, c.ham
		return err
	})
	if err != nil {
		return 0, 0, fmt.Errorf("reading a junk filter: %w", err)
	}
	return spam, ham, nil
}

// counts are messages of each kind.
type counts struct{ spam, ham int64 }

func learned(tx *db.Tx, account int64) (c counts, err error) {
	err = tx.One("SELECT spam, ham FROM junk_account WHERE account = ?", []any{account}, &c.spam, &c.ham)
	if errors.Is(err, fs.ErrNotExist) {
		return counts{}, nil
	}
	return c, err
}

// Score implements Scorer with the filter of m.Account.
func (b *Bayes) Score(ctx context.Context, m *Mail) (Result, error) {
	r := Result{Mark: "untrained"}
	if at, ok := b.silent.Load(m.Account); ok && time.Since(at.(time.Time)) < believed {
		return r, nil
	}
	err := b.db.Read(ctx, func(tx *db.Tx) error {
		total, err := learned(tx, m.Account)
		if err != nil {
			return err
		}
		if total.spam < b.opt.Least || total.ham < b.opt.Least {
			b.silent.Store(m.Account, time.Now())
			return nil
		}
		known, err := lookUp(tx, m.Account, b.hashes(m.Account, m.Message))
		if err != nil {
			return err
		}
		r = b.judge(combine(known, total), total)
		return nil
	})
	if err != nil {
		return Result{Mark: "failed"}, fmt.Errorf("asking a junk filter: %w", err)
	}
	return r, nil
}

// A filter that has learned little takes rare words too seriously: until it has
// learned from enough of each kind, it must be sure.
const (
	enough = 500
	sure   = 0.99
)

func (b *Bayes) judge(p float64, total counts) Result {
	threshold := b.opt.Threshold
	if total.spam < enough || total.ham < enough {
		threshold = max(threshold, sure)
	}
	r := Result{Known: true, Junk: p >= threshold, Score: p, Mark: "ham"}
	switch {
	case r.Junk:
		r.Mark = "junk"
	case p > 1-threshold:
		r.Mark = "unsure"
	}
	return r
}

// hashes returns the hashes of a message's words.
func (b *Bayes) hashes(account int64, raw []byte) []int64 {
	found := words(b.analyzer, raw)
	list := make([]int64, 0, len(found))
	for w := range found {
		sum := b.hash(account, w)
		list = append(list, int64(binary.LittleEndian.Uint64(sum[:])))
	}
	return list
}

// hash is keyed: the key fills the first half of a block of SHA-256, the account
// follows, and of the digest only a part is used, so that none can be extended.
func (b *Bayes) hash(account int64, s string) [32]byte {
	buf := make([]byte, 40, 128)
	copy(buf, b.opt.Key[:])
	binary.LittleEndian.PutUint64(buf[32:], uint64(account))
	return sha256.Sum256(append(buf, s...))
}

// atOnce is how many words one query looks up.
const atOnce = 100

// chunkQuery looks up atOnce words.
var chunkQuery = "SELECT spam, ham FROM junk_word WHERE account = ? AND word IN (?" + strings.Repeat(", ?", atOnce-1) + ")"

// lookUp returns the counts of those words that are known.
func lookUp(tx *db.Tx, account int64, list []int64) ([]counts, error) {
	var known []counts
	args := make([]any, 1, atOnce+1)
	args[0] = account
	for len(list) > 0 {
		n := min(len(list), atOnce)
		args = args[:1]
		for i := range atOnce {
			args = append(args, list[min(i, n-1)]) // the last one again is found once
		}
		list = list[n:]
		err := tx.Each(chunkQuery, args, func(r db.Row) error {
			var c counts
			err := r.Scan(&c.spam, &c.ham)
			known = append(known, c)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return known, nil
}
