package sijill

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"testing"
)

// alone has commitments made one hash after the other, as other processors do,
// until the test ends.
func alone(t testing.TB) {
	was := paired
	paired = false
	t.Cleanup(func() { paired = was })
}

func needPairs(t testing.TB) {
	if !paired {
		t.Skip("skipped: this processor has no SHA extensions")
	}
}

// Two hashes at a time are those of crypto/sha256, whatever the lengths.
func TestPairHashes(t *testing.T) {
	needPairs(t)
	var p pair
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		var want, got [2]Hash
		var blocks [2]int
		for lane := range 2 {
			n := r.IntN(300)
			if r.IntN(10) == 0 {
				n = laneSize - 9 - r.IntN(70)
			}
			for i := range n {
				p.lane[lane][i] = byte(r.Uint32())
			}
			want[lane] = sha256.Sum256(p.lane[lane][:n])
			blocks[lane] = p.seal(lane, n)
		}
		p.hash(blocks[0], blocks[1], &got[0], &got[1])
		if got != want {
			t.Fatalf("of %d and %d blocks: %x, and not %x", blocks[0], blocks[1], got, want)
		}
	}
}

// Commitments and disclosures are the same in pairs and alone.
func TestPairedCommit(t *testing.T) {
	needPairs(t)
	var msgs [][]byte
	for n := range 70 {
		msgs = append(msgs, bytes.Repeat([]byte("x\r\n"), n))
	}
	for _, n := range []int{127, 128, 129, 255, 256, 257, 511, 512, 513, 3000} {
		msgs = append(msgs, letter(n))
	}
	for n := laneUnit - 3; n < laneUnit+3; n++ { // Units that just fit, and those that don't.
		long := append(bytes.Repeat([]byte{'-'}, n-1), '\n')
		msgs = append(msgs, []byte("\n"+string(long)+"short\n"), []byte("\nshort\n"+string(long)+string(long)))
	}
	want := make([]Hash, len(msgs))
	for i, m := range msgs {
		want[i], _ = Commit(Hash{byte(i)}, m)
	}
	alone(t)
	for i, m := range msgs {
		if got, _ := Commit(Hash{byte(i)}, m); got != want[i] {
			t.Errorf("message %d of %d octets has two commitments", i, len(m))
		}
	}
}

func FuzzPairedCommit(f *testing.F) {
	needPairs(f)
	f.Add([]byte("A: b\r\n\r\nc\n"))
	f.Fuzz(func(t *testing.T, msg []byte) {
		want, _ := Commit(Hash{7}, msg)
		alone(t)
		if got, _ := Commit(Hash{7}, msg); got != want {
			t.Error("in pairs and alone, commitments differ")
		}
	})
}

// BenchmarkCommitAlone is what BenchmarkCommit would be without pairs.
func BenchmarkCommitAlone(b *testing.B) {
	alone(b)
	msg := letter(151)
	b.Run(fmt.Sprintf("%dB", len(msg)), func(b *testing.B) {
		for b.Loop() {
			Commit(Hash{1}, msg)
		}
	})
}
