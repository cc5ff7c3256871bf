package sijill

import "encoding/binary"

// pair hashes two things at a time, where the processor can (SHA-256, FIPS
// 180-4). Commitments are thousands of hashes of a few octets, and each is a
// chain of instructions that wait for each other: two chains at once take hardly
// longer than one.
//
// What is hashed is laid out with its padding in two lanes.
type pair struct {
	state [16]uint32
	lane  [2][laneSize]byte
}

// laneSize is what a lane holds: a unit of MaxUnit with its salt and padding.
const laneSize = (33 + MaxUnit + 9 + 63) / 64 * 64

// laneUnit is the longest unit that fits in a lane.
const laneUnit = laneSize - 33 - 9

// seal ends what stands in the first n octets of a lane with its padding (FIPS
// 180-4, section 5.1.1) and returns the number of blocks.
func (p *pair) seal(lane, n int) int {
	total := (n + 9 + 63) / 64
	b := p.lane[lane][n : total*64]
	b[0] = 0x80
	clear(b[1 : len(b)-8])
	binary.BigEndian.PutUint64(b[len(b)-8:], uint64(n)*8)
	return total
}

// start gives both lanes the initial state.
func (p *pair) start() {
	copy(p.state[:8], initial[:])
	copy(p.state[8:], initial[:])
}

// hash hashes so many blocks of the two lanes.
func (p *pair) hash(first, second int, a, b *Hash) {
	p.start()
	n := min(first, second)
	blocks(&p.state, &p.lane[0][0], &p.lane[1][0], n, &rounds)
	if first > n || second > n {
		p.rest(n, first, second)
	}
	p.put(0, a)
	p.put(8, b)
}

// rest goes on with the longer lane alone; the other one's state is kept.
func (p *pair) rest(done, first, second int) {
	kept := p.state
	if first > done {
		at := &p.lane[0][done*64]
		blocks(&p.state, at, at, first-done, &rounds)
		copy(p.state[8:], kept[8:])
		return
	}
	at := &p.lane[1][done*64]
	blocks(&p.state, at, at, second-done, &rounds)
	copy(p.state[:8], kept[:8])
}

func (p *pair) put(from int, h *Hash) {
	for i, word := range p.state[from : from+8] {
		binary.BigEndian.PutUint32(h[4*i:], word)
	}
}

// children is the function of that name.
func (p *pair) children(seed, left, right *Hash) {
	p.lane[0][0], p.lane[1][0] = tagLeft, tagRight
	copy(p.lane[0][1:], seed[:])
	copy(p.lane[1][1:], seed[:])
	p.hash(p.seal(0, 33), p.seal(1, 33), left, right)
}

// leaf lays out a unit with its salt and returns the number of blocks.
func (p *pair) leaf(lane int, salt *Hash, unit []byte) int {
	p.lane[lane][0] = tagLeaf
	copy(p.lane[lane][1:], salt[:])
	copy(p.lane[lane][33:], unit)
	return p.seal(lane, 33+len(unit))
}

// node lays out two subtrees and returns the number of blocks.
func (p *pair) node(lane int, left, right *Hash) int {
	p.lane[lane][0] = tagNode
	copy(p.lane[lane][1:], left[:])
	copy(p.lane[lane][33:], right[:])
	return p.seal(lane, 65)
}

// bunch is how many units are hashed together.
const bunch = 256

// bunchOf computes the root over units lo to hi, at most bunch of them and at
// least one, under the seed of their subtree.
func (t *hasher) bunchOf(lo, hi int, seed *Hash) Hash {
	h := t.hashes[:hi-lo]
	t.seeds(h, *seed)
	for i := 0; i < len(h); i += 2 {
		t.leaves(h[i:], lo+i, hi)
	}
	// Neighbours are joined, level by level; who has none goes up alone. This
	// is the tree of RFC 6962, section 2.1.
	for n := len(h); n > 1; n = (n + 1) / 2 {
		t.level(h[:n])
	}
	return h[0]
}

// seeds derives the salts of all units under a seed.
func (t *hasher) seeds(salts []Hash, seed Hash) {
	if len(salts) == 1 {
		salts[0] = seed
		return
	}
	var left, right Hash
	t.pair.children(&seed, &left, &right)
	mid := split(len(salts))
	t.seeds(salts[:mid], left)
	t.seeds(salts[mid:], right)
}

// leaves replaces the salts of unit i, and of the next one before hi, by their
// leaves.
func (t *hasher) leaves(h []Hash, i, hi int) {
	a := t.unit(i)
	if i+1 == hi || len(a) > laneUnit || len(t.unit(i+1)) > laneUnit {
		for k := i; k < min(i+2, hi); k++ {
			h[k-i] = t.leaf(&h[k-i], t.unit(k))
		}
		return
	}
	t.pair.hash(t.pair.leaf(0, &h[0], a), t.pair.leaf(1, &h[1], t.unit(i+1)), &h[0], &h[1])
}

// level replaces the hashes of a level by those of the level above.
func (t *hasher) level(h []Hash) {
	i := 0
	for ; i+3 < len(h); i += 4 {
		t.pair.hash(t.pair.node(0, &h[i], &h[i+1]), t.pair.node(1, &h[i+2], &h[i+3]), &h[i/2], &h[i/2+1])
	}
	if i+1 < len(h) {
		h[i/2] = node(&h[i], &h[i+1])
		i += 2
	}
	if i < len(h) {
		h[i/2] = h[i]
	}
}

// initial is the hash value that SHA-256 begins with (FIPS 180-4, section
// 5.3.3), and rounds are its constants (section 4.2.2).
var (
	initial = [8]uint32{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}
	rounds  = [64]uint32{
		0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
		0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
		0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
		0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
		0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
		0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
		0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
		0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
	}
)
