package sijill

import (
	"bytes"
	"errors"
	"fmt"
	"time"
)

var (
	// ErrMessageDiffers says that the message beside a proof isn't the message
	// that was registered.
	ErrMessageDiffers = errors.New("the message differs from what was registered")
	// ErrEnvelope says that the envelope in a proof isn't the registered one.
	ErrEnvelope = errors.New("the envelope differs from what was registered")
)

// Verified is what a proof proves.
type Verified struct {
	Index      int64
	Entry      *Entry
	Checkpoint Checkpoint
	Signatures []Signature // one for each key that was given, in their order
	// Time is by when the entry was in the register according to all of the
	// keys that sign a time: the latest of theirs. Zero where none does.
	Time time.Time
	// Whole says that every byte of the message is proven.
	Whole bool
	// Units holds the units of the message that the proof shows, nil for those
	// withheld; nil where the proof has no disclosure.
	Units [][]byte
	// Envelope holds the envelope's bytes where the proof shows them.
	Envelope []byte
}

// Verify checks a proof against the keys that the reader trusts. message is the
// message beside the proof, or nil where there is none; an empty message is not
// nil.
//
// In this order, an error wraps
//   - ErrCheckpoint: the checkpoint isn't one;
//   - ErrSignature: the checkpoint isn't signed by all of the keys;
//   - ErrInclusion: the entry isn't in the checkpoint's tree at its index;
//   - ErrEntry: what is in the tree isn't an entry of this format;
//   - ErrCommitment: the proof shows what the entry doesn't commit to, or has
//     nothing to check the message with;
//   - ErrMessageDiffers: the message isn't the one registered, or not the one
//     that the proof shows;
//   - ErrEnvelope: the envelope isn't the one registered.
func Verify(p *Proof, message []byte, keys Keys) (*Verified, error) {
	checkpoint, signatures, err := keys.OpenCheckpoint(p.Checkpoint)
	if err != nil {
		return nil, fmt.Errorf("verify proof: %w", err)
	}
	err = CheckInclusion(p.Inclusion, checkpoint.Size, checkpoint.Root, p.Index, LeafHash(p.Entry))
	if err != nil {
		return nil, fmt.Errorf("verify proof: %w", err)
	}
	entry, err := ParseEntry(p.Entry)
	if err != nil {
		return nil, fmt.Errorf("verify proof: %w", err)
	}
	v := &Verified{Index: p.Index, Entry: entry, Checkpoint: checkpoint, Signatures: signatures}
	for _, s := range signatures {
		if s.Time.After(v.Time) {
			v.Time = s.Time
		}
	}
	if err := v.verifyMessage(p, message); err != nil {
		return nil, fmt.Errorf("verify proof: %w", err)
	}
	if err := v.verifyEnvelope(p); err != nil {
		return nil, fmt.Errorf("verify proof: %w", err)
	}
	return v, nil
}

func (v *Verified) verifyMessage(p *Proof, message []byte) error {
	if p.Disclosure == nil && p.Seed == nil && message == nil {
		return nil
	}
	m := v.Entry.Message
	if m == nil || m.Commitment == (Hash{}) {
		return fmt.Errorf("the entry commits to no message: %w", ErrCommitment)
	}
	switch {
	case p.Disclosure != nil:
		return v.verifyDisclosure(p.Disclosure, message)
	case p.Seed == nil:
		return fmt.Errorf("the proof has neither seed nor disclosure: %w", ErrCommitment)
	case message == nil:
		return nil // the seed can't be checked without the message
	}
	if got, units := Commit(*p.Seed, message); got != m.Commitment || units != m.Units {
		return ErrMessageDiffers
	}
	v.Whole = true
	return nil
}

func (v *Verified) verifyDisclosure(d *Disclosure, message []byte) error {
	if d.Units() != v.Entry.Message.Units {
		return fmt.Errorf("number of units: %w", ErrCommitment)
	}
	units, err := d.Verify(v.Entry.Message.Commitment)
	if err != nil {
		return err
	}
	v.Units, v.Whole = units, d.Whole()
	if message == nil {
		return nil
	}
	given := Split(message)
	if len(given) != len(units) {
		return ErrMessageDiffers
	}
	for i, u := range units {
		if u != nil && !bytes.Equal(u, given[i]) {
			return fmt.Errorf("unit %d: %w", i, ErrMessageDiffers)
		}
	}
	return nil
}

func (v *Verified) verifyEnvelope(p *Proof) error {
	if p.EnvelopeSalt == nil {
		return nil
	}
	m := v.Entry.Message
	if m == nil || m.Envelope == (Hash{}) || CommitEnvelope(*p.EnvelopeSalt, p.Envelope) != m.Envelope {
		return ErrEnvelope
	}
	v.Envelope = p.Envelope
	return nil
}
