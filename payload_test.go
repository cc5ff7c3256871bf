package sijill

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// The dictionary belongs to the format: changing a byte of it would make every
// payload unreadable.
func TestDictionaryNeverChanges(t *testing.T) {
	sum := sha256.Sum256(Dictionary())
	if got := hex.EncodeToString(sum[:]); got != "83d2e53c58103bdebc1fb8cab958e993cc5a207c63945e62b09201d575b32bf0" {
		t.Errorf("dictionary.txt has SHA-256 %s", got)
	}
}

func TestPayload(t *testing.T) {
	random := make([]byte, 3<<20)
	for i := range random {
		random[i] = byte(rand.Uint32())
	}
	for name, m := range map[string]struct{ envelope, msg []byte }{
		"empty":          {},
		"envelope only":  {envelope: []byte("{}")},
		"letter":         {[]byte(`{"door":"smtp"}`), letter(50)},
		"long envelope":  {bytes.Repeat([]byte("e"), 500), []byte("x")},
		"larger window":  {nil, letter(80000)},
		"incompressible": {nil, random},
	} {
		payload, err := AppendPayload([]byte("before"), m.envelope, m.msg)
		if err != nil {
			t.Fatal(name, err)
		}
		payload = payload[len("before"):]
		size := len(m.envelope) + len(m.msg) + 4
		if len(payload) > 1+size {
			t.Errorf("%s: %d bytes become %d", name, size, len(payload))
		}
		envelope, msg, err := ParsePayload(payload, size)
		if err != nil || !bytes.Equal(envelope, m.envelope) || !bytes.Equal(msg, m.msg) {
			t.Errorf("%s: %v", name, err)
		}
		if _, _, err := ParsePayload(payload, len(m.msg)+len(m.envelope)); len(m.msg) > 0 && !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: beyond the limit: %v", name, err)
		}
	}
}

