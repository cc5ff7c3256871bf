package mailauth

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// anything answers every question with the same text, or with what was
// given as wire bytes.
type anything struct {
	txt  string
	wire []byte
}

func (a anything) Exchange(_ context.Context, name string, qtype uint16) ([]byte, bool, time.Time, error) {
	if a.wire != nil {
		return a.wire, false, time.Time{}, nil
	}
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), qtype)
	m.Response = true
	h := dns.RR_Header{Name: dns.Fqdn(name), Rrtype: qtype, Class: dns.ClassINET}
	switch qtype {
	case dns.TypeTXT:
		m.Answer = []dns.RR{&dns.TXT{Hdr: h, Txt: txtStrings([]string{a.txt})}}
	case dns.TypeMX:
		m.Answer = []dns.RR{&dns.MX{Hdr: h, Mx: "mail.example."}}
	case dns.TypePTR:
		m.Answer = []dns.RR{&dns.PTR{Hdr: h, Ptr: "mail.example."}}
	}
	wire, err := m.Pack()
	return wire, false, time.Time{}, err
}

// FuzzJudge gives any message, any text in DNS and any peer. Whatever comes,
// it is judged, the same every time, and the bytes stay as they are.
func FuzzJudge(f *testing.F) {
	o := newOffice(f, "diwan.example", baseZone)
	signed := o.sign(f, letter)
	set, err := (&Sealer{Domain: "diwan.example", Key: o.keys.All[1]}).Seal(signed, Chain{Result: None}, "mx.example; dmarc=pass", arrival)
	if err != nil {
		f.Fatal(err)
	}
	record, err := o.keys.All[1].Record("diwan.example")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append(set, signed...), record.Text, "amina@diwan.example", "mx")
	f.Add([]byte("From: a@b.example\r\nDKIM-Signature: v=1; a=rsa-sha256; b=; bh=; d=x; h=; s="), "v=spf1 a mx ptr exists:%{i}.%{p}.x.example redirect=%{d}.example", "<>", "[1.2.3.4]")
	f.Add([]byte("Authentication-Results: (((\"\\"), "v=DMARC1; p=reject", "@", "")
	f.Fuzz(func(t *testing.T, raw []byte, txt, from, helo string) {
		if len(txt) > 2000 || len(from) > 200 {
			return
		}
		before := bytes.Clone(raw)
		p := Peer{IP: mustAddr(t, "192.0.2.1"), Helo: helo, MailFrom: from}
		r := Judge(t.Context(), Options{DNS: anything{txt: txt}, Time: arrival, AuthservID: "mx.example"}, raw, p)
		again := Judge(t.Context(), Options{DNS: Replay(r.Evidence), Time: arrival, AuthservID: "mx.example"}, raw, p)
		if text(t, r) != text(t, again) {
			t.Errorf("%s\nand\n%s", text(t, r), text(t, again))
		}
		if !strings.HasPrefix(r.Header, "Authentication-Results: mx.example;\r\n\t") {
			t.Errorf("%q", r.Header)
		}
		if strings.Count(r.Header, "\n") != strings.Count(r.Header, "\r\n") || strings.Count(strings.ReplaceAll(r.Header, "\r\n\t", ""), "\r\n") != 1 {
			t.Errorf("more than one field: %q", r.Header)
		}
		cleaned := Clean(raw, "mx.example")
		if r.Forged == 0 && !bytes.Equal(cleaned, raw) || len(forged(parse(cleaned), "mx.example")) > 0 && r.Forged > 0 && len(cleaned) >= len(raw) {
			t.Errorf("cleaned: %q", cleaned)
		}
		if !bytes.Equal(raw, before) {
			t.Error("the bytes changed")
		}
	})
}

// FuzzWire gives any answer of DNS.
func FuzzWire(f *testing.F) {
	m := new(dns.Msg)
	m.SetQuestion("diwan.example.", dns.TypeTXT)
	m.Answer = []dns.RR{&dns.TXT{Hdr: dns.RR_Header{Name: "diwan.example.", Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{`v=spf1 a\200`}}}
	wire, err := m.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(wire)
	f.Fuzz(func(t *testing.T, wire []byte) {
		r := Judge(t.Context(), Options{DNS: anything{wire: wire}, Time: arrival}, []byte(letter), Peer{IP: mustAddr(t, "192.0.2.1"), MailFrom: "a@diwan.example"})
		if r.SPF.Result == "" || r.DMARC.Result == "" {
			t.Error("no verdict")
		}
	})
}

// FuzzBody compares the canonical bodies with another implementation's.
func FuzzBody(f *testing.F) {
	f.Add([]byte("a  b\t\r\n\r\n \t\r\nc\r\n\r\n"), int64(-1))
	f.Add([]byte(" \t a\t\tb\r\n"), int64(3))
	f.Add([]byte("\r\n\r\n"), int64(0))
	f.Add(bytes.Repeat([]byte("x y\r\n"), 9000), int64(20000))
	f.Fuzz(func(t *testing.T, body []byte, length int64) {
		if !wellFormed(body) {
			return
		}
		want := slowRelaxed(body)
		w := newBodyWriter(-1)
		w.relaxed(body)
		one := newBodyWriter(-1)
		one.write(want)
		if w.sum() != one.sum() {
			t.Errorf("relaxed: %q", body)
		}
		if length < 0 || length > int64(len(want)) {
			return
		}
		part, whole := newBodyWriter(length), newBodyWriter(-1)
		part.relaxed(body)
		whole.write(want[:length])
		if p := part.sum(); p.sum != whole.sum().sum || p.total != int64(len(want)) {
			t.Errorf("the first %d of %q", length, body)
		}
	})
}

// wellFormed tells whether all lines end with CRLF.
func wellFormed(b []byte) bool {
	rest := bytes.ReplaceAll(b, crlf, nil)
	return !bytes.ContainsAny(rest, "\r\n")
}

// slowRelaxed follows RFC 6376 section 3.4.4 word by word.
func slowRelaxed(body []byte) []byte {
	lines := strings.Split(string(body), "\r\n")
	for i, l := range lines {
		for strings.Contains(l, "\t") || strings.Contains(l, "  ") {
			l = strings.ReplaceAll(strings.ReplaceAll(l, "\t", " "), "  ", " ")
		}
		lines[i] = strings.TrimSuffix(l, " ")
	}
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = slices.Delete(lines, len(lines)-1, len(lines))
	}
	if len(lines) == 0 {
		return nil
	}
	return []byte(strings.Join(lines, "\r\n") + "\r\n")
}

func FuzzTags(f *testing.F) {
	f.Add("v=1; a=rsa-sha256; b=ab cd;")
	f.Add("i=1;;")
	f.Add(" = ; b")
	f.Fuzz(func(t *testing.T, s string) {
		list, err := parseTags(s)
		if err == nil && len(list) == 0 {
			t.Error("an empty list")
		}
		parseKey(s)
		parsePolicy(s)
		authservID(s)
		dropComments(s)
		if r, err := parseSPF("v=spf1 " + s); err == nil {
			c := spfCheck{ip: mustAddr(t, "2001:db8::1"), from: anything{}, namesAsked: true}
			for _, term := range r.terms {
				c.expand(t.Context(), term.domain, "diwan.example")
			}
		}
		withoutSignature(nil, []byte("DKIM-Signature:"+s))
	})
}
