package sijill

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// ParseEntry reads the canonical bytes of an entry, at most MaxEntry of them.
// It accepts only what Marshal would write again byte for byte, and wraps
// ErrEntry for everything else. The entry doesn't refer to b afterwards.
func ParseEntry(b []byte) (*Entry, error) {
	if len(b) > MaxEntry {
		return nil, fmt.Errorf("parse entry: longer than %d bytes: %w", MaxEntry, ErrEntry)
	}
	c := cursor{b: b}
	e := c.entry()
	if c.bad || len(c.b) > 0 {
		return nil, fmt.Errorf("parse entry: %w", ErrEntry)
	}
	if err := e.check(); err != nil {
		return nil, fmt.Errorf("parse entry: %w", err)
	}
	return e, nil
}

func (c *cursor) entry() *Entry {
	e, first := new(Entry), true
	c.literal("{")
	if c.member(&first, "accounts") {
		e.Accounts = c.accounts()
	}
	if c.member(&first, "actor") {
		if e.Actor = c.text(); e.Actor == "" {
			c.fail()
		}
	}
	if c.member(&first, "fields") {
		e.Fields = c.fields()
	}
	if !c.member(&first, "kind") {
		c.fail()
	}
	e.Kind = Kind(c.text())
	if c.member(&first, "message") {
		e.Message = c.message()
	}
	if !c.member(&first, "time") {
		c.fail()
	}
	e.Time = c.time()
	c.literal(`,"v":1}`)
	return e
}

func (c *cursor) accounts() []string {
	var list []string
	c.literal("[")
	for {
		list = append(list, c.text())
		if c.bad || !c.try(",") {
			break
		}
	}
	c.literal("]")
	return list
}

// fields takes one value; Entry.check holds it to being a proper object.
func (c *cursor) fields() json.RawMessage {
	before := c.b
	c.value(maxDepth)
	if c.bad {
		return nil
	}
	return slices.Clone(before[:len(before)-len(c.b)])
}

func (c *cursor) message() *Message {
	m, first := new(Message), true
	c.literal("{")
	if c.member(&first, "ciphertext") {
		m.Ciphertext = c.hash()
	}
	if c.member(&first, "commitment") {
		m.Commitment = c.hash()
	}
	if c.member(&first, "envelope") {
		m.Envelope = c.hash()
	}
	if !c.member(&first, "id") {
		c.fail()
	}
	id, _ := c.raw()
	if !isPseudonym(string(id)) {
		c.fail()
		return nil
	}
	if _, err := hex.Decode(m.ID[:], id); err != nil {
		c.fail()
	}
	if m.Commitment != (Hash{}) {
		c.literal(`,"units":`)
		m.Units = int(c.integer())
	}
	c.literal("}")
	return m
}

func (c *cursor) time() time.Time {
	s := c.text()
	t, err := time.Parse(timeFormat, s)
	if err != nil || string(appendTime(nil, t)) != s {
		c.fail()
	}
	return t
}
