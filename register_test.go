package sijill

import (
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const testOrigin = "diwan.example/register"

// signedAt is the time of every checkpoint that tests sign.
var signedAt = time.Date(2026, 11, 21, 22, 12, 0, 0, time.UTC)

// register is a register in memory.
type register struct {
	entries [][]byte
	hashes  []Hash
	signers []note.Signer
	keys    string
}

func newRegister(t testing.TB) *register {
	t.Helper()
	ed, err := NewEd25519Signer(testOrigin, [32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	ml, err := NewMLDSASigner(testOrigin, [32]byte{2}, func() time.Time { return signedAt })
	if err != nil {
		t.Fatal(err)
	}
	return &register{signers: []note.Signer{ed, ml}, keys: ed.VerifierKey() + "\n" + ml.VerifierKey()}
}

func (r *register) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	list := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		list[i] = r.hashes[x]
	}
	return list, nil
}

func (r *register) append(t testing.TB, entry []byte) int64 {
	t.Helper()
	n := int64(len(r.entries))
	hashes, err := tlog.StoredHashes(n, entry, r)
	if err != nil {
		t.Fatal(err)
	}
	r.hashes = append(r.hashes, hashes...)
	r.entries = append(r.entries, entry)
	return n
}

// fill appends entries of no message until there are n.
func (r *register) fill(t testing.TB, n int) {
	t.Helper()
	for i := len(r.entries); i < n; i++ {
		e := Entry{Kind: Login, Time: signedAt.Add(time.Duration(i) * time.Second)}
		b, err := e.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		r.append(t, b)
	}
}

// capture appends an entry for a message and returns its index and seed.
func (r *register) capture(t testing.TB, msg, envelope []byte) (index int64, seed, salt Hash) {
	t.Helper()
	seed, salt = Hash{7}, Hash{8}
	commitment, units := Commit(seed, msg)
	e := Entry{Kind: Captured, Time: signedAt, Message: &Message{ID: ID{9}, Commitment: commitment,
		Units: units, Envelope: CommitEnvelope(salt, envelope), Ciphertext: Hash{10}}}
	b, err := e.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return r.append(t, b), seed, salt
}

func (r *register) root(t testing.TB, size int64) Hash {
	t.Helper()
	root, err := tlog.TreeHash(size, r)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func (r *register) checkpoint(t testing.TB) []byte {
	t.Helper()
	size := int64(len(r.entries))
	signed, err := Checkpoint{Origin: testOrigin, Size: size, Root: r.root(t, size)}.Sign(r.signers...)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func (r *register) prove(t testing.TB, index int64) *Proof {
	t.Helper()
	inclusion, err := Inclusion(int64(len(r.entries)), index, r)
	if err != nil {
		t.Fatal(err)
	}
	return &Proof{Index: index, Entry: r.entries[index], Inclusion: inclusion, Checkpoint: r.checkpoint(t)}
}

func mustKeys(t testing.TB, text string) Keys {
	t.Helper()
	k, err := ParseKeys(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}
