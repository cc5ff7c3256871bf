package text

import "sync/atomic"

// memorySlots is how many words are remembered. Words that fall on the same
// slot push each other out, which bounds the memory without any bookkeeping.
const memorySlots = 1 << 16

// entry is a word and its term. It never changes once it is in a slot.
type entry struct{ word, term string }

// memory finds the terms of words met before: stemming costs some twenty times
// as much as looking up.
type memory struct{ slots []atomic.Pointer[entry] }

func newMemory() memory { return memory{slots: make([]atomic.Pointer[entry], memorySlots)} }

func (m *memory) slot(hash uint32) *atomic.Pointer[entry] {
	return &m.slots[(hash^hash>>15)%memorySlots]
}
