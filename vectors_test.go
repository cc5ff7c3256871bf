package sijill

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// vectors is testdata/vectors.json, which testdata/vectors.py made from
// docs/format.md without this package.
type vectors struct {
	Keys struct {
		Name        string
		Ed25519Seed []byte `json:"ed25519_seed"`
		Ed25519     string
		MLDSA44Seed []byte `json:"mldsa44_seed"`
		MLDSA44     string `json:"mldsa44"`
		Witness     string
		SignedAt    int64 `json:"signed_at"`
	}
	Message struct {
		Key, Message, Envelope, Seed, Commitment, Payload, Ciphertext []byte
		ID                                                            string
		EnvelopeSalt                                                  []byte `json:"envelope_salt"`
		EnvelopeCommitment                                            []byte `json:"envelope_commitment"`
	}
	Entries []struct {
		Entry string
		Leaf  []byte
	}
	Root       []byte
	Index      int64
	Keep       []int
	Disclosure []byte
	Proofs     map[string]string
	Messages   []messageVector
}

type messageVector struct {
	Name                string
	Seed, Commitment    []byte
	Units               int
	SizesSHA256         []byte `json:"sizes_sha256"`
	Message, Part, Tail []byte
	Sizes               []int
	Times, More         int
}

func (m messageVector) bytes() []byte {
	switch {
	case m.Sizes != nil:
		return m.Message
	case m.More > 0:
		return slices.Concat([]byte("\n"), bytes.Repeat(m.Part, m.More), m.Tail)
	}
	return bytes.Repeat(m.Part, m.Times)
}

func readVectors(t testing.TB) *vectors {
	t.Helper()
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	v := new(vectors)
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVectorsSplitAndCommit(t *testing.T) {
	for _, v := range readVectors(t).Messages {
		msg := v.bytes()
		h, sizes := sha256.New(), []int(nil)
		for _, u := range Split(msg) {
			sizes = append(sizes, len(u))
			h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(u))))
		}
		if len(sizes) != v.Units || !bytes.Equal(h.Sum(nil), v.SizesSHA256) {
			t.Errorf("%s: cut into %d units %.200v, want %d %v", v.Name, len(sizes), sizes, v.Units, v.Sizes)
		}
		commitment, units := Commit(Hash(v.Seed), msg)
		if commitment != Hash(v.Commitment) || units != v.Units {
			t.Errorf("%s: commitment %v of %d units", v.Name, commitment, units)
		}
	}
}

func TestVectorsMessage(t *testing.T) {
	v := readVectors(t).Message
	key := [32]byte(v.Key)
	seed, err := CommitmentSeed(key)
	if err != nil || seed != Hash(v.Seed) {
		t.Errorf("seed %v, %v", seed, err)
	}
	salt, err := EnvelopeSalt(key)
	if err != nil || salt != Hash(v.EnvelopeSalt) {
		t.Errorf("salt %v, %v", salt, err)
	}
	if CommitEnvelope(salt, v.Envelope) != Hash(v.EnvelopeCommitment) {
		t.Error("envelope commitment differs")
	}
	id, _ := hex.DecodeString(v.ID)
	ciphertext, err := Seal(nil, key, ID(id), v.Payload)
	if err != nil || !bytes.Equal(ciphertext, v.Ciphertext) {
		t.Errorf("ciphertext differs: %v", err)
	}
	envelope, msg, err := ParsePayload(v.Payload, 1<<20)
	if err != nil || !bytes.Equal(envelope, v.Envelope) || !bytes.Equal(msg, v.Message) {
		t.Errorf("payload: %v", err)
	}
}

func TestVectorsEntries(t *testing.T) {
	v := readVectors(t)
	for i, e := range v.Entries {
		parsed, err := ParseEntry([]byte(e.Entry))
		if err != nil {
			t.Fatal(i, err)
		}
		b, err := parsed.Marshal()
		if err != nil || string(b) != e.Entry || LeafHash(b) != Hash(e.Leaf) {
			t.Errorf("entry %d becomes %s, %v", i, b, err)
		}
	}
}

