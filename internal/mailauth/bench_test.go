package mailauth

import (
	"bytes"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"
)

// cpuClock starts counting the processor's time; calling the result reports it
// by operation. On a shared machine it is steadier than time on the wall.
func cpuClock(b *testing.B) func() {
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	start := used()
	return func() {
		b.ReportMetric(float64((used()-start).Microseconds())/float64(b.N), "cpu-µs/op")
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
	}
}

func benchMessage(b *testing.B, size int, kinds ...Kind) ([]byte, *office) {
	o := newOffice(b, "diwan.example", baseZone)
	all := o.keys.All
	o.keys.All = nil
	for _, k := range all {
		if slices.Contains(kinds, k.Kind) {
			o.keys.All = append(o.keys.All, k)
		}
	}
	line := "The bearer of this letter carries a sum which the register knows.\r\n"
	raw := letter + strings.Repeat(line, (size-len(letter))/len(line))
	return o.sign(b, raw), o
}

func BenchmarkVerify(b *testing.B) {
	for _, kind := range []Kind{RSA, Ed25519} {
		for _, size := range []int{10 << 10, 1 << 20} {
			b.Run(string(kind)+"/"+map[bool]string{true: "10KB", false: "1MB"}[size < 1<<20], func(b *testing.B) {
				raw, o := benchMessage(b, size, kind)
				rec := NewRecorder(o.Client(b))
				b.ReportAllocs()
				cpu := cpuClock(b)
				for b.Loop() {
					m := parse(raw)
					s := m.readSignature(m.fields["dkim-signature"][0], arrival)
					if m.verify(b.Context(), rec, s); s.Result != Pass {
						b.Fatal(s.Reason)
					}
				}
				cpu()
			})
		}
	}
}

// BenchmarkOther is the same with go-msgauth, to compare.
func BenchmarkOther(b *testing.B) {
	raw, o := benchMessage(b, 10<<10, RSA)
	c := o.Client(b)
	lookup := func(name string) ([]string, error) {
		a, err := c.TXT(b.Context(), name)
		return a.Records, err
	}
	cpu := cpuClock(b)
	for b.Loop() {
		list, err := dkim.VerifyWithOptions(bytes.NewReader(raw), &dkim.VerifyOptions{LookupTXT: lookup})
		if err != nil || list[0].Err != nil {
			b.Fatal(err)
		}
	}
	cpu()
}

// BenchmarkJudge is all checks with two signatures, DNS being cached.
func BenchmarkJudge(b *testing.B) {
	raw, o := benchMessage(b, 10<<10, RSA, Ed25519)
	c := o.Client(b)
	p := peer(b, "192.0.2.7", "amina@diwan.example")
	b.ReportAllocs()
	cpu := cpuClock(b)
	for b.Loop() {
		if r := Judge(b.Context(), Options{DNS: c, Time: arrival, AuthservID: "mx.example"}, raw, p); r.DMARC.Result != Pass {
			b.Fatal(r)
		}
	}
	cpu()
}

func BenchmarkSign(b *testing.B) {
	for _, kind := range []Kind{RSA, Ed25519} {
		b.Run(string(kind), func(b *testing.B) {
			raw, o := benchMessage(b, 10<<10, kind)
			s := o.keys.Signer()
			cpu := cpuClock(b)
			for b.Loop() {
				if _, err := s.Sign(raw, arrival); err != nil {
					b.Fatal(err)
				}
			}
			cpu()
		})
	}
}
