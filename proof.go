package sijill

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
)

// MaxProof is the longest proof in bytes that is read. A redacted message takes
// about 1.8 bytes a byte shown, a whole one beside its file about 5,000 in all.
const MaxProof = 256 << 20

// ErrProof says that bytes are not a proof in the one form it has.
var ErrProof = errors.New("not a proof")

// Proof is what a stranger is given to check that an entry is in a register,
// and that a message is what the entry was made for. Its file is a C2SP
// tlog-proof; the name should end in ".tlog-proof".
type Proof struct {
	Index      int64  // number of the entry in the register, from 0
	Entry      []byte // canonical bytes of the entry
	Inclusion  []Hash // hashes from the leaf's sibling up
	Checkpoint []byte // signed checkpoint, as the register published it

	// Seed proves a whole message that is given beside the proof. Whoever has
	// it can test any text against every unit of the message: give it only to
	// those who may see all of it. nil where there is none.
	Seed *Hash
	// Disclosure shows the message, whole or in part, inside the proof; nil
	// where there is none. A proof has a Seed or a Disclosure, not both.
	Disclosure *Disclosure
	// Envelope is what was known of the message besides its bytes, with the
	// salt of its commitment; EnvelopeSalt is nil where it isn't shown.
	Envelope     []byte
	EnvelopeSalt *Hash
}

// proofHeader is the first line of a C2SP tlog-proof.
const proofHeader = "c2sp.org/tlog-proof@v1\n"

// maxInclusion is the greatest length of an inclusion proof: the height of the
// tree of the largest size.
const maxInclusion = 63

// Marshal returns the proof's file. It wraps ErrProof where the members don't
// go together.
func (p *Proof) Marshal() ([]byte, error) {
	b := append([]byte(proofHeader), "extra "...)
	b = base64.StdEncoding.AppendEncode(b, p.appendExtra(nil))
	b = append(b, "\nindex "...)
	b = append(strconv.AppendInt(b, p.Index, 10), '\n')
	for _, h := range p.Inclusion {
		b = append(base64.StdEncoding.AppendEncode(b, h[:]), '\n')
	}
	b = append(append(b, '\n'), p.Checkpoint...)
	if _, err := ParseProof(b); err != nil {
		return nil, fmt.Errorf("encode proof: %w", err)
	}
	return b, nil
}

// appendExtra writes the canonical JSON of the extra line.
func (p *Proof) appendExtra(b []byte) []byte {
	member := func(name string, value []byte) {
		b = append(append(append(b, '"'), name...), `":"`...)
		b = append(base64.StdEncoding.AppendEncode(b, value), `",`...)
	}
	b = append(b, '{')
	if p.Disclosure != nil {
		member("disclosure", p.Disclosure.Marshal())
	}
	member("entry", p.Entry)
	if p.EnvelopeSalt != nil {
		member("envelope", p.Envelope)
		member("envelope_salt", p.EnvelopeSalt[:])
	}
	if p.Seed != nil {
		member("seed", p.Seed[:])
	}
	return append(b, `"v":1}`...)
}

// ParseProof reads the file of a proof, at most MaxProof bytes. It accepts only
// what Marshal would write again byte for byte, and wraps ErrProof, naming the
// part, for anything else. It checks the form; [Verify] checks what it proves.
func ParseProof(file []byte) (*Proof, error) {
	if len(file) > MaxProof {
		return nil, fmt.Errorf("parse proof: longer than %d bytes: %w", MaxProof, ErrProof)
	}
	rest, ok := bytes.CutPrefix(file, []byte(proofHeader))
	if !ok {
		return nil, fmt.Errorf("parse proof: first line: %w", ErrProof)
	}
	head, checkpoint, ok := bytes.Cut(rest, []byte("\n\n"))
	if _, err := unverifiedCheckpoint(checkpoint); err != nil || !ok {
		return nil, fmt.Errorf("parse proof: checkpoint: %w", ErrProof)
	}
	p := &Proof{Checkpoint: bytes.Clone(checkpoint)}
	extra, head, _ := bytes.Cut(head, []byte("\n"))
	if err := p.parseExtra(extra); err != nil {
		return nil, fmt.Errorf("parse proof: extra: %w", err)
	}
	if err := p.parseInclusion(head); err != nil {
		return nil, fmt.Errorf("parse proof: %w", err)
	}
	return p, nil
}

func (p *Proof) parseExtra(line []byte) error {
	text, ok := bytes.CutPrefix(line, []byte("extra "))
	extra, err := decodeBase64(text)
	if err != nil || !ok {
		return ErrProof
	}
	c, first := cursor{b: extra}, true
	var disclosure []byte
	c.literal("{")
	if c.member(&first, "disclosure") {
		disclosure = c.base64()
	}
	if !c.member(&first, "entry") {
		return fmt.Errorf("entry: %w", ErrProof)
	}
	p.Entry = c.base64()
	if c.member(&first, "envelope") {
		p.Envelope = c.base64()
		c.literal(`,"envelope_salt":`)
		salt := c.hash()
		p.EnvelopeSalt = &salt
	}
	if c.member(&first, "seed") {
		seed := c.hash()
		p.Seed = &seed
	}
	c.literal(`,"v":1}`)
	if c.bad || len(c.b) > 0 || disclosure != nil && p.Seed != nil || len(p.Entry) > MaxEntry {
		return ErrProof
	}
	if disclosure != nil {
		if p.Disclosure, err = ParseDisclosure(disclosure); err != nil {
			return fmt.Errorf("%w: %w", err, ErrProof)
		}
	}
	return nil
}

// parseInclusion reads the index and the hashes below it.
func (p *Proof) parseInclusion(head []byte) error {
	lines := bytes.SplitN(head, []byte("\n"), 2+maxInclusion)
	if len(lines) > 1+maxInclusion {
		return fmt.Errorf("inclusion: %w", ErrProof)
	}
	text, ok := bytes.CutPrefix(lines[0], []byte("index "))
	index, err := strconv.ParseInt(string(text), 10, 64)
	if !ok || err != nil || index < 0 || strconv.FormatInt(index, 10) != string(text) {
		return fmt.Errorf("index: %w", ErrProof)
	}
	p.Index = index
	for _, line := range lines[1:] {
		b, err := decodeBase64(line)
		if err != nil || len(b) != len(Hash{}) {
			return fmt.Errorf("inclusion: %w", ErrProof)
		}
		p.Inclusion = append(p.Inclusion, Hash(b))
	}
	return nil
}
