package mailauth

import (
	"archive/tar"
	"bufio"
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/miekg/dns"
	"go.yaml.in/yaml/v3"

	"sijill/internal/resolve/resolvetest"
)

// corpus opens a file of the shared test data, decompressed.
func corpus(t testing.TB, name string) io.Reader {
	t.Helper()
	dir := os.Getenv("SIJILL_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		t.Skipf("no test data: set SIJILL_DATA to a folder with %s", name)
	}
	t.Cleanup(func() { f.Close() })
	z, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(z.Close)
	return z
}

// member returns one file of mail-auth.
func member(t testing.TB, name string) []byte {
	t.Helper()
	for archive := tar.NewReader(corpus(t, "mail-auth.tar.zst")); ; {
		h, err := archive.Next()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if h.Name == name {
			b, err := io.ReadAll(archive)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
	}
}

// messages calls do with every message of an mbox, with CRLF line ends.
func messages(t testing.TB, r io.Reader, do func(b []byte)) {
	t.Helper()
	var b []byte
	flush := func() {
		if len(b) > 0 {
			do(bytes.TrimSuffix(b, crlf)) // the empty line before the next "From "
		}
		b = nil
	}
	lines := bufio.NewReaderSize(r, 1<<20)
	for {
		line, err := lines.ReadBytes('\n')
		switch unquoted := bytes.TrimLeft(line, ">"); {
		case bytes.HasPrefix(line, []byte("From ")):
			flush()
		case len(line) > 0:
			if len(unquoted) < len(line) && bytes.HasPrefix(unquoted, []byte("From ")) {
				line = line[1:] // mboxrd
			}
			b = append(b, bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))...)
			b = append(b, crlf...)
		}
		if errors.Is(err, io.EOF) {
			flush()
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// documents reads the YAML documents of a file.
func documents[T any](t testing.TB, b []byte) (list []T) {
	t.Helper()
	d := yaml.NewDecoder(bytes.NewReader(b))
	for {
		var doc T
		err := d.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, doc)
	}
}

// strs is a string or a list of them.
type strs []string

// UnmarshalYAML implements yaml.Unmarshaler.
func (s *strs) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*s = strs{n.Value}
		return nil
	}
	return n.Decode((*[]string)(s))
}

type spfSuite struct {
	Description string
	Tests       map[string]struct {
		Helo, Host, MailFrom string
		Result               strs
	}
	ZoneData map[string][]yaml.Node
}

// TestSPFSuite runs the SPF test suite of RFC 7208 against a real DNS server.
// Explanations are not evaluated: we never send strangers' words on, so that
// only results are compared.
func TestSPFSuite(t *testing.T) {
	b := member(t, "pyspf/test/rfc7208-tests.yml")
	// Escapes such as \xEF stand for bytes there, not for characters as in YAML.
	n := 0
	for _, suite := range documents[spfSuite](t, b) {
		s := resolvetest.New(t, "")
		for name, rrs := range suite.ZoneData {
			spfZone(t, s, name, rrs)
		}
		for name, test := range suite.Tests {
			n++
			got := checkSPF(t.Context(), NewRecorder(s.Client(t)), Peer{IP: mustAddr(t, test.Host), Helo: test.Helo, MailFrom: test.MailFrom})
			if why := spfExceptions[name]; !slices.Contains(test.Result, string(got.Result)) != (why != "") {
				t.Errorf("%s / %s: %v, want %v (explained: %q)", suite.Description, name, got.Result, test.Result, why)
			}
		}
	}
	if n != 203 {
		t.Errorf("%d tests", n)
	}
}

// spfExceptions are the tests that don't pass, each with the reason.
var spfExceptions = map[string]string{}

