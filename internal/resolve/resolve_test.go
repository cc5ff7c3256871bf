package resolve_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"sijill/internal/resolve"
	"sijill/internal/resolve/resolvetest"
)

const zone = `
$TTL 300
example.org.            MX    20 Mail2.example.org.
example.org.            MX    10 mail.example.org.
example.org.            TXT   "v=spf1 " "mx -all"
mail.example.org.       A     192.0.2.1
mail.example.org.       AAAA  2001:db8::1
four.example.org.       A     192.0.2.4
www.example.org.        CNAME hop.example.org.
hop.example.org.        CNAME mail.example.org.
loop.example.org.       CNAME pool.example.org.
pool.example.org.       CNAME loop.example.org.
null.example.org.       MX    0 .
_25._tcp.mail.example.org. TLSA 3 1 1 AABBCC
_imaps._tcp.example.org. SRV 10 1 993 mail.example.org.
_imaps._tcp.example.org. SRV 10 9 993 mail2.example.org.
_imaps._tcp.example.org. SRV 5 1 993 mail3.example.org.
1.2.0.192.in-addr.arpa. PTR   mail.example.org.
*.wild.example.org.     TXT   "any"
short.example.org. 0    TXT   "not kept"
xn--mgba3a4f16a.example. A    192.0.2.9
escape.example.org.     TXT   "a\\b\200c\"d"
`

func TestRecords(t *testing.T) {
	c := resolvetest.New(t, zone).Client(t)
	ctx := t.Context()
	for _, q := range []struct {
		name string
		ask  func() (string, error)
		want string
	}{
		{"mx, preferred first", func() (string, error) { a, err := c.MX(ctx, "Example.ORG"); return fmt.Sprint(a), err },
			"{[{10 mail.example.org.} {20 mail2.example.org.}] example.org. false}"},
		{"null mx", func() (string, error) { a, err := c.MX(ctx, "null.example.org"); return fmt.Sprint(a.Records), err }, "[{0 .}]"},
		{"txt joined", func() (string, error) { a, err := c.TXT(ctx, "example.org."); return fmt.Sprint(a.Records), err }, "[v=spf1 mx -all]"},
		{"txt bytes", func() (string, error) {
			a, err := c.TXT(ctx, "escape.example.org.")
			return fmt.Sprintf("%q", a.Records), err
		}, `["a\\b\xc8c\"d"]`},
		{"wildcard", func() (string, error) { a, err := c.TXT(ctx, "x.wild.example.org"); return fmt.Sprint(a.Records), err }, "[any]"},
		{"both kinds", func() (string, error) {
			a, err := c.Addrs(ctx, "mail.example.org")
			return fmt.Sprint(a.Records), err
		}, "[2001:db8::1 192.0.2.1]"},
		{"one kind", func() (string, error) {
			a, err := c.Addrs(ctx, "four.example.org")
			return fmt.Sprint(a.Records), err
		}, "[192.0.2.4]"},
		{"aliases", func() (string, error) { a, err := c.Addrs(ctx, "www.example.org"); return fmt.Sprint(a), err },
			"{[2001:db8::1 192.0.2.1] mail.example.org. false}"},
		{"one alias", func() (string, error) {
			a, err := c.CNAME(ctx, "www.example.org")
			return fmt.Sprint(a.Records), err
		}, "[hop.example.org.]"},
		{"tlsa", func() (string, error) {
			a, err := c.TLSA(ctx, "_25._tcp.mail.example.org")
			return fmt.Sprint(a.Records), err
		}, "[{3 1 1 aabbcc}]"},
		{"srv", func() (string, error) {
			a, err := c.SRV(ctx, "_imaps._tcp.example.org")
			return fmt.Sprint(a.Records), err
		}, "[{5 1 993 mail3.example.org.} {10 9 993 mail2.example.org.} {10 1 993 mail.example.org.}]"},
		{"ptr", func() (string, error) {
			a, err := c.PTR(ctx, netip.MustParseAddr("::ffff:192.0.2.1"))
			return fmt.Sprint(a.Records), err
		}, "[mail.example.org.]"},
		{"international", func() (string, error) {
			a, err := c.Addrs(ctx, "ایران.example")
			return fmt.Sprint(a.Records), err
		}, "[192.0.2.9]"},
	} {
		if got, err := q.ask(); err != nil || got != q.want {
			t.Errorf("%s: %v, %v; want %v", q.name, got, err, q.want)
		}
	}
}

// TestNo holds the two ways of no apart: none, and nobody knows.
func TestNo(t *testing.T) {
	s := resolvetest.New(t, zone)
	s.Fail("broken.example.org", dns.RcodeServerFailure)
	s.Silence("silent.example.org", true)
	c := s.Client(t)
	for _, q := range []struct {
		name                    string
		missing, domain, failed bool
		timeout                 bool
	}{
		{"nothing.example.org", true, true, false, false},
		{"mail.example.org", true, false, false, false},
		{"example.org.example.org", true, true, false, false},
		{"loop.example.org", true, false, false, false},
		{strings.Repeat("a", 64) + ".example.org", true, true, false, false},
		{"a..example.org", true, true, false, false},
		{"", true, true, false, false},
		{"192.0.2.1", true, true, false, false},
		{"broken.example.org", false, false, true, false},
		{"silent.example.org", false, false, true, true},
	} {
		_, err := c.TXT(t.Context(), q.name)
		var none *resolve.NotFound
		var failed *resolve.Failure
		if errors.Is(err, fs.ErrNotExist) != q.missing || errors.As(err, &none) && none.Domain != q.domain ||
			errors.As(err, &failed) != q.failed || q.failed && failed.Timeout() != q.timeout {
			t.Errorf("%q: %v", q.name, err)
		}
	}
	_, err := c.Addrs(t.Context(), "broken.example.org")
	if !errors.As(err, new(*resolve.Failure)) {
		t.Errorf("addresses of a name that can't be looked up: %v", err)
	}
}

