package office

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"sync"
	"time"

	"sijill/internal/people"
	"sijill/internal/smtpd"
)

// directory tells the SMTP door who has a mailbox. It remembers answers for a
// moment: a sender with a thousand messages for one mailbox should not cost a
// thousand looks into the database.
type directory struct {
	people *people.People

	mu    sync.Mutex // Guards known.
	known map[string]known
}

type known struct {
	mailbox smtpd.Mailbox
	err     error // fs.ErrNotExist or people.ErrForeign
	until   time.Time
}

// How long an answer is believed, and how many are kept.
const (
	believeFor = 2 * time.Second
	maxKnown   = 4096
)

// Directory tells the SMTP door who has a mailbox. What it said is believed for two
// seconds.
func (o *Office) Directory() smtpd.Directory {
	return &directory{people: o.People, known: map[string]known{}}
}

// Lookup implements smtpd.Directory.
func (d *directory) Lookup(ctx context.Context, address string) (int64, error) {
	m, err := d.Resolve(ctx, address)
	return m.Account, err
}

// Resolve implements smtpd.Resolver.
func (d *directory) Resolve(ctx context.Context, address string) (smtpd.Mailbox, error) {
	key, now := strings.ToLower(address), time.Now()
	d.mu.Lock()
	k, ok := d.known[key]
	d.mu.Unlock()
	if ok && now.Before(k.until) {
		return k.mailbox, k.err
	}
	r, err := d.people.Resolve(ctx, address)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, people.ErrForeign) {
		return smtpd.Mailbox{}, err
	}
	m := smtpd.Mailbox{Account: r.Account, Class: r.Class, Address: r.Address}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.known) >= maxKnown {
		clear(d.known)
	}
	d.known[key] = known{m, err, now.Add(believeFor)}
	return m, err
}
