package sijill

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// letter is a message of header fields and n lines of about 62 octets.
func letter(n int) []byte {
	var b strings.Builder
	b.WriteString("From: mona@diwan.example\r\nTo: archive@diwan.example,\r\n sami@diwan.example\r\n" +
		"Subject: minutes\r\nDate: Sat, 21 Nov 2026 09:00:00 +0300\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: text/plain; charset=utf-8\r\n\r\n")
	for i := range n {
		fmt.Fprintf(&b, "%04d The council met in the hall and read the letters again.\r\n", i)
	}
	return []byte(b.String())
}

func TestSplitIsExactAndBounded(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"\n", "\r\n", " ", "\t", "A: b\r\n", "word ", strings.Repeat("QUJD", 15), strings.Repeat("z", 4090), "\r"}
	for range 2000 {
		var msg []byte
		for range r.IntN(60) {
			msg = append(msg, pieces[r.IntN(len(pieces))]...)
		}
		units := Split(msg)
		if !bytes.Equal(bytes.Join(units, nil), msg) {
			t.Fatalf("%q is cut into %q", msg, units)
		}
		for _, u := range units {
			if len(u) == 0 || len(u) > MaxUnit && bytes.Count(u, []byte("\n")) > 1 && !bytes.ContainsAny(u, " \t") {
				t.Fatalf("unit %q", u)
			}
		}
	}
}

// A message of line ends must not cost a tree of millions of leaves.
func TestSplitBoundsUnits(t *testing.T) {
	for _, piece := range []string{"\n", "a\r\n", "a:\n", ":\n \n"} {
		msg := bytes.Repeat([]byte(piece), 8<<20/len(piece))
		if n := len(Split(msg)); n > FineUnits+2*len(msg)/MaxUnit+1 {
			t.Errorf("%q repeated: %d units of %d bytes", piece, n, len(msg))
		}
	}
}

func TestCommitTellsMessagesApart(t *testing.T) {
	msg, seed := letter(20), Hash{1}
	want, n := Commit(seed, msg)
	if again, m := Commit(seed, msg); again != want || m != n {
		t.Error("the same message has two commitments")
	}
	for i := range msg {
		other := bytes.Clone(msg)
		other[i] ^= 1
		if got, _ := Commit(seed, other); got == want {
			t.Errorf("byte %d isn't bound", i)
		}
	}
	if got, _ := Commit(Hash{2}, msg); got == want {
		t.Error("another seed gives the same commitment")
	}
}