func TestVectorsSigners(t *testing.T) {
	v := readVectors(t).Keys
	ed, err := NewEd25519Signer(v.Name, [32]byte(v.Ed25519Seed))
	if err != nil || ed.VerifierKey() != v.Ed25519 {
		t.Errorf("Ed25519 key differs: %v", err)
	}
	ml, err := NewMLDSASigner(v.Name, [32]byte(v.MLDSA44Seed), time.Now)
	if err != nil || ml.VerifierKey() != v.MLDSA44 {
		t.Errorf("ML-DSA-44 key differs: %v", err)
	}
}

func TestVectorsProofs(t *testing.T) {
	v := readVectors(t)
	keys, err := ParseKeys(v.Keys.Ed25519 + "\n" + v.Keys.MLDSA44 + ", " + v.Keys.Witness)
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range v.Proofs {
		p, err := ParseProof([]byte(file))
		if err != nil {
			t.Fatal(name, err)
		}
		if again, err := p.Marshal(); err != nil || string(again) != file {
			t.Errorf("%s: encoded again it differs: %v", name, err)
		}
		var msg []byte
		if p.Seed != nil || p.Disclosure != nil {
			msg = v.Message.Message
		}
		got, err := Verify(p, msg, keys)
		if err != nil {
			t.Fatal(name, err)
		}
		if name != "alone" && (got.Checkpoint.Root != Hash(v.Root) || got.Checkpoint.Size != 7) {
			t.Errorf("%s: checkpoint %+v", name, got.Checkpoint)
		}
		if got.Whole != (name == "whole") || len(got.Signatures) != 3 || got.Time.Unix() != 1795299180 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestVectorsDisclosure(t *testing.T) {
	v := readVectors(t)
	seed := Hash(v.Message.Seed)
	d := Disclose(seed, v.Message.Message, func(i int, _ []byte) bool { return slices.Contains(v.Keep, i) })
	if !bytes.Equal(d.Marshal(), v.Disclosure) {
		t.Error("disclosure differs")
	}
	p, err := ParseDisclosure(v.Disclosure)
	if err != nil || !reflect.DeepEqual(p, d) {
		t.Errorf("parsed disclosure differs: %v", err)
	}
	// What this package writes is what the other implementation wrote.
	file := v.Proofs["redacted"]
	parsed, err := ParseProof([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	parsed.Disclosure = d
	if b, err := parsed.Marshal(); err != nil || string(b) != file {
		t.Errorf("proof differs: %v", err)
	}
}

// The worked example of docs/format.md is that of the vectors.
func TestFormatDocument(t *testing.T) {
	b, err := os.ReadFile("docs/format.md")
	if err != nil {
		t.Fatal(err)
	}
	v := readVectors(t)
	d, err := ParseDisclosure(v.Disclosure)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		Hash(v.Message.Key).String(), Hash(v.Message.Seed).String(), Hash(v.Message.EnvelopeSalt).String(),
		Hash(v.Message.Commitment).String(), Hash(v.Message.EnvelopeCommitment).String(), string(v.Message.Envelope),
		v.Entries[3].Entry, Hash(v.Entries[3].Leaf).String(), Hash(v.Root).String(), v.Keys.Ed25519, v.Keys.Witness,
		v.Keys.MLDSA44[:60],
	}
	for _, s := range d.walk {
		if s.op != opDescend {
			want = append(want, hex.EncodeToString(s.hash[:]))
		}
	}
	for _, u := range Split(v.Message.Message) {
		want = append(want, strings.NewReplacer("\r\n", "⏎", "\t", "→").Replace(string(u))+"\n")
	}
	for _, line := range strings.Split(v.Proofs["redacted"], "\n") {
		want = append(want, line[:min(len(line), 80)])
	}
	for _, w := range want {
		if !strings.Contains(string(b), w) {
			t.Errorf("docs/format.md lacks %q", w)
		}
	}
}

// The vectors are what the program beside them writes, untouched by hand.
func TestVectorsAreGenerated(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil || testing.Short() {
		t.Skip("needs python3 and some seconds")
	}
	cmd := exec.Command(python, "-B", "vectors.py")
	cmd.Dir = "testdata"
	got, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if want, err := os.ReadFile("testdata/vectors.json"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("testdata/vectors.py writes something else than testdata/vectors.json: %v", err)
	}
}
