package record

import (
	"sync"

	"sijill"
)

// recentBytes is how much office mail is kept in memory after it was sealed, so
// that the projections, which come a moment later, need not open it again.
const recentBytes = 24 << 20

// recent keeps the newest contents by entry number, within a budget of bytes.
type recent struct {
	mu    sync.Mutex // Guards what follows.
	limit int
	used  int
	order []int64
	items map[int64]*Content
}

func newRecent(limit int) *recent {
	return &recent{limit: limit, items: map[int64]*Content{}}
}

func (r *recent) put(entry int64, c *Content) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.items[entry] = c
	r.order = append(r.order, entry)
	r.used += cost(c)
	for len(r.order) > 0 && (r.used > r.limit || r.items[r.order[0]] == nil) {
		r.drop(r.order[0])
		r.order = r.order[1:]
	}
}

// take gives a content once and forgets it: projections ask in one sweep.
func (r *recent) take(entry int64) *Content {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.items[entry]
	r.drop(entry)
	return c
}

func (r *recent) drop(entry int64) {
	if c, ok := r.items[entry]; ok {
		r.used -= cost(c)
		delete(r.items, entry)
	}
}

func cost(c *Content) int { return len(c.Message) + 1024 }

// remember keeps the contents of a batch that has just become durable; personal
// mail never.
func (r *Register) remember(b *batchWrite) {
	for i, j := range b.fresh {
		if c := j.draft.Content; c != nil && j.draft.Class == sijill.Office {
			r.recent.put(b.first+int64(i), c)
		}
	}
}
