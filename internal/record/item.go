package record

import (
	"context"
	"encoding/json"
	"io/fs"
	"sync"

	"sijill"
	"sijill/internal/db"
	"sijill/internal/message"
)

// Content is what an entry seals: the message and what is known about it.
type Content struct {
	Envelope message.Envelope
	Message  []byte // Exactly the bytes that were captured. Never change them.
	// Detail is what a Draft without a message seals, as JSON; nil with one.
	Detail json.RawMessage
}

// Item is one entry on its way through the projections. It is safe for
// concurrent use.
type Item struct {
	Index   int64         // The entry's number.
	Entry   *sijill.Entry // The entry itself.
	Holders []int64       // Accounts whose compartments hold its message.
	Class   sijill.Class  // Of those compartments: sijill.Office or sijill.Personal.

	content func() (*Content, error)
	parsed  func() (*message.Message, error)
}

// NewItem makes an item whose content is opened at most once, when first asked
// for. open may be nil for an entry without a message.
func NewItem(index int64, e *sijill.Entry, holders []int64, open func() (*Content, error)) *Item {
	it := &Item{Index: index, Entry: e, Holders: holders, Class: classOf(e)}
	if open == nil {
		open = func() (*Content, error) { return nil, fs.ErrNotExist }
	}
	it.content = sync.OnceValues(open)
	it.parsed = sync.OnceValues(func() (*message.Message, error) {
		c, err := it.content()
		if err != nil {
			return nil, err
		}
		return message.Parse(c.Envelope.Inner(c.Message)), nil
	})
	return it
}

// Content opens what the entry seals. It returns an error that wraps
// fs.ErrNotExist when the entry has no message, or none that the server can
// open (a cold, personal or destroyed one).
func (it *Item) Content() (*Content, error) { return it.content() }

// Parsed is the message as people read it: the journalled inner message of a
// journal report, else the message itself. Errors are those of Content.
func (it *Item) Parsed() (*message.Message, error) { return it.parsed() }

// Projection is state derived from entries, which can be thrown away and made
// again from entry 0.
type Projection interface {
	// Name is what "sijill rebuild" calls it.
	Name() string
	// Version is raised whenever the same entries give other rows; the
	// projection is then rebuilt at the next start.
	Version() int
	// Migrations has the tables, as db.Migrate wants them.
	Migrations() fs.FS
	// Prepare does the work of an item that needs no database. It is called
	// from several goroutines at once, in no order.
	Prepare(it *Item) (any, error)
	// Apply writes the rows of items, in entry order, in the transaction
	// that also moves the cursor. prepared[i] is what Prepare gave for
	// items[i]. An item whose content can't be opened is not an error.
	Apply(ctx context.Context, tx *db.Tx, items []*Item, prepared []any) error
	// Reset forgets all rows.
	Reset(ctx context.Context, tx *db.Tx) error
}