func TestCutAnswersComeOverTCP(t *testing.T) {
	s := resolvetest.New(t, zone+`big.example.org. TXT "`+strings.Repeat("x", 250)+strings.Repeat(`" "`+strings.Repeat("y", 250), 20)+"\"\n")
	s.Cut("example.org")
	c := s.Client(t)
	if a, err := c.TXT(t.Context(), "example.org"); err != nil || len(a.Records) != 1 {
		t.Errorf("an answer that was cut: %v, %v", a, err)
	}
	if a, err := c.TXT(t.Context(), "big.example.org"); err != nil || len(a.Records[0]) != 21*250 {
		t.Errorf("an answer too long for UDP: %d records, %v", len(a.Records), err)
	}
}

// TestAuthentic believes the AD bit of loopback only; see also TestTrust.
func TestAuthentic(t *testing.T) {
	s := resolvetest.New(t, zone)
	s.Authentic(true)
	c := s.Client(t)
	if a, err := c.TLSA(t.Context(), "_25._tcp.mail.example.org"); err != nil || !a.Authentic {
		t.Errorf("not authentic: %v, %v", a, err)
	}
	_, err := c.TLSA(t.Context(), "_25._tcp.four.example.org")
	var none *resolve.NotFound
	if !errors.As(err, &none) || !none.Authentic {
		t.Errorf("its absence is not authentic: %v", err)
	}
	s.Authentic(false)
	if a, err := c.TXT(t.Context(), "example.org"); err != nil || a.Authentic {
		t.Errorf("authentic without the bit: %v, %v", a, err)
	}
}

func TestCache(t *testing.T) {
	s := resolvetest.New(t, zone)
	c := s.Client(t)
	ask := func(name string) {
		for range 3 {
			_, err := c.TXT(t.Context(), name)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
		}
	}
	for name, want := range map[string]int{"example.org": 1, "nothing.example.org": 1, "mail.example.org": 1, "short.example.org": 3} {
		ask(name)
		if n := s.Asked(name); n != want {
			t.Errorf("%s: asked %d times, want %d", name, n, want)
		}
	}
}

func TestOneQuestionAtATime(t *testing.T) {
	s := resolvetest.New(t, zone)
	s.Silence("example.org", true)
	c := s.Client(t)
	gone, leave := context.WithCancel(t.Context())
	first := make(chan error)
	go func() { _, err := c.TXT(gone, "example.org"); first <- err }()
	for s.Asked("example.org") == 0 {
		time.Sleep(time.Millisecond)
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := c.TXT(t.Context(), "example.org"); !errors.As(err, new(*resolve.Failure)) {
				t.Errorf("got %v", err)
			}
		})
	}
	leave()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("whoever leaves gets %v", err)
	}
	wg.Wait()
	if n := s.Asked("example.org"); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// TestNextServer passes over a server that is dead and one that fails.
func TestNextServer(t *testing.T) {
	dead := resolvetest.New(t, "")
	dead.Silence("example.org", true)
	failing := resolvetest.New(t, "")
	failing.Fail("example.org", dns.RcodeRefused)
	good := resolvetest.New(t, zone)
	c, err := resolve.New(resolve.Options{Servers: []string{dead.Addr, failing.Addr, good.Addr}, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if a, err := c.TXT(t.Context(), "example.org"); err != nil || len(a.Records) != 1 {
		t.Errorf("%v, %v", a, err)
	}
}

func TestExchange(t *testing.T) {
	c := resolvetest.New(t, zone).Client(t)
	wire, _, at, err := c.Exchange(t.Context(), "example.org", dns.TypeTXT)
	if err != nil {
		t.Fatal(err)
	}
	var m dns.Msg
	if err := m.Unpack(wire); err != nil || m.Id != 0 || len(m.Answer) != 1 || time.Since(at) > time.Minute {
		t.Errorf("%v, %v, %v", &m, err, at)
	}
	again, _, later, err := c.Exchange(t.Context(), "EXAMPLE.org.", dns.TypeTXT)
	if err != nil || string(again) != string(wire) || !later.Equal(at) {
		t.Error("the answer kept is another one")
	}
}

func TestSystem(t *testing.T) {
	if _, err := os.Stat("/etc/resolv.conf"); err == nil {
		if _, err := resolve.New(resolve.Options{}); err != nil {
			t.Error(err)
		}
	}
	if _, err := resolve.New(resolve.Options{Servers: []string{"ns.example.org"}}); err == nil {
		t.Error("a server without address was taken")
	}
}