func TestParsePayloadRefuses(t *testing.T) {
	good, err := AppendPayload(nil, nil, letter(50))
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"nothing":               {},
		"unknown compression":   {2, 0},
		"no length":             {0},
		"envelope beyond":       {0, 5, 'a'},
		"length beyond 64 bits": append([]byte{0}, bytes.Repeat([]byte{0xff}, 11)...),
		"not zstd":              {1, 0, 1, 2, 3},
		"half":                  good[:len(good)/2],
		"two frames":            append(bytes.Clone(good), good[1:]...),
	} {
		if _, _, err := ParsePayload(b, 1<<20); !errors.Is(err, ErrPayload) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A frame that says little and holds much must not be unpacked.
// What is sealed is one frame, of a window that every reader of the format allows.
func TestPayloadIsOneFrame(t *testing.T) {
	good, err := AppendPayload(nil, nil, letter(50))
	if err != nil {
		t.Fatal(err)
	}
	skippable := []byte{0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 'x'}
	const descriptor = 5 // Of the frame: after a byte of ours and the magic number.
	wide := slices.Insert(bytes.Clone(good), descriptor+1, 31<<3)
	if wide[descriptor]&0x20 == 0 {
		t.Fatal("the frame is not a single segment")
	}
	wide[descriptor] &^= 0x20
	for name, bad := range map[string][]byte{
		"a skippable frame after it": append(bytes.Clone(good), skippable...),
		"twice":                      append(bytes.Clone(good), good[1:]...),
		"a byte after it":            append(bytes.Clone(good), 0),
		"without its end":            good[:len(good)-1],
		"a window of 2 TiB":          wide,
	} {
		if _, _, err := ParsePayload(bad, 1<<20); !errors.Is(err, ErrPayload) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPayloadBomb(t *testing.T) {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderCRC(false))
	if err != nil {
		t.Fatal(err)
	}
	bomb := append([]byte{PayloadZstd}, e.EncodeAll(make([]byte, 64<<20), nil)...)
	if n := testing.AllocsPerRun(1, func() {
		if _, _, err := ParsePayload(bomb, 1<<20); !errors.Is(err, ErrTooLarge) {
			t.Errorf("bomb: %v", err)
		}
	}); n > 100 {
		t.Errorf("%v allocations", n)
	}
}

// The promise of docs/format.md: zstd's own program reads a payload.
func TestPayloadReadableByZstd(t *testing.T) {
	program, err := exec.LookPath("zstd")
	if err != nil {
		t.Skip("zstd isn't installed")
	}
	for _, msg := range [][]byte{letter(50), letter(60000)} {
		payload, err := AppendPayload(nil, []byte("{}"), msg)
		if err != nil || payload[0] != PayloadZstd {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "payload.zst")
		if err := os.WriteFile(file, payload[1:], 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(program, "-d", "-c", "-D", "dictionary.txt", file).Output()
		if err != nil || !bytes.Equal(out, append([]byte("\x02{}"), msg...)) {
			t.Errorf("zstd wrote %d bytes: %v", len(out), err)
		}
	}
}

func TestSeal(t *testing.T) {
	key, id, payload := [32]byte{1}, ID{2}, []byte("a payload")
	ciphertext, err := Seal([]byte("before"), key, id, payload)
	if err != nil || len(ciphertext) != len("before")+len(payload)+SealOverhead {
		t.Fatal(err)
	}
	ciphertext = ciphertext[len("before"):]
	if got, err := Open(nil, key, id, ciphertext); err != nil || !bytes.Equal(got, payload) {
		t.Errorf("%q, %v", got, err)
	}
	for i := range ciphertext {
		bad := bytes.Clone(ciphertext)
		bad[i] ^= 1
		if _, err := Open(nil, key, id, bad); !errors.Is(err, ErrSeal) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
	if _, err := Open(nil, key, ID{3}, ciphertext); !errors.Is(err, ErrSeal) {
		t.Errorf("other id: %v", err)
	}
	if _, err := Open(nil, [32]byte{4}, id, ciphertext); !errors.Is(err, ErrSeal) {
		t.Errorf("other key: %v", err)
	}
}

// BenchmarkCapture is all that this package does for a captured message.
func BenchmarkCapture(b *testing.B) {
	msgs := corpus(b, "enron.mbox.zst", 4000)
	envelope := []byte(`{"door":"smtp","from":"mona@diwan.example","to":["sami@diwan.example"]}`)
	key, id := [32]byte{1}, ID{2}
	var payload, sealed []byte
	steps := map[string]func(m []byte){
		"payload": func(m []byte) { payload, _ = AppendPayload(payload[:0], envelope, m) },
		"seal":    func(m []byte) { sealed, _ = Seal(sealed[:0], key, id, m); sha256.Sum256(sealed) },
		"commit": func(m []byte) {
			seed, _ := CommitmentSeed(key)
			salt, _ := EnvelopeSalt(key)
			CommitEnvelope(salt, envelope)
			Commit(seed, m)
		},
	}
	for _, name := range []string{"payload", "seal", "commit"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				steps[name](msgs[i%len(msgs)])
			}
		})
	}
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		payloads := make([][]byte, len(msgs))
		for i, m := range msgs {
			payloads[i], _ = AppendPayload(nil, envelope, m)
		}
		for i := 0; b.Loop(); i++ {
			if _, _, err := ParsePayload(payloads[i%len(msgs)], 1<<26); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// Coders are shared between goroutines; each must serve one at a time.
func TestPayloadConcurrently(t *testing.T) {
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			msg := letter(10 + g)
			for range 50 {
				payload, err := AppendPayload(nil, []byte("{}"), msg)
				if err != nil {
					t.Error(err)
					return
				}
				if _, got, err := ParsePayload(payload, 1<<20); err != nil || !bytes.Equal(got, msg) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
			}
		})
	}
	wg.Wait()
}

// A frame of fewer than 256 bytes does not state its content's size.
func TestTinyPayloads(t *testing.T) {
	for n := range 1100 {
		msg := bytes.Repeat([]byte("a line of mail\r\n"), 70)[:n]
		p, err := AppendPayload(nil, []byte("{}"), msg)
		if err != nil {
			t.Fatal(err)
		}
		_, got, err := ParsePayload(p, 1<<20)
		if err != nil || !bytes.Equal(got, msg) {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
}
