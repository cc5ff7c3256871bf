package text

import (
	"strings"
	"sync/atomic"
)

// memorySlots is how many words are remembered. Words that fall on the same
// slot push each other out, which bounds the memory without any bookkeeping.
const memorySlots = 1 << 16

// entry is a word and its term. It never changes once it is in a slot. It fills
// one cache line, since waiting for memory is most of what a lookup costs.
type entry struct {
	term   string
	length uint8    // of the word
	same   uint8    // length of the term when the word begins with it, else 0
	word   [46]byte // Longer words are not remembered.
}

func newEntry(word []byte, k kind) *entry {
	e := &entry{length: uint8(len(word))}
	w := string(word)
	e.term = stem(w, k)
	if copy(e.word[:], w) == len(w) && strings.HasPrefix(w, e.term) {
		e.same = uint8(len(e.term))
	}
	return e
}

// is tells whether e remembers word. What is too long for it never matches.
func (e *entry) is(word []byte) bool {
	return int(e.length) == len(word) && len(word) <= len(e.word) && string(e.word[:e.length]) == string(word)
}

// append appends the term.
func (e *entry) append(dst []byte) []byte {
	if e.same > 0 {
		return append(dst, e.word[:e.same]...)
	}
	return append(dst, e.term...)
}

// memory finds the terms of words met before: stemming costs some twenty times
// as much as looking up.
type memory struct{ slots []atomic.Pointer[entry] }

func newMemory() memory { return memory{slots: make([]atomic.Pointer[entry], memorySlots)} }

func (m *memory) slot(hash uint32) *atomic.Pointer[entry] {
	return &m.slots[(hash^hash>>15)%memorySlots]
}
