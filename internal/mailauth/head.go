package mailauth

import (
	"crypto/sha256"
	"strings"

	"sijill/internal/message"
)

// Bounds on what is looked at.
const (
	maxHeader     = 1 << 20 // bytes of header; a longer one is not verified
	maxSignatures = 10      // DKIM signatures verified, from the top
	maxSigned     = 500     // names in h=
)

// mail is a message while it is judged or signed.
type mail struct {
	raw    []byte
	header *message.Header
	body   []byte
	fields map[string][]int // indices into header.Fields by name in lower case, from the top
	hashes map[bodyKey]bodyHash
}

type bodyKey struct {
	relaxed bool
	length  int64 // -1: all
}

type bodyHash struct {
	sum   [sha256.Size]byte
	total int64 // length of the canonical body, all of it
}

func parse(raw []byte) *mail {
	m := message.Parse(raw)
	h := &mail{
		raw: raw, header: &m.Header, body: raw[m.Root.BodyStart:],
		fields: make(map[string][]int, len(m.Header.Fields)),
		hashes: make(map[bodyKey]bodyHash),
	}
	for i, f := range m.Header.Fields {
		if f.Name != "" {
			name := strings.ToLower(f.Name)
			h.fields[name] = append(h.fields[name], i)
		}
	}
	return h
}

func (m *mail) headerTooLong() bool { return len(m.raw)-len(m.body) > maxHeader }

// field returns the i-th field as it was written, line ending included.
func (m *mail) field(i int) []byte {
	f := &m.header.Fields[i]
	return m.raw[f.Start:f.End]
}

// value returns the i-th field's value as it was written.
func (m *mail) value(i int) string { return m.header.Fields[i].Raw() }

// bodyHash is computed once for every way of canonicalisation.
func (m *mail) bodyHash(relaxed bool, length int64) bodyHash {
	key := bodyKey{relaxed, length}
	h, ok := m.hashes[key]
	if !ok {
		w := newBodyWriter(length)
		if relaxed {
			w.relaxed(m.body)
		} else {
			w.simple(m.body)
		}
		h = w.sum()
		m.hashes[key] = h
	}
	return h
}