// spfZone adds one name of a suite. SPF records stand for TXT where there is
// none of that kind (the suite's own rule).
func spfZone(t *testing.T, s *resolvetest.Server, name string, rrs []yaml.Node) {
	t.Helper()
	hasTXT, answers := false, false
	for _, n := range rrs {
		if n.Kind == yaml.MappingNode && n.Content[0].Value == "TXT" {
			hasTXT, answers = true, n.Content[1].Value != "NONE"
		}
	}
	for _, n := range rrs {
		if n.Kind == yaml.ScalarNode {
			if n.Value != "TIMEOUT" {
				t.Fatal(n.Value)
			}
			s.Silence(name, !answers) // for what isn't there
			continue
		}
		kind, value := n.Content[0].Value, n.Content[1]
		var list strs
		if err := value.Decode(&list); err != nil {
			t.Fatal(err)
		}
		if kind == "SPF" {
			if hasTXT {
				continue
			}
			kind = "TXT"
		}
		h := dns.RR_Header{Name: dns.Fqdn(strings.ReplaceAll(name, `\`, `\\`)), Rrtype: dns.StringToType[kind], Class: dns.ClassINET, Ttl: 300}
		var rr dns.RR
		switch kind {
		case "TXT":
			if slices.Equal(list, strs{"NONE"}) {
				continue
			}
			rr = &dns.TXT{Hdr: h, Txt: txtStrings(list)}
		case "A":
			rr = &dns.A{Hdr: h, A: mustAddr(t, list[0]).AsSlice()}
		case "AAAA":
			rr = &dns.AAAA{Hdr: h, AAAA: mustAddr(t, list[0]).AsSlice()}
		case "MX":
			rr = &dns.MX{Hdr: h, Mx: dns.Fqdn(list[1])}
			fmt.Sscan(list[0], &rr.(*dns.MX).Preference)
		case "PTR":
			rr = &dns.PTR{Hdr: h, Ptr: dns.Fqdn(list[0])}
		case "CNAME":
			rr = &dns.CNAME{Hdr: h, Target: dns.Fqdn(list[0])}
		default:
			t.Fatalf("a record of type %s", kind)
		}
		s.AddRR(rr)
	}
}

// txtStrings cuts texts into strings that fit, escaped; a character of the
// suite stands for a byte.
func txtStrings(list []string) (out []string) {
	for _, s := range list {
		b := make([]byte, 0, len(s))
		for _, r := range s {
			b = append(b, byte(r))
		}
		for part := range slices.Chunk(b, 255) {
			var esc strings.Builder
			for _, c := range part {
				if c < ' ' || c >= 0x7f || c == '\\' || c == '"' {
					fmt.Fprintf(&esc, `\%03d`, c)
				} else {
					esc.WriteByte(c)
				}
			}
			out = append(out, esc.String())
		}
	}
	if len(out) == 0 {
		return []string{""}
	}
	return out
}

type arcSuite struct {
	Description string
	Tests       yaml.Node
	TXT         map[string]string `yaml:"txt-records"`
	Domain      string
	Selector    string `yaml:"sel"`
	PrivateKey  string `yaml:"privatekey"`
}

type arcTest struct {
	Description, Message, CV string
	T                        int64
	Headers                  string `yaml:"sig-headers"`
	Server                   string `yaml:"srv-id"`
	AS                       string `yaml:"AS"`
	AMS                      string `yaml:"AMS"`
	AAR                      string `yaml:"AAR"`
}

// tests calls do with every test; some names stand twice in the suite.
func (a arcSuite) tests(t *testing.T, do func(name string, test arcTest)) {
	t.Helper()
	for i := 0; i+1 < len(a.Tests.Content); i += 2 {
		var test arcTest
		if err := a.Tests.Content[i+1].Decode(&test); err != nil {
			t.Fatal(err)
		}
		do(a.Tests.Content[i].Value, test)
	}
}

func (a arcTest) raw() []byte { return toCRLF(a.Message) }

func toCRLF(s string) []byte {
	return []byte(strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "\r\n"))
}

// zone serves the keys. Some names of the suite can't be in DNS.
func (a arcSuite) zone(t *testing.T) *resolvetest.Server {
	s := resolvetest.New(t, "")
	for name, txt := range a.TXT {
		s.AddRR(&dns.TXT{Hdr: dns.RR_Header{Name: dns.Fqdn(name), Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 300},
			Txt: txtStrings([]string{strings.TrimSpace(strings.ReplaceAll(txt, "\n", ""))})})
	}
	return s
}

// arcExceptions are the validation tests that don't come out as written, each
// with the reason.
var arcExceptions = map[string]string{
	"ams_fields_c_na": "without c= both are simple (RFC 6376 section 3.5, to which RFC 8617 section 4.1.2 leads); the suite's signature was made with relaxed",
}

func TestARCSignSuite(t *testing.T) {
	n := 0
	for _, suite := range documents[arcSuite](t, member(t, "arc_test_suite/tests/arc-draft-sign-tests.yml")) {
		block, _ := pem.Decode([]byte(suite.PrivateKey))
		key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		client := suite.zone(t).Client(t)
		suite.tests(t, func(name string, test arcTest) {
			n++
			seal := Sealer{Domain: suite.Domain, Key: &Key{Selector: suite.Selector, Kind: RSA, private: key}, Headers: strings.Split(test.Headers, ":")}
			raw := test.raw()
			chain := parse(raw).validate(t.Context(), NewRecorder(client), time.Now())
			_, results, _ := strings.Cut(test.AAR, ";")
			set, err := seal.Seal(raw, chain, results, time.Unix(test.T, 0))
			if test.AS == "" {
				if !errors.Is(err, ErrCannotSeal) {
					t.Errorf("%s: sealed: %v", name, err)
				}
				return
			}
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			m := parse(append(set, "\r\n"...))
			for field, want := range map[string]string{arcSeal: test.AS, arcMessage: test.AMS} {
				got, err1 := parseTags(m.value(m.fields[field][0]))
				expected, err2 := parseTags(strings.TrimSpace(want))
				if err1 != nil || err2 != nil || fmt.Sprint(compactTags(got)) != fmt.Sprint(compactTags(expected)) {
					t.Errorf("%s: %s: %v, want %v (%v, %v)", name, field, got, expected, err1, err2)
				}
			}
			again := parse(append(set, raw...)).validate(t.Context(), NewRecorder(client), time.Now())
			if chain.Result != Fail && again.Result != Pass {
				t.Errorf("%s: our own seal: %v", name, again)
			}
		})
	}
	if n != 17 {
		t.Errorf("%d tests", n)
	}
}

func compactTags(l tagList) (out []string) {
	for _, t := range l {
		out = append(out, t.name+"="+dropSpaces(t.value))
	}
	slices.Sort(out)
	return out
}

func TestARCValidateSuite(t *testing.T) {
	n := 0
	for _, suite := range documents[arcSuite](t, member(t, "arc_test_suite/tests/arc-draft-validation-tests.yml")) {
		client := suite.zone(t).Client(t)
		suite.tests(t, func(name string, test arcTest) {
			n++
			c := parse(test.raw()).validate(t.Context(), NewRecorder(client), time.Now())
			want := strings.ToLower(strings.TrimSpace(test.CV))
			if want == "" {
				want = "fail" // what the suite leaves open is a chain sealed as failed
			}
			if why := arcExceptions[name]; (string(c.Result) != want) != (why != "") {
				t.Errorf("%s / %s: %s (%s), want %s (explained: %q)", suite.Description, name, c.Result, c.Reason, want, why)
			}
		})
	}
	if n != 175 {
		t.Errorf("%d tests", n)
	}
}
