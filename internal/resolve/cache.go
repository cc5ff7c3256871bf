package resolve

import (
	"container/list"
	"sync"
	"time"
)

// cache keeps answers until their time is over or others need the room: the
// one longest not asked for goes first.
type cache struct {
	room int

	mu    sync.Mutex // guards what follows
	used  int
	items map[string]*list.Element
	order list.List // *item, the one asked for last in front
}

type item struct {
	key    string
	entry  *entry
	weight int
}

func newCache(bytes int) *cache {
	if bytes == 0 {
		bytes = 16 << 20
	}
	return &cache{room: bytes, items: make(map[string]*list.Element)}
}

func (c *cache) get(key string, now time.Time) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	el := c.items[key]
	if el == nil {
		return nil
	}
	it := el.Value.(*item)
	if !now.Before(it.entry.until) {
		c.drop(el)
		return nil
	}
	c.order.MoveToFront(el)
	return it.entry
}

func (c *cache) put(key string, e *entry) {
	// An answer read takes about four times its wire's bytes.
	it := &item{key: key, entry: e, weight: 400 + 2*len(key) + 5*len(e.wire)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if el := c.items[key]; el != nil {
		c.drop(el)
	}
	if !e.at.Before(e.until) || it.weight > c.room {
		return
	}
	for c.used+it.weight > c.room {
		c.drop(c.order.Back())
	}
	c.items[key] = c.order.PushFront(it)
	c.used += it.weight
}

// drop is called with mu held.
func (c *cache) drop(el *list.Element) {
	it := c.order.Remove(el).(*item)
	delete(c.items, it.key)
	c.used -= it.weight
}
