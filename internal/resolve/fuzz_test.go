package resolve

import (
	"errors"
	"io/fs"
	"testing"

	"github.com/miekg/dns"
)

// FuzzName turns any text into a name that DNS can carry, the same every time,
// or says that there is none.
func FuzzName(f *testing.F) {
	for _, s := range []string{"Example.ORG", "ایران.example", `a\.b.example`, "a b\"%.example", "..", "192.0.2.1", "\xff.example"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := Name(s)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				t.Error(err)
			}
			return
		}
		q := new(dns.Msg)
		q.SetQuestion(name, dns.TypeTXT)
		wire, err := q.Pack()
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		var in dns.Msg
		if err := in.Unpack(wire); err != nil || in.Question[0].Name != name {
			t.Errorf("%q came back as %q, %v", name, in.Question[0].Name, err)
		}
	})
}

// FuzzAnswer reads any answer.
func FuzzAnswer(f *testing.F) {
	m := new(dns.Msg)
	m.SetQuestion("a.example.", dns.TypeTXT)
	m.Answer = []dns.RR{
		&dns.CNAME{Hdr: dns.RR_Header{Name: "a.example.", Rrtype: dns.TypeCNAME, Class: dns.ClassINET}, Target: "a.example."},
		&dns.TXT{Hdr: dns.RR_Header{Name: "a.example.", Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{`\200\\`}},
	}
	wire, err := m.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(wire)
	f.Fuzz(func(t *testing.T, wire []byte) {
		var in dns.Msg
		if in.Unpack(wire) != nil || !answers(&in, &in) {
			return
		}
		alias(&in)
		if d := ttl(&in); d < 0 || d > maxTTL {
			t.Error(d)
		}
		for _, rr := range in.Answer {
			if r, ok := rr.(*dns.TXT); ok {
				Text(r)
			}
		}
	})
}
