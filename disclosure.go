package sijill

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrDisclosure says that bytes are not an encoded disclosure.
var ErrDisclosure = errors.New("not a disclosure")

// ErrCommitment says that what was disclosed isn't what was committed to.
var ErrCommitment = errors.New("does not match the commitment")

// What a disclosure says at a subtree, as its encoding has it.
const (
	opShown    = 'S' // the subtree's seed follows, then its units
	opWithheld = 'H' // the subtree's hash follows
	opDescend  = 'N' // the left subtree follows, then the right
)

// Disclosure shows some units of a committed message and withholds the others.
type Disclosure struct {
	n    int
	walk []step
}

// step is one place of the walk over the tree, in pre-order.
type step struct {
	op    byte
	hash  Hash     // seed of what is shown, hash of what is withheld
	units [][]byte // what is shown
}

// Disclose shows those units of a message for which keep returns true; keep is
// asked once for each, in order. The disclosure shares the message's memory.
func Disclose(seed Hash, msg []byte, keep func(i int, unit []byte) bool) *Disclosure {
	t := hasher{msg: msg, ends: appendEnds(nil, msg)}
	n := len(t.ends)
	kept := make([]int, n+1) // kept[i] counts the kept units before i
	for i := range n {
		kept[i+1] = kept[i]
		if keep(i, t.unit(i)) {
			kept[i+1]++
		}
	}
	d := &Disclosure{n: n}
	if n > 0 {
		d.describe(&t, kept, 0, n, &seed)
	}
	return d
}

func (d *Disclosure) describe(t *hasher, kept []int, lo, hi int, seed *Hash) {
	switch kept[hi] - kept[lo] {
	case 0:
		d.walk = append(d.walk, step{op: opWithheld, hash: t.root(lo, hi, seed)})
	case hi - lo:
		s := step{op: opShown, hash: *seed, units: make([][]byte, hi-lo)}
		for i := range s.units {
			s.units[i] = t.unit(lo + i)
		}
		d.walk = append(d.walk, s)
	default:
		d.walk = append(d.walk, step{op: opDescend})
		left, right := children(seed)
		mid := lo + split(hi-lo)
		d.describe(t, kept, lo, mid, &left)
		d.describe(t, kept, mid, hi, &right)
	}
}

// Units returns the number of units of the message, shown and withheld.
func (d *Disclosure) Units() int { return d.n }

// Whole reports whether every unit is shown.
func (d *Disclosure) Whole() bool { return d.n == 0 || d.walk[0].op == opShown }

// Verify checks the disclosure against a commitment and returns the units of
// the message in order, nil for those withheld. It wraps ErrCommitment where
// they don't match. A shown unit is never nil.
func (d *Disclosure) Verify(commitment Hash) ([][]byte, error) {
	v := verifier{walk: d.walk}
	if finish(d.n, v.root(d.n)) != commitment {
		return nil, fmt.Errorf("verify disclosure: %w", ErrCommitment)
	}
	// Only now is the number of units known to be the committed one, and worth
	// the memory.
	units := make([][]byte, 0, d.n)
	v = verifier{walk: d.walk}
	return v.units(units, d.n), nil
}

// verifier walks over a disclosure that was made by Disclose or accepted by
// ParseDisclosure, so that the walk is known to fit its number of units.
type verifier struct {
	walk   []step
	hasher hasher
}

func (v *verifier) next() *step {
	s := &v.walk[0]
	v.walk = v.walk[1:]
	return s
}

func (v *verifier) root(n int) Hash {
	if n == 0 {
		return v.hasher.root(0, 0, nil)
	}
	switch s := v.next(); s.op {
	case opWithheld:
		return s.hash
	case opShown:
		return v.shown(s.units, &s.hash)
	}
	left := v.root(split(n))
	right := v.root(n - split(n))
	return node(&left, &right)
}

// shown hashes a subtree whose units are all there.
func (v *verifier) shown(units [][]byte, seed *Hash) Hash {
	if len(units) == 1 {
		return v.hasher.leaf(seed, units[0])
	}
	l, r := children(seed)
	mid := split(len(units))
	left := v.shown(units[:mid], &l)
	right := v.shown(units[mid:], &r)
	return node(&left, &right)
}

func (v *verifier) units(list [][]byte, n int) [][]byte {
	if n == 0 {
		return list
	}
	switch s := v.next(); s.op {
	case opWithheld:
		return list[:len(list)+n] // the capacity is there, and it is all nil
	case opShown:
		return append(list, s.units...)
	}
	list = v.units(list, split(n))
	return v.units(list, n-split(n))
}

// Marshal returns the disclosure's bytes.
func (d *Disclosure) Marshal() []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(d.n))
	for _, s := range d.walk {
		b = append(b, s.op)
		if s.op != opDescend {
			b = append(b, s.hash[:]...)
		}
		for _, u := range s.units {
			b = binary.BigEndian.AppendUint32(b, uint32(len(u)))
			b = append(b, u...)
		}
	}
	return b
}

// ParseDisclosure reads what Marshal wrote and wraps ErrDisclosure for anything
// else, such as more than MaxUnits units, an empty unit or bytes left over. The
// disclosure shares the memory of b.
func ParseDisclosure(b []byte) (*Disclosure, error) {
	p := disclosureParser{b: b}
	head := p.take(4)
	if head == nil {
		return nil, fmt.Errorf("parse disclosure: number of units: %w", ErrDisclosure)
	}
	n := binary.BigEndian.Uint32(head)
	if n > MaxUnits {
		return nil, fmt.Errorf("parse disclosure: more than %d units: %w", MaxUnits, ErrDisclosure)
	}
	if n > 0 {
		p.tree(int(n))
	}
	if p.bad || len(p.b) > 0 {
		return nil, fmt.Errorf("parse disclosure: %w", ErrDisclosure)
	}
	return &Disclosure{n: int(n), walk: p.walk}, nil
}

type disclosureParser struct {
	b    []byte
	walk []step
	bad  bool
}

// take returns the next n bytes, or nil where there are fewer.
func (p *disclosureParser) take(n int) []byte {
	if p.bad || n > len(p.b) {
		p.bad = true
		return nil
	}
	head := p.b[:n:n]
	p.b = p.b[n:]
	return head
}

// tree reads the subtree of n units and returns what it says. Two halves that
// say the same could be said in one, and are refused: a disclosure has one
// encoding.
func (p *disclosureParser) tree(n int) byte {
	head := p.take(1)
	if head == nil {
		return 0
	}
	switch op := head[0]; {
	case op == opShown, op == opWithheld:
		s := step{op: op}
		copy(s.hash[:], p.take(len(s.hash)))
		if op == opShown {
			s.units = p.units(n)
		}
		p.walk = append(p.walk, s)
		return op
	case op == opDescend && n > 1:
		p.walk = append(p.walk, step{op: op})
		left := p.tree(split(n))
		right := p.tree(n - split(n))
		p.bad = p.bad || left == right && left != opDescend
		return op
	}
	p.bad = true
	return 0
}

func (p *disclosureParser) units(n int) [][]byte {
	if n > len(p.b)/5 { // a unit takes at least five bytes: no room is made for a false number
		p.bad = true
		return nil
	}
	units := make([][]byte, n)
	for i := range units {
		size := p.take(4)
		if size == nil {
			return nil
		}
		units[i] = p.take(int(binary.BigEndian.Uint32(size)))
		p.bad = p.bad || len(units[i]) == 0
	}
	return units
}