func TestCommitDoesNotAllocate(t *testing.T) {
	msg := letter(151)
	if n := testing.AllocsPerRun(10, func() { Commit(Hash{1}, msg) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestDisclosure(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, lines := range []int{0, 1, 2, 5, 60} {
		msg, seed := letter(lines), Hash{byte(lines)}
		all := Split(msg)
		commitment, _ := Commit(seed, msg)
		for _, share := range []float64{0, .1, .5, .95, 1} {
			kept := make([]bool, len(all))
			for i := range kept {
				kept[i] = r.Float64() < share
			}
			d := Disclose(seed, msg, func(i int, unit []byte) bool {
				if !bytes.Equal(unit, all[i]) {
					t.Errorf("asked about %q as unit %d", unit, i)
				}
				return kept[i]
			})
			b := d.Marshal()
			p, err := ParseDisclosure(b)
			if err != nil || !bytes.Equal(p.Marshal(), b) {
				t.Fatal(err)
			}
			units, err := p.Verify(commitment)
			if err != nil || len(units) != len(all) || p.Units() != len(all) {
				t.Fatalf("%d units, %v", len(units), err)
			}
			for i, u := range units {
				if kept[i] && !bytes.Equal(u, all[i]) || !kept[i] && u != nil {
					t.Errorf("unit %d of %d: %q, kept %v", i, len(all), u, kept[i])
				}
				// What is withheld is in no form among the bytes.
				if !kept[i] && len(all[i]) > 2 && bytes.Contains(b, all[i]) {
					t.Errorf("withheld unit %q is in the disclosure", all[i])
				}
			}
			if _, err := p.Verify(Hash{9}); !errors.Is(err, ErrCommitment) {
				t.Errorf("another commitment: %v", err)
			}
		}
	}
}

func TestDisclosureOfNothing(t *testing.T) {
	d := Disclose(Hash{1}, nil, func(int, []byte) bool { panic("asked about no unit") })
	p, err := ParseDisclosure(d.Marshal())
	if err != nil || !p.Whole() {
		t.Fatal(err)
	}
	commitment, _ := Commit(Hash{2}, nil)
	if units, err := p.Verify(commitment); err != nil || len(units) != 0 {
		t.Errorf("%v, %v", units, err)
	}
}

// No changed byte of a disclosure verifies, unless it isn't a disclosure at all.
func TestDisclosureForged(t *testing.T) {
	msg, seed := letter(6), Hash{5}
	commitment, _ := Commit(seed, msg)
	b := Disclose(seed, msg, func(i int, _ []byte) bool { return i%4 != 1 }).Marshal()
	for i := range b {
		for _, bit := range []byte{1, 0x80} {
			forged := bytes.Clone(b)
			forged[i] ^= bit
			if d, err := ParseDisclosure(forged); err == nil {
				if _, err := d.Verify(commitment); !errors.Is(err, ErrCommitment) {
					t.Errorf("byte %d changed and verified: %v", i, err)
				}
			}
		}
		if _, err := ParseDisclosure(b[:i]); !errors.Is(err, ErrDisclosure) {
			t.Errorf("first %d bytes: %v", i, err)
		}
	}
}

func TestParseDisclosureRefuses(t *testing.T) {
	hash := strings.Repeat("x", 32)
	for name, b := range map[string]string{
		"nothing":            "",
		"bytes left over":    "\x00\x00\x00\x00x",
		"too many units":     "\x00\x40\x00\x01H" + hash,
		"a leaf descended":   "\x00\x00\x00\x01NH" + hash + "H" + hash,
		"two withheld":       "\x00\x00\x00\x02NH" + hash + "H" + hash,
		"two shown":          "\x00\x00\x00\x02NS" + hash + "\x00\x00\x00\x01aS" + hash + "\x00\x00\x00\x01b",
		"empty unit":         "\x00\x00\x00\x01S" + hash + "\x00\x00\x00\x00",
		"unit beyond":        "\x00\x00\x00\x01S" + hash + "\x00\x00\x00\x02a",
		"huge unit":          "\x00\x00\x00\x01S" + hash + "\xff\xff\xff\xffa",
		"millions from none": "\x00\x40\x00\x00S" + hash,
		"unknown op":         "\x00\x00\x00\x01Z" + hash,
	} {
		if _, err := ParseDisclosure([]byte(b)); !errors.Is(err, ErrDisclosure) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A paragraph withheld from a letter must stay cheap to prove.
func TestDisclosureIsSmall(t *testing.T) {
	msg := letter(151)
	b := Disclose(Hash{1}, msg, func(i int, _ []byte) bool { return i < 52 || i > 56 }).Marshal()
	shown := 0
	for i, u := range Split(msg) {
		if i < 52 || i > 56 {
			shown += len(u) + 4
		}
	}
	if extra := len(b) - shown; extra > 400 {
		t.Errorf("%d bytes beside the units", extra)
	}
}

func BenchmarkCommit(b *testing.B) {
	for _, n := range []int{50, 151, 16000} {
		msg := letter(n)
		b.Run(fmt.Sprintf("%dB", len(msg)), func(b *testing.B) {
			b.ReportAllocs()
			units := 0
			for b.Loop() {
				_, units = Commit(Hash{1}, msg)
			}
			b.ReportMetric(float64(units), "units")
		})
	}
	line := strings.Repeat("QUJDRA09", 9) + "QUJD\r\n"
	dense := []byte("A: b\r\n\r\n" + strings.Repeat(line, 1<<20/len(line)))
	b.Run("base64/1MB", func(b *testing.B) {
		for b.Loop() {
			Commit(Hash{1}, dense)
		}
	})
	b.Run("lines/1MB", func(b *testing.B) {
		short := bytes.Repeat([]byte("\n"), 1<<20)
		for b.Loop() {
			Commit(Hash{1}, short)
		}
	})
}

// BenchmarkCommitCorpus measures what a capture of real mail pays.
func BenchmarkCommitCorpus(b *testing.B) {
	msgs := corpus(b, "enron.mbox.zst", 4000)
	i, size, units := 0, 0, 0
	for b.Loop() {
		m := msgs[i%len(msgs)]
		_, n := Commit(Hash{1}, m)
		i, size, units = i+1, size+len(m), units+n
	}
	b.ReportMetric(float64(size)/float64(i), "B/message")
	b.ReportMetric(float64(units)/float64(i), "units/message")
}
